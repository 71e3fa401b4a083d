"""Speed and memory of models, side by side, on this machine."""

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
        name: For the tables.
        config: Its config file.
        teacher: None, ``'online'`` or ``'recorded'``: how a training step
            gets the teacher's logits. The teacher is the config's own.
    """

    name: str
    config: str
    teacher: str | None = None


@dataclass
class Measurement:
    """What was measured of an entry; seconds, bytes, clips.

    Attributes:
        forward_s: Of each forward pass (1 clip), in the order taken.
        step_s: Of each training step.
        step_clips: Clips of a training step.
        inference_bytes: Peak memory of a forward pass above that of the
            libraries, weights included.
        training_bytes: Likewise, of a training step.
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
        """Medians, the 95th percentile and the quartiles."""
        forward, step = sorted(self.forward_s), sorted(self.step_s)
        found = asdict(self)
        found['latency_ms'] = 1e3 * statistics.median(forward)
        found['latency_p95_ms'] = 1e3 * quantile(forward, 0.95)
        found['clips_per_s'] = 1 / statistics.median(forward)
        if step:
            median = statistics.median(step)
            found['step_ms'] = 1e3 * median
            found['step_quartiles_ms'] = [
                1e3 * quantile(step, q) for q in (0.25, 0.75)
            ]
            found['ucf101_epoch_min'] = (
                median / self.step_clips * UCF101_TRAINING_CLIPS / 60
            )
        return found


def quantile(ordered: list[float], share: float) -> float:
    """Of sorted values, by linear interpolation."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


class Subject:
    """A model, its input and its optimizer, ready to be timed."""

    def __init__(self, entry: Entry, batch_size: int, device: str):
        torch.manual_seed(0)
        cfg = load_config(entry.config)
        self.device = torch.device(device)
        # Speed asks for no trained weights, and some models would fetch them.
        self.model = build_model(cfg)
        self.model.to(self.device)
        self.one = sample_batch(cfg, 1)
        self.batch = sample_batch(cfg, batch_size)
        self.optimizer = OptimWrapper(
            torch.optim.SGD(
                self.model.parameters(), lr=1e-4, momentum=0.9, nesterov=True
            )
        )
        if entry.teacher:
            self._add_teacher(cfg, entry.teacher, batch_size)

    def _add_teacher(self, cfg, kind: str, batch_size: int):
        """The distiller's loss, under a teacher of random weights."""
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
        """One clip, as tested: normalise, backbone, head."""
        self.model.eval()
        with torch.no_grad():
            data = self.model.data_preprocessor(self.one, training=False)
            feats, kwargs = self.model.extract_feat(
                data['inputs'], test_mode=True
            )
            self.model.cls_head(feats, **kwargs)

    def step(self):
        """One step of training: losses, gradients, update."""
        self.model.train()
        self.model.train_step(self.batch, self.optimizer)

    def timed(self, work: Callable) -> float:
        """Seconds that ``work`` takes, on the device to its end."""
        self._wait()
        start = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - start

    def _wait(self):
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


def run_benchmark(
    entries: list[Entry],
    device: str = 'cpu',
    threads: int = 1,
    batch_size: int = 1,
    forwards: int = 15,
    steps: int = 5,
    tell: Callable = print,
) -> dict:
    """Measure every entry, in turns, so that a slow moment meets all.

    Args:
        entries: Models.
        device: ``'cpu'`` or ``'cuda'``.
        threads: Of PyTorch, on the CPU.
        batch_size: Clips of a training step.
        forwards: Forward passes of each model, after one that is not
            counted.
        steps: Training steps of each model, likewise; 0 for none.
        tell: Gets a line about each round.

    Returns:
        ``machine`` and ``models``, plain numbers and lists.
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
        tell(f'{entry.name}: {counts.macs / 1e9:.1f} GMACs')
        found = measurements[-1]
        found.inference_bytes = peak_memory(
            entry, 'forward', batch_size, device, threads
        )
        if steps:
            found.training_bytes = peak_memory(
                entry, 'step', batch_size, device, threads
            )
    subjects = [Subject(entry, batch_size, device) for entry in entries]
    for work, rounds, name in (
        (Subject.forward, forwards, 'forward_s'),
        (Subject.step, steps, 'step_s'),
    ):
        for number in range(rounds + 1 if rounds else 0):
            for subject, found in zip(subjects, measurements, strict=True):
                seconds = subject.timed(lambda s=subject, w=work: w(s))
                if number:  # the first one warms up
                    getattr(found, name).append(seconds)
            tell(f'{name.removesuffix("_s")}: round {number} of {rounds}')
    return dict(
        machine=describe_machine(device, threads),
        batch_size=batch_size,
        models=[m.summary() for m in measurements],
    )


def prepare_process(threads: int, device: str):
    """As a run of MMAction2 with this package has it, but without its log."""
    torch.set_num_threads(threads)
    if device == 'cpu':
        keep_freed_memory()
    MMLogger.get_instance('benchmark', log_level='WARNING')


def peak_memory(entry, work, batch_size, device, threads) -> int | None:
    """Bytes that a model's work adds at its peak, in a process of its own.

    None where the process fails, as it does for want of memory.
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
    """Send the peak of one model's work; runs in a process of its own."""
    prepare_process(threads, device)
    before = resident_peak()
    subject = Subject(entry, batch_size, device)
    for _ in range(2):
        getattr(subject, work)()
    if device == 'cuda':
        sender.send(torch.cuda.max_memory_allocated())
    else:
        sender.send(resident_peak() - before)


def resident_peak() -> int:
    """Most memory that this program ever had, in bytes.

    Not Linux's ``ru_maxrss``: that of a new process begins with its
    parent's.
    """
    try:
        status = Path('/proc/self/status').read_text()
        return int(re.search(r'^VmHWM:\s*(\d+) kB', status, re.M)[1]) * 1024
    except (OSError, TypeError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == 'darwin' else peak * 1024


def describe_machine(device: str, threads: int) -> dict:
    """Processor or GPU, threads and versions."""
    found = dict(
        device=device,
        threads=threads,
        cores=os.cpu_count(),
        processor=processor_name(),
        python=platform.python_version(),
        torch=torch.__version__,
    )
    if device == 'cuda':
        found['gpu'] = torch.cuda.get_device_name()
    return found


def processor_name() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (x.partition(':')[2] for x in lines if x.startswith('model name'))
    return next(names, platform.machine()).strip()
