"""Clips whose classes differ by motion only: the embedded demo data set.

An object drifts in one of twelve headings over a cluttered, shaken
background. Its position half way, shape, angle, size, colour and speed are
drawn independently of the heading. So the middle frame has the same
distribution in all classes, and a frame at an unknown time may show the line
on which the object moves, but not the direction.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..datasets.annotations import write_lines
from ..errors import UserError

WIDTH, HEIGHT = 320, 240  # pixels of a video
FPS = 16

# The hours of a clock's face: 12 is up, 3 is to the right.
CLASSES = tuple(f'oclock_{hour:02d}' for hour in range(1, 13))
SPLITS = ('train', 'val', 'test')
MANIFEST = 'manifest.json'
VERSION = 2  # increased when the same seed draws other clips

RADIUS = (36.0, 58.0)  # of the circle about an object, pixels
CENTRE = (WIDTH / 2, HEIGHT / 2)  # pixels, mean position of objects half way
DISTANCE = (150.0, 200.0)  # pixels an object moves in a clip
SPREAD = 55.0  # pixels, standard deviation of the position half way
HEADING_JITTER = 3.0  # degrees at most off the hour
SHAKE = 4.0  # pixels the camera shakes, at most
CLUTTER = (2, 5)  # still shapes in the background
BACKGROUND = (36.0, 48.0)  # grey levels of the background, per channel
BACKGROUND_SPREAD = 3.0  # grey levels, of the smooth background
CLUTTER_CONTRAST = 10.0  # grey levels off the background, at most
OBJECT_CONTRAST = (110.0, 190.0)  # grey levels above it, per channel
PAD = int(np.ceil(SHAKE)) + 1  # pixels of background around the view

# Outlines within a unit circle.
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
class MotionClip:
    """One clip before rendering.

    Args:
        label: Index in :data:`CLASSES`.
        places: Positions of the object, (T, 2), x and y in pixels.
        shape: Index in :data:`SHAPES`.
        angle: Radians, in [0, 2 pi).
        radius: Pixels, within RADIUS.
        colour: (3,), BGR in [0, 255].
        shake: Offset of the camera, (T, 2), at most SHAKE pixels.
        background: (HEIGHT + 2 * PAD, WIDTH + 2 * PAD, 3), uint8, BGR.
    """

    label: int
    places: np.ndarray
    shape: int
    angle: float
    radius: float
    colour: np.ndarray
    shake: np.ndarray
    background: np.ndarray


def draw_clip(
    seed: int, split: str, index: int, num_frames: int
) -> MotionClip:
    """Draw the content of a clip from (seed, split, index).

    The label is ``index % len(CLASSES)``. Only the direction of the motion
    depends on it.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    label = index % len(CLASSES)
    time = np.linspace(0.0, 1.0, num_frames)
    half_way = rng.normal(CENTRE, SPREAD)
    jitter = rng.uniform(-HEADING_JITTER, HEADING_JITTER)
    heading = np.radians((label + 1) * 360 / len(CLASSES) + jitter)
    # y runs downwards
    step = rng.uniform(*DISTANCE) * np.array(
        [np.sin(heading), -np.cos(heading)]
    )
    # the speed rises and falls within a clip, with no preferred moment
    swing, phase = rng.uniform(0, 0.6), rng.uniform(0, 2 * np.pi)
    progress = time + swing / (2 * np.pi) * (
        np.sin(2 * np.pi * time + phase) - np.sin(phase)
    )
    progress -= np.interp(0.5, time, progress)
    colour, background = _draw_colours(rng)
    return MotionClip(
        label=label,
        places=half_way + progress[:, None] * step,
        shape=int(rng.integers(len(SHAPES))),
        angle=rng.uniform(0, 2 * np.pi),
        radius=rng.uniform(*RADIUS),
        colour=colour,
        shake=_draw_shake(rng, time),
        background=background,
    )


def render(clip: MotionClip) -> Iterator[np.ndarray]:
    """Yield the frames, (HEIGHT, WIDTH, 3), uint8, BGR."""
    for place, shake in zip(clip.places, clip.shake, strict=True):
        camera = np.array([[1, 0, shake[0] - PAD], [0, 1, shake[1] - PAD]])
        frame = cv2.warpAffine(clip.background, camera, (WIDTH, HEIGHT))
        _draw_shape(
            frame,
            clip.shape,
            place + shake,
            clip.angle,
            clip.radius,
            clip.colour,
        )
        yield frame


def object_masks(clip: MotionClip) -> Iterator[np.ndarray]:
    """Yield where the object is, (HEIGHT, WIDTH, 3), uint8, 255 inside."""
    white = np.full(3, 255)
    for place, shake in zip(clip.places, clip.shake, strict=True):
        mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        where = (place + shake, clip.angle, clip.radius)
        _draw_shape(mask, clip.shape, *where, white)
        yield mask


def _draw_shape(frame, shape, centre, angle, radius, colour):
    """Draw a filled outline; parts outside the frame are cut off."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    points = np.array(SHAPES[shape]) @ turn * radius + centre
    points = np.round(points * 16).astype(np.int32)  # 1/16 pixels
    cv2.fillPoly(frame, [points], colour.tolist(), cv2.LINE_AA, shift=4)


def _draw_shake(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """A hand's tremor, (T, 2) pixels: two slow waves per axis."""
    amplitude = rng.uniform(0, SHAKE / 2, size=(2, 2))
    cycles = rng.uniform(0.5, 3.0, size=(2, 2))
    phase = rng.uniform(0, 2 * np.pi, size=(2, 2))
    waves = np.sin(2 * np.pi * cycles * time[:, None, None] + phase)
    return (amplitude * waves).sum(-1)


def _draw_colours(rng):
    """Colour of the object, (3,), and a background with clutter."""
    size = (WIDTH + 2 * PAD, HEIGHT + 2 * PAD)
    base = rng.uniform(*BACKGROUND, size=3)
    coarse = base + rng.normal(0, BACKGROUND_SPREAD, size=(4, 5, 3))
    background = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    background = np.clip(background, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(CLUTTER[0], CLUTTER[1] + 1))):
        contrast = rng.uniform(-CLUTTER_CONTRAST, CLUTTER_CONTRAST, 3)
        _draw_shape(
            background,
            int(rng.integers(len(SHAPES))),
            rng.uniform((0, 0), size),
            rng.uniform(0, 2 * np.pi),
            rng.uniform(*RADIUS),
            np.clip(base + contrast, 0, 255),
        )
    return base + rng.uniform(*OBJECT_CONTRAST, size=3), background


def make_demo_dataset(
    root: Path,
    clips_per_class: dict[str, int],
    num_frames: int = 32,
    seed: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
    report=print,
) -> bool:
    """Write ``videos/<split>/*.mp4`` (MPEG-4), lists and ``classes.txt``.

    An interrupted run is resumed; a complete data set is left unchanged.

    Args:
        root: Folder; created if missing.
        clips_per_class: Split -> clips per class, 1 to 9999.
        num_frames: Frames per clip, 8 to 1000, at 16 frames/s.
        seed: Seed of all draws, >= 0.
        workers: Threads; one per core by default.
        overwrite: Replace a data set with other settings, or the lists of
            one that is not of this demo.
        report: Called with a line about the progress five times.

    Returns:
        Whether anything was written.

    Raises:
        UserError: If an argument is out of range, the folder holds another
            data set or other settings, or a file cannot be written.
    """
    check_settings(clips_per_class, num_frames, seed, workers)
    settings = dict(
        version=VERSION,
        seed=seed,
        num_frames=num_frames,
        clips_per_class=dict(clips_per_class),
    )
    try:
        manifest = _claim(root, settings, overwrite)
        names = {
            split: [
                f'{split}/{CLASSES[i % len(CLASSES)]}_{i:05d}.mp4'
                for i in range(count * len(CLASSES))
            ]
            for split, count in clips_per_class.items()
        }
        jobs = [
            (root / 'videos' / name, seed, split, index, num_frames)
            for split in names
            for index, name in enumerate(names[split])
            if not (root / 'videos' / name).is_file()
        ]
        lists = [root / name for name in list_names(clips_per_class)]
        is_listed = all(path.is_file() for path in lists)
        if manifest['complete'] and is_listed and not jobs:
            return False
        _write_clips(jobs, workers or os.cpu_count() or 1, report)
        for split, clips in names.items():
            lines = [
                f'{clip} {i % len(CLASSES)}' for i, clip in enumerate(clips)
            ]
            write_lines(root / f'{split}.txt', lines)
        write_lines(root / 'classes.txt', CLASSES)
        manifest = dict(settings=settings, complete=True)
        write_lines(root / MANIFEST, [json.dumps(manifest)])
    except OSError as error:
        raise UserError(
            f'cannot write the data set in {root}: {error}; give a folder '
            'with write permission and free space'
        ) from error
    return True


def check_settings(clips_per_class, num_frames, seed, workers):
    """Raise UserError if an argument is out of range."""
    for split, count in clips_per_class.items():
        if split not in SPLITS or not 1 <= count <= 9999:
            raise UserError(
                f'{count} {split} clips per class; give 1 to 9999 for each of '
                + ', '.join(SPLITS)
            )
    ranges = [
        ('frames per clip', num_frames, 8, 1000),
        ('the seed', seed, 0, 2**32 - 1),
        ('workers', workers or 1, 1, 256),
    ]
    if workers == 0:
        ranges[-1] = ('workers', 0, 1, 256)
    for name, value, low, high in ranges:
        if not low <= value <= high:
            raise UserError(f'{name}: {value}; give {low} to {high}')


def _claim(root, settings, overwrite) -> dict:
    """Read the manifest, or write one for an incomplete data set."""
    path = root / MANIFEST
    if path.is_file():
        try:
            manifest = json.loads(path.read_text())
            same = manifest['settings'] == settings
        except (ValueError, KeyError, TypeError):
            manifest, same = {}, False
        if same and not overwrite:
            return manifest
        if not overwrite:
            raise UserError(
                f'{root} holds a demo data set with other settings '
                f'({manifest.get("settings", "unreadable")}), not {settings}; '
                'pass --overwrite to replace it, or give another folder'
            )
    elif not overwrite:
        for name in list_names(settings['clips_per_class']):
            if (root / name).exists():
                raise UserError(
                    f'{root / name} is of another data set, since {root} has '
                    f'no {MANIFEST}; give another folder, or pass '
                    '--overwrite to replace the file'
                )
    # The manifest is missing or replaced: existing clips may differ.
    for split in SPLITS:
        folder = root / 'videos' / split
        folder.mkdir(parents=True, exist_ok=True)
        for clip in folder.glob('*.mp4'):
            if clip.stem.rpartition('_')[0] in CLASSES:
                clip.unlink()
    manifest = dict(settings=settings, complete=False)
    write_lines(path, [json.dumps(manifest)])
    return manifest


def list_names(splits) -> list[str]:
    """Files beside the clips: the list of each split, and the classes."""
    return [*(f'{split}.txt' for split in splits), 'classes.txt']


def _write_clips(jobs, workers, report):
    """Write the clips in threads.

    OpenCV releases Python's lock to draw and encode. Processes do not work:
    a forked one hangs if OpenCV was used before, and a spawned one first
    imports all of MMAction2.
    """
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(write_clip, *job) for job in jobs]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            if done % max(1, len(jobs) // 5) == 0 or done == len(jobs):
                report(f'{done} of {len(jobs)} clips')
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def write_clip(path: Path, seed: int, split: str, index: int, num_frames: int):
    """Encode one clip under a temporary name, then rename it.

    Raises:
        UserError: If the encoder fails or frames are missing.
    """
    part = path.with_name(path.stem + '.part.mp4')
    writer = cv2.VideoWriter(
        str(part), cv2.VideoWriter_fourcc(*'mp4v'), FPS, (WIDTH, HEIGHT)
    )
    try:
        if writer.isOpened():
            for frame in render(draw_clip(seed, split, index, num_frames)):
                writer.write(frame)
    finally:
        writer.release()
    video = cv2.VideoCapture(str(part))
    written = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    video.release()
    if written != num_frames:
        part.unlink(missing_ok=True)
        raise UserError(
            f'{part} has {max(written, 0)} of {num_frames} frames; free '
            'some space, or install an OpenCV that writes MPEG-4'
        )
    os.replace(part, path)
