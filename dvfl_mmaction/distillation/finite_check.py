"""Stop at a teacher whose logits are NaN or infinite."""

from torch import Tensor

from ..errors import UserError


class FiniteCheck:
    """Check of the teacher's logits that does not wait for a GPU.

    Logits on the CPU are checked at once. Those on another device are
    counted there; :meth:`read` waits for the count.
    """

    def __init__(self):
        self._name, self._clips, self._broken = '', 0, None

    def add(self, logits: Tensor, name: str):
        """Check, or count, the logits of a batch.

        Args:
            logits: (B, K).
            name: The teacher's.

        Raises:
            UserError: If logits on the CPU are not finite.
        """
        broken = logits.isfinite().all(-1).logical_not().sum()
        waiting = self._broken is not None
        self._broken = self._broken + broken if waiting else broken
        self._clips += len(logits)
        self._name = name
        if logits.device.type == 'cpu':
            self.read()

    def read(self):
        """Check what was counted since the last call.

        Raises:
            UserError: If logits are not finite.
        """
        if self._broken is None:
            return
        broken, clips = self._broken.item(), self._clips
        self._broken, self._clips = None, 0
        if broken:
            raise not_finite(self._name, broken, clips)


def not_finite(name: str, broken: int, clips: int) -> UserError:
    """Make the error of a teacher whose logits are not finite."""
    return UserError(
        f'the teacher {name} has NaN or infinite logits for {broken} of '
        f'{clips} clips; check its weights and its preprocessing, or, if it '
        'is a recording, record again'
    )
