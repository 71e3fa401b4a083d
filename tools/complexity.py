"""Count multiply-adds and parameters of any MMAction2 recognizer.

Counts backbone and head on one clip, as the config's test pipeline makes it.
A multiply-add counts once. MMAction2's get_flops counts likewise, but without
the head and with norms.

Examples:
    python tools/complexity.py configs/vflnet_ucf101.py
    python tools/complexity.py configs/*_ucf101.py --num-classes 400
"""

import argparse
import json

import dvfl_mmaction  # noqa: F401, registers the models
from dvfl_mmaction.analysis.complexity import complexity
from dvfl_mmaction.analysis.configs import load_config
from dvfl_mmaction.analysis.tables import align
from dvfl_mmaction.errors import print_user_errors
from dvfl_mmaction.tool_options import check_least


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument(
        '--num-classes',
        type=int,
        help='classes of every head (default: of the config)',
    )
    parser.add_argument('--json', action='store_true', help='print JSON')
    args = parser.parse_args()
    check_least(parser, args, num_classes=1)
    return args


def main():
    args = parse_args()
    counts = {
        path: complexity(load_config(path), args.num_classes)
        for path in args.configs
    }
    if args.json:
        print(json.dumps({k: vars(v) for k, v in counts.items()}, indent=1))
        return
    rows = [('config', 'input', 'parameters', 'GMACs')]
    for path, count in counts.items():
        rows.append(
            (
                path,
                ' x '.join(map(str, count.shape)),
                f'{count.parameters / 1e6:.2f} M',
                f'{count.macs / 1e9:.2f}',
            )
        )
    print(align(rows))


if __name__ == '__main__':
    print_user_errors()
    main()
