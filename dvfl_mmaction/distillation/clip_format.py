"""Frames and size of the clips that a recognizer was trained on."""

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral

from mmaction.models import Recognizer2D, Recognizer3D
from torch import nn

from ..engine.config_checks import nested_datasets, type_name
from ..errors import UserError

# Arguments of MMAction2's backbones and heads that fix the input.
SEGMENTS = 'num_segments'  # TSM, TIN, TANet, TRN
FRAMES = ('num_frames', 'temporal_size', 't_size')
SIZES = ('spatial_size', 'img_size', 'input_resolution')
WHOLE = ('UniformSample', 'UniformSampleFrames')  # sample all of a video
CROPS = ('CenterCrop', 'RandomCrop', 'ThreeCrop', 'TenCrop')
UNSIZED = ('RandomResizedCrop', 'MultiScaleCrop', 'RandomRescale')


@dataclass(frozen=True)
class ClipFormat:
    """Frames per clip, and (height, width) in pixels; None if unknown."""

    num_frames: int | None = None
    size: tuple[int, int] | None = None


def layout_of(model: nn.Module) -> str:
    """Layout of a recognizer's input, ``'NCTHW'`` or ``'NCHW'``.

    Raises:
        UserError: If the recognizer takes other inputs than clips.
    """
    if isinstance(model, Recognizer3D):
        return 'NCTHW'
    if isinstance(model, Recognizer2D):
        return 'NCHW'
    raise UserError(
        f'the teacher is a {type(model).__name__}; give a Recognizer2D or a '
        "Recognizer3D, which take the student's clips"
    )


def read_clip_format(config: dict, layout: str) -> ClipFormat:
    """Read frames and size from a recognizer's config.

    The training pipeline is read first, then the arguments of the network.
    A 2D recognizer averages over any number of frames, so its frames are
    fixed only by ``num_segments``.

    Args:
        config: The whole config, or only the model's.
        layout: As :func:`layout_of` returns it.
    """
    model = config.get('model', config)
    steps = training_pipeline(config)
    parts = [model.get(key) or {} for key in ('cls_head', 'neck', 'backbone')]
    size = last_size(steps) or as_pair(first_of(SIZES, parts[-1:]))
    frames = first_of([SEGMENTS], parts)
    if frames is None and layout == 'NCTHW':
        frames = sampled_frames(steps) or first_of(FRAMES, parts[-1:])
    return ClipFormat(frames, size)


def built_segments(model: nn.Module) -> int | None:
    """``num_segments`` of a built recognizer's parts, by default or given.

    The head's number counts before the backbone's, whose features it
    divides into clips.
    """
    for part in ('cls_head', 'neck', 'backbone'):
        segments = getattr(getattr(model, part, None), SEGMENTS, None)
        if isinstance(segments, int):
            return segments
    return None


def training_pipeline(config: dict) -> list[dict]:
    """Pipeline of the training data, or else of the validation or test."""
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = (config.get(loader) or {}).get('dataset')
        for leaf in nested_datasets(dataset):
            if leaf.get('pipeline'):
                return leaf['pipeline']
    return []


def sampled_frames(steps: Iterable[dict]) -> int | None:
    """Frames per view of the last sampling step."""
    frames = None
    for step in steps:
        if isinstance(step.get('clip_len'), Integral):
            frames = int(step['clip_len'])
    return frames


def sampled_span(config: dict) -> str | None:
    """Part of the video that a clip of the training covers, in words.

    None if no step of the pipeline says it.
    """
    span = None
    for step in training_pipeline(config):
        if not isinstance(step.get('clip_len'), Integral):
            continue
        segments = step['clip_len'] == 1 and step.get('num_clips', 1) > 1
        name = type_name(step)
        if name in WHOLE or segments:
            span = 'the whole video'
        elif name.endswith('SampleFrames'):
            interval = step.get('frame_interval', 1)
            span = f'{step["clip_len"] * interval} frames of the video'
    return span


def last_size(steps: Iterable[dict]) -> tuple[int, int] | None:
    """(height, width) after the last step that changes it."""
    size = None
    for step in steps:
        name = type_name(step)
        if name == 'Resize':
            kept = step.get('keep_ratio', True)
            size = None if kept else as_pair(step.get('scale'), flipped=True)
        elif name in CROPS:
            crop = step.get('crop_size', step.get('size'))
            size = as_pair(crop, flipped=True)
        elif name in UNSIZED:
            size = None
    return size


def first_of(keys: Iterable[str], parts: Iterable[dict]):
    """The first value that is given under one of the keys."""
    parts = list(parts)
    return next((p[k] for k in keys for p in parts if k in p), None)


def as_pair(value, flipped: bool = False) -> tuple[int, int] | None:
    """(height, width) of a side or a pair; None for anything else.

    Args:
        value: A number, or a pair of numbers above 0.
        flipped: Whether the pair is (width, height), as in pipelines.
    """
    pair = (value, value) if isinstance(value, Integral) else value
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return None
    if not all(isinstance(v, Integral) and v > 0 for v in pair):
        return None
    pair = tuple(int(v) for v in pair)
    return pair[::-1] if flipped else pair
