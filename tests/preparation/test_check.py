"""Every frame of every clip is decoded once, despite crashes and Ctrl-C."""

import csv
import functools
import json
import os
import signal
from pathlib import Path

import av
import pytest
from hostile_clips import (
    packets,
    turn,
    write_broken,
    write_readable,
    write_video,
)
from interrupted import interrupt

from dvfl_mmaction import UserError
from dvfl_mmaction.datasets.annotations import read_annotations
from dvfl_mmaction.preparation.clips import check, runner
from dvfl_mmaction.preparation.clips.check import ClipFacts, check_clips
from dvfl_mmaction.preparation.clips.clip_lists import read_lists

SLOW_CHECK = """
import sys, time
from dvfl_mmaction.preparation.clips import check, runner
decode = check.decode_clip
def slowly(videos, name, **kwargs):
    time.sleep(0.2)
    return decode(videos, name, **kwargs)
check.decode_clip = slowly
check.check_clips(sys.argv[1], workers=1)
"""


def table(root) -> dict[str, dict[str, str]]:
    """Rows of the report, by name."""
    text = (root / 'check.csv').read_text(encoding='utf-8')
    return {row['name']: row for row in csv.DictReader(text.splitlines())}


@pytest.fixture
def decoded(tmp_path, monkeypatch) -> Path:
    """A file with the name of every clip that is decoded."""
    real, path = check.decode_clip, tmp_path / 'decoded.log'

    @functools.wraps(real)  # so that it can be pickled
    def counted(videos, name, **kwargs):
        with path.open('a') as file:
            file.write(f'{name}\n')
        return real(videos, name, **kwargs)

    monkeypatch.setattr(check, 'decode_clip', counted)
    path.touch()
    return path


def test_statuses_and_reasons_are_those_of_the_files(tmp_path):
    videos = tmp_path / 'videos'
    videos.mkdir()
    readable = write_readable(videos)
    write_broken(videos)
    names = sorted(path.name for path in videos.iterdir())
    (tmp_path / 'all.txt').write_text(
        ''.join(f'{name} 0\n' for name in [*names, 'absent.mp4'])
    )
    check_clips(tmp_path, workers=2)
    rows = table(tmp_path)
    found = {name: (r['status'], r['reason']) for name, r in rows.items()}
    invalid = 'Invalid data found when processing input'
    fault = found.pop('overwritten.mp4')
    assert fault[0] == 'broken' and fault[1].endswith('of 30 frames')
    held = found['truncated.avi'][1].split()[1]
    assert found == dict.fromkeys(readable, ('ok', '')) | {
        'absent.mp4': ('broken', 'file not found'),
        'empty.mp4': ('broken', 'the file is empty'),
        'one_frame.mp4': ('short', 'fewer than 8 frames: 1'),
        'seven_frames.mkv': ('short', 'fewer than 8 frames: 7'),
        'sound_only.mp4': ('broken', 'the file has no video stream'),
        'text.mp4': ('broken', f'not a video: {invalid}'),
        'truncated.avi': (
            'cut',
            f'holds {held} of the 30 frames that its header announces',
        ),
        'two_frames.avi': ('short', 'fewer than 8 frames: 2'),
    }
    assert held in ('19', '20')
    turned = rows['turned.mp4']
    assert (
        turned
        | dict(
            frames='16',
            announced_frames='16',
            avg_fps='25.0',
            width='64',
            height='48',
            codec='h264',
            pixel_format='yuv420p',
            rotation='-90',
        )
        == turned
    )


def test_hidden_and_repeated_frames_do_not_count_as_missing(tmp_path):
    videos = tmp_path / 'videos'
    videos.mkdir()
    # AVI counts repeated frames, and stores nothing for them.
    times = [0, 40, 80, 120, 400, *range(440, 1000, 40)]
    write_video(videos / 'repeats.avi', 19, codec='mpeg4', times=times)
    # The file holds the first second, but its edit list hides it.
    whole = write_video(tmp_path / 'whole.mp4', 45, options={'g': '10'})
    with (
        av.open(str(whole)) as source,
        av.open(str(videos / 'trimmed.mp4'), 'w') as target,
    ):
        old = source.streams.video[0]
        new = target.add_stream_from_template(old)
        for packet in source.demux(old):
            if packet.size:
                packet.stream = new
                packet.pts -= round(1 / old.time_base)
                packet.dts -= round(1 / old.time_base)
                target.mux(packet)
    (tmp_path / 'all.txt').write_text('repeats.avi 0\ntrimmed.mp4 0\n')
    check_clips(tmp_path, workers=1)
    rows = table(tmp_path)
    assert {row['status'] for row in rows.values()} == {'ok'}
    assert rows['trimmed.mp4']['frames'] == '20'
    assert rows['trimmed.mp4']['announced_frames'] == '20'


@pytest.mark.parametrize(('end', 'status'), [(28, 'ok'), (26, 'cut')])
def test_two_missing_frames_are_tolerated(tmp_path, end, status):
    (tmp_path / 'videos').mkdir()
    clip = write_video(tmp_path / 'videos' / 'clip.avi', 30, codec='mpeg4')
    start = packets(clip)[end].pos
    clip.write_bytes(clip.read_bytes()[:start])
    (tmp_path / 'all.txt').write_text('clip.avi 0\n')
    check_clips(tmp_path, workers=1)
    assert table(tmp_path)['clip.avi']['status'] == status


def test_checked_lists_leave_out_broken_clips(root):
    lines = check_clips(root, workers=2).lines()
    checked = read_annotations(root / 'train_checked.txt')
    assert checked.clips == [('x/a.avi', 0), ('x/b c.avi', 1)]
    assert checked.header == dict(
        dataset='small',
        checked='every frame was decoded; 1 broken clips left out',
    )
    other = read_annotations(root / 'val_checked.txt')
    assert other.clips == read_annotations(root / 'val.txt').clips
    assert '        empty.avi: the file is empty' in lines
    check_clips(root, workers=2)
    assert not list(root.glob('*_checked_checked.txt'))


def test_a_second_run_decodes_new_and_changed_clips_only(root, decoded):
    assert check_clips(root, workers=2).decoded == 4
    first = (root / 'check.csv').read_text()
    # A clip that two lists name is decoded once.
    assert sorted(decoded.read_text().split('\n')) == sorted(
        ['', 'x/a.avi', 'x/b c.avi', 'd.avi', 'empty.avi']
    )
    decoded.write_text('')
    assert check_clips(root, workers=2).decoded == 0
    assert decoded.read_text() == ''
    assert (root / 'check.csv').read_text() == first
    os.utime(root / 'videos' / 'x' / 'a.avi', (1, 1))
    write_video(root / 'videos' / 'd.avi', 3, codec='mpeg4')
    assert check_clips(root, workers=1).decoded == 2
    assert sorted(decoded.read_text().splitlines()) == ['d.avi', 'x/a.avi']
    assert table(root)['d.avi']['status'] == 'short'


def test_a_truncated_journal_is_resumed(root, decoded):
    check_clips(root, workers=1)
    journal = root / 'check.jsonl'
    content = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b''.join(content[:2]) + content[2][:40])
    assert check_clips(root, workers=1).decoded == 2
    assert check_clips(root, workers=1).decoded == 0


def test_a_journal_without_a_newer_fact_is_decoded_again(root, decoded):
    check_clips(root, workers=1)
    journal = root / 'check.jsonl'
    entries = [json.loads(line) for line in journal.open()]
    for entry in entries:
        del entry['result']['stream']
    journal.write_text('\n'.join(map(json.dumps, entries)))
    assert check_clips(root, workers=1).decoded == 4
    assert check_clips(root, workers=1).decoded == 0


def test_lists_with_several_labels_keep_them(root):
    several = '# split: 1\nx/a.avi 0 2\nempty.avi 1\nx/b c.avi 2\n'
    (root / 'train.txt').write_text(several)
    check_clips(root, workers=1)
    checked = read_annotations(root / 'train_checked.txt', multi_class=True)
    assert checked.clips == [('x/a.avi', [0, 2]), ('x/b c.avi', [2])]
    assert checked.header['split'] == '1'


def test_clips_without_a_label_are_for_training_only(root):
    (root / 'train.txt').write_text('x/a.avi -1\nempty.avi -1\nd.avi 1\n')
    check_clips(root, workers=1)
    checked = read_annotations(root / 'train_checked.txt', unlabelled=True)
    assert checked.clips == [('x/a.avi', -1), ('d.avi', 1)]
    (root / 'val.txt').write_text('x/a.avi -1\n')
    with pytest.raises(UserError, match='val.txt, line 1.* has the label -1'):
        check_clips(root, workers=1)


def test_a_list_of_frame_folders_is_refused(root):
    (root / 'train.txt').write_text('x/a 10 0\nx/b 20 1\n')
    with pytest.raises(UserError, match='line 1: .* frame folders'):
        check_clips(root, workers=1)


@pytest.mark.parametrize(
    ('end', 'reason'),
    [(signal.SIGKILL, 'SIGKILL'), (3, 'exit code 3')],
)
def test_a_decoder_crash_costs_one_clip(root, monkeypatch, end, reason):
    real = check.decode_clip

    @functools.wraps(real)
    def crashing(videos, name, **kwargs):
        if name == 'x/b c.avi':
            if isinstance(end, signal.Signals):
                os.kill(os.getpid(), end)
            os._exit(end)
        return real(videos, name, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(check, 'decode_clip', crashing)
        report = check_clips(root, workers=1)
    assert report.facts['x/b c.avi'].verdict() == (
        'broken',
        f'the decoder crashed ({reason})',
    )
    assert report.named('ok') == ['x/a.avi', 'd.avi']
    assert ('x/b c.avi', 1) not in read_annotations(
        root / 'train_checked.txt'
    ).clips
    # The next run tries it again: memory may have been short.
    report = check_clips(root, workers=1)
    assert report.decoded == 1
    assert report.named('ok') == ['x/a.avi', 'x/b c.avi', 'd.avi']


def test_ctrl_c_keeps_finished_clips(root):
    names = [f'{i}.avi' for i in range(30)]
    for name in names:
        (root / 'videos' / name).hardlink_to(root / 'videos' / 'x' / 'a.avi')
    (root / 'train.txt').write_text(''.join(f'{n} 0\n' for n in names))
    journal = root / 'check.jsonl'
    status, message = interrupt(
        SLOW_CHECK,
        [root],
        lambda: journal.exists() and journal.read_bytes().count(b'\n') >= 3,
    )
    assert status == 130
    assert 'rerun the command to resume' in message
    assert 'Traceback' not in message
    noted = [json.loads(line) for line in journal.open()]
    assert not (root / 'check.csv').exists()
    assert check_clips(root, workers=2).decoded == 32 - len(noted)


def test_a_clip_over_the_time_limit_is_tried_again(root, decoded):
    facts = check.check_clips(root, workers=1, timeout_s=1e-9).facts
    late = [
        name
        for name, clip in facts.items()
        if clip.error == 'reading takes longer than 1e-09 s'
    ]
    assert late
    decoded.write_text('')
    again = check.check_clips(root, workers=1).facts
    assert not any('longer' in (clip.error or '') for clip in again.values())
    assert sorted(decoded.read_text().splitlines()) == sorted(late)


def test_a_hidden_file_is_no_list(root):
    (root / '._train.txt').write_bytes(b'\0\5\x16\7\xff')
    names = [path.name for path in read_lists(root, checked=True)]
    assert names == ['train.txt', 'val.txt']


def test_a_root_without_lists_or_videos_is_rejected(root):
    (root / 'videos').rename(root / 'clips')
    with pytest.raises(UserError, match='videos not found; put the clips'):
        check_clips(root)
    for path in root.glob('[tv]*.txt'):
        path.unlink()
    with pytest.raises(UserError, match='holds no list of clips'):
        check_clips(root)


def test_the_estimate_comes_from_a_sample(root, monkeypatch, capsys):
    monkeypatch.setattr(
        runner, 'even_sample', lambda names: (names[::2], names[1::2])
    )
    turn(write_video(root / 'videos' / 'e.mp4', 9))
    with (root / 'val.txt').open('a') as file:
        file.write('e.mp4 1\n')
    check_clips(root, workers=2)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == '5 clips, 5 to check'
    assert printed[1].startswith('sample of 3 clips: ')
    assert printed[1].endswith(' for the other 2')


@pytest.mark.parametrize(
    ('frames', 'announced', 'avg_fps', 'status'),
    [
        (10, 12, 10, 'ok'),
        (10, 13, 10, 'cut'),
        (50, 56, 60, 'ok'),  # a tenth of a second
        (50, 57, 60, 'cut'),
        (8, 8, 25, 'ok'),
        (7, 7, 25, 'short'),
        (7, 12, 10, 'cut'),
    ],
)
def test_few_frames_may_be_missing(frames, announced, avg_fps, status):
    facts = ClipFacts(
        frames=frames, announced_frames=announced, avg_fps=avg_fps
    )
    assert facts.verdict()[0] == status
