"""A teacher whose answers are written down, and one that reads them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UserError
from ..project_paths import as_typed_here
from .logit_recording import LogitRecording
from .teacher import FrozenTeacher

# A replay may know nothing of the teacher; if it does, the weights count.
TEACHER, WEIGHTS = 'teacher', 'teacher_sha256'


class Replay:
    """Where in a training a teacher is, and what training it is.

    ``TeacherRecordingHook`` calls :meth:`begin` before training and sets
    ``iteration`` before each iteration.

    Attributes:
        iteration: Of the run, from 0; None outside of training.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)
        self.iteration = None
        self.recording = None

    def file(self, rank: int) -> Path:
        return self.folder / f'rank_{rank}.logits'

    def place(self) -> int:
        """The iteration, which must be known.

        Raises:
            UserError: If nobody said.
        """
        if self.iteration is None or self.recording is None:
            raise UserError(
                'recordings of a teacher need default_hooks.teacher_recording'
                "=dict(type='TeacherRecordingHook'), as configs/_base_/"
                'default_runtime.py has it'
            )
        return self.iteration

    def compare(self, about: dict, recorded: dict):
        """Refuse a recording of another training.

        Raises:
            UserError: With what differs.
        """
        wanted = about['fingerprint'] | {'num_classes': about['num_classes']}
        there = recorded['fingerprint'] | {
            'num_classes': recorded['num_classes']
        }
        for key in sorted(wanted.keys() | there.keys()):
            came, kept = wanted.get(key), there.get(key)
            if key == TEACHER or (key == WEIGHTS and None in (came, kept)):
                continue
            if came != kept:
                raise UserError(
                    f'the recording {self.folder} is of another training: '
                    f'its {key} is {shorten(kept)}, that of this run is '
                    f'{shorten(came)}; set it likewise, or record anew, '
                    'into another folder'
                )

    def end(self):
        """Close the file."""
        if self.recording is not None:
            self.recording.close()
        self.iteration = self.recording = None


def shorten(value) -> str:
    text = str(value)
    return text if len(text) <= 80 else f'{text[:60]}...{text[-17:]}'


class RecordingTeacher(FrozenTeacher):
    """A frozen teacher that also writes down what it answers.

    Args:
        config: As of :class:`FrozenTeacher`.
        checkpoint: As of :class:`FrozenTeacher`.
        record_to: Folder; a file a process is written there. One that is
            there already, of the same training, is continued.
        record_dtype: ``'float16'`` or ``'float32'``.
        record_top_k: Keep only so many logits of each clip, for data sets
            of many classes; None keeps all.

    Raises:
        UserError: If an argument is out of range; in use, if the folder
            holds a recording of another training.
    """

    def __init__(
        self,
        config: str | dict,
        checkpoint: str,
        record_to: str,
        record_dtype: str = 'float16',
        record_top_k: int | None = None,
    ):
        super().__init__(config, checkpoint)
        self.replay = Replay(record_to)
        self.record_dtype = record_dtype
        self.record_top_k = record_top_k

    def begin(self, about: dict, rank: int, num_iterations: int):
        """Open this process's file, or make it."""
        about = about | dict(dtype=self.record_dtype, top_k=self.record_top_k)
        path = self.replay.file(rank)
        if path.exists():
            recording = LogitRecording.open(path, writable=True)
            self.replay.compare(about, recording.about)
            for key in ('dtype', 'top_k', 'temperature'):
                if recording.about[key] != about[key]:
                    raise UserError(
                        f'{path} is recorded with {key} '
                        f'{recording.about[key]}, not {about[key]}; set it '
                        'likewise, or record to another folder'
                    )
        else:
            recording = LogitRecording.create(path, about)
        self.replay.recording = recording

    def logits(self, inputs: Tensor) -> Tensor:
        """Answer to a batch of training, and write the answer down."""
        logits = self.answer(inputs)
        self.replay.recording.write(
            self.replay.place(), logits.float().cpu().numpy()
        )
        return logits


class RecordedTeacher:
    """Answers of a teacher that were recorded in a run like this one.

    Neither the teacher nor its weights are needed. The run must see the
    very clips of the recorded one, blended alike, in the same order: the
    recording is refused with what differs if it does not.

    Args:
        path: Folder of the recording.
        config: Not needed; a config of a distillation has it.
        checkpoint: Likewise. If the file is there, it must be the one that
            was recorded.

    Raises:
        UserError: If there is no recording; in use, if it is of another
            training, or ends before this one does.
    """

    model = None  # nothing to move to a device
    is_built = True

    def __init__(
        self,
        path: str,
        config: str | dict | None = None,
        checkpoint: str | None = None,
    ):
        self.replay = Replay(path)

    @property
    def name(self) -> str:
        return f'recording {self.replay.folder}'

    def __deepcopy__(self, memo):
        return self

    def build(self, student: nn.Module):
        """Nothing to build; see that there is a recording."""
        if not self.replay.file(0).is_file():
            command = as_typed_here('python tools/record_teacher.py CONFIG')
            raise UserError(
                f'teacher.path {self.replay.folder} holds no recording; make '
                f'one: {command} --to {self.replay.folder}'
            )

    def begin(self, about: dict, rank: int, num_iterations: int):
        """Open this process's file and see that it is of this training."""
        path = self.replay.file(rank)
        recorded = LogitRecording.open(self.replay.file(0)).about
        self.replay.compare(about, recorded)
        recording = LogitRecording.open(path)
        if recording.read(num_iterations - 1) is None:
            raise UserError(
                f'{path} holds {recording.count()} iterations, this run is '
                f'of {num_iterations}; record the rest with the same '
                'command, or lower train_cfg.max_epochs'
            )
        self.replay.recording = recording

    def logits(self, inputs: Tensor) -> Tensor:
        """Recorded logits of the batch, (rows, K) float32.

        Args:
            inputs: The clips that the student sees; only their device is
                used.
        """
        iteration = self.replay.place()
        logits = self.replay.recording.read(iteration)
        if logits is None:
            raise UserError(
                f'{self.name} has no iteration {iteration}, or it is '
                'damaged; record it again with the same command'
            )
        return torch.from_numpy(np.ascontiguousarray(logits)).to(inputs.device)
