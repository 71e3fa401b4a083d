"""Find the clips of a data set that cannot be read, by decoding all."""

import csv
import io
from collections import Counter
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path

from ...datasets.annotations import Annotations, write_lines
from ...datasets.video_file import TIMED_OUT, TIMEOUT_S
from ...datasets.video_reader import BrokenClipError, VideoReader
from ..findings import preview
from .clip_lists import CHECKED, VIDEOS, named_clips, read_lists, write_kept
from .jobs import require_folders
from .journal import stamp
from .runner import ClipTask, run_clips

STATUSES = dict(
    ok='',
    short='usable, frames repeat',
    cut='usable; the end is missing',
    broken='left out of the checked lists',
)
SHORT = 8  # frames: the input of the models
# How many more frames, and seconds, a header may announce: decoders drop one
# or two at the start or the end, and AVI counts repeats.
TOLERATED_FRAMES, TOLERATED_S = 2, 0.1
FIRST_BROKEN = 10  # printed with their reasons; the table has all


@dataclass
class ClipFacts:
    """What was found by decoding every frame of a clip.

    Attributes:
        error: Why it cannot be read to the end; None if it can.
        frames: Frames decoded.
        announced_frames: This and the following: see :class:`VideoReader`.
        rotation: Degrees counter-clockwise that the file asks for.
        stream: Number in the file of the video stream that is read.
    """

    error: str | None = None
    frames: int = 0
    announced_frames: int = 0
    avg_fps: float = 0.0
    width: int = 0
    height: int = 0
    codec: str = ''
    pixel_format: str = ''
    rotation: int = 0
    stream: int = 0

    def verdict(self) -> tuple[str, str]:
        """Status and reason: a key of ``STATUSES``, and one line."""
        if self.error:
            return 'broken', self.error
        missing = self.announced_frames - self.frames
        tolerated = max(TOLERATED_FRAMES, TOLERATED_S * self.avg_fps)
        if missing > tolerated:
            return 'cut', (
                f'holds {self.frames} of the {self.announced_frames} frames '
                'that its header announces'
            )
        if self.frames < SHORT:
            return 'short', f'fewer than {SHORT} frames: {self.frames}'
        return 'ok', ''


@dataclass
class CheckReport:
    """What :func:`check_clips` found.

    Attributes:
        facts: By clip, in the order of the lists.
        decoded: Number of clips that this run decoded.
        lists: The lists written, and the number of clips left out of each.
        path: The table of all clips.
    """

    facts: dict[str, ClipFacts]
    decoded: int
    lists: dict[Path, int]
    path: Path

    def named(self, status: str) -> list[str]:
        """Names of the clips of a status."""
        return [n for n, f in self.facts.items() if f.verdict()[0] == status]

    def lines(self) -> list[str]:
        """The report for the user."""
        counts = Counter(f.verdict()[0] for f in self.facts.values())
        lines = [
            f'{len(self.facts)} clips, {self.decoded} decoded in this run; '
            f'{self.path} lists all'
        ]
        for status, meaning in STATUSES.items():
            line = f'{status:>6}: {counts[status]}'
            if counts[status] and meaning:
                line += f' ({meaning}): {preview(self.named(status))}'
            lines.append(line)
        for name in self.named('broken')[:FIRST_BROKEN]:
            lines.append(f'        {name}: {self.facts[name].error}')
        for path, removed in self.lists.items():
            lines.append(f'{path}: without {removed} broken clips')
        return lines


def check_clips(
    root: str | Path,
    workers: int | None = None,
    scheduler: str | None = None,
    timeout_s: float | None = TIMEOUT_S,
) -> CheckReport:
    """Decode every frame of every clip that the lists of a root name.

    Written to the root: ``check.csv``, one row per clip; for every list
    ``X.txt`` an ``X_checked.txt`` without the broken clips; and
    ``check.jsonl``, the journal: clips whose size and time are unchanged
    are not decoded again. A clip whose decoder crashed is broken, but the
    next run tries it again, since lack of memory may be the cause.

    Status ``cut`` means that more than 2 frames, and more than a tenth of a
    second, are missing of what the header announces.

    Args:
        root: Holds ``videos/`` and lists ``*.txt``.
        workers: Local processes; one per core by default.
        scheduler: Address of a dask scheduler to use instead; all of its
            workers see the root under the same path.
        timeout_s: A clip that takes longer to read, in s, is broken; the
            next run tries it again.

    Raises:
        UserError: If the root holds no lists or no ``videos/``, or the
            scheduler cannot be used.
        SystemExit: After Ctrl-C, with one line; finished clips are kept.
    """
    root = Path(root)
    lists = read_lists(root)
    videos = (root / VIDEOS).absolute()
    task = ClipTask(
        title='check',
        function=partial(decode_clip, videos, timeout_s=timeout_s),
        result_type=ClipFacts,
        stamps={name: stamp(videos / name) for name in named_clips(lists)},
        journal=root / 'check.jsonl',
        is_valid=lambda name, facts: TIMED_OUT not in (facts.error or ''),
    )
    facts, decoded = run_clips(task, workers, scheduler)
    path = root / 'check.csv'
    write_table(path, facts)
    written = {
        path.with_stem(path.stem + CHECKED): write_checked(path, part, facts)
        for path, part in lists.items()
    }
    return CheckReport(facts, len(decoded), written, path)


def decode_clip(
    videos: Path, name: str, timeout_s: float | None = TIMEOUT_S
) -> ClipFacts:
    """Decode all frames of a clip; a fault becomes its ``error``."""
    require_folders(videos)
    facts = ClipFacts()
    try:
        with VideoReader(videos / name, timeout_s) as reader:
            facts.announced_frames = reader.announced_frames
            facts.avg_fps = round(reader.avg_fps, 3)
            facts.width, facts.height = reader.width, reader.height
            facts.codec, facts.stream = reader.codec, reader.stream_index
            facts.pixel_format = reader.pixel_format
            for frame in reader.frames():
                if not facts.frames:
                    facts.rotation = int(frame.rotation)
                    reader.to_rgb(frame)  # training needs it
                facts.frames += 1
        if not facts.frames:
            facts.error = 'no frame can be decoded'
    except BrokenClipError as error:
        facts.error = str(error)
    return facts


def write_table(path: Path, facts: dict[str, ClipFacts]):
    """Write ``check.csv``: name, status, reason and facts per clip."""
    names = [field.name for field in fields(ClipFacts)][1:]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['name', 'status', 'reason', *names])
    for name, clip in facts.items():
        writer.writerow([name, *clip.verdict(), *astuple(clip)[1:]])
    write_lines(path, text.getvalue().split('\n')[:-1])


def write_checked(
    path: Path, annotations: Annotations, facts: dict[str, ClipFacts]
) -> int:
    """Write a list without its broken clips; returns their number."""
    return write_kept(
        path.with_stem(path.stem + CHECKED),
        annotations,
        {name: name for name, clip in facts.items() if not clip.error},
        lambda removed: dict(
            checked=f'every frame was decoded; {removed} broken clips left out'
        ),
    )
