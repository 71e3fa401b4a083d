"""MMEngine's runner, with the user's mistakes told early and briefly."""

from mmaction.registry import RUNNERS
from mmengine.device import get_device
from mmengine.runner import Runner

from ..errors import print_user_errors
from ..malloc import keep_freed_memory
from .config_checks import check_classes, check_colors, check_data, check_keys
from .options import apply_test_views


@RUNNERS.register_module()
class CheckedRunner(Runner):
    """A ``Runner`` that looks before it builds.

    Before a model is built it refuses misspelt top-level keys, class counts
    that differ, colours that nobody would change, and data that is not on
    disk, naming the command that prepares it (the config's
    ``prepare_command``). ``test_views`` sets the clips and crops of testing.
    From then on, a mistake of the user's that nobody catches ends the
    program with one line instead of a traceback. On a CPU, freed memory is
    kept for the next iteration. Training and testing are MMEngine's,
    untouched.
    """

    @classmethod
    def from_cfg(cls, cfg):
        print_user_errors()
        check_keys(cfg)
        check_classes(cfg)
        check_colors(cfg)
        apply_test_views(cfg)
        # ``mim test`` sets load_from; it must not ask for training data.
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
