"""Export in int8, with a test of what it costs in accuracy."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..analysis.paired_comparison import PairedComparison, compare_paired
from ..analysis.prediction.clips import Clip, find_clips
from ..distillation.binary_divergence import has_several_labels
from ..errors import UserError
from ..preparation.clips.runner import even_sample
from .export import (
    SAMPLE_CLIPS,
    Agreement,
    Source,
    check_agreement,
    check_target,
    compare,
    describe,
)
from .exported_model import load_exported
from .graph_capture import capture_graph
from .listed_clips import (
    classify_correctly,
    find_listed_clips,
    read_first_views,
)
from .quantisation import (
    FLOAT_MODELS,
    LADDER,
    QUANTISERS,
    CalibrationInputs,
)
from .writers import SAVERS, whole_export


@dataclass
class Int8Options:
    """What the export in int8 reads, and what it may cost.

    Attributes:
        calibration_clips: Clips of the config's training list that set the
            ranges, >= 1.
        test_list: A list with labels; None is the config's test list.
        root: Folder of the list's videos; None as ``tools/predict.py``.
        max_drop: Largest loss of accuracy, in points. It is compared with
            the lower end of the 95 % interval.
        force: Quantise every layer and keep the file, whatever it costs.
        workers: Processes that read the tested clips.
    """

    calibration_clips: int = 300
    test_list: str | None = None
    root: str | None = None
    max_drop: float = 0.5
    force: bool = False
    workers: int = 0


@dataclass
class Int8Result:
    """What the export in int8 costs.

    Attributes:
        agreement: With the recognizer, on clips of the calibration.
        before: Accuracy in float32, in percent.
        after: Accuracy in int8, in percent.
        comparison: Of the two, clip by clip.
        kept: Layers that stay in float.
    """

    agreement: Agreement
    before: float
    after: float
    comparison: PairedComparison
    kept: tuple[str, ...]

    def __str__(self) -> str:
        paired = self.comparison
        kept = f'; in float: {", ".join(self.kept)}' if self.kept else ''
        return (
            f'accuracy {self.before:.2f} -> {self.after:.2f} % of '
            f'{paired.clips} clips ({paired.gained:.0f} gained, '
            f'{paired.lost:.0f} lost), difference {paired.difference:+.2f} '
            f'points, 95 % interval {paired.low:+.2f} to {paired.high:+.2f}'
            f'{kept}'
        )


def export_int8(
    source: Source,
    path: Path,
    target: str,
    options: Int8Options,
    dynamic: Sequence[str] = (),
    streaming: bool = False,
    report: Callable[[str], None] = print,
) -> Int8Result:
    """Quantise, test, and write the file if its accuracy is kept.

    The float32 file of the same format is the baseline. If the accuracy is
    not kept, the most sensitive layers stay in float, step by step.

    Args:
        source: Of :func:`.export.load_source`.
        path: The file; its suffix is that of the format.
        target: ``'onnx'`` or ``'openvino'``.
        options: Of the calibration and the test.
        dynamic: Axes of any length.
        streaming: The frame-by-frame form of a causal model.
        report: Takes a line per set of layers that loses too much.

    Raises:
        UserError: If a list or an option does not fit, a package is
            missing, or the loss of accuracy may exceed ``max_drop``. The
            files of ``path`` are then as before.
    """
    check_target(path, target, 'int8', source)
    if has_several_labels(source.recognizer.cls_head):
        raise UserError(
            'the model predicts several labels per clip, whose accuracy is '
            'not tested here; export it with --precision bf16'
        )
    tested = find_tested_clips(source, options)
    training = find_listed_clips(source.cfg, 'train')
    training, _ = even_sample(training, options.calibration_clips)
    graph = capture_graph(
        source.recognizer, source.clip_len, source.size, dynamic, streaming
    )
    metadata = describe(source, 'int8', dynamic, streaming)
    model, save = FLOAT_MODELS[target](graph), SAVERS[target]
    with whole_export(path) as part:
        exact = part.with_name('fp32') / path.name
        exact.parent.mkdir()
        save(model, exact, metadata | dict(precision='fp32'))
        reference = load_exported(exact)
        check_agreement(exact, compare(source, reference), 'fp32')
        clips = list(read_first_views(training, reference))
        if not clips:
            raise UserError(
                'no clip of the training list can be read; check data_root '
                'of train_dataloader'
            )
        for clip in clips:
            reference.check_clips(clip)
        inputs = CalibrationInputs(reference, clips)
        # Noise would lie outside the ranges that clips set. With axes of any
        # length, clips may have several shapes.
        same = [clip for clip in clips if clip.shape == clips[0].shape]
        samples = np.concatenate(same[:SAMPLE_CLIPS])
        before = classify_correctly(tested, reference, options.workers)
        for kept in LADDER[:1] if options.force else LADDER:
            quantised = QUANTISERS[target](model, inputs, kept)
            save(quantised, part, metadata)
            candidate = load_exported(part)
            after = classify_correctly(tested, candidate, options.workers)
            result = Int8Result(
                compare(source, candidate, samples),
                100 * float(before.mean()),
                100 * float(after.mean()),
                compare_paired(after, before),
                kept,
            )
            if result.comparison.low >= -options.max_drop:
                break
            if not options.force and kept != LADDER[-1]:
                report(f'loses too much: {result}')
        if result.comparison.low < -options.max_drop and not options.force:
            raise UserError(refusal(result, options))
        metadata['int8'] = dict(
            calibration_clips=len(clips),
            test_list=Path(options.test_list or "the config's").name,
            before=result.before,
            after=result.after,
            kept=list(result.kept),
            **asdict(result.comparison),
        )
        del candidate
        save(quantised, part, metadata)
    return result


def find_tested_clips(source: Source, options: Int8Options) -> list[Clip]:
    """Clips of the list that decides."""
    if options.test_list is None:
        return find_listed_clips(source.cfg, 'test')
    return find_clips([options.test_list], options.root)


def refusal(result: Int8Result, options: Int8Options) -> str:
    """Why the file is not kept, and what can be done."""
    paired = result.comparison
    remedy = 'raise --max-drop, or keep the file with --force'
    if paired.difference >= -options.max_drop:
        remedy = (
            f'{paired.clips} clips cannot resolve the difference; give a '
            f'longer list (--test-list), {remedy}'
        )
    return (
        f'int8 may lose more than {options.max_drop} points: {result}; no '
        f'file was written; {remedy}'
    )
