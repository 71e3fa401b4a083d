"""Options of a config that change other parts of it."""

from torch.utils.data import DataLoader

from dvfl_mmaction.engine.options import (
    apply_num_classes,
    apply_num_workers,
    apply_pinned_memory,
)


def blending_after(blending, head):
    cfg = dict(
        model=dict(
            cls_head=head, data_preprocessor=dict(blending=dict(blending))
        )
    )
    apply_num_classes(cfg)
    return cfg['model']['data_preprocessor']['blending']


def test_mixup_or_cutmix_takes_the_number_of_classes_from_the_head():
    head = dict(num_classes=7)
    mix = dict(type='MixupOrCutmix')
    assert blending_after(mix, head)['num_classes'] == 7
    assert blending_after(mix | dict(num_classes=None), head) == (
        mix | dict(num_classes=7)
    )
    assert blending_after(mix | dict(num_classes=9), head)['num_classes'] == 9
    mix = dict(type='mmaction.MixupOrCutmix')
    assert blending_after(mix, head)['num_classes'] == 7


def test_other_blending_is_left_alone():
    other = dict(type='RandomBatchAugment', augments=[])
    assert blending_after(other, dict(num_classes=7)) == other
    assert not blending_after({}, dict(num_classes=7))
    for cfg in ({}, dict(model=dict(cls_head=None, data_preprocessor=None))):
        apply_num_classes(cfg)


def test_a_data_set_with_several_labels_takes_the_heads_number():
    dataset = dict(type='ClipDataset', multi_class=True)
    cfg = dict(
        model=dict(cls_head=dict(num_classes=7)),
        train_dataloader=dict(dataset=dict(dataset=dataset)),
    )
    apply_num_classes(cfg)
    assert dataset['num_classes'] == 7


def test_options_that_need_workers_are_dropped_without_workers():
    options = dict(persistent_workers=True, prefetch_factor=2, timeout=60)
    cfg = dict(
        train_dataloader=dict(num_workers=0, batch_size=2) | options,
        val_dataloader=dict(num_workers=1) | options,
        test_dataloader=None,
    )
    apply_num_workers(cfg)
    assert cfg['train_dataloader'] == dict(num_workers=0, batch_size=2)
    assert cfg['val_dataloader'] == dict(num_workers=1) | options
    DataLoader([1], **cfg['train_dataloader'])


def test_loaders_pin_memory_unless_they_say_otherwise():
    cfg = dict(
        train_dataloader=dict(batch_size=2),
        val_dataloader=dict(pin_memory=False),
        test_dataloader=None,
    )
    apply_pinned_memory(cfg)
    assert cfg['train_dataloader'] == dict(batch_size=2, pin_memory=True)
    assert cfg['val_dataloader'] == dict(pin_memory=False)
    assert cfg['test_dataloader'] is None


def test_further_training_loaders_get_the_options_too():
    """Those of MultiLoaderEpochBasedTrainLoop."""
    dataset = dict(type='ClipDataset', multi_class=True)
    other = dict(num_workers=0, persistent_workers=True, dataset=dataset)
    cfg = dict(
        model=dict(cls_head=dict(num_classes=7)),
        train_cfg=dict(other_loaders=[other]),
    )
    for apply in (apply_num_classes, apply_num_workers, apply_pinned_memory):
        apply(cfg)
    assert dataset['num_classes'] == 7
    assert other == dict(num_workers=0, dataset=dataset, pin_memory=True)
