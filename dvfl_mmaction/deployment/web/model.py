"""A model of the page, and what it answers for a clip."""

import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...analysis.modulation.observer import Observer, View, make_observer
from ...analysis.prediction.batches import ClipReader
from ...analysis.prediction.clips import Clip
from ...analysis.prediction.predictor import load_recognizer
from ...analysis.text import printable
from ...datasets.video_file import limit_pixels
from ...engine.config_checks import type_name
from ...errors import UserError
from ..live.classifier import Classifier, FrameClassifier, WindowClassifier
from ..live.frames import Frame, SourceError
from ..live.load import make_classifier
from ..live.opened_source import open_file
from ..live.segments import Segment, Segmenter, SegmentRule
from .limits import CheckedClip, check_pictures, check_size

# A clip of this length or more gets a timeline.
LONG_S = 4.0
MOST_WINDOWS = 60  # of a model of clips, per timeline
PACKET_S = 10.0
REPORT_S = 0.5


@dataclass
class WebModel:
    """A trained model, and the forms in which the page uses it.

    Attributes:
        observer: Predicts clips and records the modulators.
        classifier: Classifies long clips and cameras; None if it cannot.
        reason: Why it cannot.
    """

    observer: Observer
    classifier: Classifier | None = None
    reason: str = ''

    @property
    def is_causal(self) -> bool:
        """Whether it answers every frame of a camera."""
        return isinstance(self.classifier, FrameClassifier)

    @property
    def refuses_large_pictures(self) -> bool:
        """Whether its pipeline does, once told so; decord does not."""
        steps = self.observer.pipeline
        return any(type_name(step) == 'ClipInit' for step in steps)

    def name_of(self, index: int) -> str:
        """Name of a class, or its number."""
        names = self.observer.class_names
        return printable(names[index]) if names else str(index)


@dataclass
class ClipAnswer:
    """What a model answers for a clip.

    Attributes:
        scores: Probabilities of the classes, (K,).
        view: Its frames and modulators.
        read_s: Time of reading, in s.
        predict_s: Time of the prediction, in s.
    """

    scores: np.ndarray
    view: View
    read_s: float
    predict_s: float


@dataclass
class Timeline:
    """The classes in a long clip.

    Attributes:
        reached_s: The time up to which it was classified.
        end_s: Length of the clip.
        segments: In order; None until the end is reached.
        spent_s: Time that it took, in s.
    """

    reached_s: float
    end_s: float
    segments: list[Segment] | None = None
    spent_s: float = 0.0


def load_web_model(
    config: str,
    checkpoint: str,
    device: str = 'cpu',
    options: dict | None = None,
    classes: str | None = None,
) -> WebModel:
    """Load a model of the page; arguments as :func:`load_recognizer`.

    Raises:
        UserError: As :func:`load_recognizer`, or if the backbone is no
            Video-FocalNet.
    """
    loaded = load_recognizer(config, checkpoint, device, options, classes)
    observer = make_observer(loaded, config)
    try:
        return WebModel(observer, make_classifier(loaded, config))
    except UserError as error:  # several views of a clip, for example
        return WebModel(observer, reason=str(error))


def answer_clip(model: WebModel, clip: CheckedClip) -> ClipAnswer:
    """Predict a clip as ``tools/predict.py`` does, and record modulators.

    Raises:
        UserError: If it cannot be read, or a picture is too large.
    """
    if not model.refuses_large_pictures:
        check_pictures(clip)
    # Several threads use the model at once.
    observer = model.observer.for_another_thread()
    began = time.perf_counter()
    listed = Clip(Path(clip.path), clip.name)
    with limit_pixels(clip.limits.decoded_pixels):
        _, data, error = ClipReader([listed], observer)[0]
    if error is not None:
        check_pictures(clip)
        raise UserError(
            f'{clip.name} cannot be read: {error}; give another video'
        )
    read = time.perf_counter()
    (scores,) = observer.score([data])
    predicted = time.perf_counter()
    view = observer.observe(data)
    return ClipAnswer(scores.numpy(), view, read - began, predicted - read)


def follow_clip(
    model: WebModel, clip: CheckedClip, rule: SegmentRule
) -> Iterator[Timeline]:
    """Classify a long clip frame by frame, or in windows.

    Args:
        model: With a classifier.
        clip: The clip.
        rule: Of the segments.

    Yields:
        How far it is, at most every 0.5 s; at last the segments.

    Raises:
        UserError: If the clip cannot be read to its end, a picture is too
            large, or the frames are fewer than those of a window.
    """
    classifier = model.classifier.for_another_stream()
    segmenter, answers = Segmenter(rule), 0
    began = reported = time.perf_counter()
    time_s = 0.0
    try:
        # Other code of this thread may run between two yields.
        with limit_pixels(clip.limits.decoded_pixels):
            source = open_file(clip.path, PACKET_S)
        if isinstance(classifier, WindowClassifier):
            least = math.ceil(clip.num_frames / MOST_WINDOWS)
            classifier.every = max(classifier.every, least)
        with closing(source):
            for index, (time_s, image) in enumerate(source.pictures):
                # The header has the size of the first picture alone.
                check_size(clip.name, *image.shape[1::-1], clip.limits)
                frame = Frame(index, time_s, image, time_s, not index)
                work = classifier.push(frame)
                if work is not None:
                    middle = (work.begin_s + work.time_s) / 2
                    segmenter.add(middle, classifier.classify(work))
                    answers += 1
                now = time.perf_counter()
                if now - reported > REPORT_S:
                    reported = now
                    yield Timeline(time_s, clip.length_s, None, now - began)
    except SourceError as error:
        check_pictures(clip)
        raise UserError(
            f'{clip.name} cannot be read beyond {time_s:.1f} s: {error}; give '
            'another video'
        ) from None
    if not answers:
        raise UserError(
            f'{clip.name} has no timeline: its frames are fewer than the '
            f'{classifier.span} of a window; give a longer clip'
        )
    end = max(clip.length_s, time_s)
    segments = segmenter.finish(end)
    yield Timeline(end, end, segments, time.perf_counter() - began)
