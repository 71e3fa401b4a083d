"""Clips whose classes differ by motion only: what each one shows.

A few objects drift, grow, shrink or turn over a cluttered, shaken
background. What a frame shows of an object is its place, its size and its
angle, and each of the three lives on a circle: an object that leaves the
view on one side comes back on the other, one that has grown to the largest
size fades out and returns as the smallest. Every motion is a rotation of
these circles and every clip starts at a uniform point of them, so each
frame, the first and the last included, has one distribution in all classes:
one frame cannot tell them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 240  # pixels of a video
FPS = 16

# Twelve headings of one movement, named as the hours of a clock's face,
# then four movements of other kinds.
NUM_HEADINGS = 12
HEADINGS = tuple(f'oclock_{hour:02d}' for hour in range(1, NUM_HEADINGS + 1))
CLASSES = (*HEADINGS, 'towards', 'away', 'clockwise', 'counter_clockwise')

SPLITS = ('train', 'val', 'test')

RADIUS = (12.0, 36.0)  # smallest and largest radius of an object, pixels
MARGIN = RADIUS[1] + 4.0  # an object this far outside is out of sight
WORLD = (WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN)  # where places wrap
FADE = 0.2  # part of the size circle, at each end, where objects fade

OBJECTS = (5, 8)  # objects a clip, both included
DISTANCE = (90.0, 180.0)  # pixels an object moves in a clip
HEADING_JITTER = 6.0  # degrees at most off the hour
GROWTH = (0.45, 0.8)  # part of the size circle, in a clip
TURN = (150.0, 300.0)  # degrees an object turns, in a clip
SHAKE = 5.0  # pixels the camera shakes, at most
CLUTTER = (4, 9)  # still shapes in the background

# Outlines within a unit circle; none looks the same when turned by less
# than half a turn.
SHAPES = (
    ((-0.9, -0.45), (0.9, -0.45), (0.9, 0.45), (-0.9, 0.45)),
    ((0.95, 0.0), (-0.75, 0.6), (-0.75, -0.6)),
    (
        (-0.8, -0.6), (-0.3, -0.6), (-0.3, 0.2), (0.9, 0.2), (0.9, 0.7),
        (-0.8, 0.7),
    ),
    (
        (-0.9, -0.25), (0.1, -0.25), (0.1, -0.75), (0.95, 0.0), (0.1, 0.75),
        (0.1, 0.25), (-0.9, 0.25),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """One clip, before it is drawn.

    Args:
        label: Index in :data:`CLASSES`.
        states: (T, N, 4) for T frames and N objects: x and y in pixels in
            [0, WORLD), angle in radians in [0, 2 pi), place on the size
            circle in [0, 1).
        shapes: (N,) indices in :data:`SHAPES`.
        colours: (N, 3) in [0, 255].
        shake: (T, 2), pixels the camera is off, at most SHAKE.
        background: (HEIGHT + 2 * pad, WIDTH + 2 * pad, 3), uint8, with
            pad = ceil(SHAKE) + 1.
    """

    label: int
    states: np.ndarray
    shapes: np.ndarray
    colours: np.ndarray
    shake: np.ndarray
    background: np.ndarray


def draw_clip(seed: int, split: str, index: int, num_frames: int) -> Clip:
    """Draw what clip ``index`` of a split shows, from (seed, split, index).

    Classes take turns: the label is ``index % len(CLASSES)``.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    label = index % len(CLASSES)
    count = int(rng.integers(OBJECTS[0], OBJECTS[1] + 1))
    period = np.array([*WORLD, 2 * np.pi, 1.0])
    start = rng.uniform(size=(count, 4)) * period
    time = np.linspace(0.0, 1.0, num_frames)
    # the speed rises and falls within a clip, with no preferred moment
    swing, phase = rng.uniform(0, 0.6), rng.uniform(0, 2 * np.pi)
    progress = time + swing / (2 * np.pi) * (
        np.sin(2 * np.pi * time + phase) - np.sin(phase)
    )
    states = start + progress[:, None, None] * draw_motion(rng, label)
    colours, background = _draw_colours(rng, count)
    return Clip(
        label=label,
        states=states % period,
        shapes=rng.integers(len(SHAPES), size=count),
        colours=colours,
        shake=_draw_shake(rng, time),
        background=background,
    )


def draw_motion(rng: np.random.Generator, label: int) -> np.ndarray:
    """Change of an object's state over a clip: (x, y, angle, size), (4,).

    Every class draws the same numbers, so that what is drawn afterwards
    does not depend on the class.
    """
    jitter = rng.uniform(-HEADING_JITTER, HEADING_JITTER)
    distance = rng.uniform(*DISTANCE)
    growth = rng.uniform(*GROWTH)
    turn = np.radians(rng.uniform(*TURN))
    name = CLASSES[label]
    if name in HEADINGS:
        hour = HEADINGS.index(name) + 1
        heading = np.radians(hour * 360 / NUM_HEADINGS + jitter)
        x, y = np.sin(heading), -np.cos(heading)  # y runs downwards
        return np.array([distance * x, distance * y, 0.0, 0.0])
    return {
        'towards': np.array([0.0, 0.0, 0.0, growth]),
        'away': np.array([0.0, 0.0, 0.0, -growth]),
        'clockwise': np.array([0.0, 0.0, turn, 0.0]),
        'counter_clockwise': np.array([0.0, 0.0, -turn, 0.0]),
    }[name]


def radius(size: np.ndarray) -> np.ndarray:
    """Radius in pixels at a place on the size circle, in [0, 1)."""
    low, high = RADIUS
    return low * (high / low) ** size


def opacity(size: np.ndarray) -> np.ndarray:
    """Opacity in [0, 1] at a place on the size circle: 0 where it wraps."""
    return np.minimum(1.0, np.minimum(size, 1 - size) / FADE)


def render(clip: Clip) -> Iterator[np.ndarray]:
    """Draw the frames, (HEIGHT, WIDTH, 3), uint8, BGR, one by one."""
    pad = int(np.ceil(SHAKE)) + 1
    outlines = [np.array(SHAPES[shape]) for shape in clip.shapes]
    for state, shake in zip(clip.states, clip.shake, strict=True):
        camera = np.array([[1, 0, shake[0] - pad], [0, 1, shake[1] - pad]])
        frame = cv2.warpAffine(
            clip.background, camera, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR
        )
        centres = state[:, :2] - MARGIN + shake
        for i, (angle, size) in enumerate(state[:, 2:]):
            _draw_shape(
                frame,
                outlines[i],
                centres[i],
                angle,
                radius(size),
                clip.colours[i],
                opacity(size),
            )
        yield frame


def _draw_shape(frame, outline, centre, angle, radius, colour, alpha):
    """Draw one filled outline into a frame, or into what it meets of it."""
    cos, sin = np.cos(angle), np.sin(angle)
    # y runs downwards, so a growing angle turns clockwise
    turned = outline @ np.array([[cos, sin], [-sin, cos]]) * radius + centre
    low = np.maximum(np.floor(turned.min(0)).astype(int) - 1, 0)
    high = np.minimum(
        np.ceil(turned.max(0)).astype(int) + 2, frame.shape[1::-1]
    )
    if (low >= high).any():
        return
    view = frame[low[1] : high[1], low[0] : high[0]]
    drawn = view.copy()
    points = np.round((turned - low) * 16).astype(np.int32)
    cv2.fillPoly(drawn, [points], colour.tolist(), cv2.LINE_AA, shift=4)
    view[:] = cv2.addWeighted(drawn, alpha, view, 1 - alpha, 0)


def _draw_shake(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """A hand's tremor, (T, 2) pixels: two slow waves an axis."""
    amplitude = rng.uniform(0, SHAKE / 2, size=(2, 2))
    cycles = rng.uniform(0.5, 3.0, size=(2, 2))
    phase = rng.uniform(0, 2 * np.pi, size=(2, 2))
    waves = np.sin(2 * np.pi * cycles * time[:, None, None] + phase)
    return (amplitude * waves).sum(-1)


def _draw_colours(rng, count):
    """Colours of the objects, (count, 3), and a background with clutter."""
    pad = int(np.ceil(SHAKE)) + 1
    size = (WIDTH + 2 * pad, HEIGHT + 2 * pad)
    base = rng.uniform(*BACKGROUND, size=3)
    coarse = base + rng.normal(0, BACKGROUND_SPREAD, size=(4, 5, 3))
    background = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    background = np.clip(background, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(CLUTTER[0], CLUTTER[1] + 1))):
        colour = base + rng.uniform(-CLUTTER_CONTRAST, CLUTTER_CONTRAST, 3)
        _draw_shape(
            background,
            np.array(SHAPES[int(rng.integers(len(SHAPES)))]),
            rng.uniform((0, 0), size),
            rng.uniform(0, 2 * np.pi),
            radius(rng.uniform()),
            np.clip(colour, 0, 255),
            1.0,
        )
    offset = rng.uniform(*OBJECT_CONTRAST, size=(count, 3))
    return np.clip(base + offset, 0, 255), background


BACKGROUND = (30.0, 110.0)  # grey levels of the background, a channel
BACKGROUND_SPREAD = 14.0  # grey levels, of the smooth background
CLUTTER_CONTRAST = 30.0  # grey levels off the background, at most
OBJECT_CONTRAST = (45.0, 110.0)  # grey levels off the background, a channel
