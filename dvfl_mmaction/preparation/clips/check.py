"""Which clips of a data set can be read, found out by decoding them all."""

import csv
import io
from collections import Counter
from dataclasses import asdict, astuple, dataclass, fields
from functools import partial
from pathlib import Path

from ...datasets.annotations import Annotations, write_annotations, write_lines
from ...datasets.video_reader import BrokenClipError, VideoReader
from .clip_lists import (
    CHECKED,
    VIDEOS,
    named_clips,
    read_lists,
    some_names,
    stamp,
)
from .jobs import (
    count_cores,
    even_sample,
    going_on_later,
    in_words,
    run_jobs,
    speed,
    with_progress,
)
from .journal import Journal

STATUSES = dict(
    ok='',
    short='usable, frames repeat',
    cut='usable, as far as they go',
    broken='left out of the checked lists',
)
SHORT = 8  # frames; what the models see of a clip
# Frames, and seconds, that a header may announce too many: decoders keep
# back one or two at the end or the start, and AVI counts repeats.
TOLERATED_FRAMES, TOLERATED_S = 2, 0.1
FIRST_BROKEN = 10  # told with their reasons; all are in the table


@dataclass
class ClipFacts:
    """What decoding every frame of a clip brought.

    Attributes:
        error: Why it cannot be read to the end; None if it can.
        frames: Frames decoded.
        announced_frames: See :class:`VideoReader`, as for what follows.
        rotation: Degrees counter-clockwise that the file asks for.
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
        facts: By name of clip, in the order of the lists.
        decoded: Clips that this run decoded; the others were known.
        lists: The lists written, and how many clips each left out.
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
            f'{len(self.facts)} clips, {self.decoded} of them decoded now; '
            f'all of them are in {self.path}'
        ]
        for status, meaning in STATUSES.items():
            line = f'{status:>6}: {counts[status]}'
            if counts[status] and meaning:
                line += f' ({meaning}): {some_names(self.named(status))}'
            lines.append(line)
        for name in self.named('broken')[:FIRST_BROKEN]:
            lines.append(f'        {name}: {self.facts[name].error}')
        for path, removed in self.lists.items():
            lines.append(f'{path}: without {removed} broken clips')
        return lines


def check_clips(root: str | Path, workers: int | None = None) -> CheckReport:
    """Decode every frame of every clip that the lists of a root name.

    Written to the root: ``check.csv``, a row a clip; for every list
    ``X.txt`` an ``X_checked.txt`` without the clips that are broken; and
    ``check.jsonl``, the results so far: a clip that has neither changed in
    size nor in time is not decoded again. A clip whose decoder crashed is
    broken, but tried again by the next run, as it may have been for want
    of memory.

    Status ``cut`` is for clips of which more than 2 frames, and more than
    a tenth of a second, are missing of what the header announces.

    Args:
        root: Holds ``videos/`` and lists ``*.txt``.
        workers: Processes; one a core if not given.

    Raises:
        UserError: If the root holds no lists or no ``videos/``.
        SystemExit: After Ctrl-C, which is told; what was done is kept.
    """
    root, workers = Path(root), workers or count_cores()
    lists = read_lists(root)
    stamps = {n: stamp(root / VIDEOS / n) for n in named_clips(lists)}
    with Journal(root / 'check.jsonl') as journal, going_on_later():
        facts = {n: recall(journal.find(n, stamps[n])) for n in stamps}
        pending = [name for name, known in facts.items() if known is None]
        print(f'{len(facts)} clips, {len(pending)} of them to be decoded')
        if pending:
            for outcome in decode_all(root / VIDEOS, pending, workers):
                name = outcome.job
                facts[name] = outcome.value or ClipFacts(outcome.error)
                if outcome.value:
                    journal.note(name, stamps[name], asdict(facts[name]))
    path = root / 'check.csv'
    write_table(path, facts)
    written = {
        path.with_stem(path.stem + CHECKED): write_checked(path, part, facts)
        for path, part in lists.items()
    }
    return CheckReport(facts, len(pending), written, path)


def recall(noted: dict | None) -> ClipFacts | None:
    """Facts from the journal; None if there are none of this version."""
    names = {field.name for field in fields(ClipFacts)}
    return ClipFacts(**noted) if noted and set(noted) == names else None


def decode_all(videos: Path, names: list[str], workers: int):
    """Outcomes, a sample's first and then, after an estimate, the rest's."""
    function = partial(decode_clip, videos)
    sample, rest = even_sample(names)
    tried = []
    for outcome in with_progress(
        run_jobs(function, sample, workers), len(sample), 'sample'
    ):
        tried.append(outcome)
        yield outcome
    if rest:
        rate = speed(tried, workers)
        print(
            f'sample of {len(sample)} clips: {rate:.1f} clips/s in {workers} '
            f'processes, {in_words(len(rest) / rate)} for the other '
            f'{len(rest)}',
            flush=True,
        )
        yield from with_progress(
            run_jobs(function, rest, workers), len(rest), 'check'
        )


def decode_clip(videos: Path, name: str) -> ClipFacts:
    """Decode all frames of a clip; what cannot be read is told."""
    facts = ClipFacts()
    try:
        with VideoReader(videos / name) as reader:
            facts.announced_frames = reader.announced_frames
            facts.avg_fps = round(reader.avg_fps, 3)
            facts.width, facts.height = reader.width, reader.height
            facts.codec = reader.codec
            facts.pixel_format = reader.pixel_format
            for frame in reader.frames():
                if not facts.frames:
                    facts.rotation = int(frame.rotation)
                    reader.to_rgb(frame)  # it is no use if this fails
                facts.frames += 1
        if not facts.frames:
            facts.error = 'no frame can be decoded'
    except BrokenClipError as error:
        facts.error = str(error)
    return facts


def write_table(path: Path, facts: dict[str, ClipFacts]):
    """``check.csv``: name, status, reason, and the facts."""
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
    """A list without what is broken; the number of clips taken out."""
    kept = [
        (name, label)
        for name, label in annotations.clips
        if not facts[name].error
    ]
    removed = len(annotations.clips) - len(kept)
    header = annotations.header | dict(
        checked=f'every frame was decoded; {removed} broken clips taken out'
    )
    write_annotations(
        path.with_stem(path.stem + CHECKED), Annotations(kept, header)
    )
    return removed
