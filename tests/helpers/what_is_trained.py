"""A data set and a hook that note what a training trains."""

from pathlib import Path

from mmaction.registry import DATASETS, HOOKS
from mmengine.hooks import Hook

from dvfl_mmaction.datasets.clip_dataset import ClipDataset


@DATASETS.register_module()
class ListingDataset(ClipDataset):
    """Writes the epoch and index of each clip that is read to a file."""

    def __init__(self, *args, listing, **kwargs):
        self.listing = Path(listing)
        super().__init__(*args, **kwargs)

    def __getitem__(self, index):
        with self.listing.open('a') as file:
            file.write(f'{index.epoch} {int(index)}\n')
        return super().__getitem__(index)


@HOOKS.register_module()
class KeepRates(Hook):
    """Keeps the learning rate of each iteration in ``runner.rates``."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        rates = runner.optim_wrapper.get_lr()['lr']
        runner.rates = getattr(runner, 'rates', {}) | {runner.iter: rates[0]}
