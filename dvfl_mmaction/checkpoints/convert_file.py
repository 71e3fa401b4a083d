"""Convert a checkpoint file: the work behind tools/convert_checkpoint.py."""

from dataclasses import asdict
from pathlib import Path

from ..errors import UserError
from ..files import hash_file
from ..version import __version__
from .architecture import Architecture, list_differences, read_architecture
from .conversion import convert
from .key_maps import IMAGE_LAYOUT, TO_RELEASED, rename
from .matching_configs import (
    architecture_shapes,
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
        src: The checkpoint, of any layout that is known.
        dst: What to write.
        to: The config that it is for, or ``'released'`` for the layout of
            the released files; by default a recognizer of the architecture
            that the weights have.
        options: Changes to the config.
        list_keys: Also give a line for every weight.

    Returns:
        Lines to print: what ``src`` is, and what became of every weight.

    Raises:
        UserError: If ``src`` cannot be read, or a weight of it is not
            accounted for, or it does not fit the config. Nothing is written
            then.
    """
    check_paths(src, dst)
    if options and to in (None, RELEASED):
        raise UserError(
            '--cfg-options came without a config to change; give it as --to'
        )
    source = read_source(src, mmap=True)
    found = source.architecture()
    from_image = source.layout is IMAGE_LAYOUT
    if from_image and to == RELEASED:
        raise UserError(
            f'{src} is {source.title}: it has no temporal weights, which '
            'the layout of the released video models wants; leave out --to '
            'released'
        )
    if to in (None, RELEASED):
        shapes = own_shapes(source, found)
    else:
        shapes = config_shapes(to, options)
        refuse_other(source, found, read_architecture(shapes), to)
    weights, accounts = convert(source, shapes, initialise=from_image)
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
    # Before it is written: an interruption then means that it was not.
    meant_for = with_options(to, options) if to else suggest_configs(converted)
    if to == RELEASED:
        meant_for = 'the released code'
    write_checkpoint(dst, weights, key, meta)
    return [
        *introduce(source, digest, found),
        str(accounts),
        *(accounts.lines() if list_keys else ()),
        f'wrote {dst}, {Path(dst).stat().st_size / 1e6:.1f} MB, for '
        f'{meant_for}',
    ]


def check_paths(src: str, dst: str):
    """Refuse to write over the source, or into a folder that is not there.

    Raises:
        UserError: With the remedy.
    """
    if Path(dst).is_dir() or not Path(dst).absolute().parent.is_dir():
        raise UserError(
            f'{dst} cannot be written: give a file name in a folder that is '
            'there'
        )
    if Path(dst).exists() and not Path(dst).is_file():
        raise UserError(
            f'{dst} is no ordinary file, and a file would take its place; '
            'give another name'
        )
    both = Path(dst).exists() and Path(src).exists()
    if both and Path(src).samefile(dst):
        raise UserError(
            f'{dst} is the source itself; give another name, so that the '
            'source is kept'
        )


def own_shapes(source: Source, found: Architecture) -> dict:
    """Shapes of the recognizer that a file's own architecture makes.

    Raises:
        UserError: If there is none of such an architecture.
    """
    try:
        return architecture_shapes(found)
    except ValueError as error:
        raise UserError(
            f'{source.path} ({source.title}) is not whole: no network is '
            f'made of {found} ({error}); give a whole checkpoint'
        ) from error


def refuse_other(
    source: Source, found: Architecture, wanted: Architecture, to: str
):
    """Refuse a config of another architecture or class count.

    Raises:
        UserError: With what differs and the configs that would match.
    """
    initialise = source.layout is IMAGE_LAYOUT
    differ = list_differences(found, wanted, initialise)
    if differ:
        raise UserError(
            f'{source.path} ({source.title}) does not match {to}: '
            f'{"; ".join(differ)}; the config for it: {suggest_configs(found)}'
            + (
                '; or, to fine-tune with another head, give the file as '
                f"{to}'s model.backbone.pretrained"
                if all(d.startswith('num_classes') for d in differ)
                else ''
            )
        )


def with_options(to: str, options: dict | None) -> str:
    """A config and the changes to it, as they were typed."""
    if not options:
        return to
    changes = ' '.join(f'{key}={value}' for key, value in options.items())
    return f'{to} with --cfg-options {changes}'


def introduce(source: Source, digest: str, found: Architecture) -> list[str]:
    """Say what a file is and which of its weights are taken."""
    place = f'its weights are under {source.container!r}'
    if source.averaged:
        place += ', averaged over training (EMA), which are taken'
    left_out = ', '.join(source.left_out) or 'nothing'
    return [
        f'{source.path} (SHA-256 {digest}) is {source.title}',
        f'{place if source.container else "it is weights alone"}; left out '
        f'of what else it holds: {left_out}',
        f'architecture: {found}',
    ]
