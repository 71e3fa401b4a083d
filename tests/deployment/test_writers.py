"""Exports to a full disk, and to names that cannot be written."""

import errno
import json

import onnx
import pytest
from warm_process import run_code, run_in_parallel

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.export import export_model
from dvfl_mmaction.deployment.writers import (
    KEY,
    SUFFIXES,
    save_onnx,
    whole_export,
)

# No file can have more than 20 kB.
CODE = """
import resource
import sys
from pathlib import Path

from dvfl_mmaction.deployment.export import export_model, load_source

config, checkpoint, path, target = sys.argv[1:]
source = load_source(config, checkpoint)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
export_model(source, Path(path), target)
"""


@pytest.mark.parametrize('target', ['onnx', 'torch-export'])
def test_a_full_disk_is_reported_in_one_line(tmp_path, source, target):
    path = tmp_path / f'model{SUFFIXES[target]}'
    path.write_text('earlier')
    words = (source.config, source.checkpoint, path, target)
    (done,) = run_in_parallel(run_code, [(CODE, words)])
    assert done.returncode == 1
    assert f'{path} cannot be written: File too large' in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == 'earlier'


def test_a_folder_that_takes_no_file_is_reported_in_one_line(
    tmp_path, monkeypatch
):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('tempfile.mkdtemp', full)
    with (
        pytest.raises(UserError, match='a.xml cannot be written: No space'),
        whole_export(tmp_path / 'a.xml'),
    ):
        pass


@pytest.mark.parametrize('name', ['a.xml', 'a.bin'])
def test_a_folder_of_the_name_is_refused_before_the_work(
    tmp_path, source, name
):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=f'{name} is a folder'):
        export_model(source, tmp_path / 'a.xml', 'openvino')


def test_metadata_that_are_written_again_replace_the_former(tmp_path):
    """As in an int8 export, which writes the model before and after a test."""
    helper, path = onnx.helper, tmp_path / 'a.onnx'
    ports = [helper.make_tensor_value_info(name, 1, [1]) for name in 'xy']
    node = helper.make_node('Identity', ['x'], ['y'])
    model = helper.make_model(
        helper.make_graph([node], 'g', ports[:1], ports[1:])
    )
    helper.set_model_props(model, dict(of='another program'))
    for precision in ('fp32', 'int8'):
        save_onnx(model, path, dict(precision=precision))
    saved = onnx.load(path)
    onnx.checker.check_model(saved)
    found = {entry.key: entry.value for entry in saved.metadata_props}
    assert found.keys() == {'of', KEY}
    assert json.loads(found[KEY])['precision'] == 'int8'
