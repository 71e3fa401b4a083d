"""Load a packaged model for prediction."""

import copy

from mmengine.registry import init_default_scope

from ...deployment.packaged_model import build_packaged, read_package
from ...engine.config_checks import check_keys
from ...engine.options import apply_pipeline_options
from ...tool_options import merge_options
from .predictor import (
    Predictor,
    find_class_names,
    find_video_pipeline,
    make_predictor,
)


def load_package_predictor(
    source: str,
    device: str = 'cpu',
    options: dict | None = None,
    classes: str | None = None,
) -> Predictor:
    """Load a predictor from a packaged model.

    Its probabilities are those of the config and checkpoint that were
    packaged.

    Args:
        source: The folder, or ``'hf://owner/name'``.
        device: Where the model runs.
        options: Changes of the config, as ``--cfg-options``.
        classes: File with a class name per line; by default the packaged
            names.

    Raises:
        UserError: If a file is missing or changed, or the names do not fit.
    """
    package = read_package(source)
    cfg = copy.deepcopy(package.config)
    merge_options(cfg, options, source)
    check_keys(cfg)
    init_default_scope(cfg.default_scope)
    apply_pipeline_options(cfg)
    pipeline = find_video_pipeline(cfg, source)
    model = build_packaged(package, cfg)
    meta = dict(dataset_meta=dict(classes=package.class_names))
    names = find_class_names(
        cfg, dict(meta=meta), model.cls_head.num_classes, classes
    )
    return make_predictor(model, cfg, pipeline, names, package.sha256, device)
