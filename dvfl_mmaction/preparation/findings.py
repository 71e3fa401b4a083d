"""What a reader returns: the clips of a data set, and its faults."""

from dataclasses import dataclass, field
from enum import Enum


class Fault(Enum):
    """A kind of fault, in words."""

    MISSING_CLASS = 'classes without a clip'
    DUPLICATE = 'duplicate clips'
    UNKNOWN_LABEL = 'clips with an unknown label'
    NOT_ON_DISK = 'clips listed and not on disk'
    NOT_LISTED = 'files on disk and not listed'


@dataclass(frozen=True)
class Clip:
    """A labelled clip.

    Attributes:
        name: Path in the folder of videos, with ``/``.
        label: Class, from 0.
        group: Source video; clips of one source are similar.
    """

    name: str
    label: int
    group: str


class Findings:
    """Names with a fault, by kind of fault; each name once."""

    def __init__(self):
        self.names = {}

    def add(self, fault: Fault, name: str):
        self.names.setdefault(fault, {})[name] = None

    def add_empty_classes(self, classes: list[str], clips: list[Clip]):
        """Add the classes without a clip."""
        present = {clip.label for clip in clips}
        for label, name in enumerate(classes):
            if label not in present:
                self.add(Fault.MISSING_CLASS, name)

    def __bool__(self):
        return bool(self.names)

    def lines(self) -> list[str]:
        """A line per kind: the number of names, and the first three."""
        return [
            f'{fault.value}: {len(names):,} ({preview([*names])})'
            for fault, names in self.names.items()
        ]


@dataclass
class Reading:
    """A data set as found on disk.

    Attributes:
        classes: Names by label.
        clips: All labelled clips on disk that a list names, once each.
        splits: Split -> (train, val), in the order of the official lists.
        findings: Faults.
        links: Link to make -> folder that it points to, paths in the root.
    """

    classes: list[str]
    clips: list[Clip]
    splits: dict[str, tuple[list[Clip], list[Clip]]]
    findings: Findings
    links: dict[str, str] = field(default_factory=dict)


def preview(names: list[str], shown: int = 3) -> str:
    """The first few names, and the number of the others."""
    more = f' and {len(names) - shown:,} more' if len(names) > shown else ''
    return ', '.join(names[:shown]) + more
