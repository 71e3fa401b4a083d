"""Serve the page, with all files in one temporary folder."""

import ipaddress
import math
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import UserError
from ..extras import import_extra
from .html import STYLE

LOOPBACK = '127.0.0.1'
# The browser asks no other host, whatever gradio's page refers to.
CONTENT_POLICY = '; '.join(
    (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:",
        "connect-src 'self' data: blob:",
        "base-uri 'self'",
    )
)


@contextmanager
def temporary_files() -> Iterator[Path]:
    """A folder that gets all files of this process, removed at the end.

    It must be entered before gradio is imported.
    """
    names = ('GRADIO_TEMP_DIR', 'TMPDIR', 'MPLCONFIGDIR', 'HF_HOME')
    quiet = dict(
        GRADIO_ANALYTICS_ENABLED='False',
        HF_HUB_OFFLINE='1',
        HF_HUB_DISABLE_TELEMETRY='1',
    )
    kept, kept_dir = dict(os.environ), tempfile.tempdir
    with tempfile.TemporaryDirectory(
        prefix='dvfl_web_', ignore_cleanup_errors=True
    ) as folder:
        os.environ.update(dict.fromkeys(names, folder), **quiet)
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = kept_dir
            os.environ.clear()
            os.environ.update(kept)


@contextmanager
def local_requests_without_proxy() -> Iterator[None]:
    """gradio asks its own address whether it runs, through a proxy if one
    is set."""
    kept = {name: os.environ.get(name) for name in ('no_proxy', 'NO_PROXY')}
    hosts = [h for h in kept.values() if h] + [LOOPBACK, 'localhost']
    os.environ.update(dict.fromkeys(kept, ','.join(hosts)))
    try:
        yield
    finally:
        for name, value in kept.items():
            os.environ.pop(name, None)  # Windows has one name for both
            if value is not None:
                os.environ[name] = value


class ContentPolicy:
    """Middleware that adds the policy to every response."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_with_policy(message):
            if message['type'] == 'http.response.start':
                header = (
                    b'content-security-policy',
                    CONTENT_POLICY.encode(),
                )
                message['headers'] = [*message.get('headers', ()), header]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def serve(
    build: Callable,
    host: str = LOOPBACK,
    port: int = 7860,
    size_mb: float = 100.0,
):
    """Serve a page until Ctrl-C or SIGTERM.

    Args:
        build: Makes the ``gradio.Blocks``; called once the temporary folder
            exists.
        host: Address to listen on.
        port: Port to listen on.
        size_mb: Largest upload, in MB; infinity for no limit.

    Raises:
        UserError: If gradio is missing, or the address cannot be used.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, with the folder removed.
    """
    if not is_loopback(host):
        print(
            f'warning: --host {host} is public: everyone who reaches this '
            'machine can use the page; it has no password',
            file=sys.stderr,
        )
    most_bytes = None if math.isinf(size_mb) else int(size_mb * 1e6)
    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        with temporary_files() as folder:
            gr = import_extra('gradio', 'web')
            from starlette.middleware import Middleware

            page = build()
            theme = gr.themes.Default(
                font=['system-ui', 'sans-serif'],
                font_mono=['ui-monospace', 'monospace'],
            )
            try:
                with local_requests_without_proxy():
                    _, address, _ = page.launch(
                        server_name=host,
                        server_port=port,
                        share=False,
                        quiet=True,
                        inbrowser=False,
                        prevent_thread_lock=True,
                        max_file_size=most_bytes,
                        theme=theme,
                        css=STYLE,
                        ssr_mode=False,
                        footer_links=[],
                        enable_monitoring=False,
                        app_kwargs=dict(
                            middleware=[Middleware(ContentPolicy)]
                        ),
                    )
            except OSError as error:
                raise UserError(
                    f'{host}:{port} cannot be used: {error}; give another '
                    '--port, or an address of this machine with --host'
                ) from None
            print(f'serving {address} (Ctrl-C ends it)', flush=True)
            print(f'temporary files: {folder}', file=sys.stderr, flush=True)
            try:
                threading.Event().wait()
            finally:
                page.close(verbose=False)
    finally:
        signal.signal(signal.SIGTERM, previous)


def interrupt(number, frame):
    """Turn a signal into what Ctrl-C raises."""
    raise KeyboardInterrupt
