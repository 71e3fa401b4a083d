"""Scale the last layer of a checkpoint so that its probabilities fit.

A network may answer correctly and be far too unsure or too sure, as students
of DISTLoss are. All logits are divided by one temperature, the best one for
labelled clips. OUT is a checkpoint for the same config; everything that uses
it has the new probabilities. Answers stay the same, unless a test averages
the probabilities of several views.

Examples:
    python tools/calibrate.py configs/vflnet_kd_ucf101.py CHECKPOINT \\
        calibrated.pth
    python tools/calibrate.py vflnet_kd_mine.py CHECKPOINT calibrated.pth \\
        --list data/mine/val.txt
"""

import argparse
import os
import sys

from mmengine.config import DictAction

from dvfl_mmaction.errors import print_user_errors


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config of the model')
    parser.add_argument('checkpoint', help='its trained weights')
    parser.add_argument(
        'out',
        metavar='OUT',
        help='the file to write; .safetensors selects that format',
    )
    parser.add_argument(
        '--list',
        nargs='+',
        default=[],
        metavar='FILE',
        help='lists of clips with labels that the training has not seen '
        "(default: the config's validation list)",
    )
    parser.add_argument(
        '--root',
        metavar='FOLDER',
        help='folder of the paths in --list (default: that of the list, or '
        'videos in it)',
    )
    parser.add_argument(
        '--clips',
        type=int,
        default=2000,
        help='most clips to use, drawn with a fixed seed (default: 2000)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=min(8, os.cpu_count() or 1),
        help='processes that read clips (default: one per core, up to 8)',
    )
    parser.add_argument(
        '--device', help='cpu, cuda or cuda:1 (default: a GPU if there is one)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='changes of the config, such as clip_len=16',
    )
    args = parser.parse_args()
    for name, least in (('clips', 20), ('workers', 0)):
        value = getattr(args, name)
        if value < least:
            parser.error(f'--{name} {value}; give {least} or more')
    return args


def main():
    args = parse_args()
    # Slow; --help does not need them.
    import torch

    import dvfl_mmaction  # noqa: F401, repairs mmaction before its import
    from dvfl_mmaction.analysis.calibrate import calibrate_checkpoint

    print(
        calibrate_checkpoint(
            args.config,
            args.checkpoint,
            args.out,
            args.list,
            args.root,
            args.clips,
            args.device or ('cuda' if torch.cuda.is_available() else 'cpu'),
            args.workers,
            args.cfg_options,
        )
    )
    print(f'wrote {args.out}')


if __name__ == '__main__':
    print_user_errors()
    try:
        main()
    except KeyboardInterrupt:
        print('\nstopped; nothing was written', file=sys.stderr, flush=True)
        sys.exit(130)
