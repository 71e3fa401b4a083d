"""A copy of a data set that loads faster in training, and takes more disk.

A packed clip is Motion-JPEG in AVI: reading 8 of its frames decodes 8 frames,
while other codecs decode everything from the first to the last. Measured on
seven Kinetics and UCF101 clips, against the decoded and scaled source:

======= ================= =============== ====================
quality PSNR, worst clip  PSNR, best clip size / source's size
======= ================= =============== ====================
2       41.6 dB           44.4 dB         5.0 to 11.2
3       40.1 dB           43.2 dB         3.9 to 8.5
4       38.5 dB           42.2 dB         3.3 to 7.1
5       37.3 dB           41.6 dB         3.0 to 6.4
7       35.2 dB           40.1 dB         2.5 to 5.2
======= ================= =============== ====================

3 is the coarsest quality with 40 dB or more on all of them.

At quality 3, VideoReader reads 8 frames spread over a clip in 4 to 6 ms. From
the sources it takes 10 to 11 ms for MPEG-4 and 61 to 89 ms for H.264 (one
core, files in the page cache).
"""

import errno
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from uuid import uuid4

import av
from rich import filesize

from ...datasets.annotations import Annotations
from ...datasets.video_file import TIMED_OUT, TIMEOUT_S
from ...datasets.video_reader import (
    BrokenClipError,
    VideoReader,
    decoder_reason,
)
from ...errors import UserError
from ...files import DISK_FAULTS, check_space
from ...locks import hold
from ..findings import preview
from .clip_lists import VIDEOS, named_clips, read_lists, write_kept
from .jobs import Outcome, require_folders
from .journal import stamp
from .packed_video import write_packed
from .runner import ClipTask, run_clips

QUALITIES = range(2, 32)
JOURNAL = 'pack.jsonl'
PACKED = b'# packed: '  # in the lists of a packed copy
LOCK = '.packing.lock'
PARTS = '.packing'  # unfinished clips; deleted at the start and the end


@dataclass
class PackedFacts:
    """The result of packing a clip.

    Attributes:
        error: Why the source cannot be read to its end; None if it can.
        frames: Frames packed.
        size: Bytes of the packed file.
    """

    error: str | None = None
    frames: int = 0
    size: int = 0


@dataclass
class PackReport:
    """What :func:`pack_clips` made.

    Attributes:
        facts: By source clip, in the order of the lists.
        packed: Number of clips that this run packed.
        source_size: Bytes of the sources of all packed clips.
        target: The new root.
    """

    facts: dict[str, PackedFacts]
    packed: int
    source_size: int
    target: Path

    @property
    def broken(self) -> list[str]:
        """Names of the clips that are left out."""
        return [name for name, facts in self.facts.items() if facts.error]

    def lines(self) -> list[str]:
        """The report for the user."""
        size = sum(facts.size for facts in self.facts.values())
        ratio = size / max(self.source_size, 1)
        lines = [
            f'{len(self.facts) - len(self.broken)} clips in {self.target}, '
            f'{self.packed} packed in this run: {filesize.decimal(size)}, '
            f'{ratio:.1f} times the size of the sources',
            f'train on them with data_root={self.target}',
        ]
        if self.broken:
            lines.append(
                f'{len(self.broken)} clips cannot be read and are left out: '
                + preview(self.broken)
            )
        return lines


def pack_clips(
    root: str | Path,
    target: str | Path,
    workers: int | None = None,
    short_side: int = 256,
    quality: int = 3,
    scheduler: str | None = None,
    timeout_s: float | None = TIMEOUT_S,
) -> PackReport:
    """Copy a data set with every clip of its lists as Motion-JPEG in AVI.

    ``target`` becomes a root like the source's: the same lists, with names
    that end in ``.avi``, and ``classes.txt``. Clips that cannot be read to
    their end are left out. Packed clips are kept if their source and the
    arguments are unchanged; the journal is ``pack.jsonl``. The lists are
    written last.

    Args:
        root: Holds ``videos/`` and lists ``*.txt``.
        target: Another folder; created if missing.
        workers: Local processes; one per core by default.
        short_side: Pixels; smaller clips keep their size.
        quality: libavcodec's scale, 2 (best) to 31.
        scheduler: Address of a dask scheduler to use instead; all of its
            workers see both folders under the same paths.
        timeout_s: A clip that takes longer to read, in s, is left out; the
            next run tries it again.

    Raises:
        UserError: If the root holds no lists or no ``videos/``, two clips
            would get the same name, the target holds the sources or lists
            of another data set, the disk is full or cannot be written,
            another process packs to the target, or the scheduler cannot be
            used.
        SystemExit: After Ctrl-C, with one line; finished clips are kept.
    """
    root, target = Path(root), Path(target)
    check_arguments(root, target, short_side, quality)
    lists = read_lists(root, checked=True)
    names = packed_names(named_clips(lists))
    check_target(root, target, lists, names)
    settings = dict(short_side=short_side, quality=quality)
    stamps = {name: stamp(root / VIDEOS / name) | settings for name in names}
    task = ClipTask(
        title='pack',
        function=partial(
            pack_clip,
            root.absolute(),
            target.absolute(),
            settings | dict(timeout_s=timeout_s),
        ),
        result_type=PackedFacts,
        stamps=stamps,
        journal=target / JOURNAL,
        is_valid=partial(is_packed, target),
        after_sample=partial(require_space, target, stamps),
    )
    parts = target / PARTS
    # Another run would delete the unfinished clips of this one.
    with hold(target / LOCK, f'another run packs to {target}; wait for it'):
        shutil.rmtree(parts, ignore_errors=True)
        try:
            parts.mkdir(parents=True)
            facts, pending = run_clips(task, workers, scheduler)
            write_packed_lists(root, target, lists, names, facts, settings)
        except OSError as error:
            raise disk_fault(target, error) from None
        finally:
            shutil.rmtree(parts, ignore_errors=True)
    packed = [name for name, clip in facts.items() if not clip.error]
    source_size = sum(stamps[name]['size'] for name in packed)
    new = len(set(pending).intersection(packed))
    return PackReport(facts, new, source_size, target)


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


def check_target(
    root: Path,
    target: Path,
    lists: dict[Path, Annotations],
    names: dict[str, str],
):
    """Reject a target where files of the user would be replaced.

    Raises:
        UserError: If its clips would lie beside their sources, where a link
            leads, or it has lists that are not of a packed copy.
    """
    sources = {(root / VIDEOS / name).parent for name in names}
    copies = {(target / VIDEOS / name).parent for name in names.values()}
    for folder in {p.resolve() for p in sources} & {
        p.resolve() for p in copies
    }:
        raise UserError(
            f'{folder} holds the clips of {root} themselves, and {target} '
            'leads to it; give another folder'
        )
    own = [
        path.name
        for path in lists
        if (target / path.name).is_file()
        and PACKED not in (target / path.name).read_bytes()
    ]
    if not (target / JOURNAL).is_file():
        own += [n for n in ('classes.txt',) if (target / n).is_file()]
    if own:
        raise UserError(
            f'{target / own[0]} is of another data set and would be '
            'replaced; give another folder, or remove that file'
        )


def packed_names(names: list[str]) -> dict[str, str]:
    """The packed clip of each source.

    Raises:
        UserError: If two would get the same name, or a name leaves the
            folder.
    """
    new_names, sources = {}, {}
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or '..' in path.parts:
            raise UserError(
                f'{name!r} is not below {VIDEOS}/; move the clip there and '
                'name it relative to that folder'
            )
        new_name = packed_name(name)
        other = sources.setdefault(new_name, name)
        if other != name:
            raise UserError(
                f'{other!r} and {name!r} would both become {new_name!r}; '
                'rename one of them, also in the lists'
            )
        new_names[name] = new_name
    return new_names


def packed_name(name: str) -> str:
    return str(PurePosixPath(name).with_suffix('.avi'))


def is_packed(target: Path, name: str, facts: PackedFacts) -> bool:
    """Whether the packed clip is the one that the journal knows."""
    if facts.error:
        return TIMED_OUT not in facts.error
    path = target / VIDEOS / packed_name(name)
    return stamp(path)['size'] == facts.size


def require_space(
    target: Path, stamps: dict, sample: list[Outcome], rest: list[str]
):
    """Estimate the size of the other clips; raise UserError if too large.

    Args:
        target: The new root.
        stamps: Size of each source.
        sample: Outcomes of a sample.
        rest: The other clips.
    """
    good = [o for o in sample if o.value and not o.value.error]
    source = sum(stamps[outcome.job]['size'] for outcome in good)
    growth = sum(outcome.value.size for outcome in good) / max(source, 1)
    needed = round(growth * sum(max(0, stamps[n]['size']) for n in rest))
    print(
        f'packed clips are {growth:.1f} times as large as their sources: '
        f'{filesize.decimal(needed)} for the other {len(rest)}',
        flush=True,
    )
    check_space(target, needed, f'to pack the other {len(rest)} clips')


def disk_fault(target: Path, error: OSError) -> UserError:
    return UserError(
        f'{target} cannot be written: {decoder_reason(error)}; free some '
        'space or give another folder; packed clips are kept; rerun the '
        'command to resume'
    )


def pack_clip(
    root: Path, target: Path, settings: dict, name: str
) -> PackedFacts:
    """Pack a clip under a temporary name, then rename it."""
    require_folders(root / VIDEOS, target / PARTS)
    # Workers may be threads, or processes on several machines.
    part = target / PARTS / f'{uuid4().hex}.avi'
    path = target / VIDEOS / packed_name(name)
    try:
        frames = write_packed(root / VIDEOS / name, part, **settings)
        if count_packets(part) != frames:
            # The muxer does not report every failed write.
            raise OSError(errno.EIO, 'the packed clip is incomplete')
        size = part.stat().st_size
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
        return PackedFacts(frames=frames, size=size)
    except BrokenClipError as error:
        return PackedFacts(str(error))
    except (av.FFmpegError, OSError) as error:
        if error.errno in DISK_FAULTS:
            raise disk_fault(target, error) from None
        raise
    finally:
        part.unlink(missing_ok=True)


def count_packets(path: Path) -> int:
    """Number of packets of a packed clip; 0 if it cannot be opened."""
    try:
        with VideoReader(path) as reader:
            return reader.num_frames
    except BrokenClipError:
        return 0


def write_packed_lists(
    root: Path,
    target: Path,
    lists: dict[Path, Annotations],
    names: dict[str, str],
    facts: dict[str, PackedFacts],
    settings: dict,
):
    """Copy ``classes.txt``, and the lists without the broken clips."""
    if (root / 'classes.txt').is_file():
        part = target / PARTS / 'classes.txt'
        shutil.copyfile(root / 'classes.txt', part)
        part.replace(target / 'classes.txt')
    kept = {
        name: new_name
        for name, new_name in names.items()
        if not facts[name].error
    }

    def describe_removed(removed: int) -> dict[str, str]:
        return dict(
            packed=f'Motion-JPEG copy of {root.resolve()}, short side at most '
            f'{settings["short_side"]} pixels, quality '
            f'{settings["quality"]}; {removed} broken clips left out'
        )

    for path, annotations in lists.items():
        write_kept(target / path.name, annotations, kept, describe_removed)
