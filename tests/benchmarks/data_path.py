"""Time per training clip, compared with MMAction2's own transforms.

    python tests/benchmarks/data_path.py --clips mpeg4=a.avi h264=b.mp4 \
        --out data_path.json

Every round reads each file once per variant, in one process and one thread;
all variants draw the same frames and crops. Ratios are taken within a round;
the report has their median and quartiles. "packed" variants read the
Motion-JPEG copy that ``--pack`` makes; their ratios are relative to the stock
transforms on the source. The file's pages are dropped from the system's cache
before each read, unless ``--warm`` is given.
"""

import argparse
import json
import os
import platform
import random
import tempfile
import time
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import av
import cv2
import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmaction.utils import register_all_modules
from mmcv.transforms import Compose

import dvfl_mmaction  # noqa: F401
from dvfl_mmaction.datasets.video_reader import VideoReader
from dvfl_mmaction.models.data_preprocessor import ClipDataPreprocessor
from dvfl_mmaction.preparation.clips.packed_video import write_packed

LIBRARIES = ('torch', 'mmaction2', 'av', 'decord', 'opencv-python', 'numpy')
COLOURS = dict(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
# MMAction2's own, which overflows with negative hues and NumPy 2.
OWN_JITTER = dict(
    type='RandomApply',
    transforms=[dict(type='ColorJitter', **COLOURS | dict(hue=(0.0, 0.1)))],
    prob=0.8,
)
PACKED = dict(short_side=256, quality=3)  # defaults of --pack


def steps(decord=False, lazy=True, deferred=True, jitter=None) -> list:
    """A variant of the training pipeline of clips_8x224.py."""
    library = 'Decord' if decord else 'Clip'
    jitter = jitter or dict(
        type='ClipColorJitter', prob=0.8, deferred=deferred, **COLOURS
    )
    lazily = dict(lazy=True) if lazy else {}
    return [
        dict(type=f'{library}Init'),
        dict(type='UniformSample', clip_len=8),
        dict(type=f'{library}Decode'),
        dict(type='Resize', scale=(-1, 256), **lazily),
        dict(type='RandomResizedCrop', area_range=(0.08, 1.0), **lazily),
        dict(type='Resize', scale=(224, 224), keep_ratio=False, **lazily),
        dict(type='Flip', flip_ratio=0.5, **lazily),
        *([dict(type='Fuse')] if lazy else []),
        jitter,
        dict(type='ClipGrayscale', prob=0.2, deferred=deferred),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs', meta_keys=('color_changes',)),
    ]


def decoding_in_turn():
    """Decode every picture up to the last wanted one."""
    return mock.patch.object(VideoReader, '_decode_needed', lambda *_: None)


def converting_with_a_pool():
    """Convert with PyAV's default number of threads."""
    convert = av.VideoFrame.to_ndarray
    return mock.patch.object(
        VideoReader,
        'to_rgb',
        lambda self, frame: convert(frame, format='rgb24'),
    )


# Name: the steps, whether to read the packed copy, and a patch. The second
# is stock, but with ClipColorJitter, which is faster than ColorJitter.
DEVICE, WORKER = 'colours on the device', 'colours in the worker'
OUR_JITTER = 'stock, with ClipColorJitter'
VARIANTS = {
    'stock': (steps(True, False, False, OWN_JITTER), False, nullcontext),
    OUR_JITTER: (steps(True, False, False), False, nullcontext),
    WORKER: (steps(deferred=False), False, nullcontext),
    DEVICE: (steps(), False, nullcontext),
    f'packed, {WORKER}': (steps(deferred=False), True, nullcontext),
    f'packed, {DEVICE}': (steps(), True, nullcontext),
    # Colours on the device, with one optimisation removed.
    'without the choice of pictures': (steps(), False, decoding_in_turn),
    'without one thread for RGB': (steps(), False, converting_with_a_pool),
    'without lazy transforms': (steps(lazy=False), False, nullcontext),
}


def drop_from_cache(path):
    with open(path, 'rb') as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def time_once(pipeline, path, seed, warm) -> tuple[float, float]:
    """Milliseconds per clip: wall clock and processor time."""
    random.seed(seed)
    np.random.seed(seed)
    if not warm:
        drop_from_cache(path)
    sample = dict(filename=str(path), label=0, start_index=0, modality='RGB')
    start = time.perf_counter(), time.process_time()
    pipeline(sample)
    end = time.perf_counter(), time.process_time()
    return 1e3 * (end[0] - start[0]), 1e3 * (end[1] - start[1])


def measure(path: Path, packed: Path, rounds: int, warm: bool) -> dict:
    """Each variant's milliseconds, and ratios within a round."""
    pipelines = {
        name: Compose([TRANSFORMS.build(step) for step in variant])
        for name, (variant, *_) in VARIANTS.items()
    }
    times = {name: [] for name in VARIANTS}
    for seed in range(rounds + 1):
        for name, (_, on_packed, patch) in VARIANTS.items():
            with patch():
                spent = time_once(
                    pipelines[name], packed if on_packed else path, seed, warm
                )
            if seed:  # the first round warms up
                times[name].append(spent)
    clock, processor = (
        {name: np.array(values)[:, i] for name, values in times.items()}
        for i in range(2)
    )
    return {
        name: dict(
            ms=spread(clock[name]),
            processor_ms=spread(processor[name]),
            times_as_fast_as_stock=spread(clock['stock'] / clock[name]),
            the_same_with_our_jitter=spread(clock[OUR_JITTER] / clock[name]),
            the_same_by_processor_time=spread(
                processor['stock'] / processor[name]
            ),
        )
        | (
            dict(all_ideas_are_faster=spread(clock[name] / clock[DEVICE]))
            if name.startswith('without')
            else {}
        )
        for name in VARIANTS
    }


def spread(values) -> dict:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return dict(
        median=round(float(middle), 3),
        quartiles=[round(float(low), 3), round(float(high), 3)],
    )


def measure_colours(rounds: int) -> dict:
    """Time a batch's colours on the CPU, by worker and by preprocessor.

    The report has the difference of their pixels, too.
    """
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (8, 8, 28, 28, 3), np.uint8)
    clips = [np.stack([cv2.resize(f, (224, 224)) for f in c]) for c in small]
    pack_clip = TRANSFORMS.build(
        dict(type='PackActionInputs', meta_keys=('color_changes',))
    )
    shape = TRANSFORMS.build(dict(type='FormatShape', input_format='NCTHW'))

    def batch(deferred):
        samples = []
        for seed, clip in enumerate(clips):
            np.random.seed(seed)
            sample = dict(imgs=clip, num_clips=1, clip_len=8)
            for kind in ('ClipColorJitter', 'ClipGrayscale'):
                sample = TRANSFORMS.get(kind)(deferred=deferred)(sample)
            samples.append(pack_clip(shape(sample)))
        return dict(
            inputs=[s['inputs'] for s in samples],
            data_samples=[s['data_samples'] for s in samples],
        )

    preprocess = ClipDataPreprocessor(
        mean=[0, 0, 0], std=[1, 1, 1], format_shape='NCTHW'
    )
    times = {True: [], False: []}
    for _ in range(rounds):
        results = {}
        for deferred in times:
            start = time.perf_counter()
            results[deferred] = preprocess(batch(deferred), training=True)
            times[deferred].append(1e3 * (time.perf_counter() - start))
    error = (results[True]['inputs'] - results[False]['inputs']).abs()
    return dict(
        batch='8 clips of 8 x 224 x 224, colours and normalising, on the CPU',
        worker_ms=spread(times[False]),
        device_ms=spread(times[True]),
        mean_difference=round(error.mean().item(), 3),
        largest_difference=round(error.max().item(), 3),
    )


def machine() -> dict:
    model = platform.processor()
    if Path('/proc/cpuinfo').is_file():
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                model = line.split(':')[1].strip()
                break
    versions = {name: version(name) for name in LIBRARIES}
    return dict(
        cpu=model,
        cores=len(os.sched_getaffinity(0)),
        threads_used=1,
        python=platform.python_version(),
        **versions,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--clips',
        nargs='+',
        required=True,
        metavar='NAME=FILE',
        help='video files and their names in the table',
    )
    parser.add_argument('--rounds', type=int, default=40)
    parser.add_argument(
        '--warm', action='store_true', help='leave files in the cache'
    )
    parser.add_argument('--out', type=Path, help='JSON file to write')
    args = parser.parse_args()
    register_all_modules()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    report = dict(
        machine=machine(),
        rounds=args.rounds,
        files_in_cache=args.warm,
        colours=measure_colours(max(3, args.rounds // 4)),
        clips={},
    )
    with tempfile.TemporaryDirectory() as folder:
        for clip in args.clips:
            name, _, path = clip.partition('=')
            packed = Path(folder) / f'{name}.avi'
            write_packed(Path(path), packed, **PACKED)
            with VideoReader(path) as reader:
                described = dict(
                    codec=reader.codec,
                    width=reader.width,
                    height=reader.height,
                    frames=reader.num_frames,
                    bytes=os.path.getsize(path),
                    packed_bytes=packed.stat().st_size,
                )
            figures = measure(Path(path), packed, args.rounds, args.warm)
            report['clips'][name] = dict(described, variants=figures)
            print(f'{name}: {described}')
            for variant, values in figures.items():
                ratio = values['times_as_fast_as_stock']
                other = values['the_same_by_processor_time']
                print(
                    f'  {variant:32} {values["ms"]["median"]:8.2f} ms  '
                    f'{ratio["median"]:6.2f}x {ratio["quartiles"]}  by '
                    f'processor time {other["median"]:6.2f}x'
                )
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + '\n')


if __name__ == '__main__':
    main()
