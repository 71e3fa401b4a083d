"""A checkpoint is written whole or not at all."""

import os
import signal
from pathlib import Path

import pytest
import torch
from interrupted import interrupt
from small_recognizers import NUM_CLASSES, as_released, narrow
from warm_process import run_code, run_in_parallel

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.convert_file import convert_file
from dvfl_mmaction.checkpoints.safe_loading import load_checkpoint_file
from dvfl_mmaction.checkpoints.writing import write_checkpoint

ROOT = Path(__file__).parents[2]
TOOL = str(ROOT / 'tools/convert_checkpoint.py')


def test_a_failed_write_keeps_the_older_file(src, monkeypatch):
    dst = src.with_name('dst.pth')
    dst.write_bytes(b'older')

    def fill_the_disk(obj, path, **kwargs):
        Path(path).write_bytes(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', fill_the_disk)
    with pytest.raises(UserError, match='No space left on device'):
        convert_file(str(src), str(dst))
    assert sorted(src.parent.iterdir()) == [dst, src]
    assert dst.read_bytes() == b'older'


def test_the_source_is_never_overwritten(src):
    before = src.read_bytes()
    with pytest.raises(UserError, match='is the source itself'):
        convert_file(str(src), str(src))
    with pytest.raises(UserError, match='in an existing folder'):
        convert_file(str(src), str(src.parent / 'absent' / 'dst.pth'))
    assert src.read_bytes() == before


# The first argument is the size of the largest file, in bytes.
LIMITED = """
import resource, sys
from warm_process import run_main
sys.dont_write_bytecode = True
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
run_main(sys.argv[2:])
"""


@pytest.mark.parametrize('name', ['dst.pth', 'dst.safetensors'])
def test_a_file_size_limit_gives_one_line_and_no_output(src, name):
    arguments = [src.stat().st_size // 2, TOOL, src, src.with_name(name)]
    (done,) = run_in_parallel(run_code, [(LIMITED, arguments)])
    assert done.returncode == 1
    assert done.stderr.startswith('\nerror: ')
    assert done.stderr.strip().count('\n') == 0
    assert 'file size limit' in done.stderr or 'File too large' in done.stderr
    assert list(src.parent.iterdir()) == [src]


def test_a_read_only_folder_is_reported(src, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(30, 'Read-only file system')

    monkeypatch.setattr(torch, 'save', refuse)
    monkeypatch.setattr(Path, 'unlink', refuse)
    with pytest.raises(UserError, match=r'\(Read-only file system\)'):
        convert_file(str(src), str(src.with_name('dst.pth')))


def test_a_fifo_is_not_replaced(src):
    fifo = src.with_name('fifo')
    os.mkfifo(fifo)
    with pytest.raises(UserError, match='is not a regular file'):
        convert_file(str(src), str(fifo))
    assert fifo.is_fifo()


SLOW = """
import runpy, sys, time, torch
save = torch.save
def slow(obj, path, **kwargs):
    save(obj, path, **kwargs)
    if isinstance(path, str):  # not the probe in memory at import
        time.sleep(60)
torch.save = slow
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.parametrize('kind', ['SIGINT', 'SIGTERM', 'SIGHUP'])
def test_an_interruption_leaves_no_partial_file(src, kind):
    dst = src.with_name('dst.pth')
    dst.write_bytes(b'older')
    status, stderr = interrupt(
        SLOW,
        [TOOL, src, dst],
        lambda: list(src.parent.glob('*.part*')),
        getattr(signal, kind),
    )
    assert status == 130
    assert stderr == f'interrupted; {dst} was not written\n'
    assert sorted(src.parent.iterdir()) == [dst, src]
    assert dst.read_bytes() == b'older'


def test_a_view_is_written_without_the_rest_of_its_storage(tmp_path):
    weights = as_released(narrow().state_dict())
    whole = torch.ones(1000, 64)
    weights['head.weight'] = whole[:NUM_CLASSES]
    weights['layers.0.blocks.0.mlp.fc1.weight'] = torch.ones(8, 32).T
    torch.save({'model': weights}, tmp_path / 'src.pth')
    for name in ('dst.pth', 'dst.safetensors'):
        convert_file(str(tmp_path / 'src.pth'), str(tmp_path / name))
        size = (tmp_path / name).stat().st_size
        assert size < (tmp_path / 'src.pth').stat().st_size - whole.nbytes / 2


def test_tensors_among_the_meta_information_are_lists_in_safetensors(tmp_path):
    """As of a data set whose ``metainfo`` has an array."""
    classes, path = ['up', 'down'], tmp_path / 'a.safetensors'
    meta = dict(dataset_meta=dict(classes=classes, sizes=torch.tensor([1, 2])))
    write_checkpoint(path, dict(w=torch.ones(2)), 'state_dict', meta)
    found = load_checkpoint_file(path)['meta']
    assert found == dict(dataset_meta=dict(classes=classes, sizes=[1, 2]))
