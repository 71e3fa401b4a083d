"""The forms of a trained model that are compared, ready to be timed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..compat import run_repairs
from ..deployment.exported_model import load_exported
from ..deployment.writers import files_of
from ..engine.config_checks import check_keys
from ..errors import UserError
from ..files import hash_file
from .complexity import build_model
from .configs import load_config
from .prediction.exported import exported_predictor
from .prediction.predictor import (
    Predictor,
    find_video_pipeline,
    load_checkpoint_predictor,
    make_predictor,
)
from .released_formulation import as_released
from .sample_input import sample_batch, without_validation

EAGER, RELEASED, BF16 = 'eager', 'released', 'bf16'
EXPORTED, PEER = 'exported', 'peer'
# Options of the causal form, which the released code has not.
CAUSAL = ('temporal', 'temporal_window')


@dataclass(frozen=True)
class DeployedEntry:
    """A form to measure.

    Attributes:
        name: Name in the tables.
        kind: ``'eager'``, ``'released'``, ``'bf16'``, ``'exported'`` or
            ``'peer'``.
        config: Config file; of an exported form None.
        checkpoint: Its weights; None for random ones, of a peer.
        path: Exported file.
        options: Changes of the config; of an exported file, those of
            ``CLIP_OPTIONS``.
    """

    name: str
    kind: str
    config: str | None = None
    checkpoint: str | None = None
    path: str | None = None
    options: tuple[tuple[str, object], ...] = ()


class DeployedModel:
    """One form of a model with its input.

    Args:
        entry: The form.
        threads: Of PyTorch or of the runtime.
        sample: A clip as ``pipeline`` returns it; None makes a random one.

    Attributes:
        predictor: What reads and classifies clips.
        unit: What a forward pass takes: ``'clip'``, or ``'frame'`` of a
            streaming file, which answers after each.
        bytes: Size of the file, or of the weights.
        meaningful: Whether the weights are trained and the form is that of
            their training, so that its answers count.
        processor_s: Seconds of processor time per timed forward pass.
        checkpoint: Of an exported file, the ``name`` and ``sha256`` of the
            checkpoint that it was exported from.
    """

    def __init__(
        self, entry: DeployedEntry, threads: int, sample: dict | None = None
    ):
        self.entry, self.threads = entry, threads
        self.unit, self.meaningful, self.processor_s = 'clip', True, []
        self.checkpoint = None
        load = self._load_exported
        if entry.kind != EXPORTED:
            load = self._load_recognizer
        self.predictor = load()
        self.use_sample(sample)

    def use_sample(self, sample: dict | None):
        """Set the clip of the forward passes."""
        self.sample = sample or self._random_sample()
        if self.unit == 'frame':
            inputs = self.sample['inputs'][:1]  # (1, 3, T, H, W)
            self._frames = inputs.permute(2, 0, 3, 4, 1).numpy()
            self._state, self._next = self._exported.initial_state(), 0

    def _load_exported(self) -> Predictor:
        model = self._exported = load_exported(self.entry.path, self.threads)
        self.checkpoint = model.metadata.get('checkpoint')
        if model.kind == 'streaming':
            self.unit = 'frame'
        self.bytes = sum(
            file.stat().st_size for file in files_of(Path(self.entry.path))
        )
        return exported_predictor(model, dict(self.entry.options))

    def _load_recognizer(self) -> Predictor:
        entry, models = self.entry, []

        def change(model: nn.Module, settings: dict):
            models.append(model)
            if entry.kind == RELEASED:
                self._use_released_formulation(model, settings)

        options = dict(entry.options)
        if entry.checkpoint:
            predictor = load_checkpoint_predictor(
                entry.config, entry.checkpoint, options=options, change=change
            )
        else:
            self.meaningful = False
            predictor = random_predictor(entry.config, options, change)
        values = models[0].state_dict().values()
        self.bytes = sum(v.numel() * v.element_size() for v in values)
        if entry.kind == BF16:
            predictor.score = in_bfloat16(predictor.score)
        return predictor

    def _use_released_formulation(self, model: nn.Module, settings: dict):
        backbone = dict(settings['backbone'])
        causal = backbone.get('temporal', 'global') != 'global'
        for key in CAUSAL:
            backbone.pop(key, None)
        model.backbone = as_released(backbone, model.backbone).eval()
        if causal:
            self.meaningful = False

    def _random_sample(self) -> dict:
        if self.entry.kind != EXPORTED:
            cfg = load_config(self.entry.config, dict(self.entry.options))
            batch = sample_batch(without_validation(cfg), 1)
            return {key: values[0] for key, values in batch.items()}
        options, model = dict(self.entry.options), self._exported
        length = options.get('clip_len', model.clip_len)
        side = options.get('clip_size')
        shape = (1, 3, length, *([side, side] if side else model.size))
        frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        return dict(inputs=torch.from_numpy(frames))

    def forward(self):
        """Classify the clip, or the next frame of the stream."""
        if self.unit == 'clip':
            self.predictor.score([self.sample])
            return
        frame = self._frames[self._next]
        _, self._state = self._exported.step(frame, self._state)
        self._next = (self._next + 1) % len(self._frames)

    def timed(self, work: Callable) -> float:
        """Run ``work`` and return its seconds."""
        torch.set_num_threads(self.threads)
        start, busy = time.perf_counter(), time.process_time()
        work()
        seconds = time.perf_counter() - start
        self.processor_s.append(time.process_time() - busy)
        return seconds

    def busy(self, work: Callable) -> float:
        """Run ``work`` and return its processor time per thread."""
        start = time.process_time()
        work()
        return (time.process_time() - start) / self.threads


def note_other_checkpoints(
    models: Sequence[DeployedModel],
    rows: Sequence[dict],
    report: Callable[[str], None],
):
    """Note the exported files that are not of the reference's checkpoint.

    Args:
        models: The forms; the first is the reference.
        rows: Of the results; gets ``exported_from``.
        report: Called with a line for each.
    """
    given = Path(models[0].entry.checkpoint)
    if not given.is_file():
        return  # an address
    wanted = hash_file(given)
    for model, row in zip(models, rows, strict=True):
        source = model.checkpoint
        if not source or source['sha256'] == wanted or 'exported_from' in row:
            continue
        row['exported_from'] = source['name']
        report(
            f'{model.entry.name}: exported from {source["name"]}, whose hash '
            f'is not that of {given}; its answers may be those of another '
            'model'
        )


def random_predictor(
    config: str, options: dict, change: Callable
) -> Predictor:
    """A predictor with random weights, whose speed is that of trained ones.

    Args:
        config: Config file.
        options: Changes of it.
        change: Called with the model and its config.
    """
    cfg = load_config(config, options)
    check_keys(cfg)
    if not cfg.model.get('cls_head'):
        raise UserError(
            f'{config} has no cls_head; give the config of a classifier'
        )
    with run_repairs:
        model = build_model(cfg).eval()
    change(model, cfg.model)
    pipeline = find_video_pipeline(cfg, config)
    return make_predictor(model, cfg, pipeline, None, 'random')


def in_bfloat16(
    score: Callable[[list[dict]], Tensor],
) -> Callable[[list[dict]], Tensor]:
    """Run a score function under autocast to bfloat16."""

    def score_in_bfloat16(samples: list[dict]) -> Tensor:
        with torch.autocast('cpu', dtype=torch.bfloat16):
            return score(samples)

    return score_in_bfloat16
