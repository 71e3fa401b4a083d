"""Hook that reports unreadable clips, and stops a run with too many."""

import json
from collections import Counter
from itertools import chain
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.hooks import Hook

from ..datasets.stream import innermost_datasets
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

    A run that is resumed knows the clips of the checkpoint, except those that
    are no longer in its lists, and forgets one that it can read.

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
        # mode -> files known from a checkpoint that were not met since; and
        # those that this process has met, with whether it could read them
        self.recalled, self.seen = {}, {}
        self.loaded = set()  # modes whose files may not be in the lists
        self.shortened = set()  # modes that have forgotten a file

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
            self.loaded = set(self.reasons)

    def _before_epoch(self, runner, mode: str = 'train'):
        self.met[mode] = {}
        if mode in self.loaded:
            self.loaded.remove(mode)
            self._drop_unlisted(runner, mode)
            self.recalled[mode] = set(self.reasons[mode])

    def _drop_unlisted(self, runner, mode: str):
        """Forget the clips that the run does not have."""
        known = self.reasons[mode]
        files = files_of(datasets_of(runner, mode)) if known else None
        if files is not None:
            for name in set(known) - files:
                self._forget_clip(name, mode)

    def _forget_clip(self, name: str, mode: str):
        del self.reasons[mode][name]
        self.times.get(mode, {}).pop(name, None)
        self.shortened.add(mode)

    def _after_iter(
        self, runner, batch_idx, data_batch=None, outputs=None, mode='train'
    ):
        reasons = self.reasons.setdefault(mode, {})
        met, new = self.met.setdefault(mode, {}), self.new.setdefault(mode, {})
        recalled = self.recalled.get(mode)
        seen = self.seen.setdefault(mode, {})
        # A training with several loaders has a batch of each.
        batches = data_batch
        if isinstance(data_batch, dict):
            batches = [data_batch]
        for sample in chain(*(batch['data_samples'] for batch in batches)):
            broken = sample.metainfo.get('broken', ())
            for name, reason in broken:
                met[name] = met.get(name, 0) + 1
                if name not in reasons:
                    new[name] = reason
            if recalled:
                name = sample.metainfo.get('filename')
                seen |= dict.fromkeys((n for n, _ in broken), False)
                if name in recalled:
                    seen.setdefault(name, True)
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
        self._forget_readable(mode)
        self._check_share(runner, mode)

    def _forget_readable(self, mode: str):
        """Forget clips of the checkpoint that a process could read."""
        recalled = self.recalled.get(mode)
        if not recalled:  # in every process, or in none
            return
        readable = {}
        for seen in all_gather_object(self.seen.pop(mode, {})):
            for name, could in seen.items():
                readable[name] = could and readable.get(name, True)
        for name in recalled & set(readable):
            recalled.remove(name)
            if readable[name]:
                self._forget_clip(name, mode)

    def _after_epoch(self, runner, mode: str = 'train'):
        self._exchange(runner, mode)
        gathered = all_gather_object(self.met.pop(mode, {}))
        known = self.reasons[mode]
        if not known:
            if mode in self.shortened and is_main_process():
                self._write(Path(runner.work_dir) / REPORT, mode)
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
        # Repeats of a clip by a wrapper (RepeatDataset) are not counted.
        parts = chain(*map(innermost_datasets, datasets_of(runner, mode)))
        clips = sum(map(len, parts))
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
        times = self.times.get(mode, {})
        report[mode] = [
            dict(clip=name, reason=reason, times=times.get(name, 0))
            for name, reason in sorted(self.reasons[mode].items())
        ]
        write_json(path, report)


def datasets_of(runner, mode: str) -> list:
    """The data sets of a loop, one per loader."""
    loop = getattr(runner, f'{mode}_loop')
    loaders = getattr(loop, 'multi_loaders', [loop.dataloader])
    return [loader.dataset for loader in loaders]


def files_of(datasets: list) -> set[str] | None:
    """Files of all clips; None if a data set does not list them."""
    names = set()
    for dataset in chain(*map(innermost_datasets, datasets)):
        read = getattr(dataset, 'get_data_info', None)
        if read is None:
            return None
        names |= {read(i).get('filename') for i in range(len(dataset))}
    return names


def is_exchange(batch_idx: int) -> bool:
    """Whether processes exchange what they found: early, then regularly."""
    count = batch_idx + 1
    return count % EXCHANGE_INTERVAL == 0 or count & batch_idx == 0
