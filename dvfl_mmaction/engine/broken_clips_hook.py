"""Hook that reports unreadable clips, and stops a run with too many."""

import json
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook

from ..errors import UserError
from ..files import write_json

REPORT = 'broken_clips.json'


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
        self.reasons = {}  # mode -> file -> reason
        # mode -> file -> occurrences: in finished epochs; in this epoch and
        # process
        self.times, self.met = {}, {}

    def before_run(self, runner):
        self.reasons, self.times, self.met = {}, {}, {}

    def _before_epoch(self, runner, mode: str = 'train'):
        self.met[mode] = {}

    def _after_iter(
        self, runner, batch_idx, data_batch=None, outputs=None, mode='train'
    ):
        reasons = self.reasons.setdefault(mode, {})
        met = self.met.setdefault(mode, {})
        for sample in data_batch['data_samples']:
            for name, reason in sample.metainfo.get('broken', ()):
                met[name] = met.get(name, 0) + 1
                if name not in reasons:
                    reasons[name] = reason
                    runner.logger.warning(f'broken clip {name}: {reason}')
                    self._check_share(runner, mode)

    def _after_epoch(self, runner, mode: str = 'train'):
        gathered = all_gather_object(
            (self.reasons.get(mode, {}), self.met.pop(mode, {}))
        )
        if not any(reasons for reasons, _ in gathered):
            return
        known = self.reasons.setdefault(mode, {})
        times = self.times.setdefault(mode, {})
        total = 0
        for reasons, met in gathered:
            known.update(reasons)
            for name, count in met.items():
                times[name] = times.get(name, 0) + count
                total += count
        self._check_share(runner, mode)
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
        loader = getattr(runner, f'{mode}_loop').dataloader
        clips = len(loader.dataset)
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
