"""Hook that reports unreadable clips, and stops a run with too many."""

import json
from collections import Counter
from itertools import chain
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.hooks import Hook

from ..errors import UserError
from ..files import write_json

REPORT = 'broken_clips.json'
KEY = 'broken_clips'  # in checkpoints
EXCHANGE_INTERVAL = 50  # iterations; also at 1, 2, 4, 8 and so on


@HOOKS.register_module()
class BrokenClipsHook(Hook):
    """Collect the clips that ``ClipDataset`` could not read.

    Each clip is logged once, with the reason, at its first occurrence. At
    the end of an epoch their number is logged, and ``broken_clips.json`` in
    the work directory lists them for training, validation and testing, with
    file, reason and number of occurrences.

    Args:
        max_share: Largest share of a data set's clips that may be broken,
            in [0, 1]; the run stops above it.

    Raises:
        UserError: If ``max_share`` is out of range; during a run, if more
            clips are broken.
    """

    def __init__(self, max_share: float = 0.2):
        if not 0 <= max_share <= 1:
            raise UserError(
                f'max_share is {max_share!r}; give a share in [0, 1]'
            )
        self.max_share = max_share
        self._forget()

    def _forget(self):
        self.reasons = {}  # mode -> file -> reason
        self.new = {}  # reasons that other processes do not know yet
        # mode -> file -> occurrences: in finished epochs; in this epoch and
        # process
        self.times, self.met = {}, {}

    def before_run(self, runner):
        self._forget()

    def before_save_checkpoint(self, runner, checkpoint: dict):
        """Save what is known, with the counts of the begun epoch."""
        times = {mode: Counter(names) for mode, names in self.times.items()}
        for mode, names in self.met.items():
            times.setdefault(mode, Counter()).update(names)
        checkpoint[KEY] = dict(
            reasons=self.reasons,
            times={mode: dict(names) for mode, names in times.items()},
        )

    def after_load_checkpoint(self, runner, checkpoint: dict):
        """Restore it in a run that is resumed."""
        known = checkpoint.get(KEY)
        if runner._resume and known:
            self.reasons = {m: dict(v) for m, v in known['reasons'].items()}
            self.times = {m: dict(v) for m, v in known['times'].items()}

    def _before_epoch(self, runner, mode: str = 'train'):
        self.met[mode] = {}

    def _after_iter(
        self, runner, batch_idx, data_batch=None, outputs=None, mode='train'
    ):
        reasons = self.reasons.setdefault(mode, {})
        met, new = self.met.setdefault(mode, {}), self.new.setdefault(mode, {})
        # A training with several loaders has a batch of each.
        batches = data_batch
        if isinstance(data_batch, dict):
            batches = [data_batch]
        for sample in chain(*(batch['data_samples'] for batch in batches)):
            for name, reason in sample.metainfo.get('broken', ()):
                met[name] = met.get(name, 0) + 1
                if name not in reasons:
                    new[name] = reason
        # Every process stops at the same iteration: one that raises alone
        # would leave the others waiting. In validation and testing they may
        # have different numbers of batches.
        together = mode == 'train' and is_exchange(batch_idx)
        if together or (new and get_world_size() == 1):
            self._exchange(runner, mode)

    def _exchange(self, runner, mode: str):
        """Share the newly found clips, log each once, and check the share."""
        reasons = self.reasons.setdefault(mode, {})
        for new in all_gather_object(self.new.pop(mode, {})):
            for name, reason in new.items():
                if name not in reasons:
                    reasons[name] = reason
                    runner.logger.warning(f'broken clip {name}: {reason}')
        self._check_share(runner, mode)

    def _after_epoch(self, runner, mode: str = 'train'):
        self._exchange(runner, mode)
        gathered = all_gather_object(self.met.pop(mode, {}))
        known = self.reasons[mode]
        if not known:
            return
        times = self.times.setdefault(mode, {})
        total = 0
        for met in gathered:
            for name, count in met.items():
                times[name] = times.get(name, 0) + count
                total += count
        if is_main_process():
            path = Path(runner.work_dir) / REPORT
            self._write(path, mode)
            treatment = 'replaced' if mode == 'train' else 'counted as wrong'
            runner.logger.info(
                f'{total} broken samples were {treatment} in this epoch; '
                f'{path} lists {len(known)} broken clips'
            )

    def _check_share(self, runner, mode: str):
        broken = self.reasons[mode]
        loop = getattr(runner, f'{mode}_loop')
        loaders = getattr(loop, 'multi_loaders', [loop.dataloader])
        clips = sum(len(loader.dataset) for loader in loaders)
        if len(broken) > self.max_share * clips:
            name, reason = next(iter(broken.items()))
            raise UserError(
                f'{len(broken)} of {clips} clips of {mode} cannot be read, '
                f'more than the allowed share {self.max_share}; the first is '
                f'{name}: {reason}; remove them from the list, or raise '
                'default_hooks.broken_clips.max_share'
            )

    def _write(self, path: Path, mode: str):
        """Update one mode in the report, and keep the others."""
        try:
            report = json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            report = {}
        times = self.times[mode]
        report[mode] = [
            dict(clip=name, reason=reason, times=times.get(name, 0))
            for name, reason in sorted(self.reasons[mode].items())
        ]
        write_json(path, report)


def is_exchange(batch_idx: int) -> bool:
    """Whether processes exchange what they found: early, then regularly."""
    count = batch_idx + 1
    return count % EXCHANGE_INTERVAL == 0 or count & batch_idx == 0
