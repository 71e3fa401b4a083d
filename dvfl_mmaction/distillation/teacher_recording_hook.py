"""Tell a teacher that records, or was recorded, where the training is."""

import hashlib
import json
import os

from mmaction.registry import HOOKS
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from ..datasets.clip_dataset import ClipDataset
from ..datasets.stream import StreamSampler
from ..engine.stream_train_loop import StreamTrainLoop
from ..errors import UserError
from ..files import hash_file
from .recorded_teacher import TEACHER, WEIGHTS


@HOOKS.register_module()
class TeacherRecordingHook(Hook):
    """Open a recording before training, and follow the iterations.

    Does nothing for a model whose teacher neither records nor was recorded.

    Raises:
        UserError: In use, if the training cannot be repeated (another loop
            or sampler), or the recording is of another one.
    """

    def before_train(self, runner):
        self.teacher = replaying_teacher(runner.model)
        if self.teacher is None:
            return
        model = unwrapped(runner.model)
        about = dict(
            num_classes=model.cls_head.num_classes,
            rows=runner.train_dataloader.batch_size,
            temperature=model.loss_kd.temperature,
            fingerprint=fingerprint(runner),
        )
        self.teacher.begin(about, get_rank(), runner.max_iters)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.teacher is not None:
            self.teacher.replay.iteration = runner.iter

    def after_train(self, runner):
        if self.teacher is not None:
            self.teacher.replay.end()


def unwrapped(model):
    return model.module if is_model_wrapper(model) else model


def replaying_teacher(model):
    """The model's teacher, if it records or was recorded."""
    teacher = getattr(unwrapped(model), 'teacher', None)
    return teacher if hasattr(teacher, 'replay') else None


def fingerprint(runner) -> dict:
    """What decides which clips a model is shown, iteration by iteration.

    Raises:
        UserError: If more than that does.
    """
    loader = runner.train_dataloader
    if not (
        isinstance(runner.train_loop, StreamTrainLoop)
        and isinstance(loader.sampler, StreamSampler)
        and isinstance(loader.dataset, ClipDataset)
    ):
        raise UserError(
            'a recorded teacher wants a training that can be repeated: '
            "train_cfg.type='StreamTrainLoop' with a train_dataloader of "
            "sampler.type='StreamSampler' and dataset.type='ClipDataset'"
        )
    cfg = runner.cfg
    dataset = dict(cfg.train_dataloader.dataset)
    pipeline = dataset.pop('pipeline')
    for key in ('data_root', 'ann_file', 'data_prefix'):
        dataset.pop(key, None)  # the list's own hash tells
    about = dict(
        clips=hash_file(loader.dataset.ann_file),
        dataset=as_text(dataset),
        pipeline=as_text(pipeline),
        sampler=as_text(cfg.train_dataloader.sampler),
        preprocessing=as_text(cfg.model.get('data_preprocessor')),
        seed=runner.seed,
        batch_size=loader.batch_size,
        world_size=get_world_size(),
        batches_per_epoch=len(loader),
    )
    teacher = cfg.model.teacher
    about[TEACHER] = as_text(teacher.get('config'))
    if os.path.isfile(teacher.get('checkpoint') or ''):  # or an address
        about[WEIGHTS] = hash_file(teacher.checkpoint)
    return about


def as_text(value) -> str:
    """JSON of a part of a config; of a long one its hash and its start."""
    text = json.dumps(value, sort_keys=True, default=str)
    if len(text) <= 2000:
        return text
    return hashlib.sha256(text.encode()).hexdigest() + ' ' + text[:200]
