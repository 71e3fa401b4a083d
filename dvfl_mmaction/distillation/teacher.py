"""The interface of teachers, and the frozen teacher."""

import copy
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from ..checkpoints.matching_weights import check_fit, weights_of
from ..checkpoints.released import rename_released
from ..checkpoints.safe_loading import load_checkpoint_file
from ..engine.options import apply_pipeline_options
from ..errors import UserError
from ..project_paths import find_config, localize_command
from .class_names import class_names_of, configured_class_names, match_classes
from .clip_format import (
    ClipFormat,
    as_pair,
    built_segments,
    layout_of,
    read_clip_format,
    sampled_span,
)
from .teacher_input import TeacherInput


class Teacher:
    """Interface between a teacher, the distilling recognizer and its hooks.

    A subclass implements :meth:`logits`; every other method has a default.
    A teacher is not an ``nn.Module``, so it is no part of the student's
    parameters, state dict, optimizer, EMA copy or train mode.

    Attributes:
        name: Name in log lines and errors.
        is_built: Whether :meth:`logits` can be called; else the student
            calls :meth:`build` first.
        can_predict: Whether :meth:`predict` is implemented.
    """

    name = 'teacher'
    is_built = True
    can_predict = False

    def __deepcopy__(self, memo):
        # A copy of the student (an EMA copy, say) shares the teacher.
        return self

    def build(self, student: nn.Module):
        """Prepare for :meth:`logits`.

        Args:
            student: The recognizer that learns; its device and number of
                classes apply to the teacher.
        """

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits of a training batch.

        Args:
            inputs: (B, V, ...), the same tensor that the student sees.

        Returns:
            (B * V, K) for a 3D recognizer, (B, K) for a 2D one; at least
            float32.
        """
        raise NotImplementedError

    def predict(self, inputs: Tensor) -> Tensor:
        """Logits of any clips; shapes as in :meth:`logits`."""
        raise NotImplementedError

    def convert_tensors(self, convert: Callable, *args, **kwargs):
        """Convert the teacher's tensors in the same way as the student's.

        The arguments are those of ``nn.Module._apply``, which ``to()`` and
        ``half()`` call.
        """

    def match_classes(self, names: list[str] | None):
        """Put the classes into the student's order.

        The hooks call it before training.

        Args:
            names: Names of the student's classes; None if unknown.
        """

    def state_dict(self) -> dict:
        """State for the student's checkpoint, to resume; empty if none."""
        return {}

    def load_state_dict(self, state: dict):
        """Resume from :meth:`state_dict`."""

    def begin_training(self, student: nn.Module, runner: Runner):
        """Called by TeacherRecordingHook before the first iteration."""

    def begin_iteration(self, iteration: int):
        """Called before each iteration of the run, counted from 0."""

    def end_training(self):
        """Called after the last iteration."""


class FrozenTeacher(Teacher):
    """A trained recognizer in eval mode, without gradients.

    Args:
        config: The teacher's config: a file (also searched in the installed
            package), a config dict, or a model dict.
        checkpoint: The teacher's trained weights: a checkpoint of this
            package, or a released file.
        num_frames: Frames per clip that the teacher gets; by default those
            that its config names, or else the student's.
        input_size: Height and width that the teacher gets, a side or
            (height, width); the default likewise.

    Raises:
        UserError: If an argument is missing or of a wrong type.
    """

    can_predict = True

    def __init__(
        self,
        config: str | dict,
        checkpoint: str,
        num_frames: int | None = None,
        input_size: int | tuple[int, int] | None = None,
    ):
        if not isinstance(config, str | dict):
            raise UserError(
                f'teacher.config is {config!r}; give a config file or a dict'
            )
        if not isinstance(checkpoint, str):
            raise UserError(
                f'teacher.checkpoint is {checkpoint!r}; give the file of the '
                "teacher's trained weights"
            )
        self.config = config
        self.checkpoint = checkpoint
        self.asked = check_input_options(num_frames, input_size)
        self.model = self.input = self.span = None
        self.class_names = self.class_order = None

    @property
    def name(self) -> str:
        return self.config if isinstance(self.config, str) else 'config'

    @property
    def is_built(self) -> bool:
        return self.model is not None

    def build(self, student: nn.Module):
        """Build the recognizer and load all of its weights.

        Raises:
            UserError: If a file is missing or unreadable, the weights do
                not fit the config, or the numbers of classes differ.
        """
        config = self._read_config()
        model_cfg = copy.deepcopy(config.get('model', config))
        if not Path(self.checkpoint).is_file() and '://' not in (
            self.checkpoint
        ):
            raise UserError(self._missing_checkpoint())
        # The teacher must not change the student's random draws.
        with torch.random.fork_rng():
            model = MODELS.build(model_cfg)
        layout_of(model)  # rejects models that take no clips
        head = getattr(model, 'cls_head', None)
        found = getattr(head, 'num_classes', None)
        wanted = student.cls_head.num_classes
        if found != wanted:
            raise UserError(
                f'the teacher {self.name} has {found or "no"} classes but the '
                f'student has {wanted}; give a teacher trained on the '
                "student's data set, or set model.cls_head.num_classes"
            )
        checkpoint = load_strictly(model, self.checkpoint, self.name)
        self.class_names = class_names_of(
            (checkpoint.get('meta') or {}).get('dataset_meta')
        ) or configured_class_names(config)
        self.span = sampled_span(config)
        device = next(student.parameters()).device
        self.input = TeacherInput(
            student,
            model,
            self.trained_format(config, model),
            self.asked,
            self.name,
        ).to(device)
        self.use_model(model.to(device))
        print_log(
            f'teacher: {self.name} with {self.checkpoint}', logger='current'
        )

    def begin_training(self, student: nn.Module, runner: Runner):
        """Warn of clips that cover another part of the video."""
        own = sampled_span(runner.cfg)
        if None not in (own, self.span) and own != self.span:
            print_log(
                f'the teacher {self.name} was trained on clips of '
                f'{self.span}, the student has {own}: the teacher gets the '
                "student's",
                logger='current',
                level=logging.WARNING,
            )

    def trained_format(self, config: dict, model: nn.Module) -> ClipFormat:
        """Frames and size of the clips that the teacher is to get."""
        trained = read_clip_format(config, layout_of(model))
        if segments := built_segments(model):
            trained = replace(trained, num_frames=segments)
        return replace(trained, **self.asked)

    def input_changes(self, own: ClipFormat) -> dict:
        """What the teacher gets otherwise than the student, and gives.

        Args:
            own: Frames and size of the student's clips, if known.
        """
        changes = {} if self.input is None else self.input.changes_of(own)
        if self.class_order is not None:
            changes['class_order'] = self.class_order.tolist()
        return changes

    def use_model(self, model: nn.Module):
        """Freeze an existing recognizer, and use it as the teacher."""
        self.model = for_prediction(model)

    def convert_tensors(self, convert: Callable, *args, **kwargs):
        """Convert the tensors of what is built."""
        for module in (self.model, self.input):
            if module is not None:
                module._apply(convert, *args, **kwargs)
        if self.class_order is not None:
            self.class_order = convert(self.class_order)

    def match_classes(self, names: list[str] | None):
        """Put the logits into the student's order of classes.

        Names in another number than the classes say nothing of the order.

        Raises:
            UserError: If the teacher has other classes.
        """
        known, count = self.class_names or [], self.model.cls_head.num_classes
        if names and len(names) != count:
            print_log(
                f'the student has {len(names)} class names for {count} '
                f'classes; they are not compared with those of {self.name}',
                logger='current',
                level=logging.WARNING,
            )
            return
        if len(known) != count:
            return
        order = match_classes(known, names, self.name)
        if order is not None:
            device = next(self.model.parameters()).device
            self.class_order = torch.tensor(order, device=device)

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits of a training batch; see :meth:`predict`."""
        return self.predict(inputs)

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Logits of clips; see :meth:`Teacher.logits` for the shapes."""
        if self.input is not None:
            inputs = self.input(inputs)
        logits = predict_logits(self.model, inputs)
        if self.class_order is not None:
            logits = logits.index_select(-1, self.class_order)
        return logits

    def _read_config(self) -> dict:
        if isinstance(self.config, dict):
            return self.config
        config = Config.fromfile(find_config(self.config))
        apply_pipeline_options(config)
        return config

    def _missing_checkpoint(self) -> str:
        config = self.config if isinstance(self.config, str) else 'CONFIG'
        return localize_command(
            f'teacher.checkpoint {self.checkpoint} was not found; train one: '
            f'mim train mmaction2 {config}, or convert a released one: '
            f'python tools/convert_checkpoint.py RELEASED {self.checkpoint} '
            f'--to {config}'
        )


def check_input_options(num_frames, input_size) -> dict:
    """Fields of a :class:`.clip_format.ClipFormat` that options set.

    Raises:
        UserError: If one is not a number above 0, or a pair of them.
    """
    fields = {}
    if num_frames is not None:
        pair = as_pair(num_frames)
        if pair is None or pair[0] != num_frames:
            raise UserError(
                f'teacher.num_frames is {num_frames!r}; give the number of '
                "frames of the teacher's clips"
            )
        fields['num_frames'] = num_frames
    if input_size is not None:
        fields['size'] = as_pair(input_size)
        if fields['size'] is None:
            raise UserError(
                f'teacher.input_size is {input_size!r}; give the side of the '
                "teacher's clips in pixels, or (height, width)"
            )
    return fields


def for_prediction(model: nn.Module) -> nn.Module:
    """Freeze a recognizer, in eval mode and for batches of any size.

    ``max_testing_views`` of ``test_cfg`` is for one video per batch.
    """
    views = (getattr(model, 'test_cfg', None) or {}).get('max_testing_views')
    if views:
        model.test_cfg = dict(model.test_cfg, max_testing_views=None)
    return model.requires_grad_(False).eval()


def predict_logits(model: nn.Module, inputs: Tensor) -> Tensor:
    """Logits of a recognizer in eval mode, at least float32."""
    feats, kwargs = model.extract_feat(inputs, test_mode=True)
    logits = model.cls_head(feats, **kwargs)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def load_strictly(model: nn.Module, path: str, name: str) -> dict:
    """Load a checkpoint whose weights are exactly the model's.

    MMEngine's loader only logs missing and unexpected weights, but a
    teacher with a random head teaches noise. A released file is converted.

    Returns:
        The checkpoint.

    Raises:
        UserError: If weights differ, with their names.
    """
    checkpoint = load_checkpoint_file(path)
    rename_released(checkpoint, path, model, name)
    weights = weights_of(checkpoint)
    check_fit(weights, model, path, name)
    model.load_state_dict(weights)
    return checkpoint
