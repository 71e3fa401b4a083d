"""Load a trained recognizer for prediction."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from ...checkpoints.safe_loading import MissingCheckpointError
from ...compat import run_repairs
from ...distillation.binary_divergence import (
    class_probabilities,
    has_several_labels,
)
from ...distillation.class_names import (
    class_names_of,
    configured_class_names,
    read_class_names,
)
from ...distillation.fingerprint import to_text
from ...distillation.teacher import load_strictly
from ...engine.clip_options import DECODERS
from ...engine.config_checks import check_keys, type_name
from ...errors import UserError
from ...files import hash_file
from ..complexity import build_model
from ..configs import load_config
from ..sample_input import find_modality, find_pipeline

MODEL_PARTS = ('backbone', 'neck', 'cls_head', 'data_preprocessor')


@dataclass
class Predictor:
    """What predicts the classes of clips.

    Attributes:
        score: Takes samples of the pipeline, of one shape; returns the
            probabilities of the classes, (B, K) float32 on the CPU.
        pipeline: Steps that read a clip, as configs.
        modality: Of the clips: ``'RGB'``.
        num_classes: K.
        class_names: K names; None if unknown.
        settings: What determines the probabilities of a clip, by name.
        several_labels: Whether each class has a probability of its own, so
            that a clip may have several labels, or none.
    """

    score: Callable[[list[dict]], Tensor]
    pipeline: list[dict]
    modality: str
    num_classes: int
    class_names: list[str] | None
    settings: dict[str, str]
    several_labels: bool = False

    def name_of(self, index: int) -> str:
        """Name of a class, or its number."""
        return self.class_names[index] if self.class_names else str(index)


@dataclass
class LoadedRecognizer:
    """A trained recognizer and what its config says about its clips.

    Attributes:
        model: In eval mode.
        cfg: The config.
        pipeline: Steps that read a clip, as configs.
        class_names: Names of its classes; None if unknown.
    """

    model: nn.Module
    cfg: dict
    pipeline: list[dict]
    class_names: list[str] | None

    @property
    def num_classes(self) -> int:
        return self.model.cls_head.num_classes


def load_recognizer(
    config: str,
    checkpoint: str,
    device: str = 'cpu',
    options: dict | None = None,
    classes: str | None = None,
    change: Callable[[nn.Module, dict], None] | None = None,
) -> LoadedRecognizer:
    """Load a recognizer from a config and a checkpoint.

    Args:
        config: Config file of a recognizer; of a distillation, its student
            is loaded.
        checkpoint: File of its trained weights, or a released one.
        device: Where the model runs.
        options: Changes of the config, as ``--cfg-options``.
        classes: File with a class name per line. By default the names are
            those in the checkpoint, or those of the config's data set.
        change: Called with the loaded model and its config; changes how the
            model computes.

    Raises:
        UserError: If a file is missing or unreadable, the config is not
            that of a classifier of videos, or the weights or names do not
            fit it.
    """
    cfg, model, loaded = load_classifier(config, checkpoint, options)
    pipeline = find_video_pipeline(cfg, config)
    if change:
        change(model, cfg.model)
    num_classes = model.cls_head.num_classes
    names = find_class_names(cfg, loaded, num_classes, classes)
    return LoadedRecognizer(
        model.to(check_device(device)), cfg, pipeline, names
    )


def load_classifier(
    config: str, checkpoint: str, options: dict | None = None
) -> tuple[Config, nn.Module, dict]:
    """Load a classifier of any input; arguments as :func:`load_recognizer`.

    Returns:
        The config, the model in eval mode, and the checkpoint.

    Raises:
        UserError: If a file is missing or unreadable, the config is not
            that of a classifier, or the weights do not fit it.
    """
    cfg = load_config(config, options)
    check_keys(cfg)
    if not cfg.model.get('cls_head'):
        raise UserError(
            f'{config} has no cls_head, so no classes to predict; give the '
            'config of a classifier'
        )
    if not Path(checkpoint).is_file():
        raise MissingCheckpointError(
            f'the checkpoint {checkpoint} was not found; correct the path, '
            f'or train one: mim train mmaction2 {config}'
        )
    with run_repairs:
        model = build_model(cfg).eval()
        loaded = load_strictly(model, checkpoint, config)
    return cfg, model, loaded


def load_checkpoint_predictor(
    config: str,
    checkpoint: str,
    device: str = 'cpu',
    options: dict | None = None,
    classes: str | None = None,
    change: Callable[[nn.Module, dict], None] | None = None,
) -> Predictor:
    """Load a predictor; arguments and errors as :func:`load_recognizer`."""
    loaded = load_recognizer(
        config, checkpoint, device, options, classes, change
    )
    return make_predictor(
        loaded.model,
        loaded.cfg,
        loaded.pipeline,
        loaded.class_names,
        hash_file(checkpoint),
        device,
    )


def make_predictor(
    model: nn.Module,
    cfg: dict,
    pipeline: list[dict],
    class_names: list[str] | None,
    weights: str,
    device: str = 'cpu',
) -> Predictor:
    """Make the predictor of a recognizer.

    Args:
        model: The recognizer in eval mode.
        cfg: Its config.
        pipeline: From :func:`find_video_pipeline`.
        class_names: Names of its classes, if known.
        weights: SHA-256 of the file of its weights.
        device: Where it runs.
    """
    settings = dict(
        checkpoint=weights,
        model=to_text({k: cfg.model.get(k) for k in MODEL_PARTS}),
        pipeline=to_text(pipeline),
    )
    several_labels = has_several_labels(model.cls_head)
    if several_labels:  # not the softmax of earlier journals
        settings['probabilities'] = 'sigmoid'
    return Predictor(
        recognizer_scores(model.to(check_device(device))),
        pipeline,
        find_modality(cfg),
        model.cls_head.num_classes,
        class_names,
        settings,
        several_labels,
    )


def find_video_pipeline(cfg: dict, config: str) -> list[dict]:
    """Steps of a config's test pipeline, which must open a video.

    Raises:
        UserError: If there is none.
    """
    openers = {opener for opener, _ in DECODERS.values()}
    steps = copy.deepcopy(list(find_pipeline(cfg, 'test')))
    if not any(type_name(step) in openers for step in steps):
        raise UserError(
            f'{config} has no test pipeline that opens videos with one of '
            f'{", ".join(sorted(openers))}; give a config that reads videos'
        )
    return steps


def find_class_names(
    cfg: dict, checkpoint: dict, num_classes: int, classes: str | None = None
) -> list[str] | None:
    """Names of a model's classes; None if unknown.

    Raises:
        UserError: If ``classes`` is unreadable, or has another number of
            names.
    """
    if classes is not None:
        try:
            names = read_class_names(Path(classes))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f'{classes} is not a list of class names: {error}; give a '
                'text file in UTF-8 with a name per line'
            ) from None
        if len(names) != num_classes:
            raise UserError(
                f'{classes} has {len(names)} names but the model has '
                f'{num_classes} classes; give one line per class'
            )
        return names
    tested = dict(train_dataloader=cfg.get('test_dataloader'))
    meta = checkpoint.get('meta') or {}
    for names in (
        class_names_of(meta.get('dataset_meta')),
        configured_class_names(cfg),
        configured_class_names(tested),
    ):
        if names and len(names) == num_classes:
            return names
    return None


def check_device(device: str) -> torch.device:
    """
    Raises:
        UserError: If this machine has no such device.
    """
    try:
        device = torch.device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split('\n')[0]
        raise UserError(
            f'--device {device} cannot be used: {reason}; give cpu, or leave '
            'it out'
        ) from None
    return device


def recognizer_scores(model: nn.Module) -> Callable[[list[dict]], Tensor]:
    """``Predictor.score`` of a recognizer in eval mode.

    The probabilities are averaged over the views as the head says. A head
    that averages nothing averages probabilities here, and averages of logits
    become probabilities. A head with several labels per clip averages logits
    in any case: what it would average is a softmax.
    """
    head = model.cls_head
    if has_several_labels(head):
        head.average_clips = 'score'
    elif head.average_clips is None:
        head.average_clips = 'prob'
    are_logits = head.average_clips == 'score'

    def score(samples: list[dict]) -> Tensor:
        scores = predicted_scores(model, samples)
        return class_probabilities(head, scores) if are_logits else scores

    return score


@torch.no_grad()
def predicted_scores(model: nn.Module, samples: list[dict]) -> Tensor:
    """What a recognizer in eval mode predicts, float32 on the CPU.

    Args:
        model: The recognizer.
        samples: B samples of the pipeline, of one shape.

    Returns:
        (B, K); logits (B, V, K) of V views if the head averages nothing.
    """
    test_cfg = getattr(model, 'test_cfg', None) or {}
    # MMAction2 takes one video per batch then.
    step = 1 if test_cfg.get('max_testing_views') else len(samples)
    scores = []
    with run_repairs:
        for start in range(0, len(samples), step):
            batch = pseudo_collate(samples[start : start + step])
            results = model.test_step(batch)
            scores += [result.pred_score for result in results]
    return torch.stack(scores).float().cpu()
