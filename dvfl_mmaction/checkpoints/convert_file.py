"""Convert a checkpoint file: the work behind tools/convert_checkpoint.py."""

import os
from dataclasses import asdict
from pathlib import Path

from ..errors import UserError
from ..files import hash_file
from ..version import __version__
from .architecture import Architecture, read_architecture
from .conversion import convert
from .key_maps import TO_RELEASED, rename
from .matching_configs import (
    architecture_shapes,
    check_match,
    config_shapes,
    suggest_configs,
)
from .source import Source, read_source
from .writing import write_checkpoint

RELEASED = 'released'


def convert_file(
    src: str,
    dst: str,
    to: str | None = None,
    options: dict | None = None,
    list_keys: bool = False,
) -> list[str]:
    """Convert a checkpoint, weights only.

    Args:
        src: The checkpoint, in any known layout; ``~`` is expanded.
        dst: The file to write; likewise.
        to: The target config, or ``'released'`` for the layout of the
            released files; by default a recognizer with the architecture of
            the weights.
        options: Changes to the config.
        list_keys: Whether to add one line per weight.

    Returns:
        Lines to print: a description of ``src`` and the conversion report.

    Raises:
        UserError: If ``src`` cannot be read, does not fit the config, or
            has a weight that is not accounted for. Nothing is written then.
    """
    src, dst = map(os.path.expanduser, (src, dst))
    check_paths(src, dst)
    if options and to in (None, RELEASED):
        raise UserError(
            '--cfg-options needs a config to change; give the config as --to'
        )
    source = read_source(src, mmap=True)
    found = source.architecture()
    from_image = source.layout.from_image
    if from_image and to == RELEASED:
        raise UserError(
            f'{src} is {source.title} without temporal weights, which the '
            'layout of the released video models requires; remove --to '
            'released'
        )
    early = [name for name in found.norms if name != 'norm']
    if early and to == RELEASED:
        raise UserError(
            f'{src} has the norms {", ".join(early)} of outputs of earlier '
            'stages, which the layout of the released video models cannot '
            'hold: it has one of the last stage, norm; remove --to released'
        )
    if to in (None, RELEASED):
        shapes = own_shapes(source, found)
    else:
        shapes = config_shapes(to, options)
        check_match(source, found, read_architecture(shapes), to)
    weights, report = convert(source, shapes, initialise=from_image)
    converted = read_architecture(
        {k: tuple(v.shape) for k, v in weights.items()}
    )
    digest = hash_file(src)
    meta = dict(
        dvfl_mmaction_version=__version__,
        converted_from=dict(
            file=Path(src).name,
            sha256=digest,
            layout=source.title,
            weights=source.container,
            averaged=source.averaged,
        ),
        architecture={
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(converted).items()
        },
    )
    key = 'state_dict'
    if to == RELEASED:
        key = 'model'
        weights = {rename(k, TO_RELEASED): v for k, v in weights.items()}
    # Writing comes last: an interruption before it leaves no output.
    target = with_options(to, options) if to else suggest_configs(converted)
    if to == RELEASED:
        target = 'the released code'
    write_checkpoint(dst, weights, key, meta)
    return [
        *source_lines(source, digest, found),
        str(report),
        *(report.lines() if list_keys else ()),
        f'wrote {dst}, {Path(dst).stat().st_size / 1e6:.1f} MB, for {target}',
    ]


def check_paths(src: str, dst: str):
    """Check that the output neither replaces the source nor lacks a folder.

    Raises:
        UserError: With the remedy.
    """
    if Path(dst).is_dir() or not Path(dst).absolute().parent.is_dir():
        raise UserError(
            f'{dst} cannot be written; give a file name in an existing folder'
        )
    if Path(dst).exists() and not Path(dst).is_file():
        raise UserError(
            f'{dst} is not a regular file and would be replaced; give '
            'another name'
        )
    both = Path(dst).exists() and Path(src).exists()
    if both and Path(src).samefile(dst):
        raise UserError(
            f'{dst} is the source itself and would be overwritten; give '
            'another name'
        )


def own_shapes(source: Source, found: Architecture) -> dict:
    """Shapes of the recognizer with the architecture of a file.

    Raises:
        UserError: If no recognizer has that architecture.
    """
    try:
        return architecture_shapes(found)
    except ValueError as error:
        raise UserError(
            f'{source.path} ({source.title}) is incomplete: no network has '
            f'{found} ({error}); give a complete checkpoint'
        ) from error


def with_options(to: str, options: dict | None) -> str:
    """A config and the changes to it, as on the command line."""
    if not options:
        return to
    changes = ' '.join(f'{key}={value}' for key, value in options.items())
    return f'{to} with --cfg-options {changes}'


def source_lines(
    source: Source, digest: str, found: Architecture
) -> list[str]:
    """Describe a file and which of its weights are used."""
    weights = 'it holds only weights'
    if source.container:
        weights = f'weights taken from {source.container!r}'
    if source.averaged:
        weights += ', averaged over training (EMA)'
    left_out = ', '.join(source.left_out) or 'nothing'
    return [
        f'{source.path} (SHA-256 {digest}) is {source.title}',
        f'{weights}; left out: {left_out}',
        f'architecture: {found}',
    ]
