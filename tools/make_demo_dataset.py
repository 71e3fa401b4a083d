"""Make the demo data set: short videos whose classes differ by motion only.

Example:
    python tools/make_demo_dataset.py data/demo
"""

import argparse
import sys
from pathlib import Path

from dvfl_mmaction.errors import print_user_errors
from dvfl_mmaction.preparation.motion_demo import CLASSES, make_demo_dataset

if __name__ == '__main__':
    print_user_errors()
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
            help=f'{split} clips of each class (default: {count})',
        )
    parser.add_argument('--num-frames', type=int, default=32)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, help='default: one a core')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a data set that was made with other settings',
    )
    args = parser.parse_args()
    try:
        new = make_demo_dataset(
            args.root,
            dict(train=args.train, val=args.val, test=args.test),
            args.num_frames,
            args.seed,
            args.workers,
            args.overwrite,
            report=lambda line: print(line, flush=True),
        )
    except KeyboardInterrupt:
        print('interrupted; run the same command again to continue')
        sys.exit(130)
    count = (args.train + args.val + args.test) * len(CLASSES)
    state = 'wrote' if new else 'already there:'
    print(f'{state} {count} clips of {len(CLASSES)} classes in {args.root}')
