"""MMEngine's runner, with early checks and one-line errors."""

from contextlib import contextmanager
from pathlib import Path

from mmaction.registry import RUNNERS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import (
    BaseLoop,
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    Runner,
    find_latest_checkpoint,
)

from ..checkpoints.matching_weights import (
    check_fit,
    weights_of,
    weights_of_parts,
)
from ..checkpoints.plain_values import make_plain, restore_history
from ..checkpoints.released import rename_released
from ..compat import run_repairs
from ..errors import UserError, print_user_errors
from ..files import whole_file
from ..malloc import keep_freed_memory
from ..models import VideoFocalNet
from ..models.pairing import check_parts
from .config_checks import (
    check_batches,
    check_classes,
    check_colors,
    check_constructor,
    check_data,
    check_keys,
    check_schedule,
    check_several_labels,
    check_training_views,
)
from .cuda_numerics import check_tf32, fix_workspace, tf32_products
from .dataset_variables import check_dataset_variables
from .deferred_scalars import DeferredMessageHub, defer_gradient_norm
from .lost_batches import name_lost_clips
from .missing_clips import check_clip_files
from .options import apply_options, apply_pinned_memory
from .resuming import (
    Schedule,
    check_training_state,
    check_weights,
    realign,
    same_optimizer,
)
from .schedule_options import uneven_schedule, without_single_steps
from .starting_weights import prepare_pretrained
from .train_batches import INFO, TrainBatches


@RUNNERS.register_module()
class CheckedRunner(Runner):
    """A ``Runner`` that checks its config before it builds anything.

    It rejects misspelt top-level keys, class counts that differ, deferred
    colour changes that nothing applies, and missing data sets; for these
    the error names the command that prepares the data (``prepare_command``
    in the config). It applies the options of
    :func:`~dvfl_mmaction.engine.options.apply_options`, and dumps the
    config with what they stand for. An uncaught
    :class:`UserError` ends the program with one line instead of a
    traceback. On a CPU, freed memory is kept for the next iteration. Logged
    tensors stay on the device until the logger's interval.
    Checkpoints contain plain values only: torch loads them without an
    allow-list, and MMEngine's own runner resumes from them. Training and
    testing are MMEngine's.
    """

    _tests = False  # whether the run tests or validates without training

    @classmethod
    def from_cfg(cls, cfg):
        print_user_errors()
        check_keys(cfg)
        check_classes(cfg)
        check_dataset_variables(cfg)
        apply_options(cfg)
        check_colors(cfg)
        check_constructor(cfg)
        check_schedule(cfg)
        check_training_views(cfg)
        check_tf32(cfg)
        fix_workspace(cfg)
        check_several_labels(cfg)
        # ``mim test`` sets load_from; testing needs no training data.
        if not cfg.get('load_from'):
            check_data_of(cfg, 'train', 'val')
        recall_load_from(cfg)
        if get_device() == 'cpu':
            keep_freed_memory()
        if get_device() == 'cuda':
            apply_pinned_memory(cfg)
        return super().from_cfg(cfg)

    def build_message_hub(self, message_hub=None):
        """Build a hub that reads logged tensors at the logger's interval."""
        settings = dict(message_hub or {})
        settings.setdefault('name', self.experiment_name)
        return DeferredMessageHub.get_instance(**settings)

    def build_optim_wrapper(self, optim_wrapper):
        wrapper = super().build_optim_wrapper(optim_wrapper)
        several = isinstance(wrapper, OptimWrapperDict)
        for part in wrapper.values() if several else [wrapper]:
            defer_gradient_norm(part)
        return wrapper

    def build_model(self, model):
        """Build the model, and check that its parts fit the backbone."""
        model = super().build_model(model)
        if isinstance(getattr(model, 'backbone', None), VideoFocalNet):
            check_parts(model)
        return model

    def build_train_loop(self, loop):
        loop = super().build_train_loop(loop)
        check_batches(loop.dataloader)
        return loop

    def build_param_scheduler(self, scheduler):
        """Build the schedule, without warm-ups of a single step."""
        if isinstance(self._train_loop, EpochBasedTrainLoop):
            length = len(self.train_dataloader)
            kept = without_single_steps(scheduler, length)
            if kept != scheduler:
                self.logger.warning(
                    'param_scheduler has a warm-up of a single step, which '
                    'is left out'
                )
            scheduler = kept
        return super().build_param_scheduler(scheduler)

    def load_or_resume(self):
        """Load weights or resume, and record the batches of the training."""
        self.message_hub.pop_info(INFO, None)  # of a run before in the process
        self._tests = not isinstance(self._train_loop, BaseLoop)
        if self._tests and self._resume:
            # The config that a resumed training has dumped says so; a test
            # needs the weights only.
            self._load_from = self._starting_checkpoint()
            self._resume = False
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
            self._check_loaded(kwargs['checkpoint'])
            restore_history(kwargs['checkpoint'])
        super().call_hook(fn_name, **kwargs)
        if fn_name == 'before_save_checkpoint':
            make_plain(kwargs['checkpoint'])

    def _check_loaded(self, checkpoint: dict):
        """Rename the weights of a released file; check what is loaded.

        Raises:
            UserError: If it does not fit, or the run is to resume from it
                and it has no state of a training or is of another model, or
                the run tests it and it is of another model.
        """
        path = str(self._checkpoint_file)
        model = (
            self.model.module if is_model_wrapper(self.model) else (self.model)
        )
        config = self.cfg.filename or 'the config'
        report = rename_released(checkpoint, path, model, config)
        if self._resume:
            check_training_state(checkpoint, path, self)
            check_weights(checkpoint, model, path, self)
        elif self._tests:
            # MMEngine would only log what stays random. A training may
            # start from other weights.
            weights = weights_of_parts(weights_of(checkpoint), model)
            check_fit(weights, model, path, config)
        if report is None:
            return
        self.logger.info(f'{path}: {report}')

    def resume(self, filename, *args, **kwargs):
        """Resume, with other batches or another schedule if so configured.

        See :mod:`~dvfl_mmaction.engine.resuming`.

        Raises:
            UserError: If the checkpoint is of another model or optimizer.
        """
        loops = EpochBasedTrainLoop, IterBasedTrainLoop
        if not isinstance(self._train_loop, loops):
            return super().resume(filename, *args, **kwargs)
        schedule = Schedule(self)
        with same_optimizer(self, filename):
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
        check_data_of(self.cfg, 'train', 'val')
        if warning := uneven_schedule(self.cfg):
            self.logger.warning(warning)
        prepare_pretrained(self.model, self._starting_checkpoint())
        try:
            with self._settings_of_a_run():
                return super().train()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._resume_hint()) from None

    @contextmanager
    def _settings_of_a_run(self):
        """What is replaced, set and explained in a training or a test."""
        tf32 = self.cfg.get('tf32')
        with run_repairs, tf32_products(tf32), name_lost_clips(self):
            yield

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
            if self._load_from and not self._resume:
                # MMAction2 would resume from this file instead.
                remedy += f', without load_from={self._load_from}'
        else:
            remedy = f'{self.work_dir} has no checkpoint yet; start again'
        return f'training interrupted; {remedy}'

    def _maybe_compile(self, target: str):
        """Compile the backbone if ``compile`` is set.

        MMEngine compiles ``train_step`` with the optimizer, which
        ``torch.compile`` cannot trace.

        Raises:
            UserError: If it is neither a bool nor a dict.
        """
        options = self.cfg.get('compile')
        if options is None or options is False:
            return
        if options is not True and not isinstance(options, dict):
            raise UserError(
                f'compile is {options!r}; give True, or the arguments of '
                "torch.compile, such as compile=dict(mode='default')"
            )
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
        check_data_of(self.cfg, 'val')
        hooks = self._hooks
        self._hooks = [h for h in hooks if not isinstance(h, CheckpointHook)]
        try:
            with self._settings_of_a_run():
                return super().val()
        finally:
            self._hooks = hooks

    def test(self):
        check_data_of(self.cfg, 'test')
        with self._settings_of_a_run():
            return super().test()


def recall_load_from(cfg: dict):
    """Begin from ``load_from`` of the config file if nothing is resumed.

    MMAction2 drops it beside ``--resume``, and the training would begin from
    scratch.
    """
    file = Path(getattr(cfg, 'filename', None) or '')
    begins = not Path(cfg['work_dir'], 'last_checkpoint').is_file()
    dropped = cfg.get('resume') and cfg.get('load_from') is None
    if not (dropped and begins and file.is_file()):
        return
    written = Config.fromfile(file, import_custom_modules=False)
    if written.get('load_from'):
        cfg['load_from'], cfg['resume'] = written.load_from, False
        print_log(
            f'{cfg["work_dir"]} has no checkpoint to resume; the training '
            f'begins from load_from={written.load_from}',
            logger='current',
        )


def check_data_of(cfg: dict, *modes: str):
    """Check the data sets of a run, and that their clips exist.

    Raises:
        UserError: See :func:`check_data` and :func:`check_clip_files`.
    """
    loaders = [f'{mode}_dataloader' for mode in modes]
    check_data(cfg, loaders)
    check_clip_files(cfg, loaders)
