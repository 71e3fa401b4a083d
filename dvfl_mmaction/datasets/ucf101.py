"""MMAction2's annotation files of UCF101, from its official archives."""

import os
from pathlib import Path

from ..errors import UserError

SPLITS = (1, 2, 3)
PARTS = dict(train='trainlist', val='testlist')  # ours -> the archive's
# Clips of (train, val) in each official split.
PUBLISHED = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
SOURCE = 'https://www.crcv.ucf.edu/data/UCF101.php'


def prepare_ucf101(root: Path) -> list[str]:
    """Write ``classes.txt`` and a list for each part of each split.

    Args:
        root: Folder with what the two archives unpack to: ``UCF-101/``
            (UCF101.rar; ``videos/`` is taken as well) and
            ``ucfTrainTestlist/`` (UCF101TrainTestSplits-RecognitionTask).

    Returns:
        A line for the user about each list, with differences from the
        published counts and clips that are missing.

    Raises:
        UserError: If an archive is not there.
    """
    videos = find_videos(root)
    lists = root / 'ucfTrainTestlist'
    if not lists.is_dir():
        raise UserError(
            f'{lists} is not there; unpack UCF101TrainTestSplits-Recognition'
            f'Task.zip from {SOURCE} in {root}'
        )
    labels = read_classes(lists / 'classInd.txt')
    present = {
        f'{path.parent.name}/{path.name}' for path in videos.glob('*/*.avi')
    }
    report = []
    for split in SPLITS:
        for part, published in zip(PARTS, PUBLISHED[split], strict=True):
            source = lists / f'{PARTS[part]}{split:02d}.txt'
            clips = [line.split()[0] for line in read_lines(source)]
            missing = [clip for clip in clips if clip not in present]
            kept = [clip for clip in clips if clip in present]
            if not kept:
                raise UserError(
                    f'none of the {len(clips)} clips of {source} is in '
                    f'{videos}; unpack UCF101.rar from {SOURCE} in {root}'
                )
            target = root / f'ucf101_{part}_split_{split}_videos.txt'
            write_lines(
                target,
                [f'{clip} {labels[clip.split("/")[0]]}' for clip in kept],
            )
            report.append(describe(target, len(kept), published, missing))
    write_lines(root / 'classes.txt', list(labels))
    return report


def find_videos(root: Path) -> Path:
    """``root/videos``, made a link to ``UCF-101`` where that is there."""
    videos, unpacked = root / 'videos', root / 'UCF-101'
    if not videos.exists():
        if not unpacked.is_dir():
            raise UserError(
                f'{unpacked} is not there; unpack UCF101.rar (6.5 GB) from '
                f'{SOURCE} in {root}'
            )
        videos.symlink_to(unpacked.name, target_is_directory=True)
    return videos


def read_classes(path: Path) -> dict[str, int]:
    """Class -> label from 0, in the archive's order (it counts from 1)."""
    pairs = [line.split() for line in read_lines(path)]
    return {name: int(number) - 1 for number, name in pairs}


def describe(target: Path, count: int, published: int, missing) -> str:
    text = f'{target}: {count} clips'
    if count != published:
        text += f' ({published} are published)'
    if missing:
        shown = ', '.join(missing[:3])
        more = f' and {len(missing) - 3} more' if len(missing) > 3 else ''
        text += f'; not on disk: {shown}{more}'
    return text


def read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise UserError(f'{path} is not there; unpack its archive again')
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def write_lines(path: Path, lines: list[str]):
    """Write under another name, then rename: all of it, or nothing."""
    part = path.with_name(path.name + '.part')
    part.write_text('\n'.join(lines) + '\n')
    os.replace(part, path)
