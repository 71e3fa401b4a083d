"""Top-level options of a config that change its clips, by name.

``clip_size``, ``clip_len``, ``frame_interval`` and ``decoder`` change the
pipelines of all loaders, ``test_views`` that of testing. Each changes nothing
if the pipelines have its value already, so a config that was dumped with the
changes gives the same clips when it is loaded again.
"""

import copy
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

from ..errors import UserError
from .config_checks import (
    LOADERS,
    named_loaders,
    nested_datasets,
    type_name,
)

# Steps with a size, and the argument that holds it.
SIZES = dict(
    Resize='scale',
    RandomRescale='scale_range',
    RandomCrop='size',
    MultiScaleCrop='input_size',
    CenterCrop='crop_size',
    ThreeCrop='crop_size',
    TenCrop='crop_size',
)
SEGMENTS = ('UniformSample', 'UniformSampleFrames')
STRIDES = (
    'SampleFrames',
    'DenseSampleFrames',
    'UntrimmedSampleFrames',
    'SampleAVAFrames',
)
DECODERS = dict(
    clip=('ClipInit', 'ClipDecode'),
    decord=('DecordInit', 'DecordDecode'),
    pyav=('PyAVInit', 'PyAVDecode'),
    opencv=('OpenCVInit', 'OpenCVDecode'),
)
MODULES = dict(clip='av', decord='decord', pyav='av', opencv='cv2')


def apply_clip_options(cfg: dict):
    """Change all pipelines to the options of the clips.

    ``clip_size``: Height and width of the clips, in pixels. The other sizes
    of a pipeline change in proportion: with 112, a short side of 256 before
    a crop of 224 becomes 128. ``clip_len``: Frames per clip; the pictures of
    a further training loader (``other_loaders``) stay single.
    ``frame_interval``: Samples the frames at this stride (``SampleFrames``)
    instead of one per segment (``UniformSample``); the number of clips
    stays. ``decoder``: ``clip`` (``ClipInit``), ``decord``, ``pyav`` or
    ``opencv``. Without an option the pipelines stay.

    Raises:
        UserError: If a value is malformed, or a pipeline lacks a step that
            it changes.
    """
    for name, change in CHANGES.items():
        value = cfg.get(name)
        if value is None:
            continue
        check_value(name, value)
        for loader, settings in named_loaders(cfg):
            fail = partial(lacks_step, name, value, loader)
            for dataset in piped_datasets(settings):
                steps = copy.deepcopy(list(dataset['pipeline']))
                pictures = loader not in LOADERS and not takes_clips(steps)
                if name == 'clip_len' and pictures:
                    continue
                change(steps, value, fail)
                dataset['pipeline'] = steps


def apply_test_views(cfg: dict):
    """Change the test pipeline to the clips and crops of ``test_views``.

    ``test_views='4x3'`` means 4 clips of 3 crops each: any number of clips,
    1 or 3 crops. It sets ``num_clips`` of the step with ``clip_len``. For 3
    crops it replaces ``CenterCrop`` by ``ThreeCrop`` of the same size, and
    the preceding ``Resize`` scales the short side to the crop size, so that
    the three crops lie along the long side. For 1 crop in place of 3,
    ``Resize`` is that of the validation. Without ``test_views`` the pipeline
    stays.

    Raises:
        UserError: If the value is malformed, or the pipeline lacks a step
            or a square crop.
    """
    views = cfg.get('test_views')
    if views is None:
        return
    match = re.fullmatch(r'([1-9]\d*)x([13])', str(views))
    if not match:
        raise UserError(
            f"test_views is {views!r}; give CLIPSxCROPS, such as '1x1' or "
            "'4x3': any number of clips, 1 or 3 crops"
        )
    clips, crops = map(int, match.groups())
    fail = partial(lacks_step, 'test_views', views, 'test_dataloader')
    for dataset in piped_datasets(cfg.get('test_dataloader')):
        steps = copy.deepcopy(list(dataset['pipeline']))
        sampling_steps(steps, fail)[-1]['num_clips'] = clips
        crop = last_step(steps, ('CenterCrop', 'ThreeCrop'))
        if crops == 3:
            resize = crop and last_step(steps, ('Resize',), before=crop)
            if not resize:
                raise fail('Resize and CenterCrop')
            crop['type'] = 'ThreeCrop'
            resize['scale'] = (-1, square_side(crop['crop_size'], fail))
        elif crop and type_name(crop) == 'ThreeCrop':
            crop['type'] = 'CenterCrop'
            resize = last_step(steps, ('Resize',), before=crop)
            side = square_side(crop['crop_size'], fail)
            scale = validation_scale(cfg, views, side)
            if resize and scale:
                resize['scale'] = scale
        dataset['pipeline'] = steps


def apply_pipeline_variables(cfg: dict):
    """Set ``test_pipeline`` to the steps of the test loader.

    MMAction2's inference reads it. ``train_pipeline`` and ``val_pipeline``
    follow their loaders if the config has them.
    """
    for loader in LOADERS:
        part = loader.removesuffix('_dataloader')
        dataset = next(piped_datasets(cfg.get(loader)), None)
        if dataset and (part == 'test' or f'{part}_pipeline' in cfg):
            cfg[f'{part}_pipeline'] = copy.deepcopy(dataset['pipeline'])


def check_value(name: str, value):
    """Reject a malformed value of an option.

    Raises:
        UserError: If it is malformed, or its decoder is not installed.
    """
    if name != 'decoder':
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(
                f'{name} is {value!r}; give a whole number of 1 or more'
            )
        return
    if not isinstance(value, str) or value not in DECODERS:
        raise UserError(
            f'decoder is {value!r}; give one of {", ".join(DECODERS)}'
        )
    if find_spec(MODULES[value]) is None:
        raise UserError(
            f'decoder is {value!r} but {MODULES[value]} is not installed; '
            'install it, or leave out decoder'
        )


def set_clip_size(steps: list[dict], size: int, fail: Callable):
    """Scale all sizes of a pipeline so that its clips are ``size`` pixels."""
    sized = [step for step in steps if type_name(step) in SIZES]
    last = next((s for s in reversed(sized) if fixes_size(s)), None)
    if last is None:
        raise fail('a crop, or a Resize with keep_ratio=False')
    old = square_side(last[SIZES[type_name(last)]], fail, 'output')
    for step in sized:
        key = SIZES[type_name(step)]
        step[key] = scaled(step[key], size, old)


def square_side(size, fail: Callable, what: str = 'crop') -> int:
    """Return the side of a size, which is a number or a pair."""
    if not isinstance(size, list | tuple):
        return size
    if len(set(size)) > 1:
        raise fail(f'a square {what} (it is {tuple(size)})')
    return size[0]


def fixes_size(step: dict) -> bool:
    """Whether all frames have the same size after this step."""
    if type_name(step) == 'Resize':
        return not step.get('keep_ratio', True)
    return type_name(step) != 'RandomRescale'


def scaled(value, size: int, old: int):
    """Scale pixels by size / old; -1, infinity and factors stay."""
    if isinstance(value, list | tuple):
        return type(value)(scaled(part, size, old) for part in value)
    if isinstance(value, int) and value > 0:
        return round(value * size / old)
    return value


def set_clip_len(steps: list[dict], clip_len: int, fail: Callable):
    """Set the frames per clip."""
    for step in sampling_steps(steps, fail):
        step['clip_len'] = clip_len


def set_frame_interval(steps: list[dict], interval: int, fail: Callable):
    """Sample frames at a stride, in the same number of clips."""
    for step in sampling_steps(steps, fail):
        if type_name(step) in SEGMENTS:
            kept = ('clip_len', 'num_clips', 'test_mode')
            for key in set(step) - set(kept):
                del step[key]
            step['type'] = 'SampleFrames'
        elif type_name(step) not in STRIDES:
            raise fail(f'one of {", ".join(SEGMENTS + STRIDES)}')
        step['frame_interval'] = interval


def set_decoder(steps: list[dict], decoder: str, fail: Callable):
    """Replace the steps that open and decode a video."""
    for part, wanted in enumerate(DECODERS[decoder]):
        names = [pair[part] for pair in DECODERS.values()]
        found = [i for i, s in enumerate(steps) if type_name(s) in names]
        if not found:
            raise fail(f'one of {", ".join(names)}')
        for i in found:
            if type_name(steps[i]) != wanted:
                steps[i] = dict(type=wanted)


CHANGES = dict(
    clip_size=set_clip_size,
    clip_len=set_clip_len,
    frame_interval=set_frame_interval,
    decoder=set_decoder,
)


def piped_datasets(loader: dict | None) -> Iterator[dict]:
    """Yield the configs of a loader's data sets that have a pipeline."""
    for dataset in nested_datasets((loader or {}).get('dataset')):
        if dataset.get('pipeline'):
            yield dataset


def sampling_steps(steps: list[dict], fail: Callable) -> list[dict]:
    """Return the steps that sample frames, at least one."""
    found = [step for step in steps if 'clip_len' in step]
    if not found:
        raise fail('a sampling step with clip_len')
    return found


def takes_clips(steps: list[dict]) -> bool:
    """Whether a pipeline samples several frames per clip."""
    return any(step.get('clip_len', 1) > 1 for step in steps)


def last_step(
    steps: list[dict], names: tuple[str, ...], before: dict | None = None
) -> dict | None:
    """Return the last step of some types, if any, before another step."""
    end = len(steps) if before is None else steps.index(before)
    found = [step for step in steps[:end] if type_name(step) in names]
    return found[-1] if found else None


def validation_scale(cfg: dict, views, crop_size: int):
    """Return the scale of the validation's Resize for a crop size."""
    fail = partial(lacks_step, 'test_views', views, 'val_dataloader')
    for dataset in piped_datasets(cfg.get('val_dataloader')):
        steps = dataset['pipeline']
        crop = last_step(steps, ('CenterCrop',))
        resize = crop and last_step(steps, ('Resize',), before=crop)
        if resize:
            old = square_side(crop['crop_size'], fail)
            return scaled(resize['scale'], crop_size, old)
    return None


def lacks_step(name: str, value, loader: str, steps: str) -> UserError:
    """Make the error of a pipeline that an option cannot change."""
    return UserError(
        f'{name} is {value!r} but the pipeline of {loader} lacks {steps}; '
        f'change the pipeline itself, and leave out {name}'
    )
