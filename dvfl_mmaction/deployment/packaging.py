"""Package a trained model into a folder to share."""

import copy
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mmengine.config import Config

from ..analysis.complexity import build_model, complexity, plain_type
from ..analysis.configs import load_config
from ..analysis.prediction.predictor import (
    find_class_names,
    find_video_pipeline,
)
from ..analysis.sample_input import without_validation
from ..checkpoints.writing import write_checkpoint
from ..compat import run_repairs
from ..distillation.binary_divergence import has_several_labels
from ..distillation.distill_recognizer import ALPHA, complete_loss
from ..distillation.teacher import load_strictly
from ..engine.config_checks import nested_datasets, type_name
from ..errors import UserError
from ..evaluation.results_hook import package_versions
from ..files import hash_file, write_json, write_whole
from .exported_model import load_exported
from .extras import MissingPackage
from .metadata import LICENCE, plain
from .model_card import join_names, model_card, result_row
from .package_config import to_data
from .package_files import (
    CARD,
    CLASS_LIST,
    CLASSES,
    CONFIG,
    EXPORTED,
    PREPROCESSING,
    WEIGHTS,
    check_target,
    whole_folder,
    write_manifest,
)
from .work_dir import BEST, find_checkpoint, find_config, find_results
from .writers import files_of

CROPS = dict(ThreeCrop=3, TenCrop=10)
# Of a distiller, which the plain recognizer has not.
TEACHING = ('teacher', 'alpha', 'loss_kd')
TEACHER_HOOKS = ('TeacherAccuracyHook',)


def package_model(
    work_dir: str | Path,
    out: str | Path,
    checkpoint: str = BEST,
    config: str | Path | None = None,
    exported: Iterable[str | Path] = (),
    classes: str | None = None,
    licence: str = LICENCE,
    name: str | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Write the model of a training to a folder, whole or not at all.

    Args:
        work_dir: Folder of the training, with its tests.
        out: The new folder.
        checkpoint: ``'best'``, ``'last'``, or a file.
        config: The config; by default the one in ``work_dir``.
        exported: Exported forms of this checkpoint, which are copied.
        classes: File with a class name per line; by default as
            ``tools/predict.py`` finds the names.
        licence: Of the weights, by the hub's name for it.
        name: Name on the card; by default that of ``out``.
        overwrite: Replace a packaged model.
        report: Called with a line per step.

    Returns:
        ``out``.

    Raises:
        UserError: If a file is missing, one was exported from another
            checkpoint, the config cannot be data, or ``out`` exists and
            must not be replaced.
    """
    work_dir, out = Path(work_dir), Path(out)
    check_target(out, overwrite)
    config = Path(config) if config else find_config(work_dir)
    path = find_checkpoint(work_dir, checkpoint)
    exported = [Path(file) for file in exported]
    copied = exported_files(exported)
    cfg = load_config(str(config))
    pipeline = find_video_pipeline(cfg, str(config))
    data, dropped = to_data(as_tested(cfg, pipeline))
    for reason in dropped:
        report(f'left out of {CONFIG}: {reason}')
    with run_repairs:
        model = build_model(cfg)
        loaded = load_strictly(model, str(path), str(config))
    names = find_class_names(cfg, loaded, model.cls_head.num_classes, classes)
    sha256 = hash_file(path)
    check_weights(exported, path, sha256, report)
    results, others = find_results(work_dir, sha256, report)
    report(
        f'{path}: {len(results)} tests of these weights in {work_dir}'
        + (f', {others} of other weights left out' if others else '')
    )
    counts = complexity(without_validation(cfg))
    several = has_several_labels(model.cls_head)
    preprocessing = describe_preprocessing(cfg, pipeline, counts.shape)
    facts = dict(
        name=name or out.resolve().name,
        folder=out.resolve().name,
        licence=licence,
        num_classes=model.cls_head.num_classes,
        several_labels=several,
        class_names=names,
        backbone=type_name(cfg.model.backbone),
        parameters=counts.parameters,
        macs=counts.macs,
        preprocessing=preprocessing,
        results=[result_row(r, chosen_on(cfg, path)) for r in results],
        training=describe_training(cfg, config, path, loaded, several),
        exported=sorted(target.name for target in copied),
        versions=package_versions(),
    )
    with whole_folder(out) as folder:
        write_checkpoint(
            folder / WEIGHTS,
            model.state_dict(),
            'state_dict',
            dict(source=path.name, source_sha256=sha256),
        )
        write_json(folder / CONFIG, data)
        write_json(folder / CLASSES, names)
        if names:
            lines = ''.join(f'{name}\n' for name in names)
            write_whole(folder / CLASS_LIST, lines)
        write_json(folder / PREPROCESSING, preprocessing)
        write_whole(folder / CARD, model_card(facts))
        for target, source in copied.items():
            (folder / target).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, folder / target)
        write_manifest(
            folder,
            name=facts['name'],
            licence=licence,
            checkpoint=dict(name=path.name, sha256=sha256),
            versions=facts['versions'],
        )
    return out


def as_tested(cfg: Config, pipeline: list[dict]) -> dict:
    """A config with the plain recognizer and one pipeline of testing."""
    cfg = copy.deepcopy(cfg.to_dict())
    model = cfg['model']
    if any(key in model for key in TEACHING):
        model['type'] = plain_type(model)
        for key in TEACHING:
            model.pop(key, None)
        hooks = cfg.get('default_hooks') or {}
        for key, hook in list(hooks.items()):
            if hook and type_name(hook) in TEACHER_HOOKS:
                del hooks[key]
    model['backbone'].pop('pretrained', None)
    (model.get('data_preprocessor') or {}).pop('blending', None)
    cfg['test_pipeline'] = pipeline
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    if 'pipeline' in dataset:
        dataset['pipeline'] = pipeline
    return cfg


def chosen_on(cfg: Mapping, checkpoint: Path) -> list[Path]:
    """The lists whose clips chose a checkpoint; none if none did."""
    if not checkpoint.name.startswith('best_'):
        return []
    return [Path(*names) for names in lists_of(cfg, 'val_dataloader')]


def lists_of(cfg: Mapping, loader: str) -> list[tuple[str, str]]:
    """``data_root`` and ``ann_file`` of each list that a loader reads."""
    dataset = (cfg.get(loader) or {}).get('dataset')
    return [
        (part.get('data_root') or '', part['ann_file'])
        for part in nested_datasets(dataset)
        if part.get('ann_file')
    ]


def exported_files(paths: Iterable[Path]) -> dict[Path, Path]:
    """Where exported files and their companions go, and their sources.

    Raises:
        UserError: If one is missing, or two have the same name.
    """
    found = {}
    for path in paths:
        for file in files_of(path):
            if not file.is_file():
                raise UserError(
                    f'--exported {file} was not found; give a file that '
                    'tools/export.py wrote'
                )
            target = Path(EXPORTED, file.name)
            if found.get(target, file) != file:
                raise UserError(
                    f'--exported has two files named {file.name}; rename one'
                )
            found[target] = file
    return found


def check_weights(
    paths: Iterable[Path],
    checkpoint: Path,
    sha256: str,
    report: Callable[[str], None],
):
    """Reject exported files that have the weights of another checkpoint.

    A file whose runtime is not installed is reported, and not compared.

    Raises:
        UserError: If one is, or cannot be read.
    """
    for path in paths:
        try:
            source = load_exported(path).metadata['checkpoint']
        except MissingPackage as error:
            report(f'{path} was not compared with {checkpoint}: {error}')
            continue
        if source.get('sha256') != sha256:
            raise UserError(
                f'--exported {path} was exported from {source.get("name")}, '
                f'which is not the file {checkpoint}; export {checkpoint}, '
                'or package the other one (--checkpoint)'
            )


def describe_preprocessing(
    cfg: Mapping, pipeline: list[dict], shape: tuple[int, ...]
) -> dict:
    """What the model is given, for those who run it otherwise.

    Args:
        cfg: The config.
        pipeline: Steps of testing.
        shape: Of the input, without the batch; ends with (H, W).
    """
    sampling = next((s for s in pipeline if 'clip_len' in s), {})
    crops = (CROPS.get(type_name(step), 1) for step in pipeline)
    preprocessor = cfg['model'].get('data_preprocessor') or {}
    return dict(
        height=shape[-2],
        width=shape[-1],
        frames=sampling.get('clip_len'),
        sampling=plain(sampling, 'the pipeline'),
        views=dict(clips=sampling.get('num_clips', 1), crops=max(crops)),
        # Videos are decoded to RGB, which to_rgb reverses.
        colour_order='BGR' if preprocessor.get('to_rgb') else 'RGB',
        mean=list(preprocessor.get('mean') or ()),
        std=list(preprocessor.get('std') or ()),
        pipeline=plain(pipeline, 'the pipeline'),
    )


def describe_training(
    cfg: Mapping,
    config: Path,
    checkpoint: Path,
    loaded: Mapping,
    several_labels: bool = False,
) -> dict:
    """Config, data, epochs and teacher of a training.

    What a distillation's config leaves out has its default.
    """
    lists = lists_of(cfg, 'train_dataloader')
    model, meta = cfg['model'], loaded.get('meta') or {}
    training = dict(
        config=config.name,
        checkpoint=checkpoint.name,
        data=join_names(root for root, _ in lists) or None,
        annotations=join_names(path for _, path in lists) or None,
        epoch=meta.get('epoch'),
        teacher=None,
    )
    teacher = model.get('teacher')
    if teacher is not None:
        parts = teacher if isinstance(teacher, list | tuple) else [teacher]
        losses = complete_loss(model.get('loss_kd'), several_labels)
        losses = losses if isinstance(losses, list | tuple) else [losses]
        training['teacher'] = dict(
            names=[describe_teacher(part) for part in parts],
            losses=[dict(loss) for loss in losses],
            alpha=model.get('alpha', ALPHA),
        )
    return training


def describe_teacher(teacher) -> str:
    """A teacher by its config, or by its type."""
    if not isinstance(teacher, Mapping):
        return str(teacher)
    config = teacher.get('config')
    if isinstance(config, str):
        return Path(config).stem
    if isinstance(config, Mapping):
        model = config.get('model', config)
        return type_name(model.get('backbone') or {}) or 'a network'
    return str(teacher.get('type', 'teacher'))
