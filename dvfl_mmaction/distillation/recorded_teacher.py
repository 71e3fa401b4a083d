"""A teacher that records its logits, and one that reads a recording."""

from pathlib import Path

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.runner import Runner
from torch import Tensor, nn

from ..errors import UserError
from ..models.data_preprocessor import to_device
from ..project_paths import localize_command
from .clip_format import ClipFormat, layout_of, read_clip_format
from .combined_loss import is_binary, needs_every_class, parts_of
from .fingerprint import INPUT, check_fingerprints, fingerprint
from .finite_check import FiniteCheck
from .logit_recording import LogitRecording
from .teacher import FrozenTeacher, Teacher, check_input_options
from .teacher_input import to_list


class RecordedLogits:
    """The recording of this process, at the iteration of the training.

    TeacherRecordingHook opens the file and sets the iteration. Without it
    every method that needs them raises UserError.

    Args:
        folder: Folder of the recording, with one file per process.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)
        self._recording = self._iteration = None

    def file(self, rank: int) -> Path:
        """Path of a process's file."""
        return self.folder / f'rank_{rank}.logits'

    def use(self, recording: LogitRecording):
        """Read from, or write to, an open file."""
        self._recording = recording

    def go_to(self, iteration: int):
        """Set the iteration of the run, from 0."""
        self._iteration = iteration

    def write(self, logits: np.ndarray):
        """Record the logits of the current iteration, (N, K)."""
        require_hook(self._recording).write(
            require_hook(self._iteration), logits
        )

    def read(self) -> np.ndarray:
        """Read the logits of the current iteration, (N, K) float32.

        Raises:
            UserError: If they are not recorded, or damaged.
        """
        iteration = require_hook(self._iteration)
        logits = require_hook(self._recording).read(iteration)
        if logits is None:
            raise UserError(
                f'recording {self.folder} lacks iteration {iteration}, or it '
                'is damaged; record it again with the same command'
            )
        return logits

    def count(self) -> int:
        """Count the recorded iterations, up to the first gap."""
        return require_hook(self._recording).count()

    def close(self):
        """Close the file."""
        if self._recording is not None:
            self._recording.close()
        self._recording = self._iteration = None


def require_hook(value):
    """Return a value that TeacherRecordingHook sets.

    Raises:
        UserError: If it is None.
    """
    if value is None:
        raise UserError(
            'recordings of a teacher need default_hooks.teacher_recording'
            "=dict(type='TeacherRecordingHook'), as in configs/_base_/"
            'default_runtime.py'
        )
    return value


def describe_training(
    student: nn.Module, runner: Runner, teacher: Teacher
) -> dict:
    """Describe the training for the header of its recording."""
    changes = None
    if isinstance(teacher, FrozenTeacher):
        changes = teacher.input_changes(
            read_clip_format(runner.cfg, layout_of(student))
        )
    return dict(
        num_classes=student.cls_head.num_classes,
        rows=runner.train_dataloader.batch_size,
        temperature=None,
        fingerprint=fingerprint(
            runner, teacher.config, teacher.checkpoint, changes
        ),
    )


def check_training(wanted: dict, recorded: dict, folder: Path):
    """Reject a recording of another training; see check_fingerprints."""
    ours, theirs = (
        header['fingerprint'] | {'num_classes': header['num_classes']}
        for header in (wanted, recorded)
    )
    check_fingerprints(ours, theirs, folder)


def require_temperature(loss: nn.Module) -> float:
    """Temperature of a loss; a top-k recording depends on it.

    Raises:
        UserError: If the loss has none, or needs every class.
    """
    check_top_k(loss)
    try:
        return loss.temperature
    except AttributeError:
        parts = parts_of(loss)
        names = ' and '.join(type(part).__name__ for part in parts)
        lacks = 'has no attribute temperature; add it to the loss'
        if len(parts) > 1:
            lacks = 'have no common temperature; set it to one value'
        raise UserError(
            f'record_top_k needs the temperature of loss_kd, but {names} '
            f'{lacks}, or leave out record_top_k to record all logits'
        ) from None


def check_top_k(loss: nn.Module):
    """Reject a loss that a top-k recording does not suffice for.

    Raises:
        UserError: With its name.
    """
    for part in parts_of(loss):
        if needs_every_class(part):
            why = 'needs the logits of every class'
            if is_binary(part):
                why = 'is a sigmoid per class'
            raise UserError(
                'record_top_k keeps the softmax over the largest classes, '
                f'but loss_kd {type(part).__name__} {why}; leave out '
                'record_top_k to record all logits'
            )


class RecordingTeacher(FrozenTeacher):
    """A frozen teacher that also records its logits.

    Args:
        config: As for :class:`FrozenTeacher`.
        checkpoint: As for :class:`FrozenTeacher`.
        record_to: Folder for the recording, a file per process. An existing
            recording of the same training is continued.
        record_dtype: ``'float16'`` or ``'float32'``.
        record_top_k: Number of logits to keep per clip, for data sets with
            many classes; None keeps all. Needs a ``loss_kd`` with a
            ``temperature`` that does not need every class, such as
            ``KLDivergenceLoss``.
        num_frames: As for :class:`FrozenTeacher`.
        input_size: As for :class:`FrozenTeacher`.

    Raises:
        UserError: If an argument is out of range; during training, if the
            folder holds a recording of another training.
    """

    def __init__(
        self,
        config: str | dict,
        checkpoint: str,
        record_to: str,
        record_dtype: str = 'float16',
        record_top_k: int | None = None,
        num_frames: int | None = None,
        input_size: int | tuple[int, int] | None = None,
    ):
        super().__init__(config, checkpoint, num_frames, input_size)
        self.recorded = RecordedLogits(record_to)
        self.record_dtype = record_dtype
        self.record_top_k = record_top_k

    def begin_training(self, student: nn.Module, runner: Runner):
        """Open or create this process's file."""
        super().begin_training(student, runner)
        header = describe_training(student, runner, self)
        header |= dict(dtype=self.record_dtype, top_k=self.record_top_k)
        if self.record_top_k is not None:
            header['temperature'] = require_temperature(student.loss_kd)
        path = self.recorded.file(get_rank())
        if not path.exists():
            self.recorded.use(LogitRecording.create(path, header))
            return
        recording = LogitRecording.open(path, writable=True)
        check_training(header, recording.about, self.recorded.folder)
        keys = ['dtype', 'top_k']
        if self.record_top_k is not None:
            keys.append('temperature')
        for key in keys:
            if recording.about[key] != header[key]:
                raise UserError(
                    f'{path} was recorded with {key} {recording.about[key]}, '
                    f'not {header[key]}; set it to the same value, or record '
                    'to another folder'
                )
        self.recorded.use(recording)

    def begin_iteration(self, iteration: int):
        """Set the iteration that the next batch belongs to."""
        self.recorded.go_to(iteration)

    def end_training(self):
        """Close the file."""
        self.recorded.close()

    def count_recorded(self) -> int:
        """Count this process's recorded iterations, up to the first gap."""
        return self.recorded.count()

    def logits(self, inputs: Tensor) -> Tensor:
        """Predict the logits of a training batch, and record them.

        Raises:
            UserError: If they are NaN or infinite.
        """
        logits = self.predict(inputs)
        on_host = logits.float().cpu()
        FiniteCheck().add(on_host, self.name)
        self.recorded.write(on_host.numpy())
        return logits


class RecordedTeacher(Teacher):
    """Logits of a teacher, recorded in an earlier run of the same training.

    Neither the teacher nor its weights are needed. The run must show the
    same clips as the recorded one, blended alike and in the same order. A
    recording of another training is rejected; the error names the
    difference.

    Args:
        path: Folder of the recording.
        config: Not needed; accepted because a distillation's config has it.
        checkpoint: Likewise. If the file exists, it must be the recorded
            teacher's.
        num_frames: Not needed; if given, it must be the recorded teacher's.
        input_size: Likewise.

    Raises:
        UserError: If no recording is found; during training, if it is of
            another training, has fewer iterations, or keeps the top k for
            another temperature.
    """

    def __init__(
        self,
        path: str,
        config: str | dict | None = None,
        checkpoint: str | None = None,
        num_frames: int | None = None,
        input_size: int | tuple[int, int] | None = None,
    ):
        self.recorded = RecordedLogits(path)
        self.config, self.checkpoint = config, checkpoint
        self.asked = check_input_options(num_frames, input_size)

    @property
    def name(self) -> str:
        return f'recording {self.recorded.folder}'

    def build(self, student: nn.Module):
        """Check that the recording exists."""
        folder = self.recorded.folder
        if folder.is_file():
            raise UserError(
                f'teacher.path {folder} is a file; give the folder of a '
                f'recording, which holds {self.recorded.file(0).name}'
            )
        if not self.recorded.file(0).is_file():
            command = localize_command('python tools/record_teacher.py CONFIG')
            raise UserError(
                f'teacher.path {folder} holds no recording; record one: '
                f'{command} --to {folder}'
            )

    def begin_training(self, student: nn.Module, runner: Runner):
        """Check that the recording is of this training, and open it."""
        first = LogitRecording.open(self.recorded.file(0))
        first.read(0)  # damage is reported before differences it causes
        first.close()
        check_training(
            describe_training(student, runner, self),
            first.about,
            self.recorded.folder,
        )
        if first.about['top_k'] is not None:
            self._check_temperature(first.about['temperature'], student)
        own = read_clip_format(runner.cfg, layout_of(student))
        self._check_input(first.about['fingerprint'].get(INPUT) or {}, own)
        path = self.recorded.file(get_rank())
        recording = LogitRecording.open(path)
        if recording.read(runner.max_iters - 1) is None:
            raise UserError(
                f'{path} holds {recording.count()} iterations but this run '
                f'has {runner.max_iters}; record the rest with the same '
                'command, or train for fewer epochs'
            )
        self.use_recording(recording)

    def _check_temperature(self, recorded: float, student: nn.Module):
        """Compare the temperature of a top-k recording with the loss's."""
        wanted = require_temperature(student.loss_kd)
        if wanted != recorded:
            raise UserError(
                f'{self.recorded.folder} was recorded with record_top_k at '
                f'temperature {recorded}, and holds for it alone, but loss_kd '
                f'has {wanted}; set its temperature to {recorded}, or '
                f'record again at {wanted} or without record_top_k'
            )

    def _check_input(self, changes: dict, own: ClipFormat):
        """Compare the options with the input of the recorded teacher."""
        for field, wanted in self.asked.items():
            recorded = changes.get(field, getattr(own, field))
            if recorded is not None and to_list(wanted) != to_list(recorded):
                raise UserError(
                    f'the recording {self.recorded.folder} is of a teacher '
                    f'with {field} {recorded}, but model.teacher asks for '
                    f'{wanted}; leave the option out, or record again'
                )

    def use_recording(self, recording: LogitRecording):
        """Read the logits from an open file."""
        self.recorded.use(recording)

    def begin_iteration(self, iteration: int):
        """Set the iteration that the next batch belongs to."""
        self.recorded.go_to(iteration)

    def end_training(self):
        """Close the file."""
        self.recorded.close()

    def logits(self, inputs: Tensor) -> Tensor:
        """Recorded logits of the training batch, (rows, K) float32.

        Args:
            inputs: The student's clips; only their device is used.

        Raises:
            UserError: If they are NaN or infinite.
        """
        logits = torch.from_numpy(np.ascontiguousarray(self.recorded.read()))
        FiniteCheck().add(logits, self.name)
        return to_device(logits, inputs.device)
