"""Errors of a data loader's workers, with the clips they were reading."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader

from ..errors import UserError, own_message

TIMED_OUT = re.compile(r'DataLoader timed out after (\S+) seconds')
DIED = re.compile(r'DataLoader worker \(pid(?:\(s\))? (\d+).*?\) ([^.(]*)')
MODES = ('train', 'val', 'test')
MAX_NAMES = 16  # clips in the error


@contextmanager
def name_lost_clips(runner) -> Iterator[None]:
    """Replace PyTorch's errors about a loader's workers by one-line errors.

    PyTorch reports only that a batch was late or that a worker died, and the
    mistakes of the user that a worker finds with its traceback.

    Args:
        runner: Its loops have the data loaders.

    Raises:
        UserError: If a worker exceeds ``timeout`` of its loader, or dies, or
            raises one.
    """
    try:
        yield
    except UserError as error:
        message = own_message(error)
        if message == str(error):
            raise
        raise UserError(message) from error
    except RuntimeError as error:
        message = describe_loss(error, loaders_of(runner))
        if message is None:
            raise
        raise UserError(message) from error


def describe_loss(
    error: RuntimeError, loaders: dict[str, DataLoader]
) -> str | None:
    """Describe a worker's error in one line; None for other errors."""
    # The signal that ended a worker is in the error that caused this one.
    texts = [str(e) for e in (error.__cause__, error) if e is not None]
    died = next(filter(None, map(DIED.search, texts)), None)
    late = TIMED_OUT.search(str(error))
    if not died and not late:
        return None
    pid = int(died[1]) if died else None
    iterator = iterator_of(error, loaders, pid)
    names = [
        name
        for name, loader in loaders.items()
        if loader.dataset is getattr(iterator, '_dataset', None)
    ]
    loader, key = (names[0], f'{names[0]}.') if names else ('a loader', '')
    clips = ', '.join(lost_clips(iterator, pid))
    if late:
        return (
            f'{loader} waited {late[1]} s for a batch, which is its timeout'
            + (f'; the batch has {clips}' if clips else '')
            + '; check the clips with tools/prepare_dataset.py --check, or '
            f'raise {key}timeout'
        )
    return (
        f'a worker of {loader} {died[2].strip()}'
        + (f'; it was to read {clips}' if clips else '')
        + f'; if memory ran out, lower {key}num_workers or '
        f'{key}prefetch_factor, else check the clips with '
        'tools/prepare_dataset.py --check'
    )


def loaders_of(runner) -> dict[str, DataLoader]:
    """The data loaders of a runner that are built, by their config keys."""
    loops = {mode: getattr(runner, f'_{mode}_loop', None) for mode in MODES}
    return {
        f'{mode}_dataloader': loop.dataloader
        for mode, loop in loops.items()
        if isinstance(getattr(loop, 'dataloader', None), DataLoader)
    }


def iterator_of(error: RuntimeError, loaders: dict, pid: int | None):
    """The loader's iterator that raised an error, or has a dead worker.

    PyTorch raises in the main thread wherever it is when a worker dies.
    Only persistent workers can then be assigned to their loader.
    """
    found = [
        frame.f_locals.get('self')
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    found += [
        getattr(loader, '_iterator', None) for loader in loaders.values()
    ]
    for iterator in found:
        if hasattr(iterator, '_rcvd_idx') and (
            pid is None or worker_of(iterator, pid) is not None
        ):
            return iterator
    return None


def worker_of(iterator, pid: int) -> int | None:
    """Number of the worker that is this process, if there is one."""
    pids = [worker.pid for worker in iterator._workers]
    return pids.index(pid) if pid in pids else None


def lost_clips(iterator, pid: int | None) -> list[str]:
    """Files of the batch that a loader waits for, or of a dead worker.

    Only MMEngine's samplers repeat their order; for others there are none.
    """
    batches = getattr(iterator, '_index_sampler', None)
    if not isinstance(getattr(batches, 'sampler', None), DefaultSampler):
        return []
    numbers = [iterator._rcvd_idx]
    if pid is not None:
        # Batches that have not arrived have no data yet. The worker may have
        # read the first of them.
        awaited = (worker_of(iterator, pid),)
        tasks = iterator._task_info.items()
        numbers = sorted(n for n, task in tasks if task == awaited)
    order = list(islice(batches, max(numbers, default=-1) + 1))
    indices = [i for n in numbers for i in order[n]]
    names = [clip_name(iterator._dataset, i) for i in indices[:MAX_NAMES]]
    more = len(indices) - len(names)
    return names + ([f'{more} more'] if more else [])


def clip_name(dataset, index: int) -> str:
    """File of a sample, or its number if the data set does not say."""
    read = getattr(dataset, 'get_data_info', None)
    info = read(int(index)) if read else {}
    return str(info.get('filename', f'sample {int(index)}'))
