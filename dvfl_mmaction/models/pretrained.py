"""Take over the weights of another checkpoint, and say what came of it."""

from mmengine.logging import print_log
from torch import nn

from ..errors import UserError
from ..safe_loading import load_checkpoint_file

# What may stand before a backbone's keys, the longest first.
PREFIXES = ('module.backbone.', 'backbone.', 'module.', '')


def strip_prefix(state_dict: dict, keys) -> dict:
    """Drop the prefix that makes most of ``keys`` appear, and what lacks it.

    Args:
        state_dict: The checkpoint's weights, by name.
        keys: Names that the module has.
    """
    candidates = [
        {k[len(p) :]: v for k, v in state_dict.items() if k.startswith(p)}
        for p in PREFIXES
    ]
    return max(candidates, key=lambda c: len(c.keys() & keys))


def load_pretrained(module: nn.Module, path: str):
    """Take over every weight that agrees in name and shape.

    Args:
        module: A backbone.
        path: A checkpoint file or an address that MMEngine can read.

    Raises:
        UserError: If the file cannot be read, or nothing in it fits.
    """
    checkpoint = load_checkpoint_file(path)
    weights = checkpoint.get('state_dict', checkpoint)
    own = module.state_dict()
    weights = strip_prefix(weights, own.keys())
    taken = {
        k: v
        for k, v in weights.items()
        if k in own and v.shape == own[k].shape
    }
    if not taken:
        raise UserError(
            f'nothing in {path} fits {type(module).__name__}: none of its '
            f'{len(weights)} weights has the name and shape of one of the '
            f"backbone's {len(own)}; give a checkpoint of this architecture"
        )
    module.load_state_dict(taken, strict=False)
    missing = sorted(own.keys() - taken.keys())
    unused = sorted(weights.keys() - taken.keys())
    print_log(
        f'{path}: {len(taken)} of {len(own)} weights of the backbone taken '
        f'over; at their initialisation: {", ".join(missing) or "none"}; '
        f'not used: {", ".join(unused) or "none"}',
        logger='current',
    )
