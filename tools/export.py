"""Export a checkpoint for a runtime without PyTorch.

The file takes uint8 RGB frames (B, T, H, W, 3) and returns probabilities
(B, K); the normalisation is inside. It carries its classes, sampling, size,
licence and accuracy, and is compared with the checkpoint after writing.

Examples:
    python tools/export.py configs/vflnet_ucf101.py CHECKPOINT model.onnx \\
        --to onnx
    python tools/export.py configs/vflnet_ucf101.py CHECKPOINT model.xml \\
        --to openvino --precision bf16 --dynamic batch
    python tools/export.py configs/vflnet_causal_ucf101.py CHECKPOINT \\
        stream.onnx --to onnx --streaming
"""

import argparse
from pathlib import Path

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
        help='default: fp32; bf16 is for openvino, int8 for openvino and onnx',
    )
    parser.add_argument(
        '--dynamic',
        default='',
        metavar='AXES',
        help='axes of any length, of batch,frames,size (default: none; the '
        "batch is 1, the others are the config's)",
    )
    parser.add_argument(
        '--streaming',
        action='store_true',
        help='export the frame-by-frame form of a causal model, with its '
        'state as inputs and outputs',
    )
    parser.add_argument(
        '--classes',
        metavar='FILE',
        help='a class name per line (default: the names in the checkpoint '
        "or of the config's data set)",
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='changes of the config, such as clip_len=16',
    )
    return parser.parse_args()


def main():
    args = parse_args()
    # Slow; --help does not need them.
    import dvfl_mmaction  # noqa: F401, repairs mmaction before its import
    from dvfl_mmaction.deployment.export import export_model, load_source
    from dvfl_mmaction.deployment.writers import files_of

    source = load_source(
        args.config, args.checkpoint, args.cfg_options, args.classes
    )
    axes = [axis for axis in args.dynamic.split(',') if axis]
    agreement = export_model(
        source, args.out, args.to, args.precision, axes, args.streaming
    )
    print(f'compared with the checkpoint: {agreement}')
    for path in files_of(args.out):
        print(f'wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)')


if __name__ == '__main__':
    print_user_errors()
    main()
