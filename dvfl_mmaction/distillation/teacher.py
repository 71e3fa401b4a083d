"""A frozen teacher that stands beside the model, not inside it."""

import logging
from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from ..checkpoints.safe_loading import load_checkpoint_file
from ..errors import UserError
from ..project_paths import as_typed_here, find_config


class FrozenTeacher:
    """Holds a trained recognizer that only answers.

    It is no ``nn.Module``, so the student that keeps it has no trace of it
    in its parameters, its state dict, its optimizer, its EMA copy or its
    mode: the teacher is built in eval mode and nothing calls ``train()``
    on it.

    Args:
        config: The teacher's config: a file (also looked for beside the
            installed package), a config dict, or a model dict.
        checkpoint: The teacher's trained weights.

    Raises:
        UserError: If an argument is missing or of a wrong type.
    """

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
    def is_built(self) -> bool:
        return self.model is not None

    def __deepcopy__(self, memo):
        # A copy of the student (an EMA, say) answers to the same teacher.
        return self

    def build(self, student: nn.Module):
        """Build the recognizer and load its weights, all of them.

        Args:
            student: The recognizer that will learn; it gives the device and
                the classes to compare with.

        Raises:
            UserError: If a file is missing or cannot be read, the weights
                are not those of the config, or the classes differ.
        """
        model_cfg = self._model_config()
        if not Path(self.checkpoint).is_file() and '://' not in (
            self.checkpoint
        ):
            raise UserError(self._how_to_make_one())
        # The student's draws must not depend on whether it has a teacher.
        with torch.random.fork_rng():
            model = MODELS.build(model_cfg)
        taught = model.cls_head.num_classes
        wanted = student.cls_head.num_classes
        if taught != wanted:
            raise UserError(
                f'the teacher {self.name} has {taught} classes but the '
                f'student has {wanted}; give a teacher trained on the '
                "student's data set, or set model.cls_head.num_classes"
            )
        load_strictly(model, self.checkpoint, self.name)
        model.requires_grad_(False)
        model.eval()
        compare_preprocessing(model, student)
        self.model = model.to(next(student.parameters()).device)
        print_log(
            f'teacher: {self.name} with {self.checkpoint}', logger='current'
        )

    def logits(self, inputs: Tensor) -> Tensor:
        """Answer to a batch of training; see :meth:`answer`."""
        return self.answer(inputs)

    @torch.no_grad()
    def answer(self, inputs: Tensor) -> Tensor:
        """Logits of the very tensor that the student sees.

        Args:
            inputs: (B, V, ...) as the student's recognizer takes them.

        Returns:
            (B * V, K) for a 3D recognizer, (B, K) for a 2D one; at least
            float32.
        """
        feats, kwargs = self.model.extract_feat(inputs, test_mode=True)
        logits = self.model.cls_head(feats, **kwargs)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    @property
    def name(self) -> str:
        return self.config if isinstance(self.config, str) else 'config'

    def _model_config(self) -> dict:
        if isinstance(self.config, dict):
            config = self.config
        else:
            config = Config.fromfile(find_config(self.config))
        return config.get('model', config)

    def _how_to_make_one(self) -> str:
        config = self.config if isinstance(self.config, str) else 'CONFIG'
        return as_typed_here(
            f'teacher.checkpoint {self.checkpoint} is not there; train one: '
            f'mim train mmaction2 {config}, or convert a released one: '
            f'python tools/convert_checkpoint.py RELEASED {self.checkpoint} '
            f'--to {config}'
        )


def load_strictly(model: nn.Module, path: str, name: str):
    """Load every weight of a checkpoint, or refuse it.

    MMEngine's loader only warns about weights that are missing or left
    over, and a teacher with a random head teaches noise.

    Raises:
        UserError: With the weights that differ.
    """
    checkpoint = load_checkpoint_file(path)
    weights = checkpoint.get('state_dict', checkpoint)
    weights = {k.removeprefix('module.'): v for k, v in weights.items()}
    own = model.state_dict()
    problems = [f'{k} is missing' for k in own.keys() - weights.keys()]
    problems += [f'{k} is left over' for k in weights.keys() - own.keys()]
    problems += [
        f'{k} is {tuple(weights[k].shape)}, not {tuple(own[k].shape)}'
        for k in own.keys() & weights.keys()
        if weights[k].shape != own[k].shape
    ]
    if problems:
        shown = '; '.join(sorted(problems)[:3])
        more = f'; {len(problems) - 3} more' if len(problems) > 3 else ''
        raise UserError(
            f'the weights in {path} are not those of {name}: {shown}{more}; '
            'give the checkpoint that this config was trained to'
        )
    model.load_state_dict(weights)


def compare_preprocessing(teacher: nn.Module, student: nn.Module):
    """Warn if the teacher was trained on pixels in another scale."""
    for name in ('mean', 'std', 'to_rgb'):
        trained, given = (
            plain(getattr(model.data_preprocessor, name, None))
            for model in (teacher, student)
        )
        if trained != given:
            print_log(
                f'the teacher was trained with data_preprocessor.{name}='
                f'{trained} but sees {given}, as the student does: expect it '
                'to teach worse',
                logger='current',
                level=logging.WARNING,
            )


def plain(value):
    """A buffer as a list of numbers; anything else as it is."""
    return value.flatten().tolist() if torch.is_tensor(value) else value
