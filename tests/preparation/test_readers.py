"""Official archives to lists, for a miniature of each data set."""

from pathlib import Path

import pytest
import rarfile
from miniature_datasets import HMDB51_FILES, MAKERS, write_stand_in

from dvfl_mmaction import UserError
from dvfl_mmaction.datasets.annotations import read_annotations
from dvfl_mmaction.preparation import CATALOGUE, prepare

LAYOUTS = [(n, a) for n in MAKERS for a in (True, False)]


def make(name, root, **options):
    MAKERS[name](root, write_stand_in, **options)
    return root


def clips(prepared, split, part):
    return read_annotations(prepared.lists[split, part]).clips


def line_with(text, prepared):
    (line,) = [line for line in prepared.lines if text in line]
    return line


@pytest.mark.parametrize(('name', 'archives'), LAYOUTS)
def test_every_listed_clip_is_on_disk_with_its_content(
    tmp_path, name, archives
):
    prepared = prepare(name, make(name, tmp_path, archives=archives))
    assert prepared.lists
    for path in prepared.lists.values():
        for clip, _ in read_annotations(path).clips:
            content = (prepared.videos / clip).read_text()
            assert content == f'clip {Path(clip).name}'
    assert not [
        p for p in tmp_path.rglob('*') if p.suffix in ('.part', '.new')
    ]


def test_ucf50_leaves_one_group_out(tmp_path):
    prepared = prepare('ucf50', make('ucf50', tmp_path))
    assert len(prepared.lists) == 50
    assert (tmp_path / 'ucf50_val_split_7_videos.txt').read_text() == (
        '# dataset: ucf50\n# split: official 7\n# part: val\n'
        'BaseballPitch/v_BaseballPitch_g07_c01.avi 0\n'
        'Billiards/v_Billards_g07_c01.avi 4\n'
    )
    train = clips(prepared, '7', 'train')
    assert len(train) == 48
    assert not [clip for clip, _ in train if '_g07_' in clip]
    classes = (tmp_path / 'classes.txt').read_text().splitlines()
    assert len(classes) == 50 and classes == sorted(classes)
    assert (classes[0], classes[4]) == ('BaseballPitch', 'Billiards')


@pytest.mark.parametrize('group', ['', '_g00_c01', '_g26_c01'])
def test_a_file_of_none_of_the_25_groups_is_in_no_split(tmp_path, group):
    root = make('ucf50', tmp_path, archives=False)
    name = f'BaseballPitch/v_BaseballPitch{group}.avi'
    (root / 'UCF50' / name).touch()
    prepared = prepare('ucf50', root)
    assert name in line_with('not listed: 1', prepared)
    for path in prepared.lists.values():
        assert name not in dict(read_annotations(path).clips)


def test_ucf101_has_the_official_splits(tmp_path):
    prepared = prepare('ucf101', make('ucf101', tmp_path))
    assert (tmp_path / 'ucf101_val_split_3_videos.txt').read_text() == (
        '# dataset: ucf101\n# split: official 3\n# part: val\n'
        'ApplyEyeMakeup/v_ApplyEyeMakeup_g03_c01.avi 0\n'
        'ApplyEyeMakeup/v_ApplyEyeMakeup_g03_c02.avi 0\n'
        'Archery/v_Archery_g03_c01.avi 1\n'
        'Archery/v_Archery_g03_c02.avi 1\n'
    )
    assert len(clips(prepared, '1', 'train')) == 12
    assert prepared.classes.read_text() == 'ApplyEyeMakeup\nArchery\n'
    assert '12 clips (9,537 are published)' in line_with(
        'train_split_1_', prepared
    )


def test_hmdb51_trains_on_tag_1_and_tests_on_tag_2(tmp_path):
    prepared = prepare('hmdb51', make('hmdb51', tmp_path))
    kick, ball = HMDB51_FILES['kick'], HMDB51_FILES['kick_ball']
    assert CATALOGUE['hmdb51'].class_names.index('kick') == 20
    assert clips(prepared, '1', 'train') == [
        *((f'kick/{file}', 20) for file in kick[:3]),
        *((f'kick_ball/{file}', 21) for file in ball[:3]),
    ]
    assert clips(prepared, '2', 'val') == [
        (f'kick/{kick[0]}', 20),
        (f'kick_ball/{ball[0]}', 21),
    ]


@pytest.mark.parametrize('zipped', [False, True])
def test_ssv2_strips_brackets_and_accepts_both_sets_of_names(tmp_path, zipped):
    root = make('ssv2', tmp_path, zipped=zipped)
    prepared = prepare('ssv2', root)
    assert prepared.classes.read_text().splitlines() == [
        'Approaching something with your camera',
        'Putting number of something onto something',
        'Throwing something',
    ]
    assert clips(prepared, 'official', 'train') == [
        ('78687.webm', 2),
        ('7.webm', 0),
        ('100904.webm', 1),
        ('42.webm', 0),
    ]
    text = prepared.lists['official', 'val'].read_text()
    assert text.startswith('# dataset: ssv2\n# split: official\n# part: val\n')
    assert not [line for line in prepared.lines if 'not listed' in line]


def test_k400_uses_the_replacement_and_sorts_its_classes(tmp_path):
    prepared = prepare('k400', make('k400', tmp_path))
    assert prepared.classes.read_text().splitlines() == [
        'abseiling',
        "massaging person's head",
        'playing guitar',
    ]
    folder = 'replacement_for_corrupted_k400'
    assert clips(prepared, 'official', 'train')[:2] == [
        (f'{folder}/-3B32lodo2M_000059_000069.mp4', 2),
        ('train/part_1/_4YTwq0-73Y_000008_000018.mp4', 0),
    ]


def test_k400_in_class_folders_keeps_the_spaces_in_their_names(tmp_path):
    root = make('k400', tmp_path, archives=False, replacement=False)
    prepared = prepare('k400', root)
    assert clips(prepared, 'official', 'val')[1:] == [
        ("val/massaging person's head/3caPS4FHFF8_000036_000046.mp4", 1),
        ('val/playing guitar/0KvUwFoAYQA_000001_000011.mp4', 2),
    ]


@pytest.mark.parametrize('name', MAKERS)
def test_a_second_run_changes_nothing(tmp_path, name):
    root = make(name, tmp_path)
    first = prepare(name, root)

    def state():
        return {
            path: (path.lstat().st_mtime_ns, path.lstat().st_ino)
            for path in root.rglob('*')
        }

    before = state()
    second = prepare(name, root)
    files = {p: s for p, s in before.items() if not p.is_dir()}
    assert {p: s for p, s in state().items() if not p.is_dir()} == files
    assert second.lists == first.lists


def test_a_replaced_archive_is_unpacked_again(tmp_path):
    root = make('ucf50', tmp_path, groups=(1, 2))
    prepare('ucf50', root)
    make('ucf50', root / 'newer', groups=(1, 2, 3))
    (root / 'newer' / 'UCF50.rar').replace(root / 'UCF50.rar')
    prepared = prepare('ucf50', root)
    assert len(clips(prepared, '1', 'train')) == 4
    assert not (root / 'UCF50.old').exists()


def test_inner_archives_of_a_folder_unpacked_by_hand_are_unpacked(tmp_path):
    root = make('hmdb51', tmp_path)
    inner = root / 'inner'
    inner.mkdir()
    with rarfile.RarFile(root / 'hmdb51_org.rar') as archive:
        archive.extractall(inner)
    (root / 'hmdb51_org.rar').unlink()
    inner.rename(root / 'hmdb51_org')
    prepared = prepare('hmdb51', root)
    assert len(clips(prepared, '1', 'train')) == 6
    assert (root / 'hmdb51_org' / 'kick.rar').is_file()
    notes = [line for line in prepared.lines if 'md5' in line]
    assert len(notes) == 1 and 'test_train_splits.rar' in notes[0]


COPIES = {
    'ucf50': {
        'Billiards/copy/v_Billards_g02_c01.avi': (
            'Billiards/v_Billards_g02_c01.avi'
        ),
        'BaseballPitch/zz/v_BaseballPitch_g01_c01.avi': (
            'BaseballPitch/v_BaseballPitch_g01_c01.avi'
        ),
        'Basketball/v_BaseballPitch_g02_c01.avi': (
            'BaseballPitch/v_BaseballPitch_g02_c01.avi'
        ),
    },
    'ucf101': {
        'ApplyEyeMakeup/v_Archery_g01_c01.avi': (
            'Archery/v_Archery_g01_c01.avi'
        ),
        'Archery/a/v_Archery_g01_c02.avi': 'Archery/v_Archery_g01_c02.avi',
    },
    'hmdb51': {
        f'kick/{HMDB51_FILES["kick_ball"][1]}': (
            f'kick_ball/{HMDB51_FILES["kick_ball"][1]}'
        ),
        f'kick/#/{HMDB51_FILES["kick"][1]}': f'kick/{HMDB51_FILES["kick"][1]}',
        'sword/Film_draw_sword_f_cm_np1_ri_med_0.avi': (
            'draw_sword/Film_draw_sword_f_cm_np1_ri_med_0.avi'
        ),
    },
}


@pytest.mark.parametrize('name', COPIES)
@pytest.mark.parametrize('split', ['official', 'paper'])
def test_of_clips_with_one_name_that_of_the_fitting_class_is_used(
    tmp_path, name, split
):
    root = make(name, tmp_path, archives=False)
    folder = root / CATALOGUE[name].archives[0].folder
    for path in [*COPIES[name], *COPIES[name].values()]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    if name == 'hmdb51':  # whose lists name every clip
        clip = 'Film_draw_sword_f_cm_np1_ri_med_0.avi'
        lists = root / CATALOGUE[name].archives[1].folder
        (lists / 'draw_sword_test_split1.txt').write_text(f'{clip} 0\n')
    prepared = prepare(name, root, split=split)
    used = {
        clip
        for path in prepared.lists.values()
        for clip, _ in read_annotations(path).clips
    }
    assert not used & COPIES[name].keys()
    if split == 'paper' or name == 'ucf50':
        assert used >= set(COPIES[name].values())
    (line,) = (x for x in prepared.lines if x.startswith('duplicate clips'))
    number = len(COPIES[name])
    assert line.startswith(f'duplicate clips: {number} (')
    for copy, original in COPIES[name].items():
        assert f'{original} = {copy}' in line
    for line in prepared.lines:
        if line.startswith('files on disk and not listed'):
            names = line.partition('(')[2].removesuffix(')').split(', ')
            assert not COPIES[name].keys() & set(names)


def test_a_copy_that_an_official_list_names_stays_in_its_split(tmp_path):
    root = make('ucf101', tmp_path, archives=False)
    path = 'ApplyEyeMakeup/v_Archery_g01_c01.avi'
    (root / 'UCF-101' / path).touch()
    with (root / 'ucfTrainTestlist/testlist01.txt').open('a') as file:
        file.write(f'{path}\n')
    prepared = prepare('ucf101', root)
    assert (path, 0) in clips(prepared, '1', 'val')
    assert not [x for x in prepared.lines if 'not on disk' in x]


def remove(root, pattern):
    for path in sorted(root.glob(pattern)):
        path.unlink()


def break_ucf101(root):
    remove(root, 'UCF-101/Archery/*')
    (root / 'UCF-101' / 'ApplyEyeMakeup' / 'stray.avi').touch()
    (root / 'UCF-101' / 'Boxing').mkdir()
    (root / 'UCF-101' / 'Boxing' / 'v_Boxing_g01_c01.avi').touch()
    with (root / 'ucfTrainTestlist' / 'trainlist01.txt').open('a') as file:
        file.write('ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c01.avi 1\n')
        file.write('ApplyEyeMakeup/v_ApplyEyeMakeup_g09_c01.avi 7\n')


def break_k400(root):
    remove(root, 'val/abseiling/*')
    (root / 'train' / 'stray_000001_000011.mp4').touch()
    twice = 'gfg7GAPvMuE_000120_000130.mp4'
    (root / 'train' / twice).touch()
    with (root / 'annotations' / 'val.csv').open('a') as file:
        file.write('juggling,0KvUwFoAYQB,1,11,val\n')


FAULTS = {
    'ucf101': (
        break_ucf101,
        [
            'classes without a clip: 1 (Archery)',
            'duplicate clips: 1 (ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c01.avi)',
            'clips with an unknown label: 2 (Boxing/v_Boxing_g01_c01.avi, '
            'ApplyEyeMakeup/v_ApplyEyeMakeup_g09_c01.avi 7)',
            'clips listed and not on disk: 8 (Archery/v_Archery_g02_c01.avi, '
            'Archery/v_Archery_g02_c02.avi, Archery/v_Archery_g03_c01.avi '
            'and 5 more)',
            'files on disk and not listed: 1 (ApplyEyeMakeup/stray.avi)',
        ],
    ),
    'k400': (
        break_k400,
        [
            'duplicate clips: 1 (train/gfg7GAPvMuE_000120_000130.'
            'mp4 = train/playing guitar/gfg7GAPvMuE_000120_000130.mp4)',
            'clips with an unknown label: 1 (0KvUwFoAYQB_000001_000011 '
            "'juggling')",
            'clips listed and not on disk: 1 (0wR5jVB-WPk_000417_000427)',
            'files on disk and not listed: 1 (train/stray_000001_000011.mp4)',
        ],
    ),
}


@pytest.mark.parametrize('name', FAULTS)
def test_faults_are_named_and_left_out(tmp_path, name):
    root = make(name, tmp_path, archives=False)
    break_it, wanted = FAULTS[name]
    break_it(root)
    prepared = prepare(name, root)
    assert sorted(prepared.lines[-len(wanted) :]) == sorted(wanted)
    for path in prepared.lists.values():
        for clip, _ in read_annotations(path).clips:
            assert (prepared.videos / clip).is_file()


@pytest.mark.parametrize('name', FAULTS)
def test_strict_writes_nothing_if_there_are_faults(tmp_path, name):
    root = make(name, tmp_path, archives=False)
    break_it, wanted = FAULTS[name]
    break_it(root)
    before = sorted(root.iterdir())
    with pytest.raises(UserError) as error:
        prepare(name, root, strict=True)
    assert all(line in str(error.value) for line in wanted)
    assert sorted(root.iterdir()) == before


@pytest.mark.parametrize('name', ['ucf101', 'ssv2', 'k400'])
def test_strict_accepts_a_data_set_without_faults(tmp_path, name):
    assert prepare(name, make(name, tmp_path), strict=True).lists


@pytest.mark.parametrize('name', MAKERS)
def test_missing_archives_are_reported_with_their_source(tmp_path, name):
    with pytest.raises(UserError, match='not found; put ') as error:
        prepare(name, tmp_path)
    archive = CATALOGUE[name].archives[0]
    assert str(tmp_path) in str(error.value)
    assert CATALOGUE[name].page in str(error.value)
    assert archive.about in str(error.value) or name == 'k400'


def test_clips_that_fill_one_side_only_are_reported(tmp_path):
    root = make('ucf50', tmp_path, archives=False, groups=[2])
    for split in ('official', 'paper'):
        with pytest.raises(UserError, match='clips on both sides: 2 of') as e:
            prepare('ucf50', root, split=split)
        assert ('split paper' in str(e.value)) == (split == 'paper')
    assert not (root / 'classes.txt').exists()


def test_lists_without_any_clip_on_disk_are_rejected(tmp_path):
    root = make('ucf101', tmp_path, archives=False)
    for path in (root / 'UCF-101').glob('*/*.avi'):
        path.rename(path.with_name(f'other_{path.name}'))
    with pytest.raises(UserError, match='is both on disk and in a list'):
        prepare('ucf101', root)
    assert not (root / 'classes.txt').exists()


@pytest.mark.parametrize(
    ('name', 'clip', 'copy'),
    [
        (
            'ucf101',
            'Archery/v_Archery_g01_c01.avi',
            'Archery/v_Archery_g01_c01 (1).avi',
        ),
        (
            'hmdb51',
            f'kick/{HMDB51_FILES["kick"][4]}',
            f'kick/Copy of {HMDB51_FILES["kick"][4]}',
        ),
    ],
)
def test_a_file_that_no_list_names_is_not_in_the_paper_split(
    tmp_path, name, clip, copy
):
    root = make(name, tmp_path, archives=False)
    folder = root / CATALOGUE[name].archives[0].folder
    (folder / copy).write_bytes((folder / clip).read_bytes())
    prepared = prepare(name, root, split='paper')
    sides = [clips(prepared, 'paper', part) for part in ('train', 'val')]
    used = [used_clip for side in sides for used_clip, _ in side]
    assert copy not in used and used.count(clip) == 1
    assert copy in line_with('files on disk and not listed: 1 (', prepared)
