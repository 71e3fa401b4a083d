"""Fixtures of the tests of preparation."""

import threading
from pathlib import Path

import pytest
from failing_server import DATA, Server
from hostile_clips import write_video

from dvfl_mmaction.preparation import download


@pytest.fixture
def server(monkeypatch):
    """A running server, with ``/a.rar``."""
    monkeypatch.setattr(download, 'FIRST_WAIT', 0.01)
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    server.files['/a.rar'] = DATA
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def root(tmp_path) -> Path:
    """A data set of three whole clips and an empty file, in two lists."""
    root = tmp_path / 'data'
    videos = root / 'videos'
    (videos / 'x').mkdir(parents=True)
    for name in ('x/a.avi', 'x/b c.avi', 'd.avi'):
        write_video(videos / name, 10, codec='mpeg4')
    (videos / 'empty.avi').touch()
    (root / 'train.txt').write_text(
        '# dataset: small\nx/a.avi 0\nx/b c.avi 1\nempty.avi 1\n'
    )
    (root / 'val.txt').write_text('x/a.avi 0\nd.avi 1\n')
    (root / 'classes.txt').write_text('x\ny\n')
    return root
