"""Make the demo data set: short videos whose classes differ by motion only.

Example:
    python tools/make_demo_dataset.py data/demo
"""

import argparse
import sys
from pathlib import Path


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('root', type=Path, help='folder to write to')
    for split, count in dict(train=100, val=12, test=30).items():
        parser.add_argument(
            f'--{split}',
            type=int,
            default=count,
            help=f'{split} clips per class (default: {count})',
        )
    parser.add_argument(
        '--num-frames',
        type=int,
        default=32,
        help='frames per clip (default: 32)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='random seed (default: 0)'
    )
    parser.add_argument(
        '--workers', type=int, help='threads (default: one per core)'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a data set that was made with other settings, or the '
        'lists of another one',
    )
    return parser.parse_args()


def main(args):
    # Imported after parsing, so that --help does not import torch.
    from dvfl_mmaction.errors import print_user_errors
    from dvfl_mmaction.preparation import motion_demo

    print_user_errors()
    counts = dict(train=args.train, val=args.val, test=args.test)
    new = motion_demo.make_demo_dataset(
        args.root,
        counts,
        args.num_frames,
        args.seed,
        args.workers,
        args.overwrite,
        report=lambda line: print(line, flush=True),
    )
    num_classes = len(motion_demo.CLASSES)
    state = 'wrote' if new else 'found complete:'
    print(
        f'{state} {sum(counts.values()) * num_classes} clips of '
        f'{num_classes} classes in {args.root}'
    )


if __name__ == '__main__':
    try:
        main(parse_args())
    except KeyboardInterrupt:
        print('interrupted; rerun the command to resume')
        sys.exit(130)
