"""Checks of a config before anything is built from it."""

import difflib
import inspect
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmaction.registry import MODELS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..datasets.annotations import read_annotations
from ..datasets.class_names import class_names_beside
from ..errors import UserError
from ..project_paths import localize_command

# Top-level keys that MMAction2's tools or CheckedRunner read.
TOOL_KEYS = {
    'custom_imports',
    'runner_type',
    'prepare_command',
    'clip_size',
    'clip_len',
    'frame_interval',
    'decoder',
    'test_views',
    'epochs',
    'warmup_epochs',
    'tensorboard',
    'activation_checkpointing',
    'efficient_conv_bn_eval',
    'compile',
    'tf32',
}

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')

# MMAction2's optimizer constructors that do not take Video-FocalNet.
OTHER_CONSTRUCTORS = {
    'TSMOptimWrapperConstructor': 'knows no LayerNorm',
    'LearningRateDecayOptimizerConstructor': 'knows MViT and ViT only',
}


def check_keys(cfg: dict):
    """Reject likely misspellings of known top-level keys.

    MMEngine ignores unknown keys, so with ``train_cgf`` it would silently
    use the default. Keys that resemble no known key are accepted.

    Raises:
        UserError: If there is one, with the known key that it resembles.
    """
    known = set(inspect.signature(Runner.__init__).parameters) | TOOL_KEYS
    for key in set(cfg) - known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.86)
        if near:
            raise UserError(
                f'config key {key!r} is unknown; did you mean {near[0]!r}?'
            )


def check_classes(cfg: dict):
    """Reject different numbers of classes in the head and in blending.

    Raises:
        UserError: If they differ, with both numbers.
    """
    model = cfg.get('model') or {}
    head = (model.get('cls_head') or {}).get('num_classes')
    preprocessor = model.get('data_preprocessor') or {}
    blended = (preprocessor.get('blending') or {}).get('num_classes')
    if blended is not None and blended != head:
        raise UserError(
            f'model.cls_head.num_classes is {head} but '
            f'model.data_preprocessor.blending.num_classes is {blended}; set '
            "both to the data set's number of classes, or only the first"
        )


def check_colors(cfg: dict):
    """Reject deferred colour changes that nothing applies.

    Raises:
        UserError: If there are any, with the missing part.
    """
    preprocessor = (cfg.get('model') or {}).get('data_preprocessor') or {}
    loaders = named_loaders(cfg, ['train_dataloader'])
    datasets = [loader.get('dataset') for _, loader in loaders]
    for leaf in nested_datasets(datasets):
        steps = leaf.get('pipeline') or []
        deferred = [s['type'] for s in steps if s.get('deferred')]
        if not deferred:
            continue
        if type_name(preprocessor) != 'ClipDataPreprocessor':
            raise UserError(
                f'{deferred[0]} is deferred but model.data_preprocessor is '
                f'{preprocessor.get("type")}, which applies none; set its '
                'type to ClipDataPreprocessor, or set deferred=False'
            )
        packed = [key for s in steps for key in s.get('meta_keys') or ()]
        if 'color_changes' not in packed:
            raise UserError(
                f'{deferred[0]} is deferred but PackActionInputs drops its '
                "draws; set meta_keys=('color_changes',) there"
            )


def check_schedule(cfg: dict):
    """Reject a schedule with a part that ends before it begins.

    Also reject a top-level ``max_epochs`` other than that of the training:
    nothing reads it.

    Raises:
        UserError: If there is one, with its keys.
    """
    loop = cfg.get('train_cfg') or {}
    epochs = loop.get('max_epochs')
    parts = cfg.get('param_scheduler')
    named = {}
    if isinstance(parts, list):
        named = {f'param_scheduler.{i}': p for i, p in enumerate(parts)}
    elif isinstance(parts, dict) and 'type' in parts:
        named = dict(param_scheduler=parts)
    for name, part in named.items():
        begin, end = part.get('begin', 0), part.get('end')
        if isinstance(end, int | float) and begin >= end:
            raise UserError(
                f'{name} begins at {begin} and ends at '
                f'{end}; for another number of epochs set only '
                f'epochs={epochs}, which the whole schedule follows'
            )
    unread = cfg.get('max_epochs')
    ours = type_name(loop) == 'StreamTrainLoop' and not cfg.get('epochs')
    if ours and unread is not None and unread != epochs:
        raise UserError(
            f'max_epochs is {unread} but the training has {epochs} epochs: '
            'nothing reads a top-level max_epochs; set epochs instead'
        )


def check_constructor(cfg: dict):
    """Reject MMAction2's optimizer constructors that need other layers.

    Raises:
        UserError: If there is one with this project's backbone.
    """
    backbone = (cfg.get('model') or {}).get('backbone') or {}
    wrapper = cfg.get('optim_wrapper') or {}
    constructor = type_name(dict(type=wrapper.get('constructor')))
    if type_name(backbone) not in ('VideoFocalNet', 'VFLNetNano'):
        return
    if constructor in OTHER_CONSTRUCTORS:
        raise UserError(
            f'optim_wrapper.constructor is {constructor}, which '
            f'{OTHER_CONSTRUCTORS[constructor]}; remove constructor and '
            'paramwise_cfg, or, for a learning rate that falls towards the '
            "stem, set constructor='LayerDecayOptimWrapperConstructor' and "
            'paramwise_cfg=dict(_delete_=True, decay_rate=0.75)'
        )


def check_data(cfg: dict, loaders: Iterable[str]):
    """Reject a data set that is missing or has labels out of range.

    Also reject a ``classes.txt`` beside a list that cannot be read as text.

    Args:
        cfg: The whole config.
        loaders: Keys of the data loaders that the run needs.

    Raises:
        UserError: If there is one, with the missing path and the command
            that prepares it, or with the label that exceeds the classes, or
            with the clip that has none where it needs one.
    """
    head = (cfg.get('model') or {}).get('cls_head') or {}
    for loader, settings in named_loaders(cfg, loaders):
        dataset = settings.get('dataset')
        tests = loader in ('val_dataloader', 'test_dataloader')
        unlabelled = not tests and takes_unlabelled(cfg)
        for path in needed_paths(dataset):
            if not path.exists():
                raise missing_data_error(
                    loader, path, cfg.get('prepare_command')
                )
        for path, layout in annotation_files(dataset):
            layout['unlabelled'] = unlabelled
            check_labels(path, head.get('num_classes'), **layout)
            class_names_beside(path)
            if unlabelled:
                check_unlabelled(cfg, path, layout)


def check_labels(path: Path, num_classes: int | None, **layout):
    """Reject an annotation file with labels beyond the model's classes.

    Args:
        path: The file.
        num_classes: Number of classes of the model, if known.
        **layout: ``delimiter`` and ``multi_class`` of the file, and whether
            clips may be ``unlabelled``.
    """
    clips = read_annotations(path, **layout).clips
    if layout.get('multi_class'):
        name, labels = max(clips, key=lambda clip: max(clip[1]))
        label = max(labels)
    else:
        name, label = max(clips, key=lambda clip: clip[1])
    if num_classes is not None and label >= num_classes:
        raise UserError(
            f'{path} labels {name} with {label} but the model has '
            f'{num_classes} classes, 0 to {num_classes - 1}; correct '
            'model.cls_head.num_classes or the list'
        )


def takes_unlabelled(cfg: dict) -> bool:
    """Whether the model can be trained on clips without a label."""
    kind = (cfg.get('model') or {}).get('type')
    model = kind if inspect.isclass(kind) else MODELS.get(str(kind))
    return getattr(model, 'takes_unlabelled', False)


def check_unlabelled(cfg: dict, path: Path, layout: dict):
    """Reject parts that need every label, if a list has clips without one.

    Args:
        cfg: The whole config.
        path: A training list.
        layout: Arguments of :func:`read_annotations` for it.

    Raises:
        UserError: If there is one.
    """
    model = cfg['model']
    blending = (model.get('data_preprocessor') or {}).get('blending') or {}
    aux_head = (model.get('neck') or {}).get('aux_head_cfg')
    blends = type_name(blending)
    if blends not in ('', 'MixupOrCutmix'):
        part, remedy = f'blending {blends}', 'use MixupOrCutmix'
    elif aux_head:
        part, remedy = 'model.neck.aux_head_cfg', 'remove it'
    else:
        return
    clips = read_annotations(path, **layout).clips
    name = next((name for name, label in clips if label == -1), None)
    if name is not None:
        raise UserError(
            f'{path} has clips without a label, such as {name}, but {part} '
            f'needs every label; {remedy}, or leave them out'
        )


def check_batches(loader: DataLoader):
    """Reject a training loader without a single batch.

    Raises:
        UserError: With the number of clips and the batch size.
    """
    if not len(loader):
        raise UserError(
            f'train_dataloader has no batch: {len(loader.dataset)} clips, '
            f'{loader.batch_size} per batch and process, and drop_last; '
            'give a smaller batch_size, or drop_last=False'
        )


def missing_data_error(loader, path: Path, prepare_command) -> UserError:
    """Name the missing path and the command that prepares the data set."""
    remedy = (
        f'prepare it: {localize_command(prepare_command)}'
        if prepare_command
        else f'correct {loader}.dataset'
    )
    where = '' if path.is_absolute() else f' (looked in {Path.cwd()})'
    return UserError(
        f'data set not found: {loader} reads {path}{where}; {remedy}'
    )


def needed_paths(dataset) -> Iterator[Path]:
    """Yield the annotation file and the data folders of a dataset's config.

    They are joined with ``data_root`` as in MMEngine's BaseDataset. Remote
    paths (``s3://…``) are skipped.
    """
    for leaf in nested_datasets(dataset):
        prefixes = (leaf.get('data_prefix') or {}).values()
        for part in (leaf.get('ann_file'), *prefixes):
            path = os.path.join(leaf.get('data_root') or '', part or '')
            if part and '://' not in path:
                yield Path(path)


def annotation_files(dataset) -> Iterator[tuple[Path, dict]]:
    """Yield the annotation file and its layout of each ``ClipDataset``."""
    for leaf in nested_datasets(dataset):
        if type_name(leaf) == 'ClipDataset':
            root = leaf.get('data_root') or ''
            path = Path(os.path.join(root, leaf.get('ann_file') or ''))
            keys = {'delimiter', 'multi_class'} & set(leaf)
            yield path, {key: leaf[key] for key in keys}


def check_several_labels(cfg: dict):
    """Reject data sets with several labels per clip in another number.

    Raises:
        UserError: If ``num_classes`` differs from the head's, or is 1.
    """
    head = (cfg.get('model') or {}).get('cls_head') or {}
    for loader, settings in named_loaders(cfg):
        for leaf in nested_datasets(settings.get('dataset')):
            if not leaf.get('multi_class'):
                continue
            if leaf.get('num_classes') != head.get('num_classes'):
                raise UserError(
                    f'{loader}.dataset has multi_class=True and num_classes '
                    f'{leaf.get("num_classes")} but model.cls_head.num_classes'
                    f' is {head.get("num_classes")}; set both to the data '
                    "set's number of classes"
                )
            if leaf.get('num_classes') == 1:
                raise UserError(
                    f'{loader}.dataset has multi_class=True and num_classes '
                    '1, but every clip of such a list has a label, so all '
                    'are alike; give the other clips a class of their own, '
                    'remove multi_class, and set both num_classes to 2'
                )


def check_training_views(cfg: dict):
    """Reject several views per clip in the training of a 3D recognizer.

    Its loss takes one view per label; a 2D recognizer's ``num_clips`` are
    the frames of one view.

    Raises:
        UserError: If there are any, with the step.
    """
    if not type_name(cfg.get('model') or {}).endswith('Recognizer3D'):
        return
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    for leaf in nested_datasets(dataset):
        for step in leaf.get('pipeline') or []:
            if step.get('num_clips', 1) != 1:
                raise UserError(
                    f'num_clips of {step["type"]} is {step["num_clips"]} in '
                    'train_dataloader; training takes one view per clip, '
                    'several are for testing; set num_clips=1 there (to '
                    'train on a clip more often, use RepeatDataset)'
                )


def named_loaders(
    cfg: dict, keys: Iterable[str] = LOADERS
) -> Iterator[tuple[str, dict]]:
    """Yield the config of each loader that there is, with its key.

    The training's are also ``other_loaders`` of a loop with several.
    """
    for key in keys:
        if cfg.get(key):
            yield key, cfg[key]
        if key == 'train_dataloader':
            others = (cfg.get('train_cfg') or {}).get('other_loaders') or ()
            for number, loader in enumerate(others):
                yield f'train_cfg.other_loaders.{number}', loader


def nested_datasets(dataset) -> Iterator[dict]:
    """Yield a dataset's config and those that it wraps (RepeatDataset …)."""
    if isinstance(dataset, list | tuple):
        for part in dataset:
            yield from nested_datasets(part)
    if isinstance(dataset, dict):
        yield from nested_datasets(dataset.get('dataset'))
        yield from nested_datasets(dataset.get('datasets'))
        yield dataset


def type_name(part: dict) -> str:
    """Class name of a part of a config, '' if it has no ``type``.

    The type may have a scope (``mmaction.Resize``) or be the class itself.
    """
    kind = part.get('type') or ''
    name = kind if isinstance(kind, str) else kind.__name__
    return name.rpartition('.')[2]
