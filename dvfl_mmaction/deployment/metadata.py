"""What an exported file says about itself.

One JSON object per file, under the key ``dvfl_mmaction``: in ONNX an entry
of ``metadata_props``, in OpenVINO one of ``rt_info``, in a ``.pt2`` archive
an extra file, and beside a ``.tflite`` file the file ``NAME.tflite.json``.
"""

import json
from pathlib import Path

from ..analysis.prediction.predictor import find_video_pipeline
from ..errors import UserError
from ..evaluation.results_hook import package_versions
from ..files import hash_file
from ..version import __version__
from .package_config import (
    known_types,
    not_data,
    with_names,
    without_folder,
)
from .results_files import part_of, read_results

KEY = 'dvfl_mmaction'
FORMAT = 1
LICENCE = 'apache-2.0'  # this project's
AGAIN = 'write it with tools/export.py'
# Entries that loading reads.
ENTRIES = dict(
    kind=str,
    classes=list | None,
    num_classes=int,
    clip_len=int,
    size=list,
    dynamic=list,
    pipeline=list,
)
# The part of results.json that is copied.
MEASURES = (
    *('top1', 'top5', 'mean1', 'mean_average_precision'),
    *('clips', 'views', 'split'),
)


def make_metadata(
    cfg, config: str, checkpoint: str, classes, size, clip_len, **others
) -> dict:
    """Describe an exported model.

    Args:
        cfg: Config of the recognizer.
        config: Its file.
        checkpoint: File of the weights.
        classes: K names; None if unknown.
        size: Height and width of the frames, in pixels.
        clip_len: Frames per clip T.
        **others: More entries: ``kind``, ``precision``, ``dynamic``,
            ``min_size`` (least height and width, in pixels),
            ``tubelet_size`` (frames are a multiple of it),
            ``temporal_window``, the ``licence`` of the weights, and
            ``several_labels``, whether each class has a probability of its
            own.

    Returns:
        Plain values, as JSON has them; of absolute paths the last part.

    Raises:
        UserError: If the pipeline or the backbone holds an object.
    """
    preprocessor = cfg.model.get('data_preprocessor') or {}
    backbone = cfg.model['backbone']
    return dict(
        format=FORMAT,
        classes=classes,
        num_classes=cfg.model['cls_head']['num_classes'],
        clip_len=clip_len,
        size=list(size),
        color='RGB',
        mean=list(preprocessor.get('mean') or []),
        std=list(preprocessor.get('std') or []),
        normalisation='in the graph',
        pipeline=plain(find_video_pipeline(cfg, config), 'the pipeline'),
        backbone=plain(backbone, 'model.backbone'),
        accuracy=find_accuracy(Path(checkpoint)),
        config=Path(config).name,
        checkpoint=dict(
            name=Path(checkpoint).name, sha256=hash_file(checkpoint)
        ),
        versions=dict(package_versions(), dvfl_mmaction=__version__),
        **others,
    )


def plain(value, where: str):
    """Configs as plain dicts and lists, without this machine's folders.

    Args:
        value: A part of a config; classes become their names.
        where: Its name, for the error.

    Raises:
        UserError: If it holds an object.
    """

    def name_of(part) -> str:
        if isinstance(part, type):
            return part.__name__
        raise not_data(where, repr(part)[:60])

    value = with_names(value, known_types())
    return without_folders(json.loads(json.dumps(value, default=name_of)))


def without_folders(value):
    """Plain values whose absolute paths are cut to their last part."""
    if isinstance(value, dict):
        return {key: without_folders(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_folders(part) for part in value]
    return without_folder(value) if isinstance(value, str) else value


def find_accuracy(checkpoint: Path) -> dict | None:
    """Measures of the newest ``results.json`` of a checkpoint.

    Searches the folder of the checkpoint and those below it, where a test
    writes it; that of another checkpoint is ignored.
    """
    tests = read_results(checkpoint.parent)
    wanted = hash_file(checkpoint) if tests else None
    for _, results in tests:
        if part_of(results, 'checkpoint').get('sha256') == wanted:
            return {k: results[k] for k in MEASURES if k in results}
    return None


def parse_metadata(text: str | None, path: Path) -> dict:
    """Metadata from the JSON of a file.

    Raises:
        UserError: If the file has none, that of a later version, or that of
            another program.
    """
    if not text:
        raise UserError(f'{path} has no metadata of dvfl_mmaction; {AGAIN}')
    try:
        metadata = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise UserError(f'{path} has unreadable metadata; {AGAIN}') from None
    version = metadata.get('format') if isinstance(metadata, dict) else None
    if type(version) is not int or version < 1:
        raise UserError(
            f'{path} has metadata without a format number; {AGAIN}'
        )
    # Before the entries, which a later format may have changed.
    if version > FORMAT:
        raise UserError(
            f'{path} has metadata of format {version} but this version reads '
            f'up to {FORMAT}; update dvfl_mmaction'
        )
    for key, kinds in ENTRIES.items():
        if not isinstance(metadata.get(key), kinds):
            raise UserError(
                f'{path} has metadata whose {key} is missing or of another '
                f'type; {AGAIN}'
            )
    metadata['pipeline'] = with_tuples(metadata['pipeline'])
    return metadata


def with_tuples(value):
    """Lists of numbers as tuples, which steps such as ``Resize`` require."""
    if isinstance(value, dict):
        return {key: with_tuples(part) for key, part in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(part, int | float) for part in value):
        return tuple(value)
    return [with_tuples(part) for part in value]
