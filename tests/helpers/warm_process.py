"""Programs in processes that need not import torch and MMAction2 again.

They do not format configs either: that takes 2 s for a config with bases.

``multiprocessing``'s fork server imports them once for all tests of a pytest
process; each program starts as a fork of it.
"""

import gc
import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

import mmengine.config.config

context = multiprocessing.get_context('forkserver')
context.set_forkserver_preload(
    ['dvfl_mmaction', 'torch.distributed', 'matplotlib.backends.backend_agg']
)


def run_script(script, *words, cwd=None, env=None, timeout=300):
    """Run a Python script, and return its exit status and output."""
    words = [str(script), *map(str, words)]
    return run_in_parallel(run_main, [(words,)], cwd, [env or {}], timeout)[0]


def run_main(words: list[str]):
    """Do what ``python words[0] words[1:]`` does."""
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).resolve().parent))
    runpy.run_path(words[0], run_name='__main__')


def run_code(code: str, arguments: Sequence):
    """Do what ``python -c code arguments`` does."""
    sys.argv = ['-c', *map(str, arguments)]
    exec(compile(code, '<code>', 'exec'), vars(sys.modules['__main__']))


def run_in_parallel(
    function: Callable,
    arguments: Sequence[tuple],
    cwd=None,
    envs: Sequence[dict] = ({},),
    timeout=300,
) -> list[CompletedProcess]:
    """Run a function in processes of its own, one per entry of ``envs``.

    If one fails, the others are ended.

    Args:
        function: A function of a module, so that it can be pickled.
        arguments: What each process passes to it.
        cwd: Working folder; that of the test by default.
        envs: Environment variables of each process beside the test's.
        timeout: Seconds.
    """
    with TemporaryDirectory() as folder:
        outputs = [Path(folder, str(i)) for i in range(len(envs))]
        processes = [
            start(function, args, output, cwd, env)
            for args, env, output in zip(arguments, envs, outputs, strict=True)
        ]
        deadline = time.monotonic() + timeout
        while any(process.is_alive() for process in processes):
            failed = any(process.exitcode for process in processes)
            if failed or time.monotonic() > deadline:
                for process in processes:
                    process.kill()
            time.sleep(0.02)
        assert time.monotonic() < deadline, f'longer than {timeout} s'
        return [
            finish(process, output)
            for process, output in zip(processes, outputs, strict=True)
        ]


def start(
    function: Callable, args: tuple, output: Path, cwd=None, env=None
) -> BaseProcess:
    """Start a process; ``output`` becomes the stem of two files."""
    env = {**os.environ, **(env or {})}
    process = context.Process(
        target=run_apart,
        args=(function, args, str(cwd or Path.cwd()), env, output),
    )
    process.start()
    return process


def finish(process: BaseProcess, output: Path, timeout=30) -> CompletedProcess:
    """Wait for a process, and return its exit status and output."""
    process.join(timeout)
    return CompletedProcess(
        process.name,
        process.exitcode,
        output.with_suffix('.out').read_text(),
        output.with_suffix('.err').read_text(),
    )


def run_apart(
    function: Callable, args: tuple, cwd: str, env: dict, output: Path
):
    """Run a function in a session of its own, with files as its output."""
    # See conftest.py.
    gc.freeze()
    mmengine.config.config.FormatCode = lambda text, **_: (text, True)
    os.setsid()
    # A background job inherits that SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, suffix, number in (('stdout', 'out', 1), ('stderr', 'err', 2)):
        with open(output.with_suffix(f'.{suffix}'), 'wb') as file:
            os.dup2(file.fileno(), number)
        setattr(sys, name, os.fdopen(number, 'w', buffering=1, closefd=False))
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    try:
        function(*args)
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
