"""MMEngine's runner, with early checks and one-line errors."""

from mmaction.registry import RUNNERS
from mmengine.device import get_device
from mmengine.runner import Runner

from ..errors import print_user_errors
from ..malloc import keep_freed_memory
from .config_checks import check_classes, check_colors, check_data, check_keys
from .options import apply_num_classes, apply_test_views


@RUNNERS.register_module()
class CheckedRunner(Runner):
    """A ``Runner`` that checks its config before it builds anything.

    It rejects misspelt top-level keys, class counts that differ, deferred
    colour changes that nothing applies, and missing data sets; for these
    the error names the command that prepares the data (``prepare_command``
    in the config). Blending takes the number of classes from the head, and
    ``test_views`` sets the clips and crops of testing. An uncaught
    :class:`UserError` ends the program with one line instead of a
    traceback. On a CPU, freed memory is kept for the next iteration.
    Training and testing are MMEngine's.
    """

    @classmethod
    def from_cfg(cls, cfg):
        print_user_errors()
        check_keys(cfg)
        check_classes(cfg)
        check_colors(cfg)
        apply_num_classes(cfg)
        apply_test_views(cfg)
        # ``mim test`` sets load_from; testing needs no training data.
        if not cfg.get('load_from'):
            check_data(cfg, ('train_dataloader', 'val_dataloader'))
        if get_device() == 'cpu':
            keep_freed_memory()
        return super().from_cfg(cfg)

    def train(self):
        check_data(self.cfg, ('train_dataloader', 'val_dataloader'))
        return super().train()

    def test(self):
        check_data(self.cfg, ('test_dataloader',))
        return super().test()
