"""A copy of a data set that trains faster, for more room on the disk.

A packed clip is Motion-JPEG in AVI: 8 frames of it are had by decoding 8
frames, where other codecs decode everything from the first to the last. On
the seven Kinetics and UCF101 clips that this was measured with, against the
decoded and scaled source:

======= ================= =============== ====================
quality PSNR, worst clip  PSNR, best clip size, of the source's
======= ================= =============== ====================
2       41.6 dB           44.4 dB         5.0 to 11.2 times
3       40.1 dB           43.2 dB         3.9 to 8.5 times
4       38.5 dB           42.2 dB         3.3 to 7.1 times
5       37.3 dB           41.6 dB         3.0 to 6.4 times
7       35.2 dB           40.1 dB         2.5 to 5.2 times
======= ================= =============== ====================

3 is the coarsest that keeps every one of them at 40 dB.

At 3, VideoReader has 8 frames spread over a clip in 4 to 6 ms, of the sources
in 10 to 11 ms where they are MPEG-4 and in 61 to 89 ms where they are H.264
(one core, files in the page cache).
"""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path, PurePosixPath

import av

from ...datasets.annotations import Annotations, write_annotations
from ...datasets.video_reader import BrokenClipError, VideoReader, one_line
from ...errors import UserError
from .clip_lists import VIDEOS, named_clips, read_lists, some_names, stamp
from .jobs import (
    Outcome,
    count_cores,
    even_sample,
    going_on_later,
    in_words,
    run_jobs,
    speed,
    with_progress,
)
from .journal import Journal
from .packed_video import write_packed

QUALITIES = range(2, 32)
PARTS = '.packing'  # clips that are being written, of no use if found later
# Not the clip's fault: the next one would fail as well.
DISK_FAULTS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


@dataclass
class PackedFacts:
    """What packing a clip brought.

    Attributes:
        error: Why the source cannot be read to its end; None if it can.
        frames: Frames packed.
        size: Bytes of the packed file.
        disk: What is wrong with the disk, not with the clip.
    """

    error: str | None = None
    frames: int = 0
    size: int = 0
    disk: str | None = None


@dataclass
class PackReport:
    """What :func:`pack_clips` made.

    Attributes:
        facts: By name of the source, in the order of the lists.
        packed: Clips that this run packed; the others were there.
        source_size: Bytes of all sources that could be packed.
        target: The new root.
    """

    facts: dict[str, PackedFacts]
    packed: int
    source_size: int
    target: Path

    @property
    def broken(self) -> list[str]:
        """Names of the clips that were left out."""
        return [name for name, facts in self.facts.items() if facts.error]

    def lines(self) -> list[str]:
        """The report for the user."""
        size = sum(facts.size for facts in self.facts.values())
        there = len(self.facts) - len(self.broken)
        lines = [
            f'{there} clips in {self.target}, {self.packed} of them packed '
            f'now: {gigabytes(size)}, {size / max(self.source_size, 1):.1f} '
            'times the sources',
            f'train on them with data_root={self.target}',
        ]
        if self.broken:
            lines.append(
                f'{len(self.broken)} clips cannot be read and were left out: '
                + some_names(self.broken)
            )
        return lines


def pack_clips(
    root: str | Path,
    target: str | Path,
    workers: int | None = None,
    short_side: int = 256,
    quality: int = 3,
) -> PackReport:
    """Copy a data set with every clip of its lists as Motion-JPEG in AVI.

    ``target`` becomes a root like the source's, with the same lists, of
    which the names end in ``.avi``, and ``classes.txt``. Clips that cannot
    be read to their end are left out. Clips that are there already, from a
    source that has not changed and with the same arguments, are kept; they
    are noted in ``pack.jsonl``. The lists are written last.

    Args:
        root: Holds ``videos/`` and lists ``*.txt``.
        target: Another folder; made if it is not there.
        workers: Processes; one a core if not given.
        short_side: Pixels; what is smaller stays as it is.
        quality: libavcodec's scale, 2 (best) to 31.

    Raises:
        UserError: If the root holds no lists or no ``videos/``, two clips
            would get one name, or the disk has no room or cannot be
            written.
        SystemExit: After Ctrl-C, which is told; what was done is kept.
    """
    root, target = Path(root), Path(target)
    workers = workers or count_cores()
    check_arguments(root, target, short_side, quality)
    lists = read_lists(root, checked=True)
    names = packed_names(named_clips(lists))
    make = dict(short_side=short_side, quality=quality)
    stamps = {name: stamp(root / VIDEOS / name) | make for name in names}
    parts = target / PARTS
    shutil.rmtree(parts, ignore_errors=True)
    try:
        parts.mkdir(parents=True)
        with Journal(target / 'pack.jsonl') as journal, going_on_later():
            facts = {}
            for name, new_name in names.items():
                noted = journal.find(name, stamps[name])
                facts[name] = recall(noted, target / VIDEOS / new_name)
            pending = [n for n, known in facts.items() if known is None]
            print(f'{len(facts)} clips, {len(pending)} of them to be packed')
            function = partial(pack_clip, root, target, names, make)
            sizes = {name: stamps[name]['size'] for name in pending}
            outcomes = pack_all(function, sizes, target, workers)
            for outcome in outcomes:
                name = outcome.job
                facts[name] = outcome.value or PackedFacts(outcome.error)
                if outcome.value:
                    journal.note(name, stamps[name], asdict(facts[name]))
        write_lists(root, target, lists, names, facts, make)
    except OSError as error:
        raise UserError(disk_trouble(target, one_line(error))) from None
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    packed = [name for name, clip in facts.items() if not clip.error]
    source_size = sum(stamps[name]['size'] for name in packed)
    now = len(set(pending).intersection(packed))
    return PackReport(facts, now, source_size, target)


def check_arguments(root: Path, target: Path, short_side: int, quality: int):
    if target.resolve() == root.resolve():
        raise UserError(
            f'the packed copy of {root} cannot be {target} itself; give '
            'another folder'
        )
    if quality not in QUALITIES or short_side < 2:
        raise UserError(
            f'quality {quality} and short side {short_side} were given; '
            'give a quality of 2 (best) to 31 and 2 pixels or more'
        )


def packed_names(names: list[str]) -> dict[str, str]:
    """Source -> packed clip, another extension.

    Raises:
        UserError: If two would be one, or a name leaves the folder.
    """
    new_names, sources = {}, {}
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or '..' in path.parts:
            raise UserError(
                f'{name!r} is not below {VIDEOS}/; move the clip there and '
                'name it relative to that folder'
            )
        new_name = str(path.with_suffix('.avi'))
        other = sources.setdefault(new_name, name)
        if other != name:
            raise UserError(
                f'{other!r} and {name!r} would both become {new_name!r}; '
                'rename one of them, in the lists too'
            )
        new_names[name] = new_name
    return new_names


def recall(noted: dict | None, path: Path) -> PackedFacts | None:
    """Facts from the journal; None if the packed file is not the one."""
    if not noted or set(noted) != {f.name for f in fields(PackedFacts)}:
        return None
    facts = PackedFacts(**noted)
    if not facts.error and stamp(path)['size'] != facts.size:
        return None
    return facts


def pack_all(
    function, sizes: dict[str, int], target: Path, workers: int
) -> Iterator[Outcome]:
    """Outcomes, a sample's first and then, if there is room, the rest's."""
    sample, rest = even_sample(list(sizes))
    tried = []
    for outcome in with_progress(
        run_jobs(function, sample, workers), len(sample), 'sample'
    ):
        stop_if_disk(outcome, target)
        tried.append(outcome)
        yield outcome
    if not rest:
        return
    rate, growth = speed(tried, workers), growth_of(tried, sizes)
    needed = round(growth * sum(max(0, sizes[name]) for name in rest))
    free = shutil.disk_usage(target).free
    print(
        f'sample of {len(sample)} clips: {growth:.1f} times their size, '
        f'{rate:.1f} clips/s in {workers} processes; '
        f'{in_words(len(rest) / rate)} and {gigabytes(needed)} for the other '
        f'{len(rest)}, {gigabytes(free)} are free',
        flush=True,
    )
    if needed > free:
        raise UserError(
            f'{gigabytes(needed)} are needed, but {target} has '
            f'{gigabytes(free)}; make room and run the same command again, '
            'or give a folder on another disk'
        )
    for outcome in with_progress(
        run_jobs(function, rest, workers), len(rest), 'pack'
    ):
        stop_if_disk(outcome, target)
        yield outcome


def growth_of(outcomes: list[Outcome], sizes: dict[str, int]) -> float:
    """Bytes packed to a byte of the source."""
    good = [o for o in outcomes if o.value and not o.value.error]
    source = sum(sizes[outcome.job] for outcome in good)
    return sum(outcome.value.size for outcome in good) / max(source, 1)


def stop_if_disk(outcome: Outcome, target: Path):
    if outcome.value and outcome.value.disk:
        raise UserError(disk_trouble(target, outcome.value.disk))


def disk_trouble(target: Path, reason: str) -> str:
    return (
        f'{target} cannot be written: {reason}; make room there, or give '
        'another folder; what was packed is kept, and the same command goes '
        'on from there'
    )


def pack_clip(
    root: Path, target: Path, names: dict, make: dict, name: str
) -> PackedFacts:
    """Pack a clip under another name, then move it to its own."""
    part = target / PARTS / f'{os.getpid()}.avi'
    path = target / VIDEOS / names[name]
    try:
        frames = write_packed(root / VIDEOS / name, part, **make)
        if count_packets(part) != frames:
            # The muxer does not tell of every write that failed.
            raise OSError(errno.EIO, 'the packed clip is not whole')
        size = part.stat().st_size
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, path)
        return PackedFacts(frames=frames, size=size)
    except BrokenClipError as error:
        return PackedFacts(str(error))
    except (av.FFmpegError, OSError) as error:
        if error.errno in DISK_FAULTS:
            return PackedFacts(disk=one_line(error))
        raise
    finally:
        part.unlink(missing_ok=True)


def count_packets(path: Path) -> int:
    """Packets of a packed clip; 0 if it cannot be opened."""
    try:
        with VideoReader(path) as reader:
            return reader.num_frames
    except BrokenClipError:
        return 0


def write_lists(
    root: Path,
    target: Path,
    lists: dict[Path, Annotations],
    names: dict[str, str],
    facts: dict[str, PackedFacts],
    make: dict,
):
    """``classes.txt``, and the lists without what could not be packed."""
    if (root / 'classes.txt').is_file():
        part = target / PARTS / 'classes.txt'
        shutil.copyfile(root / 'classes.txt', part)
        os.replace(part, target / 'classes.txt')
    for path, annotations in lists.items():
        kept = [
            (names[name], label)
            for name, label in annotations.clips
            if not facts[name].error
        ]
        removed = len(annotations.clips) - len(kept)
        packed = (
            f'Motion-JPEG copy of {root.resolve()}, short side at most '
            f'{make["short_side"]} pixels, quality {make["quality"]}; '
            f'{removed} broken clips left out'
        )
        header = annotations.header | dict(packed=packed)
        write_annotations(target / path.name, Annotations(kept, header))


def gigabytes(size: int) -> str:
    return f'{size / 1e9:.2f} GB'
