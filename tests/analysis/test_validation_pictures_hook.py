"""Which clips of a validation get a picture."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict

from dvfl_mmaction.analysis.validation_pictures import draw_hard_clips
from dvfl_mmaction.analysis.validation_pictures_hook import (
    ValidationPicturesHook,
    class_names_of,
    hard_clip_of,
)
from dvfl_mmaction.errors import UserError

CLIP = torch.zeros(1, 3, 5, 4, 4, dtype=torch.uint8)
CLIP[:, :, 2] = 7  # the frame in the middle


def sample(scores=(0.25, 0.75), label=0, **meta):
    found = ActionDataSample(metainfo=dict(filename='a/b.mp4', **meta))
    found.set_pred_score(torch.tensor(scores))
    return found.set_gt_label(label)


def test_a_clip_is_judged_by_its_scores_and_shown_by_its_middle_frame():
    clip = hard_clip_of(CLIP, sample())
    assert clip.loss == pytest.approx(-np.log(0.25))
    assert clip.name == 'a/b.mp4' and (clip.frame == 7).all()
    views = sample(((0.5, 0.5), (0.0, 1.0)))
    assert hard_clip_of(CLIP, views).loss == pytest.approx(-np.log(0.25))


def test_clips_that_are_broken_or_have_several_labels_are_left_out():
    assert hard_clip_of(CLIP, sample(broken=[('b.mp4', 'empty')])) is None
    assert hard_clip_of(CLIP, sample(label=torch.tensor([0, 1]))) is None


def test_other_clips_than_rgb_and_other_counts_are_refused():
    with pytest.raises(UserError, match='not RGB'):
        hard_clip_of(torch.zeros(1, 2, 5, 4, 4), sample())
    for wrong in (0, 2.5, '5'):
        with pytest.raises(UserError, match=f'num_clips is {wrong!r}; give a'):
            ValidationPicturesHook(num_clips=wrong)
    assert ValidationPicturesHook(**ConfigDict(num_clips=3)).num_clips == 3


def test_the_sheet_names_known_classes():
    clips = [hard_clip_of(CLIP, sample())]
    known = draw_hard_clips(clips, ['left', 'right'])
    unknown = draw_hard_clips(clips, None)
    assert known.dtype == np.uint8 and known.shape == unknown.shape
    assert (known != unknown).any()


def test_classes_are_named_as_the_validation_data_do():
    def names(dataset):
        loader = SimpleNamespace(dataset=dataset)
        return class_names_of(SimpleNamespace(val_dataloader=loader))

    clips = SimpleNamespace(class_names=['left', 'right'], metainfo={})
    wrapped = SimpleNamespace(datasets=[clips, clips], metainfo={})
    described = SimpleNamespace(metainfo=dict(classes=('up', 'down')))
    assert names(clips) == names(wrapped) == ['left', 'right']
    assert names(described) == ['up', 'down']
    assert names(SimpleNamespace(metainfo={})) is None
    assert names([1, 2]) is None  # PyTorch's data sets have no metainfo
