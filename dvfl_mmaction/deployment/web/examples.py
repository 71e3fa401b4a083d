"""Clips of the demo data to choose from."""

from pathlib import Path

from ...analysis.prediction.clips import SUFFIXES, find_clips
from ...engine.config_checks import nested_datasets
from ...errors import UserError

MOST = 6
LISTS = ('test.txt', 'val.txt')


def find_data_root(cfg) -> str | None:
    """Folder of the first list of a config's test data; None without."""
    loader = cfg.get('test_dataloader') or {}
    for dataset in nested_datasets(loader.get('dataset')):
        if dataset.get('data_root'):
            return dataset['data_root']
    return None


def find_examples(folder: str | None, data_root: str | None) -> list[str]:
    """Paths of at most 6 clips of as many classes.

    Args:
        folder: Of a data set with ``test.txt`` or ``val.txt``, or of videos;
            None for ``data_root``.
        data_root: Of the config's test data; used if it is there.

    Raises:
        UserError: If ``folder`` has no videos.
    """
    root = Path(folder or data_root or '')
    if folder is None and (not data_root or not root.is_dir()):
        return []
    if not root.is_dir():
        raise UserError(
            f'--examples {folder} is no folder; give one of videos, or of '
            'the demo data'
        )
    names = [str(root / name) for name in LISTS if (root / name).is_file()]
    try:
        clips = find_clips(names[:1] or [str(root)], several_labels=True)
    except UserError:
        if folder is None:
            return []
        raise
    of_class = {}
    for clip in clips:
        is_video = clip.path.suffix.lower() in SUFFIXES
        if is_video and clip.path.is_file():
            key = clip.path if clip.label is None else clip.label
            of_class.setdefault(key, str(clip.path.absolute()))
    return list(of_class.values())[:MOST]
