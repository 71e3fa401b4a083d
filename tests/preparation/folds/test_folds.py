"""Lists for cross-validation."""

import json
import os
from collections import Counter

import pytest
from small_recipe import write_dataset
from warm_process import run_script

from dvfl_mmaction.datasets.annotations import read_annotations
from dvfl_mmaction.datasets.class_names import class_names_beside
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.preparation.clips.check import ClipFacts, write_checked
from dvfl_mmaction.preparation.clips.clip_lists import read_lists
from dvfl_mmaction.preparation.clips.folds import make_folds, natural
from dvfl_mmaction.project_paths import find_file


def test_paths_are_sorted_by_their_numbers():
    names = ['b.avi2', 'b.avi', 'a/10.mp4', 'a/9.mp4', 'a/9b.mp4', 'a/09.mp4']
    assert sorted(names, key=natural) == [
        *('a/09.mp4', 'a/9.mp4', 'a/9b.mp4', 'a/10.mp4', 'b.avi', 'b.avi2')
    ]


def lists_in(folder):
    return [p for p in folder.rglob('*.txt') if p.name != 'classes.txt']


def clips(root, name):
    path = root / 'folds' / name
    return read_annotations(path, unlabelled=True).clips


def test_every_labelled_clip_is_tested_once(root):
    folds = make_folds(root, 3)
    assert (folds.clips, folds.unlabelled) == (12, 1)
    assert [path.name for path in folds.files] == ['folds.json']
    tested = [clips(root, f'test_{fold}.txt') for fold in (1, 2, 3)]
    assert sorted(map(len, tested)) == sorted(folds.tested) == [4, 4, 4]
    assert Counter(name for part in tested for name, _ in part) == Counter(
        [f'a/seg{i}.mp4' for i in range(4, 11)]
        + [f'b/seg{i}.mp4' for i in range(5)]
    )
    for fold, part in enumerate(tested, 1):
        train = clips(root, f'all/train_{fold}.txt')
        assert not {n for n, _ in train} & {n for n, _ in part}
        assert len(train) + len(part) == 13
        assert ('c.mp4', -1) in train
        assert {label for _, label in part} == {0, 1}


def test_a_block_holds_neighbours_by_number(root):
    make_folds(root, 3)
    blocks = [
        {
            int(name[5:-4])
            for name, _ in clips(root, f'test_{fold}.txt')
            if name[0] == 'a'
        }
        for fold in (1, 2, 3)
    ]
    assert sorted(map(sorted, blocks)) == [[4, 5, 6], [7, 8], [9, 10]]


def test_few_labels_are_spread_over_the_training_clips(root):
    folds = make_folds(root, 2, labelled=2)
    assert [str(p.parent.name) for p in folds.files] == [
        'all',
        'labels_2',
        'only_2',
    ]
    for fold in (1, 2):
        full = clips(root, f'all/train_{fold}.txt')
        partly = clips(root, f'labels_2/train_{fold}.txt')
        only = clips(root, f'only_2/train_{fold}.txt')
        assert [name for name, _ in partly] == [name for name, _ in full]
        assert [clip for clip in partly if clip[1] != -1] == only
        assert set(only) < set(full)
        assert Counter(label for _, label in only) == {0: 2, 1: 2}
    train = [n for n, k in clips(root, 'all/train_1.txt') if k == 0]
    kept = [n for n, k in clips(root, 'only_2/train_1.txt') if k == 0]
    assert kept == [train[int(len(train) / 4)], train[int(len(train) * 3 / 4)]]


def test_the_options_name_the_lists_of_each_fold(root):
    folds = make_folds(root, 2, labelled=1)
    for path in folds.files:
        options = json.loads(path.read_text())
        assert options.keys() == {'1', '2'}
        for fold, values in options.items():
            train = f'folds/{path.parent.name}/train_{fold}.txt'
            test = f'folds/test_{fold}.txt'
            assert values == {
                'train_dataloader.dataset.ann_file': train,
                'val_dataloader.dataset.ann_file': test,
                'test_dataloader.dataset.ann_file': test,
            }
            assert (root / train).is_file() and (root / test).is_file()


@pytest.mark.parametrize(
    ('count', 'labelled', 'message'),
    [
        (1, None, '1 folds; give 2 or more'),
        (6, None, 'class 1 has 5 clips for 6 folds'),
        (2, 0, '0 labels per class'),
        (2, 3, 'class 1 has 2 training clips in fold'),
    ],
)
def test_what_does_not_fit_is_one_line(root, count, labelled, message):
    with pytest.raises(UserError, match=message) as e:
        make_folds(root, count, labelled)
    assert '\n' not in str(e.value)
    assert not (root / 'folds').exists()


def test_lists_that_disagree_are_one_line(root):
    (root / 'more.txt').write_text('b/seg0.mp4 0\n')
    with pytest.raises(UserError, match=r'b/seg0.mp4 has label 1, and 0'):
        make_folds(root, 2)
    (root / 'more.txt').write_text('d.mp4 0 1\n')
    with pytest.raises(UserError, match='one label per clip'):
        make_folds(root, 2)


def write_checked_lists(root, *broken):
    """Write ``X_checked.txt`` for both lists, as ``--check`` does."""
    facts = {
        name: ClipFacts(error='no frame' if name in broken else None)
        for list_name in ('train.txt', 'test.txt')
        for name, _ in read_annotations(
            root / list_name, unlabelled=True
        ).clips
    }
    for list_name in ('train.txt', 'test.txt'):
        path = root / list_name
        write_checked(path, read_annotations(path, unlabelled=True), facts)


def test_broken_clips_of_a_check_are_in_no_fold(root):
    # The first clip is in both lists.
    write_checked_lists(root, 'a/seg6.mp4', 'b/seg0.mp4')
    folds = make_folds(root, 2)
    assert folds.clips == 10 and folds.left_out == ['a/seg6.mp4', 'b/seg0.mp4']
    assert folds.lines()[1] == (
        'left out 2 clips that are not in *_checked.txt: '
        'a/seg6.mp4, b/seg0.mp4'
    )
    for path in lists_in(root / 'folds'):
        names = {
            name for name, _ in read_annotations(path, unlabelled=True).clips
        }
        assert not names & {'a/seg6.mp4', 'b/seg0.mp4'}
    counted = {n for k in (1, 2) for n, _ in clips(root, f'test_{k}.txt')}
    assert len(counted) == 10


def test_a_sound_check_leaves_nothing_out(root):
    write_checked_lists(root)
    folds = make_folds(root, 2)
    assert folds.clips == 12 and not folds.left_out
    assert 'left out' not in '\n'.join(folds.lines())


def test_lists_of_a_packed_copy_lack_the_broken_clips_already(root):
    write_checked_lists(root, 'a/seg6.mp4')
    for path in (root / 'train.txt', root / 'test.txt'):
        lines = path.read_text().splitlines()
        path.write_text('\n'.join(x for x in lines if 'a/seg6' not in x))
    folds = make_folds(root, 2)
    assert folds.clips == 11 and not folds.left_out


@pytest.mark.parametrize('broken', [(), ('a/seg6.mp4',)])
@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('a/seg10.mp4 0', 'a/seg10.mp4 0\na/seg11.mp4 0'),
        ('a/seg10.mp4 0\n', ''),
        ('a/seg10.mp4 0', 'a/seg10.mp4 1'),
    ],
)
def test_a_list_that_changed_since_its_check_is_refused(
    root, broken, old, new
):
    write_checked_lists(root, *broken)
    path = root / 'train.txt'
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match='train.txt has changed since') as e:
        make_folds(root, 2)
    assert '--check' in str(e.value) and '\n' not in str(e.value)
    assert not (root / 'folds').exists()


def test_check_and_folds_in_one_command_leave_out_the_broken(tmp_path):
    root = write_dataset(tmp_path / 'videos').parent
    (tmp_path / 'videos' / 'list.txt').rename(root / 'train.txt')
    (tmp_path / 'videos' / 'clip_2_1.mp4').write_bytes(b'')
    done = run_script(
        find_file('tools/prepare_dataset.py'),
        *('custom', '--check', '--folds', '2', '--workers', '1'),
        *('--root', root),
    )
    assert done.returncode == 0, done.stderr
    assert '11 clips in 2 folds of' in done.stdout
    assert 'left out 1 clips that are not in *_checked.txt: clip_2_1' in (
        done.stdout
    )


def test_the_tool_writes_folds_of_own_clips_only(root):
    tool = find_file('tools/prepare_dataset.py')

    def run(*words):
        return run_script(tool, *words, '--root', root)

    done = run('custom', '--folds', '2', '--labels-per-class', '1')
    assert done.returncode == 0, done.stderr
    assert '12 clips in 2 folds of 6, 6, and 1 without a label' in done.stdout
    assert (root / 'folds' / 'labels_1' / 'folds.json').is_file()
    for words, message in (
        (('ucf101', '--folds', '2'), 'official splits'),
        (('custom', '--check', '--labels-per-class', '2'), 'needs --folds'),
    ):
        refused = run(*words)
        assert refused.returncode == 2 and message in refused.stderr


def test_a_clip_under_two_names_is_used_once(root):
    (root / 'videos' / 'a').mkdir()
    for number in range(4, 11):
        path = root / 'videos' / f'a/seg{number}.mp4'
        path.write_text(path.name)
    (root / 'videos' / 'link.mp4').symlink_to('a/seg7.mp4')
    os.link(path, root / 'videos' / 'twin.mp4')
    (root / 'videos' / 'copy.mp4').write_text(path.name)
    (root / 'val.txt').write_text(
        'link.mp4 0\ntwin.mp4 0\ncopy.mp4 0\n./b/seg0.mp4 1\nb/./seg9.mp4 1\n'
    )
    folds = make_folds(root, 2)
    assert folds.clips == 12 + 2
    assert folds.repeated == ['a/seg7.mp4', 'a/seg10.mp4', 'b/seg0.mp4']
    assert folds.lines()[1] == (
        'used once: 3 clips that the lists give a second name: '
        'a/seg7.mp4, a/seg10.mp4, b/seg0.mp4'
    )
    for fold in (1, 2):
        sides = (
            clips(root, f'all/train_{fold}.txt'),
            clips(root, f'test_{fold}.txt'),
        )
        files = [
            (root / 'videos' / name).resolve() for s in sides for name, _ in s
        ]
        assert len(set(files)) == len(files) == 15


def test_names_of_one_clip_with_two_labels_are_one_line(root):
    (root / 'more.txt').write_text('./b/seg0.mp4 0\n')
    with pytest.raises(UserError, match=r'b/seg0.mp4 has label') as e:
        make_folds(root, 2)
    assert '\n' not in str(e.value)


def test_a_clip_that_is_broken_under_another_name_is_left_out(root):
    (root / 'more.txt').write_text('./a/seg6.mp4 0\n')
    write_checked_lists(root, 'a/seg6.mp4')
    folds = make_folds(root, 2)
    assert folds.clips == 11 and not folds.repeated
    for path in (root / 'folds').rglob('*.txt'):
        assert 'seg6' not in path.read_text()


def test_a_label_counts_though_another_list_lacks_it(root):
    """Whichever of the two is read first."""
    for name in ('all.txt', 'unlabelled.txt'):
        (root / name).write_text('a/seg9.mp4 -1\nb/seg4.mp4 -1\n')
    folds = make_folds(root, 2)
    assert (folds.clips, folds.unlabelled) == (12, 1)
    tested = [clip for k in (1, 2) for clip in clips(root, f'test_{k}.txt')]
    assert {('a/seg9.mp4', 0), ('b/seg4.mp4', 1)} <= set(tested)


def test_each_list_says_its_fold_and_part(root):
    make_folds(root, 3, labelled=1)
    for path in lists_in(root / 'folds'):
        part, _, fold = path.stem.partition('_')
        header = read_annotations(path, unlabelled=True).header
        assert header == dict(fold=f'{fold} of 3', part=part)


def test_a_list_whose_clips_are_all_broken_is_left_out(root):
    (root / 'more.txt').write_text('gone.mp4 1\n')
    facts = {'gone.mp4': ClipFacts(error='file not found')}
    write_checked(
        root / 'more.txt', read_annotations(root / 'more.txt'), facts
    )
    checked = read_lists(root, checked=True)[root / 'more_checked.txt']
    assert not checked.clips and '1 broken' in checked.header['checked']
    folds = make_folds(root, 2)
    assert folds.clips == 12 and folds.left_out == ['gone.mp4']


def test_the_names_of_the_classes_are_beside_each_list(root):
    for names in (['a', 'b'], ['one', 'two']):
        (root / 'classes.txt').write_text('\n'.join(names) + '\n')
        make_folds(root, 2, labelled=1)
        for file in (root / 'folds').rglob('t*_2.txt'):
            assert class_names_beside(file) == names


def test_folds_need_no_names_of_classes(root):
    (root / 'classes.txt').unlink()
    make_folds(root, 2)
    assert class_names_beside(root / 'folds/test_1.txt') is None
