"""Show a trained model in a web page: classes, modulators, timelines.

A visitor drops a clip or uses the camera. The page answers to this machine
alone unless --host is given, and keeps its files in a temporary folder.

Examples:
    python tools/web_demo.py configs/vflnet_ucf101.py CHECKPOINT
    python tools/web_demo.py configs/vflnet_causal_demo.py STUDENT \\
        --compare configs/videofocalnet_base_demo.py TEACHER
"""

import argparse
import sys

from dvfl_mmaction.errors import print_user_errors
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    add_classes,
    add_compare,
    add_device,
    add_model,
    choose_device,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(parser)
    add_compare(parser)
    add_classes(parser, 'numbers')
    parser.add_argument(
        '--examples',
        metavar='FOLDER',
        help="clips to choose from (default: the config's test data, if it "
        'is there)',
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on; 0.0.0.0 makes the page public (default: '
        'this machine alone)',
    )
    parser.add_argument(
        '--port', type=int, default=7860, help='port (default: 7860)'
    )
    parser.add_argument(
        '--max-mb',
        type=float,
        default=100,
        help='MB of the largest clip (default: 100)',
    )
    parser.add_argument(
        '--max-seconds',
        type=float,
        default=120,
        help='seconds of the longest clip (default: 120)',
    )
    parser.add_argument(
        '--max-megapixels',
        type=float,
        default=9.5,
        help='megapixels of the largest picture (default: 9.5, which 4096 x '
        '2304 fits)',
    )
    parser.add_argument(
        '--jobs',
        type=int,
        default=4,
        help='visitors that are answered at the same time (default: 4)',
    )
    add_device(parser)
    add_cfg_options(parser, 'clip_len=16', 'the first config')
    args = parser.parse_args()
    for name in ('max_mb', 'max_seconds', 'max_megapixels', 'jobs'):
        value = getattr(args, name)
        if not value > 0:
            option = name.replace('_', '-')
            parser.error(f'--{option} {value}; give more than 0')
    if not 0 < args.port < 65536:
        parser.error(f'--port {args.port}; give 1 to 65535')
    return args


def main():
    args = parse_args()
    # Slow; --help does not need them.
    import dvfl_mmaction  # noqa: F401, repairs mmaction before its import
    from dvfl_mmaction.deployment.web.examples import find_examples
    from dvfl_mmaction.deployment.web.limits import Limits
    from dvfl_mmaction.deployment.web.model import load_web_model
    from dvfl_mmaction.deployment.web.page import Page
    from dvfl_mmaction.deployment.web.server import serve

    device = choose_device(args.device)
    chosen = [(args.config, args.checkpoint, args.cfg_options)]
    if args.compare:
        chosen.append((*args.compare, None))

    # gradio, imported for the page, takes longer than finding a mistake.
    models = [
        load_web_model(config, checkpoint, device, options, args.classes)
        for config, checkpoint, options in chosen
    ]
    page = Page(
        models,
        Limits(args.max_mb, args.max_seconds, args.max_megapixels),
        find_examples(args.examples, models[0].observer.cfg),
        args.jobs,
    )
    serve(page.build, args.host, args.port, args.max_mb)


if __name__ == '__main__':
    print_user_errors()
    try:
        main()
    except KeyboardInterrupt:
        print('\nstopped', file=sys.stderr, flush=True)
        sys.exit(130)
