"""Child processes that end with the ablation."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ..benchmark import peak_bytes

GRACE_S = 5  # from Ctrl-C to the end by force
POLL_S = 0.2


class Stopped(Exception):
    """The ablation was stopped."""


def run_command(
    command: Sequence[str],
    log: Path,
    environment: dict,
    stop: threading.Event,
    descriptors: Sequence[int] = (),
) -> tuple[int, float]:
    """Run a command, its output appended to a log.

    The command has a process group of its own. It is ended when ``stop`` is
    set or this thread is interrupted: by Ctrl-C's signal, and by force where
    that does not end it.

    Args:
        command: Program and arguments.
        log: Gets the command line and the output.
        environment: Variables beside this process's.
        stop: Ends the command.
        descriptors: Open files that the command inherits.

    Returns:
        Exit status, and the peak memory of its largest process in bytes.
        Linux counts what this process had when it started the command, so
        less than that is not measured.

    Raises:
        Stopped: If ``stop`` is set.
    """
    if stop.is_set():
        raise Stopped
    with log.open('ab', buffering=0) as file:
        file.write(f'$ {" ".join(command)}\n'.encode())
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            start_new_session=True,
            pass_fds=tuple(descriptors),
        )
    try:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if stop.wait(POLL_S):
                raise Stopped
    except BaseException:
        end_group(process)
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, peak_bytes(usage)


def end_group(process: subprocess.Popen):
    """End a process and its children."""
    for kind, seconds in ((signal.SIGINT, GRACE_S), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, kind)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            process.poll()
            try:
                os.killpg(process.pid, 0)  # is one left?
            except ProcessLookupError:
                return
            time.sleep(0.05)
