"""An error of a loader's worker names the clips that the worker read."""

import os
import re
import signal
import time

import pytest
import torch
from mmaction.registry import RUNNERS, TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.dataset import DefaultSampler, pseudo_collate
from small_recipe import recipe, recognizer
from torch.utils.data import DataLoader, RandomSampler

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.lost_batches import describe_loss


@TRANSFORMS.register_module()
class FailAt(BaseTransform):
    """Hangs or dies at one clip, in the worker."""

    def __init__(self, name, how):
        self.name, self.how = name, how

    def transform(self, results):
        if results['filename'].endswith(self.name):
            if self.how == 'die':
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(4)
        return results


@pytest.mark.parametrize(
    ('mode', 'how', 'message'),
    [
        ('train', 'hang', 'train_dataloader waited 2 s for a batch, which'),
        ('val', 'die', 'a worker of val_dataloader (is killed by|exited un)'),
        ('test', 'hang', 'test_dataloader waited 2 s for a batch, which is'),
    ],
)
def test_the_error_names_the_clips(data, tmp_path, mode, how, message):
    config = recipe(recognizer(), data, tmp_path)
    loader = config[f'{mode}_dataloader']
    loader.update(num_workers=2, batch_size=2, persistent_workers=True)
    loader['sampler']['shuffle'] = mode == 'train'
    if how == 'hang':
        loader['timeout'] = 2
    dataset = loader['dataset']
    fails = dict(type='FailAt', name='clip_2_1.mp4', how=how)
    dataset['pipeline'] = [fails, *dataset['pipeline']]
    if mode == 'train':
        config['train_cfg'].update(val_interval=9)
    runner = RUNNERS.build(config)
    with pytest.raises(UserError) as error:
        getattr(runner, mode)()
    text = str(error.value)
    assert re.match(message, text)
    names = [word for word in text.replace(';', ',').split() if '.mp4' in word]
    assert len(names) == 2 or how == 'die' and len(names) <= 4, text
    assert f'{data}/clip_2_1.mp4' in text and '\n' not in text


@pytest.mark.parametrize('mode', ['train', 'test'])
def test_a_mistake_that_a_worker_finds_is_one_line(data, tmp_path, mode):
    config = recipe(recognizer(), data, tmp_path)
    dataset = config[f'{mode}_dataloader']['dataset']
    for name in ('a.mp4', 'b.mp4'):
        (tmp_path / name).write_text('no video')
    (tmp_path / 'list.txt').write_text('a.mp4 0\nb.mp4 1\n')
    dataset.update(
        ann_file=str(tmp_path / 'list.txt'),
        data_prefix=dict(video=str(tmp_path)),
    )
    config[f'{mode}_dataloader'].update(num_workers=1)
    runner = RUNNERS.build(config)
    with pytest.raises(UserError) as error:
        getattr(runner, mode)()
    text = str(error.value)
    assert re.match(r'2 clips of \S+/list.txt in a row cannot be', text)
    assert '\n' not in text and 'Traceback' not in text


def test_an_error_elsewhere_stays():
    assert describe_loss(RuntimeError('shapes differ'), {}) is None


def describe_timeout(clips, sampler):
    """What is said of a loader that waits for its only batch."""
    loader = DataLoader(
        clips,
        batch_size=len(clips),
        sampler=sampler,
        num_workers=1,
        timeout=1,
        collate_fn=sleep,
    )
    with pytest.raises(RuntimeError, match='timed out') as error:
        next(iter(loader))
    return describe_loss(error.value, dict(val_dataloader=loader))


def test_clips_of_an_order_that_is_not_repeatable_are_not_named():
    clips = torch.arange(4)
    text = describe_timeout(clips, RandomSampler(clips))
    assert text.startswith('val_dataloader waited 1 s') and 'has' not in text


def test_sixteen_clips_of_a_large_batch_are_named_and_the_others_counted():
    clips = torch.arange(20)
    text = describe_timeout(clips, DefaultSampler(clips, shuffle=False))
    named = ', '.join(f'sample {i}' for i in range(16))
    assert f'{named}, 4 more' in text


def sleep(samples):
    time.sleep(2)
    return pseudo_collate(samples)
