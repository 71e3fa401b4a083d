"""Export a checkpoint for a runtime without PyTorch.

The file takes uint8 RGB frames (B, T, H, W, 3) and returns probabilities
(B, K); the normalisation is inside. It carries its classes, sampling, size,
licence and accuracy, and is compared with the checkpoint after writing.

Examples:
    python tools/export.py configs/vflnet_ucf101.py CHECKPOINT model.onnx \\
        --to onnx
    python tools/export.py configs/vflnet_ucf101.py CHECKPOINT model.xml \\
        --to openvino --precision bf16 --dynamic batch
    python tools/export.py configs/vflnet_ucf101.py CHECKPOINT model.xml \\
        --to openvino --precision int8
    python tools/export.py configs/vflnet_causal_ucf101.py CHECKPOINT \\
        stream.onnx --to onnx --streaming
"""

import argparse
from pathlib import Path

from dvfl_mmaction.errors import print_user_errors
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    add_classes,
    add_licence,
    add_model,
    add_root,
    add_workers,
    check_least,
    refuse_unread,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(parser)
    parser.add_argument(
        'out',
        type=Path,
        metavar='OUT',
        help='file to write: .onnx, .xml, .pt2 or .tflite',
    )
    parser.add_argument(
        '--to',
        required=True,
        choices=('onnx', 'openvino', 'torch-export', 'litert'),
        help='format',
    )
    parser.add_argument(
        '--precision',
        default='fp32',
        choices=('fp32', 'bf16', 'int8'),
        help='type of weights and products (default: fp32); bf16 is for '
        'openvino, int8 for openvino and onnx',
    )
    parser.add_argument(
        '--dynamic',
        default='',
        metavar='AXES',
        help='axes of any length, of batch,frames,size, not for litert '
        "(default: none; the batch is 1, the others are the config's)",
    )
    parser.add_argument(
        '--streaming',
        action='store_true',
        help='export the frame-by-frame form of a causal model, with its '
        'state as inputs and outputs',
    )
    int8 = parser.add_argument_group('int8')
    int8.add_argument(
        '--calibration-clips',
        type=int,
        default=300,
        metavar='N',
        help="clips of the config's training list that set the ranges "
        '(default: 300)',
    )
    int8.add_argument(
        '--test-list',
        metavar='FILE',
        help='list "path label" on which the accuracy is compared with '
        "float32 (default: the config's test list)",
    )
    add_root(int8, '--test-list')
    int8.add_argument(
        '--max-drop',
        type=float,
        default=0.5,
        metavar='POINTS',
        help='largest loss of accuracy, for the lower end of the 95 %% '
        'interval over all clips (default: 0.5)',
    )
    int8.add_argument(
        '--force',
        action='store_true',
        help='quantise all layers and keep the file whatever it loses',
    )
    add_workers(int8, 'the tested clips')
    add_classes(parser)
    add_licence(parser)
    add_cfg_options(parser, 'clip_len=16')
    args = parser.parse_args()
    check_least(parser, args, calibration_clips=1, workers=0)
    if args.precision != 'int8':
        names = ['calibration_clips', 'test_list', 'max_drop', 'force']
        refuse_unread(parser, args, [*names, 'workers'], '--precision int8')
    if args.root and not args.test_list:
        parser.error('--root needs --test-list FILE')
    if not args.max_drop >= 0:
        parser.error(f'--max-drop {args.max_drop}; give 0 or more points')
    return args


def main():
    args = parse_args()
    # Slow; --help does not need them.
    import dvfl_mmaction  # noqa: F401, repairs mmaction before its import
    from dvfl_mmaction.deployment.export import export_model, load_source
    from dvfl_mmaction.deployment.int8 import Int8Options, export_int8
    from dvfl_mmaction.deployment.writers import files_of

    source = load_source(
        args.config,
        args.checkpoint,
        args.cfg_options,
        args.classes,
        args.licence,
    )
    axes = [axis for axis in args.dynamic.split(',') if axis]
    form = (axes, args.streaming)
    if args.precision == 'int8':
        options = Int8Options(
            args.calibration_clips,
            args.test_list,
            args.root,
            args.max_drop,
            args.force,
            args.workers,
        )
        result = export_int8(source, args.out, args.to, options, *form)
        print(result)
        agreement = result.agreement
    else:
        agreement = export_model(
            source, args.out, args.to, args.precision, *form
        )
    print(f'compared with the checkpoint: {agreement}')
    for path in files_of(args.out):
        print(f'wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)')


if __name__ == '__main__':
    print_user_errors()
    main()
