"""The server's folder and addresses."""

import os
import tempfile

import pytest

from dvfl_mmaction.deployment import extras
from dvfl_mmaction.deployment.web.server import (
    is_loopback,
    serve,
    temporary_files,
)
from dvfl_mmaction.errors import UserError


def test_temporary_files_are_in_one_folder_that_is_removed():
    before, kept = dict(os.environ), tempfile.tempdir
    with temporary_files() as folder:
        assert os.environ['GRADIO_TEMP_DIR'] == str(folder)
        assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
        with tempfile.NamedTemporaryFile(delete=False) as file:
            assert os.path.dirname(file.name) == str(folder)
    assert not folder.exists()
    assert dict(os.environ) == before and tempfile.tempdir == kept


def test_public_addresses_are_told_from_loopback():
    assert all(map(is_loopback, ('127.0.0.1', '127.0.0.2', '::1')))
    assert is_loopback('localhost')
    assert not any(map(is_loopback, ('0.0.0.0', '::', 'example.org')))


def test_a_missing_gradio_is_one_line(monkeypatch, capsys):
    def missing(name):
        raise ModuleNotFoundError('no gradio', name='gradio')

    monkeypatch.setattr(extras.importlib, 'import_module', missing)
    with pytest.raises(UserError, match=r"pip install 'dvfl_mmaction\[web\]'"):
        serve(None, '0.0.0.0')
    assert capsys.readouterr().err.count('is public') == 1
