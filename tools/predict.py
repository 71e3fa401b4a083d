"""Predict the classes of videos with a trained model.

The model is a config and a checkpoint, a folder that tools/package_model.py
wrote (or its address hf://owner/name), or a file that tools/export.py wrote.
VIDEO is a video, a folder (searched recursively), a pattern in quotes, or a
list (.txt) with a line "path [label]" per clip. With labels, the accuracy is
printed. Results are kept as they come: rerun the command to resume.

Examples:
    python tools/predict.py configs/vflnet_ucf101.py CHECKPOINT video.mp4
    python tools/predict.py PACKAGE video.mp4
    python tools/predict.py configs/vflnet_ucf101.py CHECKPOINT clips/ \\
        --json predictions.json --sheet sheet.png
    python tools/predict.py configs/vflnet_ucf101.py CHECKPOINT \\
        data/ucf101/ucf101_val_split_1_videos.txt --csv predictions.csv \\
        --cfg-options test_views=4x3
"""

import argparse
import sys
from pathlib import Path

from dvfl_mmaction.errors import UserError, print_user_errors
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    add_classes,
    add_device,
    add_root,
    add_workers,
    check_least,
    check_root,
    choose_device,
)

EXPORTED = ('.onnx', '.xml', '.pt2', '.tflite')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='%(prog)s (CONFIG CHECKPOINT | MODEL) VIDEO ... [options]',
    )
    parser.add_argument(
        'words',
        nargs='+',
        metavar='CONFIG CHECKPOINT VIDEO',
        help='config and trained weights, or a packaged or exported model; '
        'then videos, folders, patterns or lists',
    )
    add_root(parser)
    add_classes(parser, 'numbers')
    parser.add_argument(
        '--top', type=int, default=5, help='classes per clip (default: 5)'
    )
    parser.add_argument(
        '--json', type=Path, metavar='FILE', help='write all predictions'
    )
    parser.add_argument(
        '--csv', type=Path, metavar='FILE', help='the same as a table'
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FOLDER',
        help='draw a picture per clip: its frames and the predicted classes',
    )
    parser.add_argument(
        '--video',
        action='store_true',
        help='with --out, also a video per clip',
    )
    parser.add_argument(
        '--sheet',
        type=Path,
        metavar='FILE.png',
        help='draw up to 60 clips on one picture, right and wrong marked',
    )
    add_device(parser)
    parser.add_argument(
        '--batch-size',
        type=int,
        default=8,
        help='clips that are predicted together (default: 8)',
    )
    add_workers(parser)
    add_cfg_options(parser, 'test_views=4x3')
    args = parser.parse_intermixed_args()
    check_least(parser, args, top=1, batch_size=1, workers=0)
    if args.video and not args.out:
        parser.error('--video needs --out FOLDER')
    first = Path(args.words[0])
    is_one = args.words[0].startswith('hf://') or first.suffix in EXPORTED
    is_one = is_one or first.is_dir()
    # Two words cannot be a config, a checkpoint and a video.
    is_one = is_one or (len(args.words) == 2 and first.suffix != '.py')
    split = 1 if is_one else 2
    if len(args.words) <= split:
        parser.error(
            'no VIDEO given; give CONFIG CHECKPOINT VIDEO, or a packaged or '
            'exported model and VIDEO'
        )
    args.config, args.videos = args.words[0], args.words[split:]
    check_root(parser, args.root, args.videos)
    args.checkpoint = None if is_one else args.words[1]
    return args


def main():
    args = parse_args()
    # Slow; --help does not need them.
    from rich.console import Console

    import dvfl_mmaction  # noqa: F401, repairs mmaction before its import
    from dvfl_mmaction.analysis.prediction.clips import (
        check_labels,
        find_clips,
        without_labels,
    )
    from dvfl_mmaction.analysis.prediction.exported import (
        load_exported_predictor,
    )
    from dvfl_mmaction.analysis.prediction.packaged import (
        load_package_predictor,
    )
    from dvfl_mmaction.analysis.prediction.predictor import (
        load_checkpoint_predictor,
    )
    from dvfl_mmaction.analysis.prediction.report import (
        SHOWN_CLIPS,
        accuracy_line,
        broken_of,
        table_of,
    )
    from dvfl_mmaction.analysis.prediction.run import Outputs, run_prediction
    from dvfl_mmaction.deployment.writers import files_of

    # A name must not end the program where the terminal is not in UTF-8.
    sys.stdout.reconfigure(errors='backslashreplace')
    clips = find_clips(args.videos, args.root, args.out, several_labels=True)
    outputs = Outputs(
        args.json, args.csv, args.out, args.video, args.sheet, args.top
    )
    first = Path(args.config)
    read = first.rglob('*') if first.is_dir() else files_of(first)
    outputs.check(
        [
            *(*read, args.checkpoint, args.classes, *args.videos),
            *(clip.path for clip in clips),
        ]
    )
    device = choose_device(args.device)
    model, load = [args.config], load_package_predictor
    if args.checkpoint:
        model, load = [*model, args.checkpoint], load_checkpoint_predictor
    elif Path(args.config).suffix in EXPORTED:
        load = load_exported_predictor
        device = args.device or 'cpu'
    predictor = load(
        *model,
        device,
        args.cfg_options,
        args.classes,
    )
    several = predictor.several_labels
    check_labels(clips, predictor.num_classes, several)
    has_labels = any(clip.label is not None for clip in clips)
    if several and has_labels:
        print(
            'the model predicts several labels per clip, so that those of a '
            'list are not compared; mim test measures the mean average '
            'precision',
            file=sys.stderr,
        )
        clips = without_labels(clips)
    results, undrawn = run_prediction(
        predictor, clips, outputs, args.batch_size, args.workers
    )
    broken = broken_of(results)
    if len(broken) < len(results):
        console = Console()
        width = console.width
        console.print(table_of(results, predictor, args.top, width))
    read = len(results) - len(broken)
    if read > SHOWN_CLIPS:
        print(
            f'... and {read - SHOWN_CLIPS} more clips; --json and --csv '
            'write all'
        )
    for result in broken:
        print(f'broken clip {result.clip.name}: {result.error}')
    for line in undrawn:
        print(f'no video of {line}')
    if line := accuracy_line(results):
        print(line)
    for path in (args.json, args.csv, args.sheet, args.out):
        if path and path.exists():
            print(f'wrote {path}')
    if len(broken) == len(results):
        raise UserError(
            f'none of {len(results)} clips can be read; the first is '
            f'{broken[0].clip.name}: {broken[0].error}; check the paths '
            '(--root) and the files'
        )


if __name__ == '__main__':
    print_user_errors()
    try:
        main()
    except KeyboardInterrupt as stop:
        print(f'\n{stop or "stopped"}', file=sys.stderr, flush=True)
        sys.exit(130)
