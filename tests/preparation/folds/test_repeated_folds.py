"""Lists for cross-validation that are written again."""

import pytest

from dvfl_mmaction.errors import UserError
from dvfl_mmaction.preparation.clips.folds import make_folds


def contents(folder):
    """Bytes of all files below a folder, by path."""
    return {p: p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def test_the_same_folds_take_lists_with_another_number_of_labels(root):
    folder = root / 'folds'
    make_folds(root, 2, labelled=2)
    hand_made = folder / 'only_2x4'
    hand_made.mkdir()
    for fold in '12':
        text = (folder / 'only_2' / f'train_{fold}.txt').read_text()
        (hand_made / f'train_{fold}.txt').write_text(4 * text)
    (folder / 'notes.txt').write_text('chosen by hand')
    before = contents(folder)
    make_folds(root, 2, labelled=1)
    after = contents(folder)
    assert {path: after[path] for path in before} == before
    new = {p.parent.name for p in after.keys() - before.keys()}
    assert new == {'labels_1', 'only_1'}


def add_a_clip(root):
    with (root / 'test.txt').open('a') as file:
        file.write('\na/seg0.mp4 0')


def add_an_unlabelled_clip(root):
    with (root / 'train.txt').open('a') as file:
        file.write('\nd.mp4 -1')


def remove_all_but(*kept):
    def remove(root):
        for path in (root / 'folds').rglob('*.txt'):
            if path.relative_to(root / 'folds').parts[0] not in kept:
                path.unlink()

    return remove


@pytest.mark.parametrize('labelled', [None, 1, 2])
@pytest.mark.parametrize(
    ('count', 'change', 'message'),
    [
        (2, None, 'train_1.txt trains on .*, which the new test_1.txt te'),
        (5, None, 'all/train_1.txt has other clips or labels'),
        (3, add_a_clip, 'all/train_1.txt has other clips or labels'),
        (3, add_an_unlabelled_clip, 'all/train_1.txt has other clips or'),
        # As left by an interrupted run, or by hand.
        (2, remove_all_but('test_3.txt'), 'test_3.txt is for fold 3'),
        (2, remove_all_but('test_1.txt'), 'test_1.txt has other clips or'),
        (2, remove_all_but('only_2'), 'only_2/train_1.txt trains on'),
    ],
)
def test_lists_of_other_folds_are_refused_and_kept(
    root, labelled, count, change, message
):
    make_folds(root, 3, labelled=2)
    if change:
        change(root)
    before = contents(root)
    with pytest.raises(UserError, match=message) as e:
        make_folds(root, count, labelled)
    assert 'folds holds other folds than' in str(e.value)
    assert 'rename or remove that folder' in str(e.value)
    assert '\n' not in str(e.value)
    assert contents(root) == before
    (root / 'folds').rename(root / 'old')
    make_folds(root, count, labelled)


def test_a_variant_with_test_lists_of_its_own_is_ignored(root):
    make_folds(root, 3)
    own = root / 'folds' / 'by_person'
    own.mkdir()
    (own / 'test_1.txt').write_text('a/seg4.mp4 0\n')
    tested = (root / 'folds' / 'test_1.txt').read_text()
    (own / 'train_1.txt').write_text(tested)
    make_folds(root, 3, labelled=1)
    (own / 'test_1.txt').unlink()
    with pytest.raises(UserError, match='by_person/train_1.txt trains on'):
        make_folds(root, 3, labelled=1)
