"""Compare the speed and memory of models on this machine."""

import multiprocessing
import os
import platform
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper

from ..distillation.logit_recording import LogitRecording
from ..malloc import keep_freed_memory
from ..project_paths import find_config
from .complexity import build_model, complexity
from .configs import load_config
from .sample_input import sample_batch

UCF101_TRAINING_CLIPS = 9537  # split 1
MIB = 2**20


@dataclass
class Entry:
    """A model to measure.

    Attributes:
        name: Name in the tables.
        config: Path of the config file.
        teacher: How a training step gets the logits of the config's teacher:
            ``'online'``, ``'recorded'``, or None for no teacher.
    """

    name: str
    config: str
    teacher: str | None = None


@dataclass
class Measurement:
    """Counts, times and memory of one model.

    Attributes:
        name: Name in the tables.
        config: Path of the config file.
        parameters: Parameters of backbone, neck and head.
        macs: Multiply-adds per clip.
        shape: Shape of the input, without the batch.
        forward_s: Seconds per forward pass of 1 clip, in measured order.
        step_s: Seconds per training step, in measured order.
        step_clips: Clips per training step.
        inference_bytes: Peak memory of a forward pass, weights included,
            libraries excluded.
        training_bytes: The same for a training step.
    """

    name: str
    config: str
    parameters: int
    macs: int
    shape: tuple[int, ...]
    forward_s: list[float] = field(default_factory=list)
    step_s: list[float] = field(default_factory=list)
    step_clips: int = 1
    inference_bytes: int | None = None
    training_bytes: int | None = None

    def summary(self) -> dict:
        """Add medians, the 95th percentile and quartiles to the fields."""
        forward, step = sorted(self.forward_s), sorted(self.step_s)
        summary = asdict(self)
        summary['latency_ms'] = 1e3 * statistics.median(forward)
        summary['latency_p95_ms'] = 1e3 * quantile(forward, 0.95)
        summary['clips_per_s'] = 1 / statistics.median(forward)
        if step:
            median = statistics.median(step)
            summary['step_ms'] = 1e3 * median
            summary['step_quartiles_ms'] = [
                1e3 * quantile(step, q) for q in (0.25, 0.75)
            ]
            summary['ucf101_epoch_min'] = (
                median / self.step_clips * UCF101_TRAINING_CLIPS / 60
            )
        return summary


def quantile(ordered: list[float], fraction: float) -> float:
    """Quantile of sorted values, by linear interpolation."""
    position = fraction * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


class TimedModel:
    """A model with its input and optimizer, ready to be timed."""

    def __init__(self, entry: Entry, batch_size: int, device: str):
        torch.manual_seed(0)
        cfg = load_config(entry.config)
        self.device = torch.device(device)
        # Speed does not depend on the weights: load no pretrained ones.
        self.model = build_model(cfg)
        self.model.to(self.device)
        self.clip = sample_batch(cfg, 1)
        self.batch = sample_batch(cfg, batch_size)
        self.optimizer = OptimWrapper(
            torch.optim.SGD(
                self.model.parameters(), lr=1e-4, momentum=0.9, nesterov=True
            )
        )
        if entry.teacher:
            self._add_teacher(cfg, entry.teacher, batch_size)

    def _add_teacher(self, cfg, kind: str, batch_size: int):
        """Train with the distiller's loss and a teacher of random weights."""
        settings = dict(cfg.model)
        settings['backbone'] = dict(settings['backbone'])
        if kind == 'recorded':
            self._folder = tempfile.TemporaryDirectory()
            settings['teacher'] = dict(
                type='RecordedTeacher', path=self._folder.name
            )
        student = MODELS.build(settings)
        student.load_state_dict(self.model.state_dict())
        teacher = student.teacher
        if kind == 'online':
            config = load_config(str(find_config(cfg.model.teacher.config)))
            teacher.use_model(build_model(config).to(self.device))
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
        self.optimizer.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=1e-4, momentum=0.9, nesterov=True
        )

    def forward(self):
        """Run one clip as in testing: normalization, backbone, head."""
        self.model.eval()
        with torch.no_grad():
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

    def _synchronize(self):
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


def run_benchmark(
    entries: list[Entry],
    device: str = 'cpu',
    threads: int = 1,
    batch_size: int = 1,
    forwards: int = 15,
    steps: int = 5,
    report: Callable[[str], None] = print,
) -> dict:
    """Measure all models in turns, so that a slow moment affects each.

    Args:
        entries: Models to measure.
        device: ``'cpu'`` or ``'cuda'``.
        threads: CPU threads of PyTorch.
        batch_size: Clips per training step.
        forwards: Timed forward passes per model, after one warm-up pass.
        steps: Timed training steps per model, after one warm-up step; 0
            skips training.
        report: Called with one line per model and per round.

    Returns:
        ``machine``, ``batch_size`` and ``models``, ready for JSON.
    """
    prepare_process(threads, device)
    configs = [load_config(entry.config) for entry in entries]
    measurements = []
    for entry, cfg in zip(entries, configs, strict=True):
        counts = complexity(cfg)
        measurements.append(
            Measurement(
                entry.name,
                entry.config,
                counts.parameters,
                counts.macs,
                counts.shape,
                step_clips=batch_size,
            )
        )
        report(f'{entry.name}: {counts.macs / 1e9:.1f} GMACs')
        measurement = measurements[-1]
        measurement.inference_bytes = peak_memory(
            entry, 'forward', batch_size, device, threads
        )
        if steps:
            measurement.training_bytes = peak_memory(
                entry, 'step', batch_size, device, threads
            )
    models = [TimedModel(entry, batch_size, device) for entry in entries]
    for work, rounds, name in (
        (TimedModel.forward, forwards, 'forward_s'),
        (TimedModel.step, steps, 'step_s'),
    ):
        for number in range(rounds + 1 if rounds else 0):
            for model, measurement in zip(models, measurements, strict=True):
                seconds = model.timed(lambda m=model, w=work: w(m))
                if number:  # the first one warms up
                    getattr(measurement, name).append(seconds)
            report(f'{name.removesuffix("_s")}: round {number} of {rounds}')
    return dict(
        machine=describe_machine(device, threads),
        batch_size=batch_size,
        models=[m.summary() for m in measurements],
    )


def prepare_process(threads: int, device: str):
    """Set threads and malloc as training does, and silence MMEngine's log."""
    torch.set_num_threads(threads)
    if device == 'cpu':
        keep_freed_memory()
    MMLogger.get_instance('benchmark', log_level='WARNING')


def peak_memory(entry, work, batch_size, device, threads) -> int | None:
    """Measure the peak memory of a model's work in a separate process.

    Args:
        work: ``'forward'`` or ``'step'``.

    Returns:
        Bytes, or None if the process fails, for example out of memory.
    """
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=measure_peak,
        args=(entry, work, batch_size, device, threads, sender),
    )
    process.start()
    sender.close()
    try:
        peak = receiver.recv()
    except EOFError:
        peak = None
    process.join()
    return peak


def measure_peak(entry, work, batch_size, device, threads, sender):
    """Send the peak memory of one model's work; runs in its own process."""
    prepare_process(threads, device)
    before = resident_peak()
    model = TimedModel(entry, batch_size, device)
    for _ in range(2):
        getattr(model, work)()
    if device == 'cuda':
        sender.send(torch.cuda.max_memory_allocated())
    else:
        sender.send(resident_peak() - before)


def resident_peak() -> int:
    """Peak resident memory of this process, in bytes.

    On Linux ``ru_maxrss`` does not serve: a new process inherits its
    parent's value.
    """
    try:
        status = Path('/proc/self/status').read_text()
        return int(re.search(r'^VmHWM:\s*(\d+) kB', status, re.M)[1]) * 1024
    except (OSError, TypeError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == 'darwin' else peak * 1024


def describe_machine(device: str, threads: int) -> dict:
    """Report processor or GPU, threads and versions."""
    machine = dict(
        device=device,
        threads=threads,
        cores=os.cpu_count(),
        processor=processor_name(),
        python=platform.python_version(),
        torch=torch.__version__,
    )
    if device == 'cuda':
        machine['gpu'] = torch.cuda.get_device_name()
    return machine


def processor_name() -> str:
    """Name of the processor, as Linux reports it, or else Python."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (x.partition(':')[2] for x in lines if x.startswith('model name'))
    return next(names, platform.machine()).strip()
