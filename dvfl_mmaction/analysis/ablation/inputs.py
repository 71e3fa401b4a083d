"""What a run reads beside its config, by its content."""

import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from mmengine.config import Config

from ...errors import UserError
from ...files import hash_file, write_json
from .plan import Run, digest_of

INPUTS = 'inputs.json'
WEIGHTS = ('checkpoint', 'load_from', 'pretrained')
RESULTS = ('last_checkpoint', 'trained.json', 'scores.npz')


def record_inputs(run: Run):
    """Write the hashes of the files that a run reads into its folder.

    They are its lists, its weights and the config of its teacher.

    A run that has results keeps those that they were made with.
    """
    folder = Path(run.folder)
    if has_results(folder):
        return
    values = Config.fromfile(str(folder / 'config.py')).to_dict()
    paths = dict.fromkeys([*named_files(values), run.checkpoint or ''])
    hashes = {path: hash_of(path) for path in paths if Path(path).is_file()}
    write_json(folder / INPUTS, hashes)


def check_inputs(runs: Sequence[Run]):
    """Reject runs whose files changed after they were read.

    Args:
        runs: Planned runs. Those without results pass, and files that are
            gone, which are not read again.

    Raises:
        UserError: With a file and the runs that read it.
    """
    readers, present = {}, {}
    for run in runs:
        path = Path(run.folder, INPUTS)
        if path.is_file() and has_results(path.parent):
            for name, known in json.loads(path.read_text('utf-8')).items():
                if Path(name).is_file() and name not in present:
                    present[name] = hash_of(name)
                if present.get(name, known) != known:
                    readers.setdefault(name, []).append(run.folder)
    for name, folders in readers.items():
        others = f' and {len(folders) - 1} more' if len(folders) > 1 else ''
        raise UserError(
            f'{name} changed after the run in {folders[0]}{others} read it; '
            'give another --out, or remove the folders of these runs to do '
            'them again'
        )


def has_results(folder: Path) -> bool:
    """Whether a run has a checkpoint, or scores of its test."""
    return any((folder / name).is_file() for name in RESULTS)


def named_files(values) -> Iterator[str]:
    """Lists, weights and teachers' configs that the values of one name."""
    if isinstance(values, list | tuple):
        for value in values:
            yield from named_files(value)
    if isinstance(values, dict):
        if isinstance(values.get('ann_file'), str):
            root = values.get('data_root') or ''
            yield os.path.join(root, values['ann_file'])
        if isinstance(values.get('config'), str) and 'checkpoint' in values:
            yield values['config']
        for key, value in values.items():
            if key in WEIGHTS and isinstance(value, str):
                yield value
            else:
                yield from named_files(value)


def hash_of(path: str) -> str:
    """The hash of a file, which is read again if it has changed.

    That of a config is of its values, with those of its base files: a comment
    changes nothing.
    """
    if path.endswith('.py'):
        return digest_of(Config.fromfile(path).to_dict())
    status = os.stat(path)
    return hash_version(path, status.st_size, status.st_mtime_ns)


@cache
def hash_version(path: str, size: int, modified: int) -> str:
    """The hash of one version of a file; many runs read the same ones."""
    return hash_file(path)
