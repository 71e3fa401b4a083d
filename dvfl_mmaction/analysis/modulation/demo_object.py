"""Where the object of a demo clip is, in the frames that a model sees."""

import json
import os
from pathlib import Path

import numpy as np
from mmengine.dataset import Compose

from ...engine.clip_options import DECODERS
from ...engine.config_checks import type_name
from ...errors import UserError
from ...preparation.motion_demo import (
    CLASSES,
    MANIFEST,
    SPLITS,
    VERSION,
    MotionClip,
    draw_clip,
    object_masks,
)
from ..prediction.frames import frames_of

DECODE_STEPS = {decoder for _, decoder in DECODERS.values()}


def find_demo_clip(path: Path) -> MotionClip:
    """Draw the content of a clip of the demo data anew.

    Args:
        path: ``.../videos/SPLIT/CLASS_INDEX.mp4``, with the manifest of the
            data beside ``videos``.

    Raises:
        UserError: If it is no such clip, the manifest is damaged, or the
            generator has changed since.
    """
    path = path.absolute()
    name, _, index = path.stem.rpartition('_')
    split, manifest = path.parent.name, path.parent.parent.parent / MANIFEST
    is_named = name in CLASSES and index.isdecimal() and split in SPLITS
    if not is_named or not manifest.is_file():
        raise UserError(
            f'{path} is no clip of the demo data, whose objects are known; '
            'give clips of tools/make_demo_dataset.py'
        )
    try:
        settings = json.loads(manifest.read_text(encoding='utf-8'))['settings']
        version, seed = settings['version'], settings['seed']
        num_frames = settings['num_frames']
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f'{manifest} is damaged; make the demo data again with '
            'tools/make_demo_dataset.py --overwrite'
        ) from None
    if version != VERSION:
        raise UserError(
            f'{manifest} has version {version} but this package '
            f'draws version {VERSION}; make the demo data again with '
            'tools/make_demo_dataset.py --overwrite'
        )
    return draw_clip(seed, split, int(index), num_frames)


def read_masks(path: Path, pipeline: list[dict], modality: str) -> np.ndarray:
    """Pass the object's masks through a pipeline instead of the frames.

    The pipeline samples the clip's own frames; after the step that decodes
    them, they are replaced. So the masks are cropped and scaled as the
    frames are.

    Args:
        path: A clip of the demo data.
        pipeline: Steps that read a clip, as configs.
        modality: Of the clips.

    Returns:
        (T, H, W) in [0, 1], of the middle view.

    Raises:
        UserError: As :func:`find_demo_clip`.
    """
    masks = list(object_masks(find_demo_clip(path)))
    results = dict(
        filename=os.fspath(path), label=-1, modality=modality, start_index=0
    )
    steps = Compose(pipeline).transforms
    for config, step in zip(pipeline, steps, strict=True):
        results = step(results)
        if type_name(config) in DECODE_STEPS:
            sampled = results['frame_inds'].ravel()
            results['imgs'] = [masks[index] for index in sampled]
    return frames_of(results['inputs'])[..., 0] / 255
