"""Clips to choose from."""

from pathlib import Path

from ...analysis.prediction.clips import SUFFIXES, find_clips
from ...errors import UserError
from ..listed_clips import find_listed_clips

MOST = 6
LISTS = ('test.txt', 'val.txt')


def find_examples(folder: str | None, cfg) -> list[str]:
    """Paths of at most 6 clips of as many classes.

    Args:
        folder: Of a data set with ``test.txt`` or ``val.txt``, or of videos;
            None for the clips of the config's test lists that are there.
        cfg: The config.

    Raises:
        UserError: If ``folder`` has no videos.
    """
    if folder is None:
        try:
            clips = find_listed_clips(cfg, 'test')
        except UserError:
            return []
    else:
        root = Path(folder)
        if not root.is_dir():
            raise UserError(
                f'--examples {folder} is no folder; give one of videos, or '
                'of the demo data'
            )
        names = [str(root / name) for name in LISTS if (root / name).is_file()]
        clips = find_clips(names[:1] or [str(root)], several_labels=True)
    of_class = {}
    for clip in clips:
        key = clip.path if clip.label is None else clip.label
        is_video = clip.path.suffix.lower() in SUFFIXES
        if key not in of_class and is_video and clip.path.is_file():
            of_class[key] = str(clip.path.absolute())
        if len(of_class) == MOST:
            break
    return list(of_class.values())
