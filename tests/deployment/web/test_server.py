"""The server's folder and addresses."""

import asyncio
import os
import sys
import tempfile
from types import SimpleNamespace

import pytest

from dvfl_mmaction.deployment import extras
from dvfl_mmaction.deployment.web.server import (
    ContentPolicy,
    is_loopback,
    local_requests_without_proxy,
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


@pytest.mark.parametrize(
    'size_mb, most', [(1.5, 1_500_000), (float('inf'), None)]
)
def test_uploads_are_limited_unless_the_limit_is_infinite(
    monkeypatch, size_mb, most
):
    launched = []

    def launch(**options):
        launched.append(options)
        raise OSError('the port is in use')

    gradio = SimpleNamespace(
        themes=SimpleNamespace(Default=lambda **options: None)
    )
    monkeypatch.setattr(extras.importlib, 'import_module', lambda _: gradio)
    starlette = SimpleNamespace(Middleware=lambda middleware: middleware)
    monkeypatch.setitem(sys.modules, 'starlette', SimpleNamespace())
    monkeypatch.setitem(sys.modules, 'starlette.middleware', starlette)
    page = SimpleNamespace(launch=launch)
    with pytest.raises(UserError, match='127.0.0.1:80 cannot be used: the p'):
        serve(lambda: page, port=80, size_mb=size_mb)
    (options,) = launched
    assert options['max_file_size'] == most
    assert options['server_port'] == 80 and options['share'] is False
    assert options['app_kwargs'] == dict(middleware=[ContentPolicy])


def test_every_response_names_the_policy():
    sent = []

    async def app(scope, receive, send):
        headers = [(b'a', b'b')]
        await send(dict(type='http.response.start', headers=headers))
        await send(dict(type='http.response.body', body=b'page'))

    async def send(message):
        sent.append(message)

    asyncio.run(ContentPolicy(app)({}, None, send))
    start, body = sent
    assert start['headers'][0] == (b'a', b'b')
    name, policy = start['headers'][1]
    assert name == b'content-security-policy'
    assert b"connect-src 'self' data: blob:" in policy
    assert body == dict(type='http.response.body', body=b'page')


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    monkeypatch.setenv('no_proxy', 'example.org')
    monkeypatch.delenv('NO_PROXY', raising=False)
    with local_requests_without_proxy():
        for name in ('no_proxy', 'NO_PROXY'):
            hosts = os.environ[name].split(',')
            assert hosts == ['example.org', '127.0.0.1', 'localhost']
    assert os.environ['no_proxy'] == 'example.org'
    assert 'NO_PROXY' not in os.environ


class Environment(dict):
    """That of Windows, which does not tell upper from lower case."""

    def get(self, name, default=None):
        return super().get(name.upper(), default)

    def pop(self, name, *default):
        return super().pop(name.upper(), *default)

    def update(self, values):
        super().update({name.upper(): v for name, v in values.items()})

    def __setitem__(self, name, value):
        super().__setitem__(name.upper(), value)


@pytest.mark.parametrize('before', [{}, {'NO_PROXY': 'example.org'}])
def test_the_environment_of_windows_is_restored(monkeypatch, before):
    monkeypatch.setattr(os, 'environ', Environment(before))
    with local_requests_without_proxy():
        assert '127.0.0.1' in os.environ['NO_PROXY']
    assert os.environ == before
