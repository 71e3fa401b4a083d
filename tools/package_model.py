"""Package a trained model into a folder to share.

OUT gets the weights (safetensors, without teacher and optimizer), the config
as data, the classes, the preprocessing, a model card with the tests found in
WORK_DIR, and the exported files. dvfl_mmaction.load_model(OUT) loads it.

Examples:
    python tools/package_model.py work_dirs/vflnet_kd_ucf101 vflnet_ucf101
    python tools/package_model.py work_dirs/vflnet_kd_ucf101 vflnet_ucf101 \\
        --checkpoint last --exported vflnet.onnx --push OWNER/vflnet_ucf101
"""

import argparse
from pathlib import Path

from dvfl_mmaction.errors import print_user_errors
from dvfl_mmaction.tool_options import add_classes, add_licence


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'work_dir', metavar='WORK_DIR', help='work folder of the training'
    )
    parser.add_argument(
        'out', metavar='OUT', type=Path, help='folder to write'
    )
    parser.add_argument(
        '--checkpoint',
        default='best',
        metavar='best|last|FILE',
        help='which weights (default: best)',
    )
    parser.add_argument(
        '--config', help='config (default: the one in WORK_DIR)'
    )
    parser.add_argument(
        '--exported',
        nargs='+',
        default=[],
        metavar='FILE',
        help='exported forms of the model, to add',
    )
    add_classes(parser)
    add_licence(parser)
    parser.add_argument(
        '--name', help='name of the model (default: that of OUT)'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace OUT if it is a packaged model',
    )
    parser.add_argument(
        '--push',
        metavar='OWNER/NAME',
        help='upload OUT to the Hugging Face hub; needs huggingface_hub',
    )
    parser.add_argument(
        '--private',
        action='store_true',
        help='with --push, make a new repository private',
    )
    args = parser.parse_args()
    if args.private and not args.push:
        parser.error('--private needs --push OWNER/NAME')
    return args


def main():
    args = parse_args()
    # Slow; --help does not need them.
    from dvfl_mmaction.deployment.model_hub import (
        check_repository,
        import_hub,
        push_package,
    )
    from dvfl_mmaction.deployment.packaging import package_model

    if args.push:  # before the work
        check_repository(args.push)
        import_hub()
    package_model(
        args.work_dir,
        args.out,
        args.checkpoint,
        args.config,
        args.exported,
        args.classes,
        args.licence,
        args.name,
        args.overwrite,
    )
    print(f'wrote {args.out} (licence {args.licence})')
    if args.push:
        address = push_package(args.out, args.push, args.private)
        print(f'pushed to {address}')


if __name__ == '__main__':
    print_user_errors()
    main()
