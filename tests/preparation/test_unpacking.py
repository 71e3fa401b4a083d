"""A data set is unpacked completely or not at all."""

import shutil
import zipfile
from importlib import import_module
from types import SimpleNamespace

import pytest
import rarfile
from miniature_datasets import (
    COMPRESSED,
    K400_TRAIN,
    make_hmdb51,
    make_k400,
    make_ssv2,
    make_ucf50,
    make_ucf101,
    write_rar,
    write_stand_in,
)

from dvfl_mmaction import UserError, files
from dvfl_mmaction.datasets.annotations import read_annotations
from dvfl_mmaction.preparation import CATALOGUE, prepare
from dvfl_mmaction.preparation.archives import RAR_TOOLS
from dvfl_mmaction.preparation.unpacking import list_jobs


def test_a_broken_archive_leaves_no_folder(tmp_path):
    make_ucf101(tmp_path, write_stand_in)
    path = tmp_path / 'UCF101TrainTestSplits-RecognitionTask.zip'
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match='is broken or ends early'):
        prepare('ucf101', tmp_path)
    assert not list(tmp_path.glob('ucfTrainTestlist*'))
    assert not (tmp_path / 'classes.txt').exists()


def test_a_missing_piece_is_named(tmp_path):
    make_ssv2(tmp_path, write_stand_in)
    (tmp_path / '20bn-something-something-v2-01').unlink()
    with pytest.raises(UserError, match='v2-01 is missing'):
        prepare('ssv2', tmp_path)


def test_a_missing_last_piece_is_reported(tmp_path):
    make_ssv2(tmp_path, write_stand_in)
    (tmp_path / '20bn-something-something-v2-02').unlink()
    with pytest.raises(UserError, match='v2-01 is broken or ends early'):
        prepare('ssv2', tmp_path)
    assert not (tmp_path / '20bn-something-something-v2').exists()


def test_a_piece_that_is_only_named_zip_is_read_directly(tmp_path):
    make_ssv2(tmp_path, write_stand_in)
    for path in tmp_path.glob('20bn-*'):
        path.rename(path.with_name(path.name + '.zip'))
    assert prepare('ssv2', tmp_path).lists


def test_without_a_tool_for_rar_the_error_names_those_to_install(
    tmp_path, monkeypatch
):
    monkeypatch.setenv('PATH', str(tmp_path / 'nothing'))
    write_rar(tmp_path / 'UCF50.rar', {'UCF50/a.avi': b'x'}, COMPRESSED)
    with pytest.raises(UserError) as error:
        prepare('ucf50', tmp_path)
    for word in ('libarchive-tools', 'unar', 'by hand', *RAR_TOOLS):
        assert word in str(error.value)
    assert '\n' not in str(error.value)


def test_too_little_disk_space_is_reported_before_unpacking(
    tmp_path, monkeypatch
):
    make_ucf50(tmp_path, write_stand_in)
    usage = (10**12, 10**12, 100)
    monkeypatch.setattr(
        files.shutil,
        'disk_usage',
        lambda path: type('Usage', (), dict(free=usage[2])),
    )
    with pytest.raises(UserError, match='kB are needed to unpack UCF50.rar'):
        prepare('ucf50', tmp_path)
    assert not (tmp_path / 'UCF50').exists()


@pytest.mark.parametrize(
    'stray', ['.DS_Store', 'Thumbs.db', '._a.mp4', '.Trash/a.mp4']
)
def test_a_file_that_is_no_clip_does_not_stop_new_archives(tmp_path, stray):
    make_k400(tmp_path, write_stand_in)
    held = tmp_path / 'part_1.tar.gz'
    (tmp_path / 'train/part_1.tar.gz').rename(held)
    prepare('k400', tmp_path)
    (tmp_path / 'videos' / stray).parent.mkdir(exist_ok=True)
    (tmp_path / 'videos' / stray).touch()
    held.rename(tmp_path / 'train/part_1.tar.gz')
    prepared = prepare('k400', tmp_path, strict=True)
    assert (tmp_path / 'train/part_1').is_dir()
    clips = read_annotations(prepared.lists['official', 'train']).clips
    assert len(clips) == len(K400_TRAIN)


@pytest.mark.parametrize('name', ['a.MP4', 'abseiling/a.mp4'])
def test_clips_of_the_user_are_used_instead_of_archives(tmp_path, name):
    make_k400(tmp_path, write_stand_in)
    (tmp_path / 'videos' / name).parent.mkdir(parents=True)
    (tmp_path / 'videos' / name).touch()
    jobs = list_jobs(tmp_path, CATALOGUE['k400'])
    assert not [job for job in jobs if job.archive.clips]


def test_the_remains_of_an_interrupted_run_are_removed(tmp_path):
    make_ucf50(tmp_path, write_stand_in)
    left = tmp_path / 'UCF50.part' / 'UCF50' / 'Punch'
    left.mkdir(parents=True)
    (left / 'v_Punch_g01_c01.avi').touch()
    prepare('ucf50', tmp_path)
    assert not (tmp_path / 'UCF50' / 'Punch').exists()
    assert not (tmp_path / 'UCF50.part').exists()


def test_the_remains_of_a_killed_run_take_no_space(tmp_path, monkeypatch):
    make_ucf50(tmp_path, write_stand_in)
    left = tmp_path / 'UCF50.part' / 'UCF50' / 'a.avi'
    left.parent.mkdir(parents=True)
    left.touch()

    def usage(path):
        return SimpleNamespace(free=0 if left.exists() else 10**12)

    monkeypatch.setattr(files.shutil, 'disk_usage', usage)
    assert prepare('ucf50', tmp_path).lists


APPLE_DOUBLE = b'\0\5\x16\7\xff'  # how macOS begins its ._ files


def test_what_macos_adds_to_a_zip_is_ignored(tmp_path):
    make_ucf101(tmp_path, write_stand_in)
    path = tmp_path / 'UCF101TrainTestSplits-RecognitionTask.zip'
    with zipfile.ZipFile(path, 'a') as archive:
        for name in ('__MACOSX/ucfTrainTestlist/._classInd.txt', '.DS_Store'):
            archive.writestr(name, APPLE_DOUBLE)
    assert len(prepare('ucf101', tmp_path, strict=True).lists) == 6
    assert (tmp_path / 'ucfTrainTestlist/classInd.txt').is_file()


def test_files_that_macos_puts_beside_others_are_ignored(tmp_path):
    make_hmdb51(tmp_path, write_stand_in)
    prepare('hmdb51', tmp_path)
    shutil.rmtree(tmp_path / 'hmdb51_org')
    with rarfile.RarFile(tmp_path / 'hmdb51_org.rar') as archive:
        archive.extractall(tmp_path / 'hmdb51_org')
    for file in (
        'hmdb51_org/._kick.rar',
        'testTrainMulti_7030_splits/._kick_test_split1.txt',
    ):
        (tmp_path / file).write_bytes(APPLE_DOUBLE)
    prepared = prepare('hmdb51', tmp_path)
    clips = read_annotations(prepared.lists['1', 'train']).clips
    assert len(clips) == 6


def test_a_folder_that_the_user_moved_away_stays(tmp_path):
    make_ucf50(tmp_path, write_stand_in)
    prepare('ucf50', tmp_path)
    (tmp_path / 'UCF50').rename(tmp_path / 'UCF50.old')
    prepare('ucf50', tmp_path)
    assert (tmp_path / 'UCF50.old' / 'Billiards').is_dir()
    assert (tmp_path / 'UCF50' / 'Billiards').is_dir()


def test_the_remains_of_a_run_that_was_killed_at_its_end_are_removed(tmp_path):
    make_ucf50(tmp_path, write_stand_in)
    prepare('ucf50', tmp_path)
    for name in ('UCF50.part', 'UCF50.part.old'):
        (tmp_path / name / 'Billiards').mkdir(parents=True)
    prepare('ucf50', tmp_path)
    left = sorted(path.name for path in tmp_path.glob('UCF50*'))
    assert left == ['UCF50', 'UCF50.rar']


def test_an_archive_of_another_size_replaces_the_folder(tmp_path):
    make_ucf50(tmp_path, write_stand_in)
    prepare('ucf50', tmp_path)
    (tmp_path / 'UCF50' / 'Billiards' / 'of the earlier archive').touch()
    with (tmp_path / 'UCF50.rar').open('ab') as archive:
        archive.write(b'another size')
    prepare('ucf50', tmp_path)
    assert (tmp_path / 'UCF50' / 'Billiards').is_dir()
    assert not list(tmp_path.rglob('of the earlier archive'))
    left = sorted(path.name for path in tmp_path.glob('UCF50*'))
    assert left == ['UCF50', 'UCF50.rar']


def test_a_second_run_at_the_same_time_is_refused(tmp_path, monkeypatch):
    make_ucf50(tmp_path, write_stand_in)
    preparing = import_module('dvfl_mmaction.preparation.prepare')
    unpack_all = preparing.unpack_all
    refused = []

    def prepare_again(*args):
        with pytest.raises(UserError) as error:
            prepare('ucf50', tmp_path)
        refused.append(str(error.value))
        return unpack_all(*args)

    monkeypatch.setattr(preparing, 'unpack_all', prepare_again)
    assert prepare('ucf50', tmp_path).lists
    assert refused == [
        f'another run prepares {tmp_path}; rerun the command when it is done'
    ]
    assert not (tmp_path / preparing.LOCK).exists()
