"""Export a checkpoint, and compare the written file with the recognizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from ..analysis.prediction.predictor import find_class_names, load_classifier
from ..analysis.sample_input import sample_batch, without_validation
from ..distillation.binary_divergence import (
    class_probabilities,
    has_several_labels,
)
from ..errors import UserError
from ..files import check_outputs
from .exported_model import ExportedModel, load_exported
from .graph_capture import capture_graph
from .metadata import LICENCE, make_metadata
from .writers import SUFFIXES, WRITERS, files_of, whole_export

PRECISIONS = ('fp32', 'bf16', 'int8')
# Largest difference of a probability. The exported file computes in bf16
# only where the processor can.
TOLERANCES = dict(fp32=1e-4, bf16=0.1)
SAMPLE_CLIPS = 8


@dataclass
class Source:
    """A checkpoint that is exported.

    Attributes:
        config: Path of the config.
        checkpoint: Path of the weights.
        cfg: The loaded config.
        recognizer: The model with its weights, in eval mode.
        classes: K names; None if unknown.
        clip_len: Frames per clip T.
        size: Height and width of the frames, in pixels.
        licence: Of the weights, by the Hugging Face hub's name for it.
    """

    config: str
    checkpoint: str
    cfg: Config
    recognizer: nn.Module
    classes: list[str] | None
    clip_len: int
    size: tuple[int, int]
    licence: str = LICENCE


@dataclass
class Agreement:
    """The exported file against the recognizer, on sample clips.

    Attributes:
        clips: Number of clips.
        difference: Largest difference of a probability.
        same: Clips with the same first class.
    """

    clips: int
    difference: float
    same: int

    def __str__(self) -> str:
        return (
            f'largest difference {self.difference:.1e}, the same class in '
            f'{self.same} of {self.clips} clips'
        )


def load_source(
    config: str,
    checkpoint: str,
    options: dict | None = None,
    classes: str | None = None,
    licence: str = LICENCE,
) -> Source:
    """Load what is exported; frames and size are those of its test.

    Args:
        config: Config file of a recognizer; of a distillation, its student.
        checkpoint: File of its weights.
        options: Changes of the config, as ``--cfg-options``.
        classes: File with a class name per line.
        licence: Of the weights.

    Raises:
        UserError: If a file is missing or does not fit.
    """
    cfg, model, loaded = load_classifier(config, checkpoint, options)
    head = model.cls_head
    names = find_class_names(
        cfg, loaded, getattr(head, 'num_classes', 0), classes
    )
    # The test pipeline goes with the file; the validation may have others.
    clip = sample_batch(without_validation(cfg), 1)['inputs'][0]
    if clip.dim() != 5 or clip.dtype != torch.uint8:
        raise UserError(
            f'the pipeline of {config} makes {tuple(clip.shape)} '
            f'{clip.dtype}; export needs uint8 clips (views, 3, T, H, W): '
            "set FormatShape's input_format='NCTHW' and leave the "
            "normalisation to the model's data_preprocessor"
        )
    frames, height, width = clip.shape[2:]
    return Source(
        config,
        checkpoint,
        cfg,
        model,
        names,
        frames,
        (height, width),
        licence,
    )


def export_model(
    source: Source,
    path: Path,
    target: str,
    precision: str = 'fp32',
    dynamic: Sequence[str] = (),
    streaming: bool = False,
) -> Agreement:
    """Write the file, and check it against the recognizer.

    Args:
        source: Of :func:`load_source`.
        path: The file; its suffix is that of the format.
        target: ``'onnx'``, ``'openvino'``, ``'torch-export'`` or
            ``'litert'``.
        precision: ``'fp32'``, or for OpenVINO ``'bf16'``. For int8 see
            :mod:`.quantisation`.
        dynamic: Axes of any length: ``batch``, ``frames``, ``size``; none
            for ``'litert'``.
        streaming: The frame-by-frame form of a causal model.

    Raises:
        UserError: If the model or the options cannot be exported, a package
            is missing, or the file differs from the recognizer by more than
            the tolerance. The files of ``path`` are then as before.
    """
    check_target(path, target, precision, source)
    if target == 'litert' and dynamic:
        raise UserError(
            f'--dynamic {",".join(dynamic)} was given, but litert files take '
            'the shape that they were converted with; leave it out, or give '
            'another format (--to)'
        )
    # Also checks that the recognizer is one that can be described.
    graph = capture_graph(
        source.recognizer, source.clip_len, source.size, dynamic, streaming
    )
    metadata = describe(source, precision, dynamic, streaming)
    if target == 'torch-export' and 'size' in dynamic:
        # Its maps have 2 positions or more along each axis.
        least = metadata['min_size'] = 2 * metadata['min_size']
        if min(source.size) < least:
            height, width = source.size
            raise UserError(
                f'clips are {height} x {width} pixels but .pt2 files with '
                f'--dynamic size take {least} or more per side; export them '
                'without it, or to another format'
            )
    with whole_export(path) as part:
        WRITERS[target](graph, part, metadata)
        agreement = compare(source, load_exported(part))
        check_agreement(path, agreement, precision)
    return agreement


def check_agreement(path: Path, agreement: Agreement, precision: str):
    """Reject a file that differs from the recognizer."""
    if not agreement.difference <= TOLERANCES[precision]:
        raise UserError(
            f'{path.name} differs from the recognizer ({agreement}), more '
            f'than {TOLERANCES[precision]}; nothing was written; give another '
            'format (--to), or report this'
        )


def check_target(path: Path, target: str, precision: str, source: Source):
    """Reject a file, a folder or a precision that does not fit."""
    suffix = SUFFIXES[target]
    if path.suffix != suffix:
        raise UserError(
            f'{path} has the suffix {path.suffix!r} but {target} files end '
            f'in {suffix}; rename it'
        )
    if not path.parent.is_dir():
        raise UserError(f'the folder {path.parent} was not found; create it')
    for file in files_of(path):
        if file.is_dir():
            raise UserError(f'{file} is a folder; give another name')
    check_outputs(files_of(path), [source.config, source.checkpoint])
    takes = {'openvino': PRECISIONS, 'onnx': ('fp32', 'int8')}
    if precision not in takes.get(target, ('fp32',)):
        raise UserError(
            f'{target} files have no {precision} here; give --precision '
            'fp32, or --to openvino'
        )


def describe(
    source: Source, precision: str, dynamic: Sequence[str], streaming: bool
) -> dict:
    """The metadata of a file."""
    backbone = source.recognizer.backbone
    return make_metadata(
        source.cfg,
        source.config,
        source.checkpoint,
        source.classes,
        source.size,
        source.clip_len,
        kind='streaming' if streaming else 'clip',
        precision=precision,
        dynamic=[
            axis for axis in ('batch', 'frames', 'size') if axis in dynamic
        ],
        min_size=backbone.min_size,
        tubelet_size=backbone.tubelet_size,
        temporal_window=backbone.temporal_window,
        licence=source.licence,
        several_labels=has_several_labels(source.recognizer.cls_head),
    )


def compare(
    source: Source, model: ExportedModel, frames: np.ndarray | None = None
) -> Agreement:
    """Run both on sample clips.

    A streaming model sees no more frames than the mean of its head, which
    is where it equals the recognizer.

    Args:
        source: Of the recognizer.
        model: The exported file.
        frames: (B, T, H, W, 3) uint8; None makes clips of noise.
    """
    if frames is None:
        frames = noise(source.clip_len, source.size)
    if model.kind == 'streaming':
        frames = frames[:, : source.recognizer.backbone.temporal_window]
    wanted = eager_probabilities(source.recognizer, frames)
    scores = model.predict(frames)
    return Agreement(
        len(frames),
        float(abs(scores - wanted).max()),
        int((scores.argmax(1) == wanted.argmax(1)).sum()),
    )


def noise(clip_len: int, size: tuple[int, int]) -> np.ndarray:
    """Clips of noise in cells of 2 to 16 pixels, (B, T, H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    height, width = size
    clips = []
    for i in range(SAMPLE_CLIPS):
        cell = 2 ** (i % 4 + 1)
        small = (clip_len, -(-height // cell), -(-width // cell), 3)
        clip = rng.integers(0, 256, small, np.uint8)
        clip = clip.repeat(cell, 1).repeat(cell, 2)
        clips.append(clip[:, :height, :width])
    return np.stack(clips)


@torch.no_grad()
def eager_probabilities(
    recognizer: nn.Module, frames: np.ndarray
) -> np.ndarray:
    """Probabilities of a recognizer in eval mode.

    Args:
        recognizer: With an ``I3DHead``.
        frames: (B, T, H, W, 3) uint8.

    Returns:
        (B, K) float32.
    """
    clips = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).contiguous()
    batch = dict(inputs=list(clips[:, None]), data_samples=None)
    batch = recognizer.data_preprocessor(batch, training=False)
    features, _ = recognizer.extract_feat(batch['inputs'], test_mode=True)
    scores = recognizer.cls_head(features)
    return class_probabilities(recognizer.cls_head, scores).numpy()
