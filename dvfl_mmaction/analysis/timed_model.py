"""Timed forward passes and training steps of one model."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from ..distillation.logit_recording import LogitRecording
from ..project_paths import find_config
from .complexity import build_model
from .configs import load_config
from .released_formulation import as_released
from .sample_input import sample_batch


@dataclass
class Entry:
    """A model to measure.

    Attributes:
        name: Name in the tables.
        config: Path of the config file.
        teacher: How a training step gets the logits of the config's teacher:
            ``'online'``, ``'recorded'``, or None for no teacher.
        released: Whether backbones, the teacher's included, are in the
            formulation of the released code.
    """

    name: str
    config: str
    teacher: str | None = None
    released: bool = False


class Bfloat16OptimWrapper(OptimWrapper):
    """Autocast to bfloat16 on a CPU; ``AmpOptimWrapper`` needs a GPU."""

    @contextmanager
    def optim_context(self, model: nn.Module):
        with super().optim_context(model), torch.autocast('cpu'):
            yield


class TimedModel:
    """A model with its input and optimizer, ready to be timed.

    Args:
        entry: The model.
        batch_size: Clips per training step.
        device: ``'cpu'`` or ``'cuda'``.
        amp: Data type of autocast, ``'float16'`` (CUDA only) or
            ``'bfloat16'``; None for float32.
    """

    def __init__(
        self,
        entry: Entry,
        batch_size: int,
        device: str,
        amp: str | None = None,
    ):
        torch.manual_seed(0)
        cfg = load_config(entry.config)
        self.device, self.amp = torch.device(device), amp
        # Speed does not depend on the weights: load no pretrained ones.
        self.model = self._build(cfg, entry.released)
        self.clip = sample_batch(cfg, 1)
        self.batch = sample_batch(cfg, batch_size)
        if entry.teacher:
            self._add_teacher(cfg, entry, batch_size)
        self.optimizer = self._build_optimizer()

    def _build(self, cfg, released: bool) -> nn.Module:
        model = build_model(cfg)
        if released:
            model.backbone = as_released(cfg.model.backbone, model.backbone)
        return model.to(self.device)

    def _build_optimizer(self) -> OptimWrapper:
        optimizer = torch.optim.SGD(
            self.model.parameters(), lr=1e-4, momentum=0.9, nesterov=True
        )
        if self.amp is None:
            return OptimWrapper(optimizer)
        if self.device.type == 'cpu':
            return Bfloat16OptimWrapper(optimizer)
        return AmpOptimWrapper(optimizer=optimizer, dtype=self.amp)

    def _add_teacher(self, cfg, entry: Entry, batch_size: int):
        """Train with the distiller's loss and a teacher of random weights."""
        settings = dict(cfg.model)
        settings['backbone'] = dict(settings['backbone'])
        if entry.teacher == 'recorded':
            self._folder = tempfile.TemporaryDirectory()
            settings['teacher'] = dict(
                type='RecordedTeacher', path=self._folder.name
            )
        student = MODELS.build(settings)
        student.load_state_dict(self.model.state_dict())
        student.backbone = self.model.backbone
        teacher = student.teacher
        if entry.teacher == 'online':
            config = load_config(str(find_config(cfg.model.teacher.config)))
            teacher.use_model(self._build(config, entry.released))
        else:
            num_classes = student.cls_head.num_classes
            recording = LogitRecording.create(
                Path(self._folder.name) / 'rank_0.logits',
                dict(
                    num_classes=num_classes,
                    rows=batch_size,
                    dtype='float16',
                    top_k=None,
                    temperature=None,
                    fingerprint={},
                ),
            )
            recording.write(0, torch.randn(batch_size, num_classes).numpy())
            teacher.use_recording(recording)
            teacher.begin_iteration(0)
        self.model = student.to(self.device)

    def forward(self):
        """Run one clip as in testing: normalization, backbone, head."""
        self.model.eval()
        dtype = getattr(torch, self.amp) if self.amp else None
        amp = torch.autocast(
            self.device.type, dtype=dtype, enabled=self.amp is not None
        )
        with torch.no_grad(), amp:
            data = self.model.data_preprocessor(self.clip, training=False)
            feats, kwargs = self.model.extract_feat(
                data['inputs'], test_mode=True
            )
            self.model.cls_head(feats, **kwargs)

    def step(self):
        """Run one training step: losses, gradients, update."""
        self.model.train()
        self.model.train_step(self.batch, self.optimizer)

    def timed(self, work: Callable) -> float:
        """Run ``work`` and return its seconds, kernels on a GPU included."""
        self._synchronize()
        start = time.perf_counter()
        work()
        self._synchronize()
        return time.perf_counter() - start

    def busy(self, work: Callable) -> float:
        """Run ``work`` and return the seconds that the device computes.

        On a GPU, the time that is covered by kernels and copies; on a CPU,
        processor time per thread.
        """
        if self.device.type == 'cpu':
            start = time.process_time()
            work()
            return (time.process_time() - start) / torch.get_num_threads()
        with profile(activities=[ProfilerActivity.CUDA]) as trace:
            work()
            self._synchronize()
        return 1e-6 * covered(device_intervals(trace.events()))

    def _synchronize(self):
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


def device_intervals(events: Iterable) -> Iterator[tuple[float, float]]:
    """Start and end of a profile's kernels and copies, in microseconds."""
    for event in events:
        annotation = getattr(event, 'is_user_annotation', False)
        if event.device_type == DeviceType.CUDA and not annotation:
            yield event.time_range.start, event.time_range.end


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, until = 0.0, float('-inf')
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
