"""Fingerprint of everything that determines the clips of a training."""

import hashlib
import json
import os

from mmengine.dist import get_world_size
from mmengine.runner import Runner

from ..datasets.clip_dataset import ClipDataset
from ..datasets.stream import StreamSampler
from ..engine.stream_train_loop import StreamTrainLoop
from ..errors import UserError
from ..files import hash_file

# A run with a recorded teacher may lack the teacher's files, so the weights
# are compared only if both sides know them. They identify the teacher.
TEACHER, WEIGHTS = 'teacher', 'teacher_sha256'
INPUT = 'teacher_input'


def fingerprint(
    runner: Runner,
    config: str | dict | None,
    checkpoint: str | None,
    teacher_input: dict | None = None,
) -> dict:
    """Collect what determines the logits of a teacher per iteration.

    Args:
        runner: The training.
        config: The teacher's config, if known.
        checkpoint: The teacher's weights, if known.
        teacher_input: What of the teacher's input differs from the
            student's, by name; None if unknown.

    Raises:
        UserError: If the training is not repeatable.
    """
    loader = runner.train_dataloader
    if not (
        isinstance(runner.train_loop, StreamTrainLoop)
        and isinstance(loader.sampler, StreamSampler)
        and isinstance(loader.dataset, ClipDataset)
    ):
        raise UserError(
            'the training is not repeatable, as a recorded teacher needs it; '
            "set train_cfg.type='StreamTrainLoop' and, in train_dataloader, "
            "sampler.type='StreamSampler' and dataset.type='ClipDataset'"
        )
    cfg = runner.cfg
    dataset = dict(cfg.train_dataloader.dataset)
    pipeline = dataset.pop('pipeline')
    for key in ('data_root', 'ann_file', 'data_prefix'):
        dataset.pop(key, None)  # the hash of the list replaces them
    values = dict(
        clips=hash_file(loader.dataset.ann_file),
        dataset=to_text(dataset),
        pipeline=to_text(pipeline),
        sampler=to_text(cfg.train_dataloader.sampler),
        preprocessing=to_text(cfg.model.get('data_preprocessor')),
        seed=runner.seed,
        batch_size=loader.batch_size,
        world_size=get_world_size(),
        batches_per_epoch=len(loader),
    )
    values[TEACHER] = to_text(config)
    if os.path.isfile(checkpoint or ''):  # not for a URL
        values[WEIGHTS] = hash_file(checkpoint)
    if teacher_input is not None:
        values[INPUT] = teacher_input
    return values


def to_text(value) -> str:
    """Write a part of a config as JSON; shorten long text to hash + start."""
    text = json.dumps(value, sort_keys=True, default=str)
    if len(text) <= 2000:
        return text
    return hashlib.sha256(text.encode()).hexdigest() + ' ' + text[:200]


def check_fingerprints(wanted: dict, recorded: dict, folder: str):
    """Reject a recording of another training.

    Args:
        wanted: Fingerprint of this run.
        recorded: Fingerprint in the recording.
        folder: Folder of the recording, for the error.

    Raises:
        UserError: If they differ, with the first difference.
    """
    for key in sorted(wanted.keys() | recorded.keys()):
        ours, theirs = wanted.get(key), recorded.get(key)
        if key == INPUT:
            # Recordings of before this entry are of equal inputs.
            theirs = theirs or {}
            ours = theirs if ours is None else ours
        if key == TEACHER or (key == WEIGHTS and None in (ours, theirs)):
            continue
        if ours != theirs:
            raise UserError(
                f'the recording {folder} is of another training: its {key} '
                f'is {shorten(theirs)}, but this run has {shorten(ours)}; '
                'set it to the same value, or record to another folder'
            )


def shorten(value) -> str:
    """Shorten a value's text to at most 80 characters."""
    text = str(value)
    return text if len(text) <= 80 else f'{text[:60]}...{text[-17:]}'
