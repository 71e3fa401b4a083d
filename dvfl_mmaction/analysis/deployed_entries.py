"""The forms that a benchmark compares, from the options of its tool."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import UserError
from .deployed_models import (
    BF16,
    EAGER,
    EXPORTED,
    PEER,
    RELEASED,
    DeployedEntry,
)
from .prediction.exported import CLIP_OPTIONS

# Without one of these, a processor computes bfloat16 slower than float32.
BF16_SETS = ('avx512_bf16', 'amx_bf16', 'bf16')


def make_entries(
    config: str,
    checkpoint: str,
    exported: Sequence[str] = (),
    peers: Sequence[str] = (),
    bf16: bool | None = None,
    options: dict | None = None,
    machine: dict | None = None,
) -> list[DeployedEntry]:
    """List the forms to measure.

    Args:
        config: Config of the model.
        checkpoint: Its weights.
        exported: Exported files.
        peers: ``CONFIG`` or ``CONFIG:CHECKPOINT`` of other models.
        bf16: Whether to measure autocast to bfloat16; None measures it if
            the processor computes bfloat16.
        options: Changes of the config. Exported files take those of the
            clips, and have the others from their export.
        machine: Of :func:`.benchmark.describe_machine`.

    Raises:
        UserError: If an exported file is not found, a peer is not as above,
            or an option changes clips in a way that exported files cannot
            follow.
    """
    options = tuple((options or {}).items())
    of_clips = tuple(o for o in options if o[0] in CLIP_OPTIONS)
    for name, value in options if exported else ():
        if changes_test_clips(name, value):
            raise UserError(
                f'--cfg-options has {name}, which exported files cannot '
                f'follow; give {", ".join(CLIP_OPTIONS)} instead, or leave '
                'out --exported'
            )
    if bf16 is None:
        sets = (machine or {}).get('instruction_sets', ())
        bf16 = any(name in sets for name in BF16_SETS)
    kinds = {
        'eager, fp32': EAGER,
        'released formulation': RELEASED,
        **({'eager, bf16 autocast': BF16} if bf16 else {}),
    }
    entries = [
        DeployedEntry(name, kind, config, checkpoint, options=options)
        for name, kind in kinds.items()
    ]
    for path in map(Path, exported):
        if not path.is_file():
            raise UserError(
                f'{path} was not found; write it with tools/export.py'
            )
        entries.append(
            DeployedEntry(
                path.name, EXPORTED, path=str(path), options=of_clips
            )
        )
    for peer in peers:
        entries.append(peer_entry(peer))
    return with_own_names(entries)


def peer_entry(text: str) -> DeployedEntry:
    """The form of ``CONFIG`` or ``CONFIG:CHECKPOINT``.

    Both may begin with a drive, as in ``C:\\peer.py:D:\\peer.pth``.

    Raises:
        UserError: If the text is neither.
    """
    parts = re.fullmatch(r'(.+?\.(?:py|json|ya?ml))(?::(.+))?', text)
    if not parts:
        raise UserError(
            f'--peer {text} is not CONFIG or CONFIG:CHECKPOINT; give, for '
            'example, --peer tsn.py:tsn.pth'
        )
    return DeployedEntry(Path(parts[1]).stem, PEER, parts[1], parts[2])


def with_own_names(entries: list[DeployedEntry]) -> list[DeployedEntry]:
    """Tell forms of one name apart, which would share their answers.

    An exported file gets its path, a peer the name of its checkpoint; what
    is still the same gets a number.
    """
    given = Counter(entry.name for entry in entries)
    found, taken = [], set()
    for entry in entries:
        name = entry.name
        if given[name] > 1 and entry.kind == EXPORTED:
            name = entry.path
        elif given[name] > 1 and entry.checkpoint and entry.kind == PEER:
            name = f'{name}, {Path(entry.checkpoint).stem}'
        numbered = (f'{name} ({number})' for number in itertools.count(2))
        name = next(
            n for n in itertools.chain([name], numbered) if n not in taken
        )
        taken.add(name)
        found.append(replace(entry, name=name))
    return found


def changes_test_clips(name: str, value) -> bool:
    """Whether a change of a config replaces steps of its test pipeline."""
    part, _, rest = name.partition('.')
    if part == 'test_dataloader':
        return 'pipeline' in rest or (
            rest in ('', 'dataset') and 'pipeline' in str(value)
        )
    return part == 'test_pipeline'
