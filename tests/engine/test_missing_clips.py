"""Lists none of whose clips is found."""

import pytest
from small_recipe import recipe, recognizer, run

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.missing_clips import check_clip_files

LOADERS = ('train_dataloader',)


@pytest.fixture
def folder(tmp_path):
    """Holds ``videos/a/1.mp4`` and ``videos/2.mp4``, and no list."""
    (tmp_path / 'videos' / 'a').mkdir(parents=True)
    for name in ('a/1.mp4', '2.mp4'):
        (tmp_path / 'videos' / name).touch()
    return tmp_path


def config_of(folder, text, **kwargs):
    """A config whose training list has these lines."""
    (folder / 'list.txt').write_text(text)
    dataset = dict(
        type='ClipDataset',
        data_root=str(folder),
        ann_file='list.txt',
        data_prefix=dict(video='videos'),
        pipeline=[dict(type='ClipInit')],
    )
    return dict(train_dataloader=dict(dataset=dataset | kwargs))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a/1 0\n2 1\n', r'extensions of the files, such as \S+1\.mp4;'),
        ('videos/a/1.mp4 0\n', r'data_root: set data_prefix=dict\(video=..\)'),
        ('D:\\data\\1.mp4 0\n', 'correct data_root or data_prefix.video'),
        ('0\ta/1.mp4\t0\n', 'correct data_root'),  # with row numbers
        ('http://host/1.mp4 0\n', 'correct data_root'),
    ],
)
def test_the_error_says_what_the_paths_look_like(folder, text, message):
    cfg = config_of(folder, text)
    count = text.count('\n')
    found = f'none of the {count} clips of .*list.txt is found.*{message}'
    with pytest.raises(UserError, match=found):
        check_clip_files(cfg, LOADERS)
    check_clip_files(cfg, ('val_dataloader',))


def test_one_clip_that_exists_is_enough(folder):
    check_clip_files(config_of(folder, 'lost.mp4 0\n2.mp4 1\n'), LOADERS)


def test_the_lists_of_wrapped_data_sets_are_searched(folder):
    inner = config_of(folder, 'lost.mp4 0 3\n', multi_class=True)
    wrapped = dict(type='RepeatDataset', times=2)
    wrapped['dataset'] = inner['train_dataloader']['dataset']
    with pytest.raises(UserError, match='none of the 1 clips'):
        check_clip_files(dict(train_dataloader=dict(dataset=wrapped)), LOADERS)


@pytest.mark.parametrize(
    'changes',
    [
        dict(type='VideoDataset'),
        dict(pipeline=[dict(type='DecordInit', io_backend='petrel')]),
        dict(pipeline=[dict(type='MyFrames')]),
        dict(data_root='', data_prefix=dict(video='s3://bucket')),
    ],
)
def test_other_files_are_not_looked_for(folder, changes):
    cfg = config_of(folder, 'lost.mp4 0\n', **changes)
    leaf = cfg['train_dataloader']['dataset']
    leaf['ann_file'] = str(folder / 'list.txt')
    check_clip_files(cfg, LOADERS)


@pytest.mark.parametrize('mode', ['train', 'val', 'test'])
def test_a_run_stops_before_it_reads_clips(data, tmp_path, mode):
    config = recipe(recognizer(), data, tmp_path)
    (tmp_path / 'list.txt').write_text('lost/a.mp4 0\nlost/b.mp4 1\n')
    dataset = config[f'{mode}_dataloader']['dataset']
    dataset['ann_file'] = str(tmp_path / 'list.txt')
    if mode == 'val':
        config['load_from'] = 'checkpoint.pth'
    with pytest.raises(UserError, match='none of the 2 clips'):
        run(config, mode)
