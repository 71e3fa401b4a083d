"""Compare the forms of one trained model: speed, memory and accuracy."""

import importlib.metadata
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..compat import run_repairs
from ..errors import UserError
from ..files import write_json
from .benchmark import (
    describe_machine,
    measure_in_turns,
    prepare_process,
)
from .comparison import quantile, ratios
from .deployed_accuracy import compare_answers, predict_all
from .deployed_models import (
    RELEASED,
    DeployedEntry,
    DeployedModel,
    note_other_checkpoints,
)
from .prediction.batches import ClipReader
from .prediction.clips import Clip, check_labels, without_labels
from .process_memory import measure_memory

WARM_UPS = 3
JOURNAL = 'answers.journal'
RESULTS = 'deployed.json'
PACKAGES = ('onnxruntime', 'openvino', 'ai-edge-litert')


@dataclass
class Timing:
    """Times of one form at a number of threads.

    Attributes:
        forward_s: Seconds per forward pass, in measured order.
        forward_busy: Share of the threads' time that the processor computes.
        processor_s: Seconds of processor time per forward pass.
    """

    forward_s: list[float] = field(default_factory=list)
    forward_busy: float | None = None
    processor_s: list[float] = field(default_factory=list)

    def summary(self, released: 'Timing | None', by_processor: bool) -> dict:
        """Add quantiles, and the speed-up over the released formulation.

        Args:
            released: Its times, measured in turns with these.
            by_processor: Take the speed-up of the processor times.
        """
        ordered = sorted(self.forward_s)
        summary = dict(
            forward_s=self.forward_s,
            processor_s=self.processor_s,
            busy=self.forward_busy,
            latency_ms=1e3 * statistics.median(ordered),
            latency_p95_ms=1e3 * quantile(ordered, 0.95),
            answers_per_s=1 / statistics.median(ordered),
        )
        if released:
            key = 'processor_s' if by_processor else 'forward_s'
            summary['speed_up'] = ratios(
                getattr(released, key), getattr(self, key)
            )
        return summary


def run_deployed_benchmark(
    entries: list[DeployedEntry],
    folder: Path,
    clips: Sequence[Clip] = (),
    threads: Sequence[int] = (1, 2),
    rounds: int = 30,
    memory: bool = True,
    report: Callable[[str], None] = print,
) -> dict:
    """Measure all forms in turns, then predict the clips with each.

    Answers are kept in a journal in ``folder``: rerun to resume. The results
    so far are written there after each part.

    Args:
        entries: Of :func:`.deployed_entries.make_entries`; the first is the
            reference.
        folder: Where to write; it exists.
        clips: Clips to predict; the first is the one that is timed.
        threads: Numbers of threads.
        rounds: Timed forward passes per form and number of threads.
        memory: Whether to measure memory.
        report: Called with a line per step.

    Returns:
        ``machine``, ``rounds``, ``rows`` and ``reading``, ready for JSON.

    Raises:
        UserError: If a clip has a label that a form with answers lacks.
    """
    rows = [dict(name=e.name, kind=e.kind, threads={}) for e in entries]
    results = dict(
        machine=describe_machine('cpu', max(threads)) | runtime_versions(),
        rounds=rounds,
        reading=None,
        rows=rows,
    )

    def save():
        write_json(folder / RESULTS, results)

    before = torch.get_num_threads()
    try:
        for count in threads:
            measure_times(entries, rows, count, clips, rounds, report)
            save()
        for entry, row in zip(entries, rows, strict=True):
            if memory:
                row['memory'] = measure_memory(entry, 1)
                report(f'{entry.name}: {describe_memory(row["memory"])}')
        save()
        if clips:
            results['reading'] = measure_answers(
                entries, rows, clips, max(threads), folder, report
            )
            save()
    finally:
        torch.set_num_threads(before)
    return results


def describe_memory(memory: dict | None) -> str:
    """Memory in a line of progress."""
    if memory is None:
        return 'memory was not measured, its process failed'
    loading, running = (v / 2**20 for v in memory.values())
    return f'memory {loading:.0f} MiB to load, {running:.0f} MiB to run'


def runtime_versions() -> dict:
    """Versions of the runtimes that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return dict(runtimes=found)


def measure_times(
    entries: list[DeployedEntry],
    rows: list[dict],
    threads: int,
    clips: Sequence[Clip],
    rounds: int,
    report: Callable[[str], None],
):
    """Time all forms in turns at a number of threads; fills ``rows``."""
    prepare_process(threads, 'cpu')
    with run_repairs:
        models = [load_model(e, threads, clips, report) for e in entries]
        check_all_labels(models, clips)
        note_other_checkpoints(models, rows, report)
        pairs = [(model, Timing()) for model in models]
        for model in models * WARM_UPS:
            model.timed(model.forward)
        for model in models:
            model.processor_s.clear()
        measure_in_turns(
            pairs,
            DeployedModel.forward,
            rounds,
            'forward',
            lambda line: report(f'{threads} threads, {line}'),
        )
    timings = {}
    for entry, (model, timing) in zip(entries, pairs, strict=True):
        timing.processor_s = model.processor_s
        timings.setdefault(entry.kind, timing)
    released = timings.get(RELEASED)
    for (model, timing), row in zip(pairs, rows, strict=True):
        row |= dict(unit=model.unit, file_bytes=model.bytes)
        row['threads'][str(threads)] = timing.summary(released, threads == 1)
        found = row['threads'][str(threads)]
        report(
            f'{row["name"]}, {threads} threads: {found["latency_ms"]:.1f} ms '
            f'a {model.unit} (p95 {found["latency_p95_ms"]:.1f})'
        )


def load_model(
    entry: DeployedEntry,
    threads: int,
    clips: Sequence[Clip],
    report: Callable[[str], None],
) -> DeployedModel:
    """Load a form, and give it the first clip that can be read."""
    model = DeployedModel(entry, threads)
    report(f'{entry.name}: loaded, {model.bytes / 2**20:.1f} MiB')
    reader = ClipReader(clips, model.predictor)
    samples = (reader[i][1] for i in range(len(clips)))
    sample = next((s for s in samples if s is not None), None)
    if sample is not None:
        model.use_sample(sample)
    return model


def check_all_labels(models: Sequence[DeployedModel], clips: Sequence[Clip]):
    """Reject labels that a form lacks, which would count as its mistakes.

    Raises:
        UserError: With the name of the form and the first label.
    """
    several = models[0].predictor.several_labels
    # With several labels nothing is compared with those of a list.
    for model in models[:1] if several else models:
        if not model.meaningful:
            continue
        try:
            check_labels(clips, model.predictor.num_classes, several)
        except UserError as error:
            raise UserError(f'{model.entry.name}: {error}') from None


def measure_answers(
    entries: list[DeployedEntry],
    rows: list[dict],
    clips: Sequence[Clip],
    threads: int,
    folder: Path,
    report: Callable[[str], None],
) -> dict | None:
    """Predict the clips with all forms; fills ``rows``.

    Returns:
        Median and 95th percentile of the time that reading a clip takes;
        None if the journal had all answers.
    """
    prepare_process(threads, 'cpu')
    models = {}
    for entry in entries:
        model = DeployedModel(entry, threads)
        if model.meaningful:
            models[entry.name] = model
    found, reading = predict_all(models, clips, folder / JOURNAL)
    reference = models[entries[0].name].predictor
    if reference.several_labels:  # one label is no answer to them
        clips = without_labels(clips)
    labels = [clip.label for clip in clips]
    for entry, row in zip(entries, rows, strict=True):
        if entry.name not in models:
            continue
        predictor = models[entry.name].predictor
        same = predictor.class_names == reference.class_names
        same = same and predictor.num_classes == reference.num_classes
        row['answers'] = compare_answers(
            found[entry.name], found[entries[0].name], labels, same
        )
        report(f'{entry.name}: {describe_answers(row["answers"])}')
    if not reading:
        return None
    ordered = sorted(reading)
    return dict(
        clips=len(ordered),
        median_ms=1e3 * statistics.median(ordered),
        p95_ms=1e3 * quantile(ordered, 0.95),
    )


def describe_answers(answers: dict) -> str:
    """Answers in a line of progress."""
    parts = [f'{answers["clips"]} clips']
    if 'top1' in answers:
        parts.append(f'top-1 {100 * answers["top1"]:.1f} %')
    if 'agreement' in answers:
        parts.append(f'agreement {100 * answers["agreement"]:.1f} %')
    return ', '.join(parts)
