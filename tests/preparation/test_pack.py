"""A packed copy has the same frames, and no unfinished files."""

import errno
import functools
from pathlib import Path

import av
import decord
import numpy as np
import pytest
from hostile_clips import turn, write_broken, write_readable, write_video
from interrupted import interrupt

from dvfl_mmaction import UserError
from dvfl_mmaction.datasets import ClipDataset
from dvfl_mmaction.datasets.annotations import read_annotations
from dvfl_mmaction.datasets.video_reader import VideoReader
from dvfl_mmaction.preparation.clips import pack, runner
from dvfl_mmaction.preparation.clips.pack import pack_clips
from dvfl_mmaction.preparation.clips.packed_video import (
    packed_size,
    write_packed,
)

PAUSING_PACK = """
import sys, time
from dvfl_mmaction.preparation.clips import pack, runner
write = pack.write_packed
def pause_on_d(source, target, **settings):
    frames = write(source, target, **settings)
    if source.name == 'd.avi':
        time.sleep(60)
    return frames
pack.write_packed = pause_on_d
pack.pack_clips(sys.argv[1], sys.argv[2], workers=1)
"""


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Time and inode of every file below a folder."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.stat().st_ino,
        )
        for path in folder.rglob('*')
        if path.is_file()
    }


def frames(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return np.stack([reader.to_rgb(f) for f in reader.frames()])


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


def test_a_packed_clip_has_the_frames_of_its_source(tmp_path):
    root, target = tmp_path / 'data', tmp_path / 'packed'
    videos = root / 'videos'
    videos.mkdir(parents=True)
    names = write_readable(videos)
    (root / 'all.txt').write_text(''.join(f'{name} 0\n' for name in names))
    pack_clips(root, target, workers=2)
    for name in names:
        source = frames(videos / name)
        path = (target / 'videos' / name).with_suffix('.avi')
        packed = frames(path)
        assert len(packed) == len(source), name
        with VideoReader(path) as reader:
            wanted = [len(source) - 1, 0, len(source) // 2]
            assert np.array_equal(reader.read(wanted), packed[wanted])
            assert reader.codec == 'mjpeg'
            assert reader.num_frames == reader.announced_frames
        with av.open(str(path)) as container:
            assert len(container.streams) == 1
            packets = list(container.demux(video=0))[: len(source)]
            assert all(packet.is_keyframe for packet in packets)
        # decord cannot read widths of 16 and 48 pixels, in the source too.
        if name not in ('tiny.mp4', 'turned.mp4'):
            others = decord.VideoReader(str(path)).get_batch(wanted)
            assert np.array_equal(others.asnumpy(), packed[wanted]), name
        if name == 'odd_444.mp4':  # of (129, 171)
            assert packed.shape[1:3] == (128, 170)
        else:
            assert psnr(source, packed) > 40, name


@pytest.mark.parametrize('matrix', ['smpte170m', 'bt709'])
def test_colours_are_kept(tmp_path, matrix):
    (tmp_path / 'data' / 'videos').mkdir(parents=True)
    path = tmp_path / 'data' / 'videos' / 'colours.mp4'
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30)]
    image = np.repeat(np.array([colours], np.uint8), 16, 1).repeat(64, 0)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(
            'libx264', rate=25, options=dict(colorspace=matrix, qp='4')
        )
        stream.width, stream.height, stream.pix_fmt = 64, 64, 'yuv420p'
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (tmp_path / 'data' / 'all.txt').write_text('colours.mp4 0\n')
    pack_clips(tmp_path / 'data', tmp_path / 'packed', workers=1)
    source = frames(path)
    packed = frames(tmp_path / 'packed' / 'videos' / 'colours.avi')
    # Centres of the patches: edges suffer from chroma subsampling.
    offset = source[:, :, 8::16].astype(int) - packed[:, :, 8::16]
    assert np.abs(offset).max() <= 4


def test_large_clips_are_scaled_and_small_ones_are_not():
    assert packed_size(1920, 1080, 256) == (456, 256)
    assert packed_size(426, 320, 256) == (340, 256)
    assert packed_size(320, 640, 256) == (256, 512)
    assert packed_size(320, 240, 256) == (320, 240)
    assert packed_size(171, 129, 256) == (170, 128)
    assert packed_size(1, 1, 256) == (2, 2)


def test_a_rotated_clip_is_packed_upright_and_scaled(tmp_path):
    videos = tmp_path / 'data' / 'videos'
    videos.mkdir(parents=True)
    turn(write_video(videos / 'turned.mp4', 3, size=(128, 64)))
    (tmp_path / 'data' / 'all.txt').write_text('turned.mp4 0\n')
    pack_clips(tmp_path / 'data', tmp_path / 'packed', 1, short_side=32)
    packed = frames(tmp_path / 'packed' / 'videos' / 'turned.avi')
    assert packed.shape == (3, 64, 32, 3)
    assert packed[:, :12].max() < 25 < packed[:, 20:].min() + 10


def test_the_copy_can_be_trained_on(root, tmp_path):
    target = tmp_path / 'packed'
    lines = pack_clips(root, target, workers=2).lines()
    train = read_annotations(target / 'train.txt')
    assert train.clips == [('x/a.avi', 0), ('x/b c.avi', 1)]
    assert train.header == dict(
        dataset='small',
        packed=f'Motion-JPEG copy of {root}, short side at most 256 pixels, '
        'quality 3; 1 broken clips left out',
    )
    assert 'cannot be read and are left out: empty.avi' in lines[-1]
    assert (target / 'classes.txt').read_text() == 'x\ny\n'
    assert sorted(files(target)) == [
        'classes.txt',
        'pack.jsonl',
        'train.txt',
        'val.txt',
        'videos/d.avi',
        'videos/x/a.avi',
        'videos/x/b c.avi',
    ]
    dataset = ClipDataset(
        str(target / 'train.txt'),
        data_prefix=dict(video=str(target / 'videos')),
        pipeline=[
            dict(type='ClipInit'),
            dict(type='SampleFrames', clip_len=4),
            dict(type='ClipDecode'),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs'),
        ],
    )
    assert dataset.class_names == ['x', 'y']
    sample = dataset[1]
    assert sample['inputs'].shape == (1, 3, 4, 48, 64)
    assert 'broken' not in sample['data_samples'].metainfo


def test_a_second_run_packs_new_and_changed_clips_only(root, tmp_path):
    target = tmp_path / 'packed'
    assert pack_clips(root, target, workers=2).packed == 3
    before = files(target / 'videos')
    journal = (target / 'pack.jsonl').read_bytes()
    assert pack_clips(root, target, workers=2).packed == 0
    assert files(target / 'videos') == before
    assert (target / 'pack.jsonl').read_bytes() == journal
    write_video(root / 'videos' / 'd.avi', 12, codec='mpeg4')
    (target / 'videos' / 'x' / 'a.avi').write_bytes(b'something else')
    assert pack_clips(root, target, workers=1).packed == 2
    assert len(frames(target / 'videos' / 'd.avi')) == 12
    after = files(target / 'videos')
    assert after['x/b c.avi'] == before['x/b c.avi']
    assert pack_clips(root, target, 1, short_side=32).packed == 3


def test_broken_sources_leave_no_files(tmp_path):
    root, target = tmp_path / 'data', tmp_path / 'packed'
    (root / 'videos').mkdir(parents=True)
    names = write_broken(root / 'videos')
    write_video(root / 'videos' / 'whole.mp4', 9)
    (root / 'all.txt').write_text(
        ''.join(f'{n} 0\n' for n in [*names, 'absent.mp4', 'whole.mp4'])
    )
    report = pack_clips(root, target, workers=2)
    assert report.broken == [*names, 'absent.mp4']
    assert sorted(files(target)) == [
        'all.txt',
        'pack.jsonl',
        'videos/whole.avi',
    ]


def test_a_full_disk_is_one_error_and_leaves_no_unfinished_file(
    root, tmp_path, monkeypatch
):
    target = tmp_path / 'packed'
    real = pack.write_packed

    @functools.wraps(real)
    def fail_on_d(source, part, **settings):
        if source.name == 'd.avi':
            part.write_bytes(b'half')
            raise OSError(errno.ENOSPC, 'No space left on device')
        return real(source, part, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(pack, 'write_packed', fail_on_d)
        with pytest.raises(UserError, match='No space left') as caught:
            pack_clips(root, target, workers=1)
    assert '\n' not in str(caught.value)
    assert sorted(files(target)) == [
        'pack.jsonl',
        'videos/x/a.avi',
        'videos/x/b c.avi',
    ]
    assert pack_clips(root, target, workers=1).packed == 1


def test_too_little_space_is_an_error_after_the_sample(
    root, tmp_path, monkeypatch, capsys
):
    usage = type(pack.shutil.disk_usage(tmp_path))
    monkeypatch.setattr(
        pack.shutil, 'disk_usage', lambda path: usage(10**9, 10**9 - 9, 9)
    )
    monkeypatch.setattr(
        runner, 'even_sample', lambda names: (names[:2], names[2:])
    )
    with pytest.raises(
        UserError, match='are needed to pack .* free some space'
    ):
        pack_clips(root, tmp_path / 'packed', workers=1)
    assert 'sample of 2 clips: ' in capsys.readouterr().out
    assert not (tmp_path / 'packed' / pack.PARTS).exists()


def test_ctrl_c_leaves_no_unfinished_file(root, tmp_path):
    target = tmp_path / 'packed'
    journal = target / 'pack.jsonl'

    def is_writing_the_fourth():
        # d.avi is written under its temporary name, and waits.
        return (
            journal.exists()
            and journal.read_bytes().count(b'\n') >= 3
            and any((target / pack.PARTS).iterdir())
        )

    status, message = interrupt(
        PAUSING_PACK, [root, target], is_writing_the_fourth
    )
    assert status == 130
    assert 'rerun the command to resume' in message
    assert sorted(files(target)) == [
        'pack.jsonl',
        'videos/x/a.avi',
        'videos/x/b c.avi',
    ]
    assert not (target / pack.PARTS).exists()
    assert pack_clips(root, target, workers=1).packed == 1


def test_colliding_names_and_names_outside_the_folder_are_rejected(
    root, tmp_path
):
    target = tmp_path / 'packed'
    (root / 'val.txt').write_text('x/a.mp4 1\n')
    with pytest.raises(
        UserError, match=r"'x/a.avi' and 'x/a.mp4' would both become"
    ):
        pack_clips(root, target)
    (root / 'val.txt').write_text('../a.mp4 1\n')
    with pytest.raises(UserError, match='is not below videos/'):
        pack_clips(root, target)
    with pytest.raises(UserError, match='cannot be .* itself'):
        pack_clips(root, root)
    with pytest.raises(UserError, match='quality 1 and short side 256'):
        pack_clips(root, target, quality=1)
    assert not target.exists()


@pytest.mark.parametrize('linked', ['videos', 'videos/x'])
def test_a_copy_never_replaces_its_sources(root, tmp_path, linked):
    before = files(root)
    target = tmp_path / 'target'
    (target / linked).parent.mkdir(parents=True)
    (target / linked).symlink_to(root / linked)
    with pytest.raises(UserError, match='the clips of .* themselves') as e:
        pack_clips(root, target, workers=1)
    assert '\n' not in str(e.value)
    assert files(root) == before


def test_the_lists_of_another_data_set_are_not_replaced(root, tmp_path):
    target = tmp_path / 'other'
    target.mkdir()
    for name in ('val.txt', 'classes.txt'):
        (target / name).write_text('own.mp4 0\n')
        with pytest.raises(UserError, match=f'{name} is of another data set'):
            pack_clips(root, target, workers=1)
        assert [*target.iterdir()] == [target / name]
        assert (target / name).read_text() == 'own.mp4 0\n'
        (target / name).unlink()


def test_a_time_lapse_is_packed(tmp_path):
    times = [5_000_000 * i for i in range(4)]  # ms
    source = write_video(tmp_path / 'slow.mp4', 4, times=times)
    assert write_packed(source, tmp_path / 'packed.avi', 256, 3) == 4
    with VideoReader(tmp_path / 'packed.avi') as reader:
        assert reader.num_frames == 4
        assert 0 < reader.avg_fps == pytest.approx(1 / 5000, rel=0.4)


def test_a_second_run_at_the_same_time_is_refused(root, tmp_path, monkeypatch):
    target = tmp_path / 'packed'

    def pack_again(*args):
        left = target / pack.PARTS / 'unfinished.avi'
        left.touch()
        with pytest.raises(UserError, match=f'another run packs to {target}'):
            pack_clips(root, target, workers=1)
        assert left.exists()
        raise OSError(errno.EIO, 'the end of this test')

    monkeypatch.setattr(pack, 'run_clips', pack_again)
    with pytest.raises(UserError, match='the end of this test'):
        pack_clips(root, target, workers=1)
    assert files(target) == {}
