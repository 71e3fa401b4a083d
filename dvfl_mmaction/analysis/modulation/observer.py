"""A trained model whose modulators are recorded while it predicts."""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from ...errors import UserError
from ..complexity import build_model
from ..prediction.frames import frames_of
from ..prediction.predictor import (
    LoadedRecognizer,
    load_recognizer,
    recognizer_scores,
)
from ..sample_input import find_modality
from ..text import printable
from .modulators import check_stages, record_modulators
from .upsampling import upsample


@dataclass
class View:
    """What a model saw in a clip, and where its modulators are large.

    Attributes:
        model: Name of the model.
        predicted: Name of the most probable class.
        share: Its probability, in [0, 1].
        frames: (N, H, W, 3) uint8 RGB, one per time step of the network.
        maps: Of a stage and a kind: (N, H, W) float32, upsampled.
    """

    model: str
    predicted: str
    share: float
    frames: np.ndarray
    maps: dict[int, dict[str, np.ndarray]]


@dataclass
class Observer:
    """A model, the pipeline of its clips and the stages to record.

    Attributes:
        name: Of the model, for pictures and reports.
        model: A recognizer with a Video-FocalNet, in eval mode.
        score: As that of a predictor.
        pipeline: Steps that read a clip, as configs.
        modality: Of the clips: ``'RGB'``.
        stages: Numbers of the stages, from 1.
        class_names: K names; None if unknown.
        cfg: The config.
    """

    name: str
    model: nn.Module
    score: Callable[[list[dict]], Tensor]
    pipeline: list[dict]
    modality: str
    stages: list[int]
    class_names: list[str] | None
    cfg: dict

    def observe(self, data: dict) -> View:
        """Predict a sample of the pipeline; of several views, the middle one.

        Raises:
            UserError: If the clip is not RGB, or a modulator is not finite.
        """
        inputs = data['inputs']
        frames = frames_of(inputs)
        if inputs.dim() == 5:  # (V, 3, T, H, W) of a 3D recognizer
            middle = len(inputs) // 2
            data = dict(data, inputs=inputs[middle : middle + 1])
        with record_modulators(self.model.backbone, self.stages) as maps:
            (scores,) = self.score([data])
        size = frames.shape[1:3]
        maps = {
            stage: {
                kind: upsample(found, stage, size).cpu().numpy()
                for kind, found in of_stage.items()
            }
            for stage, of_stage in maps.items()
        }
        for stage, of_stage in maps.items():
            if not all(
                np.isfinite(found).all() for found in of_stage.values()
            ):
                raise UserError(
                    f'the modulators of {self.name} in stage {stage} are not '
                    'finite; give the checkpoint of a training whose loss '
                    'stayed finite'
                )
        steps = len(next(iter(maps.values()))['space'])
        best = int(scores.argmax())
        names = self.class_names
        return View(
            self.name,
            printable(names[best]) if names else f'class {best}',
            float(scores[best]),
            frames[time_steps(len(frames), steps)],
            maps,
        )

    def for_another_thread(self) -> 'Observer':
        """The same weights in modules of their own, so that the hooks of two
        threads do not meet."""
        tensors = chain(self.model.parameters(), self.model.buffers())
        model = copy.deepcopy(self.model, {id(t): t for t in tensors})
        return replace(self, model=model, score=recognizer_scores(model))

    def untrained(self, seed: int = 0) -> 'Observer':
        """The same model with the random weights of a new training."""
        device = next(self.model.parameters()).device
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = build_model(self.cfg)
            with quiet_logger():  # a line per weight
                model.init_weights()
        model = model.eval().to(device)
        return replace(
            self,
            name=f'{self.name}, untrained',
            model=model,
            score=recognizer_scores(model),
        )


@contextmanager
def quiet_logger() -> Iterator[None]:
    """Keep MMEngine's current logger from logging less than warnings."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def time_steps(num_frames: int, steps: int) -> list[int]:
    """The frame in the middle of each time step, a tubelet of frames."""
    length = num_frames // steps
    return [step * length + length // 2 for step in range(steps)]


def load_observer(
    config: str,
    checkpoint: str,
    stages: Sequence[int] | None = None,
    device: str = 'cpu',
    options: dict | None = None,
    classes: str | None = None,
) -> Observer:
    """Load an observer from a config and a checkpoint.

    Args:
        config: Config file of a recognizer; of a distillation, its student.
        checkpoint: File of its trained weights, or a released one.
        stages: Numbers from 1; by default all.
        device: Where the model runs.
        options: Changes of the config, as ``--cfg-options``.
        classes: File with a class name per line.

    Raises:
        UserError: As :func:`load_recognizer` and :func:`make_observer`.
    """
    loaded = load_recognizer(config, checkpoint, device, options, classes)
    return make_observer(loaded, config, stages)


def make_observer(
    loaded: LoadedRecognizer,
    config: str,
    stages: Sequence[int] | None = None,
) -> Observer:
    """Make an observer of a trained recognizer.

    Args:
        loaded: The recognizer.
        config: Its config file, after which the observer is named.
        stages: Numbers from 1; by default all.

    Raises:
        UserError: If the backbone is no Video-FocalNet or has no such stage.
    """
    return Observer(
        Path(config).stem,
        loaded.model,
        recognizer_scores(loaded.model),
        loaded.pipeline,
        find_modality(loaded.cfg),
        check_stages(loaded.model.backbone, stages),
        loaded.class_names,
        loaded.cfg,
    )
