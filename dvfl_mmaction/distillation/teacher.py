"""The interface of teachers, and the frozen teacher."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from ..checkpoints.released import rename_released
from ..checkpoints.safe_loading import load_checkpoint_file
from ..errors import UserError
from ..project_paths import find_config, localize_command


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

    Raises:
        UserError: If an argument is missing or of a wrong type.
    """

    can_predict = True

    def __init__(self, config: str | dict, checkpoint: str):
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
        self.model = None

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
        model_cfg = self._model_config()
        if not Path(self.checkpoint).is_file() and '://' not in (
            self.checkpoint
        ):
            raise UserError(self._missing_checkpoint())
        # The teacher must not change the student's random draws.
        with torch.random.fork_rng():
            model = MODELS.build(model_cfg)
        found = model.cls_head.num_classes
        wanted = student.cls_head.num_classes
        if found != wanted:
            raise UserError(
                f'the teacher {self.name} has {found} classes but the '
                f'student has {wanted}; give a teacher trained on the '
                "student's data set, or set model.cls_head.num_classes"
            )
        load_strictly(model, self.checkpoint, self.name)
        compare_preprocessing(model, student)
        self.use_model(model.to(next(student.parameters()).device))
        print_log(
            f'teacher: {self.name} with {self.checkpoint}', logger='current'
        )

    def use_model(self, model: nn.Module):
        """Freeze an existing recognizer, and use it as the teacher."""
        self.model = model.requires_grad_(False).eval()

    def convert_tensors(self, convert: Callable, *args, **kwargs):
        """Convert the model's tensors, if it is built."""
        if self.is_built:
            self.model._apply(convert, *args, **kwargs)

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits of a training batch; see :meth:`predict`."""
        return self.predict(inputs)

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Logits of clips; see :meth:`Teacher.logits` for the shapes."""
        feats, kwargs = self.model.extract_feat(inputs, test_mode=True)
        logits = self.model.cls_head(feats, **kwargs)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _model_config(self) -> dict:
        if isinstance(self.config, dict):
            config = self.config
        else:
            config = Config.fromfile(find_config(self.config))
        return config.get('model', config)

    def _missing_checkpoint(self) -> str:
        config = self.config if isinstance(self.config, str) else 'CONFIG'
        return localize_command(
            f'teacher.checkpoint {self.checkpoint} was not found; train one: '
            f'mim train mmaction2 {config}, or convert a released one: '
            f'python tools/convert_checkpoint.py RELEASED {self.checkpoint} '
            f'--to {config}'
        )


def load_strictly(model: nn.Module, path: str, name: str):
    """Load a checkpoint whose weights are exactly the model's.

    MMEngine's loader only logs missing and unexpected weights, but a
    teacher with a random head teaches noise. A released file is converted.

    Raises:
        UserError: If weights differ, with their names.
    """
    checkpoint = load_checkpoint_file(path)
    rename_released(checkpoint, path, model, name)
    weights = checkpoint.get('state_dict', checkpoint)
    weights = {k.removeprefix('module.'): v for k, v in weights.items()}
    own = model.state_dict()
    problems = [f'{k} is missing' for k in own.keys() - weights.keys()]
    problems += [f'{k} is unexpected' for k in weights.keys() - own.keys()]
    problems += [
        f'{k} is {tuple(weights[k].shape)}, not {tuple(own[k].shape)}'
        for k in own.keys() & weights.keys()
        if weights[k].shape != own[k].shape
    ]
    if problems:
        shown = '; '.join(sorted(problems)[:3])
        more = f'; {len(problems) - 3} more' if len(problems) > 3 else ''
        raise UserError(
            f'the weights in {path} do not fit {name}: {shown}{more}; give a '
            'checkpoint that was trained with this config'
        )
    model.load_state_dict(weights)


def compare_preprocessing(teacher: nn.Module, student: nn.Module):
    """Log a warning if teacher and student normalise differently."""
    for name in ('mean', 'std', 'to_rgb'):
        trained, given = (
            to_plain_value(getattr(model.data_preprocessor, name, None))
            for model in (teacher, student)
        )
        if trained != given:
            print_log(
                f'the teacher was trained with data_preprocessor.{name}='
                f'{trained} but gets {given}, as the student does: expect a '
                'lower accuracy of the teacher',
                logger='current',
                level=logging.WARNING,
            )


def to_plain_value(value):
    """Convert a tensor to a list of numbers; return other values unchanged."""
    return value.flatten().tolist() if torch.is_tensor(value) else value
