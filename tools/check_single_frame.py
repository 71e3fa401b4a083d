"""Measure what one frame of a demo clip tells about its class.

The demo's student is trained and tested on one frame, repeated to a clip.
With ``--frame all`` it gets the clip itself, for comparison.

Example:
    python tools/check_single_frame.py data/demo --frame random
"""

import argparse
import logging
import math
from pathlib import Path

import cv2
import decord
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dvfl_mmaction.engine.plain_errors import install
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.models import VideoFocalNet

CLIP_LEN = 8
SIZE = 32  # pixels, of a square crop


def load_split(root: Path, split: str):
    """Decode a split: (N, T, SIZE, W, 3) uint8 RGB, and N labels."""
    path = root / f'{split}.txt'
    if not path.is_file():
        raise UserError(
            f'{path} is not there; run python tools/make_demo_dataset.py '
            f'{root}'
        )
    clips, labels = [], []
    for line in path.read_text().splitlines():
        name, label = line.split()
        video = decord.VideoReader(str(root / 'videos' / name), num_threads=1)
        frames = video[:].asnumpy()
        width = round(SIZE * frames.shape[2] / frames.shape[1])
        clips.append(
            [
                cv2.resize(f, (width, SIZE), interpolation=cv2.INTER_AREA)
                for f in frames
            ]
        )
        labels.append(int(label))
    return np.array(clips), np.array(labels)


def sample_clips(clips, frame, rng, train):
    """(B, T, H, W, 3) uint8 -> (B, 3, CLIP_LEN, SIZE, SIZE), normalised."""
    segment = clips.shape[1] // CLIP_LEN
    picked = []
    for clip in clips:
        offset = (
            rng.integers(segment, size=CLIP_LEN) if train else segment // 2
        )
        index = np.arange(CLIP_LEN) * segment + offset
        if frame != 'all':
            one = dict(first=0, middle=len(clip) // 2, last=len(clip) - 1)
            index[:] = one.get(frame, rng.integers(len(clip)))
        room = clip.shape[2] - SIZE
        left = rng.integers(room + 1) if train else room // 2
        picked.append(clip[index, :, left : left + SIZE])
    batch = torch.from_numpy(np.stack(picked)).permute(0, 4, 1, 2, 3)
    return (batch.float() - 116.0) / 58.0


def build_student(num_classes):
    backbone = VideoFocalNet(arch=dict(embed_dim=24, depths=(1, 1, 2, 1)))
    pool = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten())
    return nn.Sequential(backbone, pool, nn.Linear(24 * 8, num_classes))


def train_student(clips, labels, frame, steps, seed, report):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = build_student(labels.max() + 1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-4, total_steps=steps, pct_start=0.1
    )
    order = []
    for step in range(1, steps + 1):
        if len(order) < 32:
            order = rng.permutation(len(clips))
        batch, order = order[:32], order[32:]
        logits = model(sample_clips(clips[batch], frame, rng, True))
        loss = F.cross_entropy(logits, torch.from_numpy(labels[batch]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        scheduler.step()
        if step % 50 == 0:
            report(f'step {step} of {steps}: loss {loss.item():.3f}')
    return model.eval()


@torch.no_grad()
def count_correct(model, clips, labels, frame):
    rng = np.random.default_rng(0)
    correct = 0
    for i in range(0, len(clips), 32):
        logits = model(sample_clips(clips[i : i + 32], frame, rng, False))
        correct += int((logits.argmax(1).numpy() == labels[i : i + 32]).sum())
    return correct


def wilson_interval(correct: int, total: int, z: float = 1.96):
    """Bounds of a proportion, in [0, 1], at 95 % (Wilson, 1927)."""
    p, square = correct / total, z * z / total
    centre = p + square / 2
    half = z * math.sqrt(p * (1 - p) / total + square / (4 * total))
    return (centre - half) / (1 + square), (centre + half) / (1 + square)


if __name__ == '__main__':
    install()
    logging.disable(logging.INFO)
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('root', type=Path, help='folder of the demo data set')
    parser.add_argument(
        '--frame',
        choices=('random', 'first', 'middle', 'last', 'all'),
        default='random',
    )
    parser.add_argument('--steps', type=int, default=450)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f'--steps is {args.steps}; give 1 or more')
    clips, labels = load_split(args.root, 'train')
    model = train_student(
        clips,
        labels,
        args.frame,
        args.steps,
        args.seed,
        lambda line: print(line, flush=True),
    )
    clips, labels = load_split(args.root, 'test')
    correct = count_correct(model, clips, labels, args.frame)
    low, high = wilson_interval(correct, len(labels))
    print(
        f'frame {args.frame}: {100 * correct / len(labels):.1f} % of '
        f'{len(labels)} test clips (95 %: {100 * low:.1f} to '
        f'{100 * high:.1f}), chance {100 / (labels.max() + 1):.1f} %'
    )
