"""Make the input of a config's test pipeline without reading a video."""

import numpy as np
from mmaction.registry import TRANSFORMS
from mmengine.dataset import pseudo_collate

from ..engine.config_checks import nested_datasets, type_name
from ..errors import UserError

SIZE = (256, 340)  # (H, W) of a Kinetics video, short side 256
CHANNELS = {'RGB': 3, 'Flow': 2}  # per frame, by the modality of a data set


def sample_batch(cfg: dict, batch_size: int) -> dict:
    """Pass random frames through the steps that follow decoding.

    The steps are those of the validation pipeline. A config without one uses
    its test pipeline, reduced to one clip and the first crop.

    Args:
        cfg: Any MMAction2 config that reads videos, frames or flow.
        batch_size: Clips per batch.

    Returns:
        The batch of a data loader: ``inputs`` and ``data_samples``.

    Raises:
        UserError: If the config has neither pipeline.
    """
    steps = find_pipeline(cfg, 'val')
    one_view = not steps
    steps = steps or find_pipeline(cfg, 'test')
    sampling = next((s for s in steps if 'clip_len' in s), None)
    names = [type_name(step) for step in steps]
    decoding = [i for i, name in enumerate(names) if name.endswith('Decode')]
    if sampling is None or not decoding or 'PoseDecode' in names:
        raise UserError(
            'the config has no validation or test pipeline that samples '
            'frames (clip_len) and decodes them; give one that reads videos'
        )
    modality = find_modality(cfg)
    frame = (*SIZE, CHANNELS.get(modality, 3))
    clip_len = sampling['clip_len']
    num_clips = 1 if one_view else sampling.get('num_clips', 1)
    rng = np.random.default_rng(0)
    rest = [TRANSFORMS.build(s) for s in steps[decoding[-1] + 1 :]]
    samples = []
    for _ in range(batch_size):
        frames = rng.integers(0, 256, (clip_len * num_clips, *frame), np.uint8)
        results = dict(
            imgs=list(frames),
            clip_len=clip_len,
            num_clips=num_clips,
            frame_inds=np.arange(clip_len * num_clips),
            total_frames=clip_len * num_clips,
            original_shape=SIZE,
            img_shape=SIZE,
            modality=modality,
            label=0,
        )
        for step in rest:
            results = step(results)
        if one_view:
            results['inputs'] = results['inputs'][:1]
        samples.append(results)
    return pseudo_collate(samples)


def without_validation(cfg: dict) -> dict:
    """A config whose :func:`sample_batch` is of its test pipeline."""
    return {k: v for k, v in cfg.items() if not k.startswith('val_')}


def find_pipeline(cfg: dict, part: str) -> list[dict]:
    """Pipeline of ``'val'`` or ``'test'``; empty if the config has none."""
    loader = cfg.get(f'{part}_dataloader') or {}
    dataset = loader.get('dataset') or {}
    return dataset.get('pipeline') or cfg.get(f'{part}_pipeline') or []


def find_modality(cfg: dict) -> str:
    """``modality`` of the config's first data set that has one, or 'RGB'."""
    for part in ('val', 'test'):
        loader = cfg.get(f'{part}_dataloader') or {}
        for dataset in nested_datasets(loader.get('dataset')):
            if 'modality' in dataset:
                return dataset['modality']
    return 'RGB'
