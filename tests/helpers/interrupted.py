"""Ctrl-C in the middle of a Python program, as a terminal sends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dvfl_mmaction


def interrupt(
    program: str, arguments: list, is_ready: Callable[[], bool]
) -> tuple[int, str]:
    """Run a program until it is ready, and stop it.

    Args:
        program: Python code.
        arguments: Its ``sys.argv[1:]``.
        is_ready: Whether to stop it now.

    Returns:
        Exit status and what it wrote to standard error.
    """
    process = subprocess.Popen(
        [sys.executable, '-c', program, *map(str, arguments)],
        env=os.environ
        | dict(PYTHONPATH=str(Path(dvfl_mmaction.__file__).parents[1])),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        # A background job inherits that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120  # it imports torch first
    while not is_ready():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    message = process.communicate(timeout=30)[1]
    return process.returncode, message
