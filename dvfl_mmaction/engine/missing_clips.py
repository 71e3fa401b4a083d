"""Reject lists none of whose clips is found."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from ..datasets.annotations import read_annotations
from ..errors import UserError
from .config_checks import (
    annotation_files,
    named_loaders,
    nested_datasets,
    type_name,
)

# Steps that open the file of a clip.
OPENERS = {'ClipInit', 'DecordInit', 'PyAVInit', 'OpenCVInit', 'PIMSInit'}


def check_clip_files(cfg: dict, loaders: Iterable[str]):
    """Reject a list of clips none of which is found.

    The data set joins its paths with another folder than the list means, or
    the list is of another layout or machine. A list with a single file that
    exists passes: broken clips are reported one by one. Remote files are not
    looked for.

    Args:
        cfg: The whole config.
        loaders: Keys of the data loaders that the run needs.

    Raises:
        UserError: If there is one, with the path that is looked for.
    """
    for loader, settings in named_loaders(cfg, loaders):
        for leaf in nested_datasets(settings.get('dataset')):
            if type_name(leaf) == 'ClipDataset' and reads_local_files(leaf):
                check_clip_list(loader, leaf)


def reads_local_files(dataset: dict) -> bool:
    """Whether a pipeline opens the clips as files of this machine."""
    return any(
        type_name(step) in OPENERS
        and step.get('io_backend', 'disk') in ('disk', 'local')
        for step in dataset.get('pipeline') or ()
    )


def check_clip_list(loader: str, dataset: dict):
    """Reject the list of one data set if none of its clips is found.

    Raises:
        UserError: See :func:`check_clip_files`.
    """
    root = dataset.get('data_root') or ''
    prefix = (dataset.get('data_prefix') or {}).get('video') or ''
    folder = os.path.join(root, prefix)
    ((path, layout),) = annotation_files(dict(dataset, dataset=None))
    clips = read_annotations(path, unlabelled=True, **layout).clips
    files = (os.path.join(folder, name) for name, _ in clips)
    if '://' in folder or any(map(os.path.isfile, files)):
        return
    name = clips[0][0]
    file = os.path.join(folder, name)
    where = '' if os.path.isabs(file) else f' (looked in {Path.cwd()})'
    raise UserError(
        f'none of the {len(clips)} clips of {path} is found; '
        f'{loader} looks for {file}{where}; {remedy(root, file, name)}'
    )


def remedy(root: str, file: str, name: str) -> str:
    """What to change so that a clip is found.

    Args:
        root: ``data_root`` of the data set.
        file: The path that is looked for.
        name: The clip's name in the list.
    """
    if os.path.isfile(os.path.join(root, name)):
        return (
            'the paths in the list start at data_root: set '
            "data_prefix=dict(video='') in the data set"
        )
    similar = sorted(glob.glob(f'{glob.escape(file)}.*'))
    if similar:
        return (
            'the list lacks the extensions of the files, such as '
            f'{similar[0]}; add them'
        )
    return (
        'correct data_root or data_prefix.video of the data set, or the '
        'paths in the list'
    )
