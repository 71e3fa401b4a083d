"""What can be said about a config before anything is built from it."""

import difflib
import inspect
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmengine.runner import Runner

from ..datasets.annotations import read_annotations
from ..errors import UserError
from ..project_paths import as_typed_here

# Top-level keys that are read by MMAction2's tools, not by the runner.
TOOL_KEYS = {
    'custom_imports',
    'runner_type',
    'prepare_command',
    'test_views',
    'activation_checkpointing',
    'efficient_conv_bn_eval',
    'compile',
}


def check_keys(cfg: dict):
    """Refuse a top-level key that is all but one that is read.

    MMEngine ignores keys it does not know, so ``train_cgf`` would train
    with the default and say nothing. Keys of the user's own are kept: only
    near misses are refused.

    Raises:
        UserError: With the key and its likely meaning.
    """
    known = set(inspect.signature(Runner.__init__).parameters) | TOOL_KEYS
    for key in set(cfg) - known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.86)
        if near:
            raise UserError(
                f'config key {key!r} is read by nothing; did you mean '
                f'{near[0]!r}?'
            )


def check_classes(cfg: dict):
    """Refuse a head and a blending that count classes differently.

    Raises:
        UserError: With both numbers.
    """
    model = cfg.get('model') or {}
    head = (model.get('cls_head') or {}).get('num_classes')
    preprocessor = model.get('data_preprocessor') or {}
    blended = (preprocessor.get('blending') or {}).get('num_classes', head)
    if blended != head:
        raise UserError(
            f'model.cls_head.num_classes is {head} but '
            f'model.data_preprocessor.blending.num_classes is {blended}; set '
            "both to the data set's number of classes"
        )


def check_colors(cfg: dict):
    """Refuse colours that are drawn by the workers and changed by nobody.

    Raises:
        UserError: With what is missing.
    """
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    preprocessor = (cfg.get('model') or {}).get('data_preprocessor') or {}
    for leaf in leaves(dataset):
        steps = leaf.get('pipeline') or []
        deferred = [s['type'] for s in steps if s.get('deferred')]
        if not deferred:
            continue
        if preprocessor.get('type') != 'ClipDataPreprocessor':
            raise UserError(
                f'{deferred[0]} is deferred, and model.data_preprocessor is '
                f'{preprocessor.get("type")}, which changes no colours; make '
                'it ClipDataPreprocessor, or set deferred=False'
            )
        packed = [key for s in steps for key in s.get('meta_keys') or ()]
        if 'color_changes' not in packed:
            raise UserError(
                f'{deferred[0]} is deferred, and PackActionInputs leaves out '
                "what it drew; give it meta_keys=('color_changes',)"
            )


def check_data(cfg: dict, loaders: Iterable[str]):
    """Refuse to start if a data set is not on disk, or has other classes.

    Args:
        cfg: The whole config.
        loaders: Names of the data loaders that will be needed.

    Raises:
        UserError: With the path that was looked for and the command that
            prepares it, or with the label that the model has no class for.
    """
    head = (cfg.get('model') or {}).get('cls_head') or {}
    for loader in loaders:
        dataset = (cfg.get(loader) or {}).get('dataset')
        for path in needed_paths(dataset):
            if not path.exists():
                raise data_error(loader, path, cfg.get('prepare_command'))
        for path in lists_of_clips(dataset):
            check_labels(path, head.get('num_classes'))


def check_labels(path: Path, num_classes: int | None):
    """Refuse a list with labels that the model has no class for."""
    name, label = max(read_annotations(path).clips, key=lambda clip: clip[1])
    if num_classes is not None and label >= num_classes:
        raise UserError(
            f'{path} gives {name} the label {label} but the model has '
            f'{num_classes} classes, 0 to {num_classes - 1}; correct '
            'model.cls_head.num_classes or the list'
        )


def data_error(loader, path: Path, prepare_command) -> UserError:
    remedy = (
        f'prepare it: {as_typed_here(prepare_command)}'
        if prepare_command
        else f'correct {loader}.dataset'
    )
    where = '' if path.is_absolute() else f' (looked in {Path.cwd()})'
    return UserError(
        f'the data set is not on disk: {loader} wants {path}{where}; {remedy}'
    )


def needed_paths(dataset) -> Iterator[Path]:
    """Annotation file and data folders of a dataset's config.

    Joined with ``data_root`` as MMEngine's BaseDataset does. What is not on
    a disk (``s3://…``) is left out.
    """
    for leaf in leaves(dataset):
        prefixes = (leaf.get('data_prefix') or {}).values()
        for part in (leaf.get('ann_file'), *prefixes):
            path = os.path.join(leaf.get('data_root') or '', part or '')
            if part and '://' not in path:
                yield Path(path)


def lists_of_clips(dataset) -> Iterator[Path]:
    """The lists of the ``ClipDataset``s in a dataset's config."""
    for leaf in leaves(dataset):
        if leaf.get('type') == 'ClipDataset':
            root = leaf.get('data_root') or ''
            yield Path(os.path.join(root, leaf.get('ann_file') or ''))


def leaves(dataset) -> Iterator[dict]:
    """A dataset's config, and those that it wraps (RepeatDataset …)."""
    if isinstance(dataset, list | tuple):
        for part in dataset:
            yield from leaves(part)
    if isinstance(dataset, dict):
        yield from leaves(dataset.get('dataset'))
        yield from leaves(dataset.get('datasets'))
        yield dataset
