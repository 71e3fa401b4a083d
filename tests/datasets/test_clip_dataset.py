"""Samples that depend on seed, epoch and index alone, broken clips or not."""

import pickle
import random

import numpy as np
import pytest
import torch
from hostile_clips import write_broken, write_readable
from mmaction.registry import DATA_SAMPLERS, DATASETS
from mmengine.runner import Runner
from small_recipe import RANDOM_PIPELINE, write_dataset

from dvfl_mmaction.datasets.annotations import Annotations, write_annotations
from dvfl_mmaction.datasets.stream import StreamIndex
from dvfl_mmaction.errors import UserError

# As in the full-size configs: noted by lazy steps, colours for the device.
NOTED = [
    *RANDOM_PIPELINE[:3],
    dict(type='Resize', scale=(-1, 40), lazy=True),
    dict(type='RandomResizedCrop', lazy=True),
    dict(type='Resize', scale=(32, 32), keep_ratio=False, lazy=True),
    dict(type='Flip', lazy=True),
    dict(type='Fuse'),
    dict(type='ClipColorJitter', deferred=True),
    dict(type='ClipGrayscale', deferred=True),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('color_changes',)),
]
FIXED = [
    *RANDOM_PIPELINE[:1],
    dict(type='UniformSample', clip_len=4, test_mode=True),
    *RANDOM_PIPELINE[2:4],
    *RANDOM_PIPELINE[-2:],
]


def build(folder, pipeline=RANDOM_PIPELINE, **kwargs):
    return DATASETS.build(
        dict(
            type='ClipDataset',
            ann_file='list.txt',
            data_root=str(folder),
            data_prefix=dict(video='.'),
            pipeline=pipeline,
        )
        | kwargs
    )


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """16 clips that can be read."""
    return write_dataset(tmp_path_factory.mktemp('whole'), clips_per_class=4)


@pytest.fixture(scope='module')
def mixed(tmp_path_factory):
    """Readable and broken files in turn; the names of both kinds."""
    folder = tmp_path_factory.mktemp('mixed')
    broken = write_broken(folder)
    readable = [n for n in write_readable(folder) if n not in broken]
    names = sorted([*readable, *broken, 'absent.mp4'])
    clips = [(name, i % 3) for i, name in enumerate(names)]
    write_annotations(
        folder / 'list.txt', Annotations(clips, dict(split='official 1'))
    )
    return folder, clips, {*broken, 'absent.mp4'}


def epochs(folder, num_workers, num_epochs=2, seed=5, dataset=None, **kwargs):
    """What a loader gives, epoch by epoch."""
    dataset = dataset or build(folder, **kwargs)
    loader = Runner.build_dataloader(
        dict(
            batch_size=3,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            sampler=dict(type='StreamSampler', shuffle=True),
            dataset=dataset,
        ),
        seed=seed,
    )
    result = []
    for epoch in range(num_epochs):
        loader.sampler.set_epoch(epoch)
        result.append(
            [
                (
                    clip,
                    sample.sample_idx,
                    sample.get('broken'),
                    sample.get('color_changes'),
                )
                for batch in loader
                for clip, sample in zip(
                    batch['inputs'], batch['data_samples'], strict=True
                )
            ]
        )
    return result


def same(some, others):
    return all(
        a[1:] == b[1:] and torch.equal(a[0], b[0])
        for x, y in zip(some, others, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def test_the_stream_is_the_same_for_any_number_of_workers(whole):
    alone = epochs(whole, 0)
    random.seed(99)
    np.random.seed(98)
    torch.manual_seed(97)
    assert same(alone, epochs(whole, 0))
    assert same(alone, epochs(whole, 2))


def test_deferred_colours_are_the_same_for_any_number_of_workers(whole):
    alone = epochs(whole, 0, pipeline=NOTED)
    changes = {sample[3] for epoch in alone for sample in epoch}
    assert len(changes) > 20  # of 32: most are changed, each in its own way
    random.seed(99)
    np.random.seed(98)
    for num_workers in (0, 2, 4):
        again = epochs(whole, num_workers, pipeline=NOTED)
        assert same(alone, again)


def test_epochs_and_seeds_draw_differently(whole):
    first, second = epochs(whole, 0)
    order = [index for _, index, *_ in first]
    assert sorted(order) == list(range(16))
    assert order != [index for _, index, *_ in second]
    by_index = {index: clip for clip, index, *_ in second}
    other_seed = {i: clip for clip, i, *_ in epochs(whole, 0, 1, seed=6)[0]}
    for clip, index, *_ in first:
        assert not torch.equal(clip, by_index[index])
        assert not torch.equal(clip, other_seed[index])


def test_reading_keeps_the_state_of_the_global_generators(whole):
    dataset = build(whole)
    before = random.random(), np.random.random(), torch.rand(())
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    dataset[StreamIndex(3, seed=1, epoch=2)]
    after = random.random(), np.random.random(), torch.rand(())
    assert before == after  # as conftest seeds them


def test_an_index_can_be_pickled():
    index = pickle.loads(pickle.dumps(StreamIndex(7, seed=3, epoch=4)))
    assert (index, index.seed, index.epoch) == (7, 3, 4)
    assert isinstance(index, int) and [0] * (index + 1) == [0] * 8


def test_processes_divide_an_epoch(whole, monkeypatch):
    dataset, seen = build(whole), []
    for rank in range(3):
        monkeypatch.setattr(
            'mmengine.dataset.sampler.get_dist_info', lambda r=rank: (r, 3)
        )
        sampler = DATA_SAMPLERS.build(
            dict(type='StreamSampler', dataset=dataset, seed=5)
        )
        seen += list(sampler)
    assert len(seen) == 18 and set(seen) == set(range(16))
    assert {(i.seed, i.epoch) for i in seen} == {(5, 0)}


def test_in_training_a_broken_clip_is_replaced_from_the_stream(mixed):
    folder, clips, broken = mixed
    runs = [epochs(folder, workers) for workers in (0, 2)]
    assert same(*runs)
    named = set()
    for clip, index, marks, _ in runs[0][0]:
        name = clips[index][0]
        assert clip.shape == (1, 3, 4, 32, 32)
        assert (marks is not None) == (name in broken)
        for path, reason in marks or ():
            assert reason
            named.add(path.removeprefix(f'{folder}/./'))
        if marks:
            assert marks[0][0].endswith(name)
    assert named == broken


def test_a_replacement_brings_its_own_label(mixed):
    folder, clips, broken = mixed
    dataset = build(folder)
    absent = next(i for i, c in enumerate(clips) if c[0] == 'absent.mp4')
    labels = {
        int(dataset[StreamIndex(absent, 0, epoch)]['data_samples'].gt_label)
        for epoch in range(30)
    }
    assert labels == {0, 1, 2}


def test_samples_without_a_label_are_marked_in_training_only(whole, tmp_path):
    (tmp_path / 'list.txt').write_text(
        'clip_0_0.mp4 -1\nclip_1_0.mp4 1\nabsent.mp4 -1\n'
    )
    layout = dict(data_root=str(tmp_path), data_prefix=dict(video=str(whole)))
    dataset = build(tmp_path, FIXED, **layout)
    assert dataset.num_unlabelled == 2
    marks = set()
    for idx in range(3):
        for epoch in range(4):
            # The absent clip is replaced by a clip with its own label.
            sample = dataset[StreamIndex(idx, 0, epoch)]['data_samples']
            label = int(sample.gt_label)
            assert sample.get('unlabelled', False) == (label == -1)
            marks.add((idx, label))
    assert marks == {(0, -1), (1, 1), (2, -1), (2, 1)}
    with pytest.raises(UserError, match='line 1.* has the label -1'):
        build(tmp_path, FIXED, test_mode=True, **layout)


def test_in_testing_a_broken_clip_keeps_its_place_and_label(mixed):
    folder, clips, broken = mixed
    dataset = build(folder, FIXED, test_mode=True)
    assert len(dataset) == len(clips)
    for i, (name, label) in enumerate(clips):
        data = dataset[i]
        sample = data['data_samples']
        assert sample.gt_label.item() == label
        assert sample.sample_idx == i
        assert sample.filename == f'{folder}/./{name}'
        assert data['inputs'].shape == (1, 3, 4, 40, 40)
        if name in broken:
            ((path, reason),) = sample.broken
            assert path == sample.filename and '\n' not in reason
            following = next(
                n for n, _ in (clips[i:] + clips[:i]) if n not in broken
            )
            stand_in = dataset[[n for n, _ in clips].index(following)]
            assert torch.equal(data['inputs'], stand_in['inputs'])
        else:
            assert sample.get('broken') is None


def test_decord_errors_are_reported_too(mixed):
    folder, clips, broken = mixed
    steps = [dict(type='DecordInit'), FIXED[1], dict(type='DecordDecode')]
    dataset = build(folder, steps + FIXED[3:], test_mode=True)
    marked = {
        clips[i][0]
        for i in range(len(clips))
        if dataset[i]['data_samples'].get('broken')
    }
    # decord cannot copy the frames of two whole files of odd sizes.
    assert broken <= marked <= broken | {'tiny.mp4', 'turned.mp4'}


def test_an_error_in_the_pipeline_is_not_a_broken_clip(whole):
    pipeline = [dict(type='ClipInit'), dict(type='ClipDecode')]
    with pytest.raises(KeyError, match='frame_inds'):
        build(whole, pipeline)[0]


def test_a_data_set_without_readable_clips_is_an_error(tmp_path):
    (tmp_path / 'list.txt').write_text('a.mp4 0\nb.mp4 1\n')
    for options in (dict(), dict(test_mode=True)):
        with pytest.raises(UserError, match='in a row cannot be read'):
            build(tmp_path, **options)[0]


@pytest.mark.parametrize('test_mode', [False, True])
def test_the_only_clip_is_not_read_again_and_again(tmp_path, test_mode):
    """Each time may take a minute, the limit of a clip."""
    (tmp_path / 'list.txt').write_text('a.mp4 0\n')
    dataset = build(tmp_path, test_mode=test_mode)
    read, calls = dataset.prepare_data, []
    dataset.prepare_data = lambda index: calls.append(index) or read(index)
    with pytest.raises(UserError, match='^1 clips of .* is .*a.mp4: file not'):
        dataset[0]
    assert calls == [0]


def test_header_names_and_classes_are_read(mixed):
    folder, clips, _ = mixed
    dataset = build(folder)
    assert dataset.header == dict(split='official 1')
    assert dataset.class_names is None
    (folder / 'classes.txt').write_text('one\ntwo words\nüs\n')
    assert dataset.class_names == ['one', 'two words', 'üs']
    (folder / 'classes.txt').unlink()


def test_several_labels_become_zeros_and_ones(whole, tmp_path):
    lines = (whole / 'list.txt').read_text().splitlines()
    lines[0] += ' 4'
    path = tmp_path / 'several.txt'
    path.write_text('\n'.join(lines))
    dataset = build(whole, ann_file=str(path), multi_class=True, num_classes=5)
    first, label = dataset[0]['data_samples'], int(lines[0].split()[1])
    assert first.gt_label.nonzero().flatten().tolist() == [label, 4]
    assert first.gt_label.shape == (5,)
    assert dataset.get_cat_ids(0) == [label, 4]
    wrong = {'num_classes': 4}, {}
    for options, message in zip(
        wrong, ['is 4', 'no num_classes'], strict=True
    ):
        with pytest.raises(UserError, match=message):
            build(whole, ann_file=str(path), multi_class=True, **options)


def test_the_delimiter_is_used(whole, tmp_path):
    text = (whole / 'list.txt').read_text()
    path = tmp_path / 'list.csv'
    path.write_text(text.replace(' ', ','))
    dataset = build(whole, ann_file=str(path), delimiter=',')
    assert (
        dataset[3]['data_samples'].gt_label
        == build(whole)[3]['data_samples'].gt_label
    )


def test_rare_classes_are_repeated(whole, tmp_path):
    names = [n.split()[0] for n in (whole / 'list.txt').open()]
    clips = [(name, int(i == 3)) for i, name in enumerate(names)]
    path = tmp_path / 'rare.txt'
    write_annotations(path, Annotations(clips))
    balanced = DATASETS.build(
        dict(
            type='ClassBalancedDataset',
            oversample_thr=0.5,
            dataset=build(whole, ann_file=str(path)),
        )
    )
    # Class 1 has 1 of 16 clips: sqrt(0.5 * 16) = 2.83, rounded up.
    assert len(balanced) == 15 + 3
    labels = [int(sample['data_samples'].gt_label) for sample in balanced]
    assert labels == [0] * 3 + [1] * 3 + [0] * 12


def wrapped(whole, tmp_path):
    """MMEngine's data sets around ClipDataset, nested, with 24 samples."""
    names = [n.split()[0] for n in (whole / 'list.txt').open()]
    path = tmp_path / 'rare.txt'
    write_annotations(
        path, Annotations([(n, int(i == 3)) for i, n in enumerate(names[:4])])
    )
    clips = dict(
        type='ClipDataset',
        ann_file=str(path),
        data_prefix=dict(video=str(whole)),
        pipeline=RANDOM_PIPELINE,
    )
    # Class 1 has 1 of 4 clips: sqrt(4) = 2 repeats, class 0 ceil(1.15) = 2.
    balanced = dict(
        type='ClassBalancedDataset', oversample_thr=1.0, dataset=clips
    )
    repeated = dict(type='RepeatDataset', times=2, dataset=clips)
    return DATASETS.build(
        dict(type='ConcatDataset', datasets=[balanced, repeated, balanced])
    )


def test_wrapped_data_sets_keep_the_stream(whole, tmp_path):
    alone = epochs(whole, 0, dataset=wrapped(whole, tmp_path))
    random.seed(99)
    np.random.seed(98)
    assert same(alone, epochs(whole, 0, dataset=wrapped(whole, tmp_path)))
    assert same(alone, epochs(whole, 2, dataset=wrapped(whole, tmp_path)))


def test_repeats_of_a_clip_draw_differently(whole, tmp_path):
    (epoch,) = epochs(whole, 0, 1, dataset=wrapped(whole, tmp_path))
    clips = {}
    for clip, index, *_ in epoch:
        clips.setdefault(index, []).append(clip)
    assert [len(c) for c in clips.values()] == [6] * 4
    for repeats in clips.values():
        for i, clip in enumerate(repeats):
            assert not any(torch.equal(clip, o) for o in repeats[:i])
