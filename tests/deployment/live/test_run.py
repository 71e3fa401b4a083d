"""Whole runs, live and in turn, of both kinds of models."""

import errno
import json
import os
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.live import run
from dvfl_mmaction.deployment.live.classifier import (
    FrameClassifier,
    WindowClassifier,
)
from dvfl_mmaction.deployment.live.frames import SourceError
from dvfl_mmaction.deployment.live.load import load_from_checkpoint
from dvfl_mmaction.deployment.live.opened_source import (
    OpenedSource,
    opener_of,
)
from dvfl_mmaction.deployment.live.pacing import Pacer
from dvfl_mmaction.deployment.live.run import (
    STDOUT,
    StreamOutputs,
    run_stream,
)
from dvfl_mmaction.deployment.live.segments import SegmentRule
from dvfl_mmaction.deployment.live.session import Session
from dvfl_mmaction.deployment.live.source import Source

RULE = SegmentRule(smooth_s=0.2, enter=0.01, leave=0, min_length_s=0)


def classifier_of(folder, name, **kwargs):
    return load_from_checkpoint(
        str(folder / f'{name}.py'),
        str(folder / f'{name}.pth'),
        classes=str(folder / 'classes.txt'),
        **kwargs,
    )


def lines_of(path):
    lines = path.read_text(encoding='utf-8').splitlines()
    return [json.loads(line) for line in lines]


def fake_classifier(step_s=0.0, fails_at=None):
    """A causal model that takes some time per frame."""

    def step(picture, state):
        time.sleep(step_s)
        if state == fails_at:
            raise KeyboardInterrupt
        return np.array([0.2, 0.8], np.float32), state + 1

    return FrameClassifier(
        step, lambda height, width: 0, lambda image: image, 2
    )


def test_standard_output_needs_no_file_beside_it(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(run, 'check_writable', tried.append)
    StreamOutputs(lines=STDOUT, video=tmp_path / 'a.mp4').check()
    assert tried == [tmp_path / 'a.mp4']


@pytest.mark.parametrize('name', ['a.avi', 'a'])
def test_a_video_of_another_format_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=f'--video .*{name} is no MP4 file'):
        StreamOutputs(video=tmp_path / name).check()
    StreamOutputs(video=tmp_path / 'a.MP4').check()


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs /dev/full')
@pytest.mark.parametrize('in_turn', [False, True])
def test_a_full_disk_is_reported_in_one_line(folder, in_turn):
    outputs = StreamOutputs(lines=Path('/dev/full'))
    source = Source('a', opener_of(str(folder / 'a.mp4')))
    with pytest.raises(UserError, match='No space left.* free space'):
        run_stream(source, fake_classifier(), outputs, RULE, in_turn)


@pytest.mark.parametrize('in_turn', [False, True])
def test_lines_that_cannot_be_written_cost_no_other_output(
    folder, tmp_path, monkeypatch, in_turn
):
    lines = []

    def write(file, line):
        lines.append(line)
        # Live, a busy machine may drop the other frames.
        if len(lines) == (3 if in_turn else 1):
            raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(run, 'write_line', write)
    outputs = StreamOutputs(
        lines=tmp_path / 'a.jsonl',
        video=tmp_path / 'a.mp4',
        timelines=[tmp_path / 'a.json'],
    )
    source = Source('a', opener_of(str(folder / 'a.mp4')))
    with pytest.raises(UserError, match='No space left.* free space'):
        run_stream(source, fake_classifier(), outputs, RULE, in_turn)
    assert outputs.video.exists() and 'summary' in lines[-1]
    assert not json.loads((tmp_path / 'a.json').read_text())['complete']


def test_a_timeline_that_cannot_be_written_costs_no_other_output(
    folder, tmp_path, monkeypatch
):
    def write(path, *args):
        if path.suffix == '.json':
            raise OSError(errno.ENOSPC, 'No space left on device')
        path.touch()

    monkeypatch.setattr(run, 'write_timeline', write)
    outputs = StreamOutputs(
        lines=tmp_path / 'a.jsonl',
        video=tmp_path / 'a.mp4',
        timelines=[tmp_path / 'a.json', tmp_path / 'a.srt'],
    )
    source = Source('a', opener_of(str(folder / 'a.mp4')))
    with pytest.raises(UserError, match='No space left.* free space'):
        run_stream(source, fake_classifier(), outputs, RULE, True)
    assert 'summary' in lines_of(outputs.lines)[-1]
    assert outputs.video.exists() and (tmp_path / 'a.srt').exists()


def test_a_causal_model_answers_every_frame_in_turn(folder, tmp_path, capsys):
    outputs = StreamOutputs(
        lines=tmp_path / 'a.jsonl',
        video=tmp_path / 'a.mp4',
        timelines=[tmp_path / 'a.json', tmp_path / 'a.srt'],
        top=2,
    )
    source = Source('a', opener_of(str(folder / 'a.mp4')))
    classifier = classifier_of(folder, 'causal')
    session = run_stream(source, classifier, outputs, RULE, in_turn=True)
    *answers, summary = lines_of(outputs.lines)
    assert [answer['frame'] for answer in answers] == list(range(40))
    assert answers[30]['time_s'] == 1.2
    assert len(answers[0]['predictions']) == 2
    assert answers[0]['predictions'][0]['name'] in 'rechts лево unten oben'
    counts = ('frames_read', 'frames_shown', 'answers', 'dropped')
    assert [summary['summary'][name] for name in counts] == [40, 40, 40, 0]
    assert session.is_complete
    with av.open(str(outputs.video)) as container:
        times = [f.time for f in container.decode(video=0)]
    assert times == pytest.approx([i / 25 for i in range(40)], abs=1e-3)
    timeline = json.loads((tmp_path / 'a.json').read_text())
    assert timeline['complete'] and timeline['end_s'] == 1.6
    assert timeline['segments'][0]['start_s'] == 0
    assert timeline['segments'][-1]['end_s'] == 1.6
    assert (tmp_path / 'a.srt').read_text().startswith('1\n00:00:00,000 --> ')
    errors = capsys.readouterr().err
    assert 'classify: 40/40 frames' in errors and '40 answers' in errors


def test_a_clip_model_answers_windows_at_the_speed_of_a_file(folder, tmp_path):
    outputs = StreamOutputs(lines=tmp_path / 'a.jsonl')
    source = Source('a', opener_of(str(folder / 'a.mp4')), pacer=Pacer())
    classifier = classifier_of(folder, 'clip', stride=2, every=5)
    began = time.monotonic()
    session = run_stream(source, classifier, outputs)
    assert time.monotonic() - began > 39 / 25
    *answers, summary = lines_of(outputs.lines)
    measures = session.measures
    assert len(answers) + measures.dropped == 7  # at 6, 11, …, 36
    assert {answer['frame'] % 5 for answer in answers} == {1}
    assert measures.shown + measures.hidden == 40


def test_a_slow_model_drops_frames_and_its_lag_stays_bounded(folder):
    source = Source('a', opener_of(str(folder / 'a.mp4')), pacer=Pacer())
    session = run_stream(source, fake_classifier(0.1), StreamOutputs())
    measures = session.measures
    assert measures.answered + measures.dropped == 40
    assert measures.dropped > 10
    # 0.1 s of waiting, two steps, and time for a busy machine.
    assert measures.lag.percentile(0.5) < 450
    assert measures.shown + measures.hidden == 40


def test_in_turn_a_slow_model_drops_nothing(folder, tmp_path):
    source = Source('a', opener_of(str(folder / 'a.mp4')))
    session = run_stream(
        source, fake_classifier(0.005), StreamOutputs(), in_turn=True
    )
    assert session.measures.answered == session.measures.shown == 40


@pytest.mark.parametrize('in_turn', [False, True])
def test_ctrl_c_writes_what_was_classified(folder, tmp_path, in_turn):
    outputs = StreamOutputs(
        lines=tmp_path / 'a.jsonl',
        video=tmp_path / 'a.mp4',
        timelines=[tmp_path / 'a.json'],
    )
    source = Source('a', opener_of(str(folder / 'a.mp4')), pacer=Pacer())
    with pytest.raises(KeyboardInterrupt, match=r'stopped at .* s; the files'):
        run_stream(
            source, fake_classifier(fails_at=12), outputs, RULE, in_turn
        )
    assert len(lines_of(outputs.lines)) == 12 + 1
    with av.open(str(outputs.video)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0
    timeline = json.loads((tmp_path / 'a.json').read_text())
    assert not timeline['complete'] and 0.4 < timeline['end_s'] < 1.6
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {'a.jsonl', 'a.mp4', 'a.json'}
    names = [thread.name for thread in threading.enumerate()]
    assert not any('guarded' in name for name in names)


def test_a_lost_source_ends_with_everything_written(tmp_path):
    def opened():
        def pictures():
            for _ in range(5):
                yield None, np.zeros((48, 64, 3), np.uint8)
            raise SourceError('unplugged')

        return OpenedSource(pictures(), lambda: None, is_live=True)

    outputs = StreamOutputs(lines=tmp_path / 'a', video=tmp_path / 'a.mp4')
    source = Source('cam', opened, retries=0)
    with pytest.raises(UserError, match='cam is lost: unplugged'):
        run_stream(source, fake_classifier(), outputs)
    assert 'summary' in lines_of(outputs.lines)[-1]
    assert outputs.video.exists()
    with pytest.raises(UserError, match='cam is live'):
        run_stream(
            Source('cam', opened), fake_classifier(), outputs, in_turn=True
        )


@pytest.mark.parametrize('read', [3, 5], ids=['early', 'all answers'])
def test_a_reader_that_leaves_costs_only_the_lines(tmp_path, read):
    os.mkfifo(tmp_path / 'lines')
    left = threading.Event()

    def read_lines():
        with (tmp_path / 'lines').open() as lines:
            for _ in range(read):
                lines.readline()
        left.set()

    def opened():
        def pictures():
            for i in range(6 if read < 5 else 5):
                if i == read:
                    assert left.wait(30)
                yield i / 25, np.zeros((48, 64, 3), np.uint8)
            assert left.wait(30)

        return OpenedSource(pictures(), lambda: None)

    reader = threading.Thread(target=read_lines)
    reader.start()
    outputs = StreamOutputs(
        lines=tmp_path / 'lines',
        video=tmp_path / 'a.mp4',
        timelines=[tmp_path / 'a.json'],
    )
    run_stream(Source('a', opened), fake_classifier(), outputs, RULE, True)
    reader.join()
    with av.open(str(outputs.video)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= read
    timeline = json.loads((tmp_path / 'a.json').read_text())
    assert timeline['end_s'] > (read - 1) / 25


@pytest.mark.parametrize('in_turn', [False, True])
def test_a_recording_without_a_frame_is_one_line(tmp_path, in_turn):
    def opened():
        return OpenedSource(iter(()), lambda: None)

    outputs = StreamOutputs(
        video=tmp_path / 'a.mp4', timelines=[tmp_path / 'a.json']
    )
    (tmp_path / 'a.mp4').write_bytes(b'of an earlier run')
    with pytest.raises(UserError, match='a has no frame that can be decoded'):
        run_stream(
            Source('a', opened), fake_classifier(), outputs, RULE, in_turn
        )
    assert [path.name for path in tmp_path.iterdir()] == ['a.mp4']
    assert outputs.video.read_bytes() == b'of an earlier run'


@pytest.mark.parametrize('times', [[0], [0, 0], [0.2]])
def test_a_single_frame_lasts_as_long_as_its_header_says(tmp_path, times):
    def opened():
        image = np.zeros((48, 64, 3), np.uint8)
        pictures = ((time_s, image) for time_s in times)
        return OpenedSource(pictures, lambda: None, frame_s=0.1)

    outputs = StreamOutputs(timelines=[tmp_path / 'a.json'])
    run_stream(Source('a', opened), fake_classifier(), outputs, RULE, True)
    timeline = json.loads((tmp_path / 'a.json').read_text())
    (segment,) = timeline['segments']
    assert (
        timeline['end_s'] == segment['end_s'] == pytest.approx(times[-1] + 0.1)
    )


def test_the_time_of_a_window_is_the_middle_of_its_frames():
    def opened():
        pictures = ((i / 8, np.zeros((2, 2, 3), np.uint8)) for i in range(6))
        return OpenedSource(pictures, lambda: None)

    classifier = WindowClassifier(
        len, lambda image: image, 2, clip_len=3, stride=2
    )
    answers = []
    session = Session(
        Source('a', opened), classifier, answers.append, lambda *_: True
    )
    assert len(list(session.run_in_turn())) == 6
    found = [(a.index, a.time_s, a.middle_s) for a in answers]
    assert found == [(4, 0.5, 0.25), (5, 0.625, 0.375)]


def test_an_interruption_counts_no_frame_that_was_only_read(tmp_path):
    def opened():
        image = np.zeros((48, 64, 3), np.uint8)
        pictures = ((i / 10, image) for i in range(8))
        return OpenedSource(pictures, lambda: None)

    outputs = StreamOutputs(timelines=[tmp_path / 'a.json'])
    with pytest.raises(KeyboardInterrupt):
        run_stream(
            Source('a', opened),
            fake_classifier(0.05, fails_at=3),
            outputs,
            RULE,
            True,
        )
    # Frames 0 to 2 were taken; all 8 were read ahead.
    assert json.loads((tmp_path / 'a.json').read_text())['end_s'] == 0.3


def test_a_source_lost_before_its_first_frame_is_one_line(tmp_path):
    def opened():
        def pictures():
            raise SourceError('unplugged')
            yield

        return OpenedSource(pictures(), lambda: None, is_live=True)

    outputs = StreamOutputs(video=tmp_path / 'a.mp4')
    with pytest.raises(UserError, match='cam is lost: unplugged'):
        run_stream(Source('cam', opened, 0), fake_classifier(), outputs)
    assert not list(tmp_path.iterdir())


def test_a_video_shorter_than_a_window_is_one_line(folder):
    source = Source('a', opener_of(str(folder / 'a.mp4')))
    classifier = classifier_of(folder, 'clip', stride=20)
    with pytest.raises(UserError, match='before its first window was full'):
        run_stream(source, classifier, StreamOutputs(), in_turn=True)
