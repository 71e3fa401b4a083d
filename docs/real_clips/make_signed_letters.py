"""Cut the clips of docs/results_real_clips.md from pictures of a webcam.

Run

    git clone https://github.com/tomnlittle/ASL-Gesture-Dataset
    python docs/real_clips/make_signed_letters.py ASL-Gesture-Dataset \\
        data/letters

for 180 clips in data/letters/videos, their list and the names of the classes.
The pictures state no licence, so neither they nor the clips are shipped here.
The clips of the page were cut from commit d2b2345.
"""

import argparse
import sys
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image
from rich.progress import track

from dvfl_mmaction.files import whole_file, write_whole

LETTERS = 'ABCFILOVWY'  # the classes
CLIPS = {'jack': 12, 'tom': 6}  # per person and letter
LENGTH = 48  # pictures per clip
FIRST = 15  # picture of the first clip
LAST = 40  # pictures after the last clip
RATE = 30  # pictures per second


def first_pictures(pictures: int, clips: int) -> list[int]:
    """Numbers of the first picture of each clip of a recording.

    The clips are spread evenly over the recording.

    Args:
        pictures: Of the recording, numbered from 0.
        clips: To cut from it, 2 or more.
    """
    room = pictures - LAST - LENGTH - FIRST
    return [FIRST + room * i // (clips - 1) for i in range(clips)]


def cut_clip(folder: Path, letter: str, first: int, target: Path):
    """Write consecutive pictures as an H.264 video."""
    paths = [folder / f'{letter}{first + i}.jpg' for i in range(LENGTH)]
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        whole_file(target) as part,
        av.open(str(part), 'w', format='mp4') as container,
    ):
        stream = container.add_stream('libx264', rate=RATE)
        stream.pix_fmt = 'yuv420p'
        stream.options = dict(crf='18', g='24')
        for number, path in enumerate(paths):
            with Image.open(path) as picture:
                frame = av.VideoFrame.from_image(picture.convert('RGB'))
            if not number:
                stream.width, stream.height = frame.width, frame.height
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def find_clips(images: Path) -> list[tuple[Path, str, int, str]]:
    """Folder, letter, first picture and name of each clip.

    Raises:
        SystemExit: If a recording is missing or has too few pictures.
    """
    found = []
    for person, clips in CLIPS.items():
        for letter in LETTERS:
            folder = images / person
            pictures = len(list(folder.glob(f'{letter}[0-9]*.jpg')))
            if pictures < FIRST + LENGTH + LAST + clips:
                sys.exit(
                    f'error: {pictures} pictures {folder}/{letter}*.jpg; give '
                    'the folder of a clone of '
                    'https://github.com/tomnlittle/ASL-Gesture-Dataset'
                )
            for i, first in enumerate(first_pictures(pictures, clips)):
                name = f'{letter}/{person}_{letter}_seg{i:02}.mp4'
                found.append((folder, letter, first, name))
    return sorted(found, key=lambda clip: clip[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('clone', type=Path, help='folder of the pictures')
    parser.add_argument('root', type=Path, help='folder to write')
    args = parser.parse_args()
    train = args.root / 'train.txt'
    if train.exists():  # written last
        sys.exit(f'error: {train} exists; give a folder without a list')
    clips = find_clips(args.clone / 'images')
    for folder, letter, first, name in track(clips, 'clips'):
        cut_clip(folder, letter, first, args.root / 'videos' / name)
    lines = [f'{name} {LETTERS.index(letter)}' for _, letter, _, name in clips]
    write_whole(args.root / 'classes.txt', '\n'.join([*LETTERS, '']))
    write_whole(train, '\n'.join([*lines, '']))
    print(f'wrote {len(clips)} clips and their list to {args.root}')


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        sys.exit('stopped; rerun the command')
