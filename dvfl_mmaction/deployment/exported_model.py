"""Load exported files, and predict with them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from .metadata import parse_metadata
from .runtimes import open_runtime

State = tuple[np.ndarray, ...]


class ExportedModel:
    """An exported model: uint8 frames in, probabilities out.

    Attributes:
        path: Its file.
        kind: ``'clip'`` or ``'streaming'``.
        classes: K names; numbers as text where the names are unknown.
        clip_len: Frames per clip T; of a streaming model, those of the
            clips that it was trained on.
        size: Height and width of the frames, in pixels.
        several_labels: Whether each class has a probability of its own, so
            that a clip may have several labels, or none.
        dynamic: Axes of any length: ``'batch'``, ``'frames'``, ``'size'``.
        min_size: Least height and width of frames of any size, in pixels; 1
            if the file, an older one, does not say.
        tubelet_size: Clips of any length have a multiple of so many frames;
            1 if the file does not say.
        metadata: All that the file says, see :mod:`.metadata`.
    """

    def __init__(self, path: Path, runtime, metadata: dict):
        self.path = path
        self.metadata = metadata
        self.kind = metadata['kind']
        names = metadata['classes'] or range(metadata['num_classes'])
        self.classes = [str(name) for name in names]
        self.clip_len = metadata['clip_len']
        self.size = tuple(metadata['size'])
        # Files of earlier versions do not say it.
        self.several_labels = metadata.get('several_labels', False)
        self.dynamic = tuple(metadata['dynamic'])
        self.min_size = metadata.get('min_size', 1)
        self.tubelet_size = metadata.get('tubelet_size', 1)
        self._runtime = runtime
        # None takes any number of clips or streams at once.
        self._batch = runtime.inputs[0].shape[0]

    def predict(self, frames: np.ndarray) -> np.ndarray:
        """Classify clips; a streaming model plays each from its start.

        Args:
            frames: (B, T, H, W, 3) uint8, RGB.

        Returns:
            Probabilities, (B, K) float32; of a streaming model those after
            the last frame.

        Raises:
            UserError: If the frames are not what the file takes.
        """
        self.check_clips(frames)
        if self.kind == 'streaming':
            state = self.initial_state(len(frames))
            for t in range(frames.shape[1]):
                scores, state = self.step(frames[:, t], state)
            return scores
        return self._in_batches([frames])[0]

    def check_clips(self, frames: np.ndarray):
        """Check what :meth:`predict` takes.

        Raises:
            UserError: If the frames are not what the file takes.
        """
        self._check(frames, 5)

    def initial_state(self, batch: int = 1) -> State:
        """The state of streams before their first frame: zeros.

        Zeros in the rows of one stream restart it.

        Raises:
            UserError: If the model is not a streaming one.
        """
        self._check_streaming()
        return tuple(
            np.zeros((batch, *port.shape[1:]), port.dtype)
            for port in self._runtime.inputs[1:]
        )

    def step(
        self, frames: np.ndarray, state: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, State]:
        """Process the next frame of each stream; changes no argument.

        Args:
            frames: (B, H, W, 3) uint8, RGB.
            state: Of :meth:`initial_state` or the previous call.

        Returns:
            Probabilities, (B, K) float32, and the next state.

        Raises:
            UserError: If the model is not a streaming one, or the frames
                are not what the file takes.
        """
        self._check_streaming()
        self._check(frames, 4)
        scores, *state = self._in_batches([frames, *state])
        return scores, tuple(state)

    def _in_batches(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Run all rows; one at a time where the file takes one."""
        arrays = [np.ascontiguousarray(array) for array in arrays]
        total = len(arrays[0])
        step = self._batch or total
        parts = [
            self._runtime.run([array[i : i + step] for array in arrays])
            for i in range(0, total, step)
        ]
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(rows) for rows in zip(*parts, strict=True)]

    def _check_streaming(self):
        if self.kind != 'streaming':
            raise UserError(
                f'{self.path} takes whole clips; for frame by frame export a '
                'causal model with --streaming'
            )

    def _check(self, frames: np.ndarray, axes: int):
        clips = axes == 5
        wanted = '(B, T, H, W, 3)' if clips else '(B, H, W, 3)'
        shape = np.shape(frames)
        if (
            len(shape) != axes
            or shape[-1] != 3
            or getattr(frames, 'dtype', None) != np.uint8
            or 0 in shape
        ):
            kind = getattr(frames, 'dtype', type(frames).__name__)
            raise UserError(
                f'frames are {shape} {kind}; {self.path} takes uint8 {wanted}'
            )
        if 'size' not in self.dynamic and shape[-3:-1] != self.size:
            raise UserError(
                f'frames are {shape[-3]} x {shape[-2]} pixels but '
                f'{self.path} takes {self.size[0]} x {self.size[1]}; resize '
                'them, or export with --dynamic size'
            )
        if 'size' in self.dynamic and min(shape[-3:-1]) < self.min_size:
            raise UserError(
                f'frames are {shape[-3]} x {shape[-2]} pixels but '
                f'{self.path} takes {self.min_size} or more per side; '
                'enlarge them'
            )
        fixed = self.kind == 'clip' and 'frames' not in self.dynamic
        if clips and fixed and shape[1] != self.clip_len:
            raise UserError(
                f'clips have {shape[1]} frames but {self.path} takes '
                f'{self.clip_len}; sample them, or export with --dynamic '
                'frames'
            )
        if clips and shape[1] % self.tubelet_size:
            raise UserError(
                f'clips have {shape[1]} frames but {self.path} takes '
                f'multiples of {self.tubelet_size}; sample them'
            )


def load_exported(
    path: str | os.PathLike, threads: int | None = None
) -> ExportedModel:
    """Load a file that ``tools/export.py`` wrote.

    A ``.pt2`` file can hold code, which loading it runs; load only those
    from a source that you trust.

    Args:
        path: ``.onnx`` (ONNX Runtime), ``.xml`` with its ``.bin``
            (OpenVINO), ``.pt2`` (torch.export) or ``.tflite`` with its
            ``.tflite.json`` (LiteRT).
        threads: Of the runtime; None leaves the number to it.

    Raises:
        UserError: If the file is not found or unreadable, or its runtime is
            not installed.
    """
    path = Path(path).expanduser()
    runtime = open_runtime(path, threads)
    return ExportedModel(path, runtime, parse_metadata(runtime.metadata, path))
