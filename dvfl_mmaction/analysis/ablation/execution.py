"""One run of an ablation: record the teacher, train, test, measure."""

import json
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ...errors import UserError
from ...files import write_json
from ...project_paths import find_file
from ...run_tool import find_script
from .inputs import record_inputs
from .locks import wait_for
from .plan import Run
from .scores import convert_dump, load_scores, measure
from .stopping import run_command

RESULT = 'run.json'
LOG_LINES = 5  # of a failed command, kept in the results


class RunFailed(Exception):
    """A command of a run failed; the message has the end of its log."""


def execute(
    run: Run,
    environment: dict | None = None,
    stop: threading.Event | None = None,
    report: Callable[[str], None] = print,
) -> dict:
    """Do a run, or what is left of it, and write its ``run.json``.

    Args:
        run: The run; its folder has its ``config.py``.
        environment: Variables of its processes.
        stop: Ends it.
        report: Called with lines to show.

    Returns:
        The content of ``run.json``. Its ``status`` is ``'done'`` or
        ``'failed'``, with ``error``.

    Raises:
        Stopped: If ``stop`` was set.
    """
    folder = Path(run.folder)
    stop = stop or threading.Event()
    with wait_for(folder / 'run.lock', stop, report) as lock:
        done = finished(run)
        if done:
            return done
        (folder / RESULT).unlink(missing_ok=True)  # of a failure
        record_inputs(run)
        commands = Commands(run, environment or {}, stop, [lock], report)
        try:
            result = dict(status='done', error=None) | commands.do()
        except (RunFailed, UserError) as error:
            result = dict(status='failed', error=str(error))
        write_json(folder / RESULT, run.describe() | result)
    return result


def mark_failed(run: Run, error: Exception) -> dict:
    """Write and return the result of a run that its launcher lost."""
    result = dict(status='failed', error=f'{type(error).__name__}: {error}')
    write_json(Path(run.folder) / RESULT, run.describe() | result)
    return result


def finished(run: Run) -> dict | None:
    """The result of a finished run, if it is finished."""
    result = read_result(Path(run.folder))
    if result and result['status'] == 'done':
        return result
    return None


def read_result(folder: Path) -> dict | None:
    """The result in a run's folder, if there is one."""
    try:
        return json.loads((folder / RESULT).read_text('utf-8'))
    except FileNotFoundError:
        return None


class Commands:
    """The commands of a run, each skipped if it is finished.

    Args:
        run: The run.
        environment: Variables of the processes.
        stop: Ends them.
        descriptors: Open files that they inherit.
        report: Called with lines to show.
    """

    def __init__(
        self,
        run: Run,
        environment: dict,
        stop: threading.Event,
        descriptors: list[int],
        report: Callable[[str], None],
    ):
        self.run, self.stop, self.report = run, stop, report
        self.environment, self.descriptors = environment, descriptors
        self.folder = Path(run.folder)
        self.config = str(self.folder / 'config.py')

    def do(self) -> dict:
        """Do the run; returns what was measured."""
        trained = dict(checkpoint=self.run.checkpoint)
        if self.run.checkpoint is None:
            if self.run.recording:
                self.record()
            trained = self.train()
        scores = self.test(trained['checkpoint'])
        log = str(self.folder / 'log.txt')
        paths = dict(scores=str(scores), log=log)
        return trained | paths | measure(load_scores(scores))

    def record(self):
        """Record the teacher, unless another run did."""
        folder = Path(self.run.recording)
        mark = folder / 'recorded.json'
        with wait_for(folder / 'lock', self.stop, self.report) as lock:
            epochs = self.run.recorded_epochs
            if mark.is_file() and json.loads(mark.read_text()) >= epochs:
                return
            self.call(
                [sys.executable, str(find_file('tools/record_teacher.py'))]
                + [str(self.folder / 'online.py'), '--to', str(folder)]
                + ['--dtype', 'float32', '--work-dir', str(folder / 'log')]
                + ['--cfg-options', f'epochs={epochs}'],
                [lock],
            )
            write_json(mark, epochs)

    def train(self) -> dict:
        """Train, or continue; returns checkpoint, minutes and memory."""
        mark = self.folder / 'trained.json'
        if mark.is_file():
            return json.loads(mark.read_text('utf-8'))
        times = self.folder / 'minutes.json'
        before = json.loads(times.read_text()) if times.is_file() else 0
        pointer = self.folder / 'last_checkpoint'
        # With --resume MMAction2 drops load_from, also of a new training.
        resume = ['--resume'] if pointer.is_file() else []
        start = time.monotonic()
        try:
            peak = self.call(
                [*stock_tool('train'), self.config]
                + ['--work-dir', str(self.folder), *resume]
            )
        finally:
            minutes = before + (time.monotonic() - start) / 60
            write_json(times, round(minutes, 3))
        if not pointer.is_file():
            raise UserError(
                f'the training in {self.folder} left no checkpoint; set '
                'default_hooks.checkpoint in the config'
            )
        gpu = gpu_memory(self.folder)
        trained = dict(
            checkpoint=pointer.read_text().strip(),
            minutes=round(minutes, 3),
            memory_mb=gpu or round(peak / 2**20),
            memory_of='GPU' if gpu else 'process',
        )
        write_json(mark, trained)
        return trained

    def test(self, checkpoint: str) -> Path:
        """Test a checkpoint; returns the file of the scores."""
        scores = self.folder / 'scores.npz'
        dump = self.folder / 'scores.pkl'
        self.call(
            [*stock_tool('test'), self.config, checkpoint]
            + ['--dump', str(dump), '--work-dir', str(self.folder / 'test')]
        )
        convert_dump(dump, scores)
        dump.unlink()
        return scores

    def call(self, command: list[str], descriptors=()) -> int:
        """Run a command; returns its peak memory in bytes.

        Raises:
            RunFailed: If it fails, with the end of its log.
        """
        log = self.folder / 'log.txt'
        status, peak = run_command(
            command,
            log,
            self.environment,
            self.stop,
            [*self.descriptors, *descriptors],
        )
        if status:
            raise RunFailed(f'exit status {status}: {end_of_log(log)}')
        return peak


def stock_tool(name: str) -> list[str]:
    """The command that ``mim train`` and ``mim test`` start.

    mim itself would start Python twice more, for 7 s of each command.
    """
    return [sys.executable, str(find_script(f'{name}.py'))]


def end_of_log(log: Path) -> str:
    """The error that the last command of a log printed, or its last lines."""
    text = log.read_text('utf-8', 'replace')
    lines = text.rpartition('\n$ ')[2].splitlines()[1:]  # its words
    lines = [line.strip() for line in lines if line.strip()]
    errors = [line for line in lines if line.startswith('error: ')]
    raised = [
        line
        for line in lines
        if re.match(r'[\w.]+(Error|Exception)(: |$)', line)
    ]
    return '\n'.join(errors[-1:] or raised[-1:] or lines[-LOG_LINES:])


def gpu_memory(folder: Path) -> int | None:
    """The largest GPU memory that a training logged, in MB, if any."""
    logged = []
    for path in folder.glob('*/vis_data/scalars.json'):
        for line in path.read_text('utf-8').splitlines():
            try:
                logged.append(json.loads(line).get('memory', 0))
            except ValueError:
                continue  # the line of a killed run
    return max(logged, default=0) or None
