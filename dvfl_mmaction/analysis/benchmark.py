"""Compare the speed and memory of models on this machine."""

import multiprocessing
import os
import platform
import re
import resource
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from ..malloc import keep_freed_memory
from .comparison import compare, quantile
from .complexity import complexity
from .configs import load_config
from .timed_model import Entry, TimedModel

UCF101_TRAINING_CLIPS = 9537  # split 1
MIB = 2**20
# Untimed rounds: cuDNN chooses its algorithms, and memory is allocated.
WARM_UPS = dict(cpu=1, cuda=3)
# As Linux names them, for x86 and Arm.
INSTRUCTION_SETS = (
    *('avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx_vnni', 'avx512_bf16'),
    *('avx512_fp16', 'amx_int8', 'amx_bf16'),
    *('asimd', 'asimddp', 'i8mm', 'bf16', 'sve'),
)


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
        forward_busy, step_busy: Share of the time, 0 to 1, in which the
            device computes.
        released: Whether this is the formulation of the released code.
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
    forward_busy: float | None = None
    step_busy: float | None = None
    released: bool = False

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
            summary['step_clips_per_s'] = self.step_clips / median
            summary['step_quartiles_ms'] = [
                1e3 * quantile(step, q) for q in (0.25, 0.75)
            ]
            summary['ucf101_epoch_min'] = (
                median / self.step_clips * UCF101_TRAINING_CLIPS / 60
            )
        return summary


def run_benchmark(
    entries: list[Entry],
    device: str = 'cpu',
    threads: int = 1,
    batch_size: int = 1,
    forwards: int = 15,
    steps: int = 5,
    report: Callable[[str], None] = print,
    amp: str | None = None,
) -> dict:
    """Measure all models in turns, so that a slow moment affects each.

    Args:
        entries: Models to measure.
        device: ``'cpu'`` or ``'cuda'``.
        threads: CPU threads of PyTorch.
        batch_size: Clips per training step.
        forwards: Timed forward passes per model, after the warm-up.
        steps: Timed training steps per model, after the warm-up; 0 skips
            training.
        report: Called with one line per model and per round.
        amp: Data type of autocast, ``'float16'`` (CUDA only) or
            ``'bfloat16'``; None for float32.

    Returns:
        ``machine``, ``batch_size``, ``amp``, ``models`` and
        ``comparisons``, ready for JSON.
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
                released=entry.released,
            )
        )
        report(f'{entry.name}: {counts.macs / 1e9:.1f} GMACs')
        measurement = measurements[-1]
        measurement.inference_bytes = peak_memory(
            entry, 'forward', batch_size, device, threads, amp
        )
        if steps:
            measurement.training_bytes = peak_memory(
                entry, 'step', batch_size, device, threads, amp
            )
    models = [TimedModel(entry, batch_size, device, amp) for entry in entries]
    pairs = list(zip(models, measurements, strict=True))
    for work, rounds, name in (
        (TimedModel.forward, forwards, 'forward'),
        (TimedModel.step, steps, 'step'),
    ):
        if rounds:
            for model in models * WARM_UPS[device]:
                work(model)
            measure_in_turns(pairs, work, rounds, name, report)
    return dict(
        machine=describe_machine(device, threads),
        batch_size=batch_size,
        amp=amp,
        models=[m.summary() for m in measurements],
        comparisons=compare(measurements),
    )


def measure_in_turns(
    pairs: list[tuple[TimedModel, Measurement]],
    work: Callable,
    rounds: int,
    name: str,
    report: Callable[[str], None],
):
    """Time ``work`` of all models in turns; every other turn is reversed.

    Args:
        pairs: Models, and where their times go.
        work: A method of ``TimedModel``.
        rounds: Turns.
        name: ``'forward'`` or ``'step'``.
        report: Called with one line per turn.
    """
    for number in range(1, rounds + 1):
        for model, measurement in pairs[:: 1 if number % 2 else -1]:
            seconds = model.timed(lambda m=model: work(m))
            getattr(measurement, f'{name}_s').append(seconds)
        report(f'{name}: round {number} of {rounds}')
    for model, measurement in pairs:
        times = getattr(measurement, f'{name}_s')
        busy = model.busy(lambda m=model: work(m))
        share = busy / statistics.median(times)
        setattr(measurement, f'{name}_busy', share)


def prepare_process(threads: int, device: str):
    """Set what training sets, and silence MMEngine's log."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    if device == 'cpu':
        keep_freed_memory()
    MMLogger.get_instance('benchmark', log_level='WARNING')


def peak_memory(
    entry, work, batch_size, device, threads, amp=None
) -> int | None:
    """Measure the peak memory of a model's work in a separate process.

    Args:
        work: ``'forward'`` or ``'step'``.

    Returns:
        Bytes, or None if the process fails, for example out of memory.
    """
    return call_apart(
        measure_peak, entry, work, batch_size, device, threads, amp
    )


def call_apart(function: Callable, *args):
    """Call a function in a new process, so that memory is its own.

    Args:
        function: Of a module; its last argument sends what is returned.
        *args: Its other arguments.

    Returns:
        What it sends, or None if the process fails.
    """
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=function, args=(*args, sender))
    process.start()
    sender.close()
    try:
        sent = receiver.recv()
    except EOFError:
        sent = None
    process.join()
    return sent


def measure_peak(entry, work, batch_size, device, threads, amp, sender):
    """Send the peak memory of one model's work; runs in its own process."""
    prepare_process(threads, device)
    before = resident_peak()
    model = TimedModel(entry, batch_size, device, amp)
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
        return peak_bytes(resource.getrusage(resource.RUSAGE_SELF))


def peak_bytes(usage: resource.struct_rusage) -> int:
    """Peak resident memory of ended or running processes, in bytes.

    macOS counts bytes; other systems count units of 1,024.
    """
    unit = 1 if sys.platform == 'darwin' else 1024
    return usage.ru_maxrss * unit


def describe_machine(device: str, threads: int) -> dict:
    """Report processor or GPU, threads and versions."""
    machine = dict(
        device=device,
        threads=threads,
        cores=os.cpu_count(),
        processor=processor_name(),
        instruction_sets=instruction_sets(),
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


def instruction_sets() -> list[str]:
    """Those of the processor that decide the speed of networks.

    Empty where ``/proc/cpuinfo`` does not list them.
    """
    try:
        text = Path('/proc/cpuinfo').read_text()
    except OSError:
        return []
    line = re.search(r'^(?:flags|Features)\s*:(.*)$', text, re.M)
    found = set(line[1].split()) if line else set()
    return [name for name in INSTRUCTION_SETS if name in found]
