"""Logits are read as they were written; damaged records are not read."""

import errno
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from dvfl_mmaction.distillation.logit_recording import MAGIC, LogitRecording
from dvfl_mmaction.distillation.losses import kl_divergence
from dvfl_mmaction.errors import UserError


def about(**kwargs):
    return (
        dict(
            num_classes=6,
            rows=4,
            dtype='float32',
            top_k=None,
            temperature=10.0,
            fingerprint=dict(seed=0),
        )
        | kwargs
    )


def batch(seed, rows=4, num_classes=6):
    logits = np.random.default_rng(seed).normal(0, 4, (rows, num_classes))
    return logits.astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'deep' / 'rank_0.logits'


def test_float32_is_kept_to_the_bit_and_float16_to_its_rounding(path):
    for dtype in ('float32', 'float16'):
        file = path.with_name(dtype)
        recording = LogitRecording.create(file, about(dtype=dtype))
        for i in (0, 1, 5):
            recording.write(i, batch(i))
        recording.close()
        recording = LogitRecording.open(file)
        for i in (0, 1, 5):
            wanted = batch(i).astype(dtype).astype(np.float32)
            assert np.array_equal(recording.read(i), wanted)
        assert recording.about == about(dtype=dtype)


def test_a_missing_iteration_is_none_and_the_count_stops_at_it(path):
    recording = LogitRecording.create(path, about())
    assert recording.count() == 0 and recording.read(0) is None
    for i in (0, 1, 2, 4):
        recording.write(i, batch(i))
    assert recording.read(3) is None and recording.read(9) is None
    assert recording.count() == 3


def test_a_small_last_batch_keeps_its_size(path):
    recording = LogitRecording.create(path, about())
    recording.write(0, batch(0, rows=3))
    recording.write(1, batch(1))
    assert recording.read(0).shape == (3, 6)
    assert np.array_equal(recording.read(1), batch(1))
    with pytest.raises(UserError, match='room for 4 clips'):
        recording.write(2, batch(2, rows=5))


@pytest.mark.parametrize('cut', [1, 30, 99])
def test_an_incomplete_record_is_not_read(path, cut):
    recording = LogitRecording.create(path, about())
    for i in range(3):
        recording.write(i, batch(i))
    recording.close()
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    recording = LogitRecording.open(path, writable=True)
    assert recording.count() == 2 and recording.read(2) is None
    recording.write(2, batch(2))
    assert recording.count() == 3
    recording.close()
    assert path.read_bytes() == content


def test_a_flipped_bit_is_detected(path):
    recording = LogitRecording.create(path, about())
    recording.write(0, batch(0))
    recording.close()
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert LogitRecording.open(path).read(0) is None


def test_top_k_keeps_the_largest_logits_and_the_share_of_the_others(path):
    recording = LogitRecording.create(path, about(top_k=2, temperature=3.0))
    recording.write(0, np.array([[5.0, 1.0, 4.0, 2.0, 0.0, -1.0]]))
    (row,) = recording.read(0)
    assert row[0] == 5 and row[2] == 4
    others = np.array([1.0, 2.0, 0.0, -1.0])
    share = np.exp(others / 3).mean()
    assert row[[1, 3, 4, 5]] == pytest.approx(3 * np.log(share), rel=1e-6)


def test_20_of_400_classes_keep_two_thirds_of_the_loss(path):
    recording = LogitRecording.create(
        path, about(num_classes=400, top_k=20, dtype='float16')
    )
    shares = []
    for i in range(20):
        logits, student = batch(i, 4, 400), batch(1000 + i, 4, 400)
        recording.write(i, logits)
        kept = recording.read(i)
        assert np.array_equal(kept.argmax(1), logits.argmax(1))
        student = torch.from_numpy(student)
        exact = kl_divergence(student, torch.from_numpy(logits), 10.0)
        loss = kl_divergence(student, torch.from_numpy(kept), 10.0)
        shares.append((loss / exact).item())
    # The differences between the other 380 classes are lost. At temperature
    # 10 these have most of the probability, so the loss is smaller.
    assert np.mean(shares) == pytest.approx(0.67, abs=0.02)
    assert min(shares) > 0.6
    size = path.stat().st_size
    assert size == 4096 + 20 * (8 + 4 * (20 * 2 + 20 * 2 + 4))


def test_a_file_that_is_not_a_recording_is_refused(tmp_path):
    for content in (b'', b'x' * 100, b'DVFLREC1\xff\xff\x00\x00{}'):
        (tmp_path / 'file').write_bytes(content)
        with pytest.raises(UserError, match='is not a recording'):
            LogitRecording.open(tmp_path / 'file')


@pytest.mark.parametrize(
    'wrong',
    [
        dict(num_classes=0),
        dict(num_classes=1 << 40),
        dict(num_classes=1 << 40, top_k=2, temperature=1.0),
        dict(rows=1 << 60),
        dict(num_classes=2.5),
        dict(rows=-1),
        dict(dtype='O'),
        dict(top_k=6, temperature=1.0),
        dict(top_k=2, temperature=float('nan')),
        dict(fingerprint=[]),
    ],
)
def test_an_impossible_header_is_refused(tmp_path, wrong):
    path = tmp_path / 'rank_0.logits'
    head = json.dumps(about(**wrong)).encode()
    path.write_bytes(MAGIC + len(head).to_bytes(4, 'little') + head)
    with pytest.raises(UserError, match='header is damaged'):
        LogitRecording.open(path)


def test_a_class_beyond_the_headers_number_is_reported(tmp_path):
    path = tmp_path / 'rank_0.logits'
    recording = LogitRecording.create(path, about(top_k=2, temperature=3.0))
    recording.write(0, np.eye(about()['num_classes'])[-1:])
    recording.close()
    count = f'"num_classes": {about()["num_classes"]}'.encode()
    content = path.read_bytes()
    assert count in content
    path.write_bytes(content.replace(count, b'"num_classes": 3'))
    recording = LogitRecording.open(path)
    with pytest.raises(UserError, match='its header names 3 classes'):
        recording.read(0)
    recording.close()


def test_no_more_is_read_than_the_file_holds(tmp_path):
    path = tmp_path / 'rank_0.logits'
    recording = LogitRecording.create(path, about())
    recording.write(0, batch(0))
    recording.close()
    descriptor = os.open(path, os.O_RDONLY)
    recording = LogitRecording(path, about(rows=1 << 24), descriptor, 4096)
    tracemalloc.start()
    recording.read(0)
    assert recording.read(1 << 40) is None
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    recording.close()


def test_a_file_that_cannot_be_opened_is_reported(path, monkeypatch):
    with pytest.raises(UserError, match='rank_0.logits not found; a record'):
        LogitRecording.open(path)
    path.parent.mkdir()
    path.touch()

    def refuse(*args):
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(os, 'open', refuse)
    with pytest.raises(UserError, match='cannot be read: Permission denied'):
        LogitRecording.open(path)


def test_a_folder_or_pipe_is_no_recording(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(UserError, match='is a folder, not a recording'):
        LogitRecording.open(tmp_path)
    with pytest.raises(UserError, match='is a named pipe, not a recording'):
        LogitRecording.open(tmp_path / 'pipe')


@pytest.mark.parametrize(
    'wrong', [dict(dtype='int8'), dict(top_k=0), dict(top_k=6)]
)
def test_arguments_out_of_range_are_refused(path, wrong):
    with pytest.raises(UserError, match='give'):
        LogitRecording.create(path, about(**wrong))
    assert not path.exists()


def test_top_k_is_refused_where_16_bits_cannot_number_the_classes(path):
    most = dict(num_classes=1 << 16, top_k=1, rows=1)
    recording = LogitRecording.create(path, about(**most))
    logits = np.zeros((1, 1 << 16), np.float32)
    logits[0, -1] = 9
    recording.write(0, logits)
    assert recording.read(0).argmax() == (1 << 16) - 1
    most['num_classes'] += 1
    with pytest.raises(UserError, match='up to 65536 classes, but .* 65537'):
        LogitRecording.create(path.with_name('more'), about(**most))


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='Linux')
def test_a_full_disk_is_reported():
    descriptor = os.open('/dev/full', os.O_WRONLY)
    recording = LogitRecording(Path('/dev/full'), about(), descriptor, 4096)
    with pytest.raises(UserError, match='No space left'):
        recording.write(0, batch(0))


def test_a_class_beyond_those_of_the_header_is_refused(path):
    recording = LogitRecording.create(path, about(top_k=2))
    logits = batch(0)
    logits[:, -1] = 99  # class 5 is among the largest
    recording.write(0, logits)
    recording.about['num_classes'] = 5
    with pytest.raises(UserError, match='class 5, but its header names 5 cl'):
        recording.read(0)


def test_a_write_that_ends_early_is_reported(path, monkeypatch):
    recording = LogitRecording.create(path, about())
    write = os.pwrite
    monkeypatch.setattr(os, 'pwrite', lambda f, b, at: write(f, b[:9], at))
    with pytest.raises(UserError, match='cannot be written completely'):
        recording.write(0, batch(0))
    assert recording.count() == 0


def test_a_damaged_length_of_the_header_reads_no_more_than_the_file(path):
    path.parent.mkdir()
    path.write_bytes(MAGIC + (1 << 30).to_bytes(4, 'little') + b'{}')
    tracemalloc.start()
    with pytest.raises(UserError, match='its header is damaged'):
        LogitRecording.open(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_of_equal_logits_the_first_classes_are_kept(path):
    recording = LogitRecording.create(path, about(num_classes=400, top_k=2))
    logits = np.zeros((1, 400), np.float32)
    logits[0, 100:] = 1
    recording.write(0, logits)
    kept = np.flatnonzero(recording.read(0) == 1)
    assert kept.tolist() == [100, 101]
