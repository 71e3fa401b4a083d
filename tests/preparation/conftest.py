"""Fixtures of the tests of preparation."""

import threading

import pytest
from failing_server import DATA, Server

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
