"""Variables of a data set's config that nothing reads once it is parsed."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from ..errors import UserError
from .config_checks import LOADERS, nested_datasets

SPLIT = re.compile(r'_split_([^_/]+)')


def check_dataset_variables(cfg: Config):
    """Reject a top-level ``split``, ``num_classes`` or ``data_root`` in vain.

    A config may write its loaders and its head with such a variable of its
    own, and options may then change these. But set as an option, or in a
    leaf that does not use it, it changes nothing. Only configs from the bases
    of the data sets are checked; they have a ``prepare_command``.

    Raises:
        UserError: If the model or the loaders have another value, with the
            key to set.
    """
    if 'prepare_command' not in cfg:
        return
    for key, differs in DIFFERS.items():
        if cfg.get(key) is None:
            continue
        problem = differs(cfg[key], cfg)
        if problem and is_set_in_vain(key, cfg):
            raise UserError(
                f'{key} is {cfg[key]} but {problem} instead; nothing reads a '
                f'top-level {key}'
            )


def is_set_in_vain(key: str, cfg: Config) -> bool:
    """Whether options, or a leaf, have set a variable that differs."""
    path = Path(getattr(cfg, 'filename', None) or '')
    if not path.is_file():
        return False
    written = Config.fromfile(path, import_custom_modules=False)
    if written.get(key) != cfg[key]:
        return True
    # The config of a run, as MMEngine writes it, may have old variables.
    is_leaf = '_base_' in path.read_text(encoding='utf-8')
    return is_leaf and DIFFERS[key](cfg[key], written) is not None


def other_num_classes(number, cfg: dict) -> str | None:
    """What to set if no part of the model has this number of classes."""
    found = list(values_of(cfg.get('model'), 'num_classes'))
    if not found or number in found:
        return None
    return f'the model has {found[0]} classes; set model.cls_head.num_classes'


def other_split(split, cfg: dict) -> str | None:
    """What to set if a loader reads lists of other splits only."""
    for loader, datasets in datasets_of(cfg).items():
        lists = [str(d['ann_file']) for d in datasets if d.get('ann_file')]
        splits = [part for path in lists for part in SPLIT.findall(path)]
        if splits and str(split) not in splits:
            return (
                f'{loader} reads {lists[0]}; set {loader}.dataset.ann_file '
                'and that of the other loaders'
            )
    return None


def other_data_root(root, cfg: dict) -> str | None:
    """What to set if no loader reads in this folder."""
    loaders = datasets_of(cfg)
    datasets = [d for nested in loaders.values() for d in nested]
    roots = [str(d['data_root']) for d in datasets if d.get('data_root')]
    paths = list(roots)
    for dataset in datasets:
        prefixes = (dataset.get('data_prefix') or {}).values()
        paths += map(str, (dataset.get('ann_file'), *prefixes))
    folder = os.path.normpath(str(root))
    if not roots or any(folder in os.path.normpath(p) for p in paths):
        return None
    keys = [f'{loader}.dataset.data_root' for loader in loaders]
    return f'the data sets are in {roots[0]}; set {", ".join(keys)}'


DIFFERS = dict(
    split=other_split,
    num_classes=other_num_classes,
    data_root=other_data_root,
)


def datasets_of(cfg: dict) -> dict[str, list[dict]]:
    """The configs of the data sets of each loader."""
    return {
        loader: list(nested_datasets(cfg[loader].get('dataset')))
        for loader in LOADERS
        if cfg.get(loader)
    }


def values_of(part, key: str) -> Iterator:
    """Yield the values of a key anywhere in a part of a config."""
    if isinstance(part, dict):
        if part.get(key) is not None:
            yield part[key]
        part = list(part.values())
    if isinstance(part, list | tuple):
        for inner in part:
            yield from values_of(inner, key)
