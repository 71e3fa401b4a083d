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
import sys

from dvfl_mmaction.errors import print_user_errors
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    add_device,
    add_model,
    add_root,
    add_workers,
    check_least,
    choose_device,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(parser)
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
    add_root(parser, '--list')
    parser.add_argument(
        '--clips',
        type=int,
        default=2000,
        help='most clips to use, drawn with a fixed seed (default: 2000)',
    )
    add_workers(parser)
    add_device(parser)
    add_cfg_options(parser, 'clip_len=16')
    args = parser.parse_args()
    check_least(parser, args, clips=20, workers=0)
    if args.root and not args.list:
        parser.error('--root needs --list FILE')
    return args


def main():
    args = parse_args()
    # Slow; --help does not need them.
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
            choose_device(args.device),
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
