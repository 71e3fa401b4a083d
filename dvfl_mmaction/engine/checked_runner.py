"""MMEngine's runner, with early checks and one-line errors."""

from pathlib import Path

from mmaction.registry import RUNNERS
from mmengine.device import get_device
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.runner import (
    EpochBasedTrainLoop,
    Runner,
    find_latest_checkpoint,
)

from ..checkpoints.plain_values import make_plain, restore_history
from ..checkpoints.released import rename_released
from ..compat import run_repairs
from ..errors import UserError, print_user_errors
from ..files import whole_file
from ..malloc import keep_freed_memory
from .config_checks import (
    check_batches,
    check_classes,
    check_colors,
    check_data,
    check_keys,
    check_schedule,
    check_several_labels,
    check_training_views,
)
from .options import (
    apply_num_classes,
    apply_num_workers,
    apply_pinned_memory,
    apply_test_views,
)
from .resuming import Schedule, realign
from .starting_weights import prepare_pretrained
from .train_batches import INFO, TrainBatches


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
    Checkpoints contain plain values only: torch loads them without an
    allow-list, and MMEngine's own runner resumes from them. Training and
    testing are MMEngine's.
    """

    @classmethod
    def from_cfg(cls, cfg):
        print_user_errors()
        check_keys(cfg)
        check_classes(cfg)
        check_colors(cfg)
        check_schedule(cfg)
        check_training_views(cfg)
        apply_num_classes(cfg)
        check_several_labels(cfg)
        apply_num_workers(cfg)
        apply_test_views(cfg)
        # ``mim test`` sets load_from; testing needs no training data.
        if not cfg.get('load_from'):
            check_data(cfg, ('train_dataloader', 'val_dataloader'))
        if get_device() == 'cpu':
            keep_freed_memory()
        if get_device() == 'cuda':
            apply_pinned_memory(cfg)
        return super().from_cfg(cfg)

    def build_train_loop(self, loop):
        loop = super().build_train_loop(loop)
        check_batches(loop.dataloader)
        return loop

    def load_or_resume(self):
        """Load weights or resume, and record the batches of the training."""
        self.message_hub.pop_info(INFO, None)  # of a run before in the process
        with run_repairs:
            super().load_or_resume()
        trains = isinstance(self._train_loop, EpochBasedTrainLoop)
        if trains and TrainBatches.recorded(self) is None:
            TrainBatches.of(self).record(self)

    def load_checkpoint(self, filename, *args, **kwargs):
        """Load a checkpoint; a released file is converted in memory."""
        self._checkpoint_file = filename
        with run_repairs:
            return super().load_checkpoint(filename, *args, **kwargs)

    def call_hook(self, fn_name, **kwargs):
        """Call hooks; they see a checkpoint as MMEngine would have read it."""
        if fn_name == 'after_load_checkpoint':
            self._rename_released(kwargs['checkpoint'])
            restore_history(kwargs['checkpoint'])
        super().call_hook(fn_name, **kwargs)
        if fn_name == 'before_save_checkpoint':
            make_plain(kwargs['checkpoint'])

    def _rename_released(self, checkpoint: dict):
        """Rename the weights of a released file.

        Raises:
            UserError: If it does not fit, or the run is to resume from it.
        """
        path = str(self._checkpoint_file)
        model = (
            self.model.module if is_model_wrapper(self.model) else (self.model)
        )
        config = self.cfg.filename or 'the config'
        report = rename_released(checkpoint, path, model, config)
        if report is None:
            return
        if self._resume:
            raise UserError(
                f'{path} is a released file without the state of a training; '
                'give it as load_from without --resume'
            )
        self.logger.info(f'{path}: {report}')

    def resume(self, filename, *args, **kwargs):
        """Resume, with other batches or another schedule if so configured.

        See :mod:`~dvfl_mmaction.engine.resuming`.
        """
        if not isinstance(self._train_loop, EpochBasedTrainLoop):
            return super().resume(filename, *args, **kwargs)
        schedule = Schedule(self)
        super().resume(filename, *args, **kwargs)
        realign(self, schedule)

    @master_only
    def save_checkpoint(self, out_dir, filename, *args, **kwargs):
        """Save a checkpoint that is complete or, in a local folder, absent.

        Raises:
            UserError: If it cannot be written.
        """
        if '://' in str(out_dir) or kwargs.get('backend_args'):
            return super().save_checkpoint(out_dir, filename, *args, **kwargs)
        path = Path(out_dir, filename)
        try:
            with whole_file(path) as part:
                super().save_checkpoint(out_dir, part.name, *args, **kwargs)
        except OSError as error:
            raise UserError(
                f'the checkpoint {path} cannot be written ({error}); free '
                'some space, and continue with --resume'
            ) from error

    def train(self):
        """Train; KeyboardInterrupt says how to resume."""
        check_data(self.cfg, ('train_dataloader', 'val_dataloader'))
        prepare_pretrained(self.model, self._starting_checkpoint())
        try:
            with run_repairs:
                return super().train()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._resume_hint()) from None

    def _starting_checkpoint(self) -> str | None:
        """The checkpoint that the training loads or resumes, or None."""
        if self._load_from is None and self._resume:
            return find_latest_checkpoint(self.work_dir)
        return self._load_from

    def _resume_hint(self) -> str:
        """How to continue an interrupted training."""
        if Path(self.work_dir, 'last_checkpoint').is_file():
            latest = find_latest_checkpoint(self.work_dir)
            remedy = f'rerun the command with --resume, from {latest}'
        else:
            remedy = f'{self.work_dir} has no checkpoint yet; start again'
        return f'training interrupted; {remedy}'

    def _maybe_compile(self, target: str):
        """Compile the backbone if ``compile`` is set.

        MMEngine compiles ``train_step`` with the optimizer, which
        ``torch.compile`` cannot trace.
        """
        options = self.cfg.get('compile')
        if options is None or options is False:
            return
        model = (
            self.model.module if is_model_wrapper(self.model) else (self.model)
        )
        getattr(model, 'backbone', model).compile(
            **({} if options is True else options)
        )
        self.logger.info(
            'the backbone is compiled; the first iterations are slow'
        )

    def val(self):
        """Validate without training; no checkpoint is saved as the best.

        ``CheckpointHook`` can save the best one in a training only.
        """
        hooks = self._hooks
        self._hooks = [h for h in hooks if not isinstance(h, CheckpointHook)]
        try:
            with run_repairs:
                return super().val()
        finally:
            self._hooks = hooks

    def test(self):
        check_data(self.cfg, ('test_dataloader',))
        with run_repairs:
            return super().test()
