"""A signal in the middle of a Python program, as a terminal sends it."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from warm_process import finish, run_code, start


def interrupt(
    program: str,
    arguments: list,
    is_ready: Callable[[], bool],
    kind: signal.Signals = signal.SIGINT,
    env: dict | None = None,
) -> tuple[int, str]:
    """Run a program until it is ready, and stop it and its children.

    Args:
        program: Python code.
        arguments: Its ``sys.argv[1:]``.
        is_ready: Whether to stop it now.
        kind: The signal.
        env: Environment variables beside the test's.

    Returns:
        Exit status and what it wrote to standard error.
    """
    with TemporaryDirectory() as folder:
        output = Path(folder, 'output')
        process = start(run_code, (program, arguments), output, env=env)
        deadline = time.monotonic() + 120  # the server imports torch first
        while not is_ready():
            assert time.monotonic() < deadline and process.is_alive()
            time.sleep(0.02)
        os.killpg(process.pid, kind)
        done = finish(process, output)
        return done.returncode, done.stderr
