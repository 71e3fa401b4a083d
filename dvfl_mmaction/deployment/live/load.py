"""Load what classifies a stream."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate

from ...analysis.prediction.predictor import (
    LoadedRecognizer,
    find_class_names,
    load_recognizer,
    recognizer_scores,
)
from ...analysis.sample_input import find_modality
from ...compat import run_repairs
from ...distillation.binary_divergence import class_probabilities
from ...engine.clip_options import DECODERS, STRIDES
from ...engine.config_checks import type_name
from ...errors import UserError
from ..streaming import make_streaming
from .classifier import Classifier, FrameClassifier, WindowClassifier

# For models of clips. Most are trained on frames spread over a video of some
# seconds; 8 frames at this stride span 1.2 s at 25 frames/s.
DEFAULT_STRIDE = 4
DEFAULT_EVERY = 4


def load_from_checkpoint(
    config: str,
    checkpoint: str,
    device: str = 'cpu',
    options: dict | None = None,
    classes: str | None = None,
    stride: int | None = None,
    every: int | None = None,
) -> Classifier:
    """Load a classifier of streams from a config and a checkpoint.

    A causal model runs frame by frame, another one in a sliding window.

    Args:
        config, checkpoint, device, options, classes: As
            :func:`load_recognizer`.
        stride: Frames from one that the model gets to the next. By default
            the config's ``frame_interval``, else 4 for clips and 1 for a
            causal model.
        every: Frames from one window to the next; 4 by default.

    Raises:
        UserError: As :func:`load_recognizer` and :func:`make_classifier`.
    """
    loaded = load_recognizer(config, checkpoint, device, options, classes)
    return make_classifier(loaded, config, stride, every)


def make_classifier(
    loaded: LoadedRecognizer,
    config: str,
    stride: int | None = None,
    every: int | None = None,
) -> Classifier:
    """Make a classifier of streams of a trained recognizer.

    Args:
        loaded: The recognizer.
        config: Its config's name, for errors.
        stride, every: As :func:`load_from_checkpoint`.

    Raises:
        UserError: If the model does not take one RGB picture per frame, or
            ``every`` is given for a causal model.
    """
    if find_modality(loaded.cfg) != 'RGB':
        raise UserError(
            f'{config} is for {find_modality(loaded.cfg)}, but a stream has '
            'RGB frames; give the config of an RGB model'
        )
    prepare, pack, sampling = split_pipeline(loaded.pipeline, config)
    trained = sampling['frame_interval']
    known = (prepare, loaded.num_classes, loaded.class_names)
    backbone = getattr(loaded.model, 'backbone', None)
    if getattr(backbone, 'temporal_window', None) is not None:
        refuse_every(every)
        step, initial_state = causal_step(loaded, pack)
        stride = stride or trained or 1
        return FrameClassifier(step, initial_state, *known, stride=stride)
    score_samples = recognizer_scores(loaded.model)

    def score(pictures: Sequence[np.ndarray]) -> np.ndarray:
        return score_samples([pack(pictures)])[0].numpy()

    return WindowClassifier(
        score,
        *known,
        clip_len=sampling['clip_len'],
        stride=stride or trained or DEFAULT_STRIDE,
        every=every or DEFAULT_EVERY,
    )


def split_pipeline(steps: list[dict], config: str):
    """Divide a test pipeline into what is done per frame and per clip.

    Args:
        steps: Of the pipeline.
        config: Name of the config or the exported file, for errors.

    Returns:
        A function from a frame, (H, W, 3) uint8 RGB, to the picture that
        the model gets; a function from pictures to a sample for the model;
        and ``clip_len`` and ``frame_interval`` (None without) of the step
        that samples. The segments of a 2D recognizer are one clip, whose
        frames are spread over a video.

    Raises:
        UserError: If a frame becomes several pictures, or a step is
            missing.
    """
    names = [type_name(step) for step in steps]
    decoders = {decoder for _, decoder in DECODERS.values()}
    read = max((i for i, n in enumerate(names) if n in decoders), default=None)
    samplers = [step for step in steps if 'clip_len' in step]
    if read is None or 'FormatShape' not in names or not samplers:
        raise UserError(
            f"{config}'s test pipeline lacks a step that samples, one that "
            f'decodes ({", ".join(sorted(decoders))}), or FormatShape; give a '
            'config that reads videos'
        )
    at = names.index('FormatShape')
    per_frame, per_clip = Compose(steps[read + 1 : at]), Compose(steps[at:])

    def prepare(image: np.ndarray) -> np.ndarray:
        size = image.shape[:2]
        results = dict(
            imgs=[image],
            original_shape=size,
            img_shape=size,
            modality='RGB',
            num_clips=1,
            clip_len=1,
        )
        pictures = per_frame(results)['imgs']
        if len(pictures) != 1:
            raise UserError(
                f"{config}'s test pipeline makes {len(pictures)} pictures of "
                'a frame, but a stream is classified by one; give '
                '--cfg-options test_views=1x1, for an exported file to '
                'tools/export.py'
            )
        return np.ascontiguousarray(pictures[0])

    def pack(pictures: Sequence[np.ndarray]) -> dict:
        return per_clip(
            dict(
                imgs=list(pictures),
                img_shape=pictures[0].shape[:2],
                modality='RGB',
                num_clips=1,
                clip_len=len(pictures),
                label=-1,
            )
        )

    prepare(np.zeros((240, 320, 3), np.uint8))
    sampler = samplers[-1]
    is_strided = type_name(sampler) in STRIDES
    interval = sampler.get('frame_interval', 1) if is_strided else None
    length, segments = sampler['clip_len'], sampler.get('num_clips', 1)
    if steps[at].get('input_format') == 'NCHW' and segments > 1:
        # Of a 2D recognizer, which sees the segments of a video as one clip.
        length, interval = length * segments, None
    return prepare, pack, dict(clip_len=length, frame_interval=interval)


def causal_step(loaded: LoadedRecognizer, pack: Callable):
    """``step`` and ``initial_state`` of :class:`FrameClassifier`.

    Raises:
        UserError: If the model has parts that do not run frame by frame.
    """
    model = loaded.model
    stream = make_streaming(model)

    @torch.inference_mode()
    def step(picture: np.ndarray, state):
        with run_repairs:
            batch = pseudo_collate([pack([picture])])
            clips = model.data_preprocessor(batch, training=False)['inputs']
        # (B, views, C, T, H, W) of one view and frame -> (1, C, H, W)
        frame = clips.reshape(1, *clips.shape[-4:])[:, :, 0]
        scores, state = stream(frame, state)
        scores = class_probabilities(model.cls_head, scores)
        return scores[0].float().cpu().numpy(), state

    def initial_state(height: int, width: int):
        return stream.initial_state(1, height, width)

    return step, initial_state


def load_from_export(
    path: str,
    threads: int | None = None,
    classes: str | None = None,
    stride: int | None = None,
    every: int | None = None,
) -> Classifier:
    """Load a classifier of streams from an exported file.

    Frames pass the test pipeline that the file names.

    Args:
        path: The file.
        threads: Of the runtime; None for its default.
        classes: File with a class name per line, in place of the names in
            the model's file.
        stride: As for :func:`load_from_checkpoint`.
        every: Likewise.

    Raises:
        UserError: If the file cannot be read, its pipeline does not make
            one RGB picture per frame, or ``every`` is given for a streaming
            model.
    """
    from ...analysis.prediction.exported import exported_pipeline
    from ..exported_model import load_exported

    model = load_exported(path, threads=threads)
    names = model.classes
    if classes is not None:
        names = find_class_names({}, {}, len(names), classes)
    prepare, _, sampling = split_pipeline(exported_pipeline(model), path)
    trained = sampling['frame_interval']
    known = (prepare, len(names), names)
    if model.kind == 'streaming':
        refuse_every(every)

        def step(picture: np.ndarray, state):
            scores, state = model.step(picture[None], state)
            return np.asarray(scores)[0], state

        def initial_state(height: int, width: int):
            return model.initial_state(1)

        stride = stride or trained or 1
        return FrameClassifier(step, initial_state, *known, stride=stride)

    def score(pictures: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(model.predict(np.stack(pictures)[None]))[0]

    return WindowClassifier(
        score,
        *known,
        clip_len=model.clip_len,
        stride=stride or trained or DEFAULT_STRIDE,
        every=every or DEFAULT_EVERY,
    )


def refuse_every(every: int | None):
    """
    Raises:
        UserError: If ``--every`` is given for a model of frames.
    """
    if every is not None:
        raise UserError(
            f'--every {every} is for models of clips, but this one answers '
            'every frame; leave it out, or give --stride'
        )
