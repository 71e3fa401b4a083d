"""Convert a checkpoint into one for this project's configs, or back.

SRC is a released Video-FocalNet or DVFL-Net file, a released 2-D FocalNet
(ImageNet) file, or the checkpoint of an MMAction2 recognizer. It may contain
optimizer state, averaged (EMA) weights, and a "module." before every name.
DST receives the weights only; the suffix .safetensors selects that format.
Every weight of SRC is accounted for, or nothing is written.

Examples:
    python tools/convert_checkpoint.py video-focalnet_base_k400.pth \\
        checkpoints/videofocalnet_base_k400.pth
    python tools/convert_checkpoint.py focalnet_tiny_srf.pth \\
        checkpoints/vflnet_imagenet.pth --to configs/vflnet_ucf101.py
    python tools/convert_checkpoint.py work_dirs/vflnet_ucf101/epoch_120.pth \\
        vflnet_released.pth --to released
"""

import argparse
import signal
import sys

from dvfl_mmaction.checkpoints.convert_file import convert_file
from dvfl_mmaction.errors import print_user_errors
from dvfl_mmaction.tool_options import add_cfg_options

if __name__ == '__main__':
    print_user_errors()
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('src', metavar='SRC', help='the checkpoint')
    parser.add_argument('dst', metavar='DST', help='the file to write')
    parser.add_argument(
        '--to',
        metavar='CONFIG',
        help='the config that DST is for (SRC must match it), or "released" '
        'for the layout of the released files; by default the architecture '
        'is read from the weights',
    )
    add_cfg_options(parser, 'model.cls_head.num_classes=400', 'CONFIG')
    parser.add_argument(
        '--keys', action='store_true', help='print one line per weight'
    )
    args = parser.parse_args()
    # On each of these signals, a partly written file is removed.
    for name in ('SIGINT', 'SIGTERM', 'SIGHUP'):
        if kind := getattr(signal, name, None):  # Windows has no SIGHUP
            signal.signal(kind, signal.default_int_handler)
    try:
        lines = convert_file(
            args.src, args.dst, args.to, args.cfg_options, args.keys
        )
    except KeyboardInterrupt:
        print(f'interrupted; {args.dst} was not written', file=sys.stderr)
        sys.exit(130)
    print('\n'.join(lines))
