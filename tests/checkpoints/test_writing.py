"""What is written is whole, or is not there."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_recognizers import as_released, narrow

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.convert_file import convert_file

ROOT = Path(__file__).parents[2]
TOOL = [sys.executable, ROOT / 'tools/convert_checkpoint.py']
ENVIRONMENT = os.environ | {'PYTHONPATH': str(ROOT)}


@pytest.fixture
def src(tmp_path):
    path = tmp_path / 'src.pth'
    torch.save({'model': as_released(narrow().state_dict())}, path)
    return path


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    torch.save({'model': as_released(narrow().state_dict())}, tmp_path / 's')
    (tmp_path / 'dst.pth').write_bytes(b'older')

    def fill_the_disk(obj, path, **kwargs):
        Path(path).write_bytes(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', fill_the_disk)
    with pytest.raises(UserError, match='No space left on device'):
        convert_file(str(tmp_path / 's'), str(tmp_path / 'dst.pth'))
    assert sorted(p.name for p in tmp_path.iterdir()) == ['dst.pth', 's']
    assert (tmp_path / 'dst.pth').read_bytes() == b'older'


def test_the_source_is_never_overwritten(tmp_path):
    path = tmp_path / 'src.pth'
    torch.save({'model': as_released(narrow().state_dict())}, path)
    before = path.read_bytes()
    with pytest.raises(UserError, match='is the source itself'):
        convert_file(str(path), str(path))
    with pytest.raises(UserError, match='in a folder that is there'):
        convert_file(str(path), str(tmp_path / 'absent' / 'dst.pth'))
    assert path.read_bytes() == before


@pytest.mark.parametrize('name', ['dst.pth', 'dst.safetensors'])
def test_a_limit_of_file_size_is_one_line_and_leaves_nothing(src, name):
    limit = src.stat().st_size // 2
    done = subprocess.run(
        [*TOOL, src, src.with_name(name)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {'PYTHONDONTWRITEBYTECODE': '1'},
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (limit, limit)
        ),
    )
    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert done.stderr.count('\n') == 1
    assert 'file size' in done.stderr or 'File too large' in done.stderr
    assert list(src.parent.iterdir()) == [src]


def test_a_folder_that_cannot_be_written_to_is_one_line(src, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(30, 'Read-only file system')

    monkeypatch.setattr(torch, 'save', refuse)
    monkeypatch.setattr(Path, 'unlink', refuse)  # as it is there
    with pytest.raises(UserError, match=r'\(Read-only file system\)'):
        convert_file(str(src), str(src.with_name('dst.pth')))


def test_what_is_no_file_is_not_replaced_by_one(src):
    fifo = src.with_name('fifo')
    os.mkfifo(fifo)
    with pytest.raises(UserError, match='is no ordinary file'):
        convert_file(str(src), str(fifo))
    assert fifo.is_fifo()


SLOW = """
import runpy, sys, time, torch
save = torch.save
def slow(obj, path, **kwargs):
    save(obj, path, **kwargs)
    if isinstance(path, str):  # not what an import tries in memory
        time.sleep(60)
torch.save = slow
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.parametrize('kind', ['SIGINT', 'SIGTERM', 'SIGHUP'])
def test_an_interruption_leaves_nothing_half_written(src, kind):
    dst = src.with_name('dst.pth')
    dst.write_bytes(b'older')
    process = subprocess.Popen(
        [TOOL[0], '-c', SLOW, TOOL[1], src, dst],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    while process.poll() is None and not list(src.parent.glob('*.part*')):
        time.sleep(0.05)
    process.send_signal(getattr(signal, kind))
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr == f'interrupted; {dst} was not written\n'
    assert sorted(src.parent.iterdir()) == [dst, src]
    assert dst.read_bytes() == b'older'
