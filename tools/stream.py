"""Classify a camera, a network stream or a recording as it plays.

SOURCE is the number of a camera, a video file, or an address such as
rtsp://HOST/PATH. A causal model answers every frame, another one a sliding
window. Keys q and Esc quit the window.

Examples:
    python tools/stream.py 0 --config configs/vflnet_causal_ucf101.py \\
        --checkpoint CHECKPOINT
    python tools/stream.py rtsp://camera/stream --model vflnet.onnx \\
        --headless --jsonl answers.jsonl --video out.mp4
    python tools/stream.py recording.mp4 --model vflnet.onnx \\
        --as-fast-as-possible --to timeline.json --to timeline.srt
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

from dvfl_mmaction.errors import print_user_errors
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    add_classes,
    add_device,
    check_least,
    choose_device,
    refuse_unread,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'source',
        metavar='SOURCE',
        help='number of a camera, file, or address of a stream',
    )
    model = parser.add_argument_group('model')
    model.add_argument('--config', help='config of the model')
    model.add_argument('--checkpoint', help='its trained weights')
    model.add_argument(
        '--model', metavar='FILE', help='an exported file instead'
    )
    add_classes(model, 'numbers')
    add_device(model, 'of a checkpoint: ')
    model.add_argument(
        '--threads', type=int, help='of the model on the CPU (default: all)'
    )
    add_cfg_options(model, 'clip_size=112')
    frames = parser.add_argument_group('frames')
    frames.add_argument(
        '--stride',
        type=int,
        help='frames from one that the model gets to the next (default: '
        "frame_interval of the config's test pipeline, else 4, or 1 for a "
        'causal model)',
    )
    frames.add_argument(
        '--every',
        type=int,
        help='frames from one window to the next (default: 4)',
    )
    frames.add_argument(
        '--as-fast-as-possible',
        action='store_true',
        help='classify a recording without dropping anything',
    )
    frames.add_argument(
        '--retries',
        type=int,
        default=10,
        help='successive attempts to open a lost camera or address again '
        '(default: 10)',
    )
    frames.add_argument(
        '--timeout',
        type=float,
        default=10.0,
        help='seconds that a file or address may take to answer (default: 10)',
    )
    output = parser.add_argument_group('output')
    output.add_argument(
        '--top', type=int, default=5, help='classes per answer (default: 5)'
    )
    output.add_argument(
        '--headless', action='store_true', help='open no window'
    )
    output.add_argument(
        '--jsonl',
        type=Path,
        metavar='FILE',
        help='write a line of JSON per answer; - for standard output, the '
        'default without a window and another output',
    )
    output.add_argument(
        '--video',
        type=Path,
        metavar='FILE.mp4',
        help='write the frames with the classes drawn over them',
    )
    output.add_argument(
        '--to',
        type=Path,
        action='append',
        default=[],
        metavar='FILE',
        help='write the segments of the classes, as .json, .csv or .srt; '
        'may be repeated',
    )
    segments = parser.add_argument_group('segments of --to')
    segments.add_argument(
        '--smooth',
        type=float,
        default=1.0,
        help='seconds over which scores are averaged (default: 1)',
    )
    segments.add_argument(
        '--enter',
        type=float,
        default=0.5,
        help='average score that begins a segment (default: 0.5)',
    )
    segments.add_argument(
        '--leave',
        type=float,
        default=0.35,
        help='average score below which it ends (default: 0.35)',
    )
    segments.add_argument(
        '--min-length',
        type=float,
        default=1.0,
        help='seconds of the shortest segment (default: 1)',
    )
    args = parser.parse_args()
    check(parser, args)
    return args


def check(parser: argparse.ArgumentParser, args: argparse.Namespace):
    """End the program at arguments that do not fit together."""
    check_least(parser, args, top=1, stride=1, every=1, threads=1)
    check_least(parser, args, retries=0, smooth=0, min_length=0)
    if not args.timeout > 0:
        parser.error(f'--timeout {args.timeout:g}; give more than 0')
    if not 0 <= args.leave <= args.enter <= 1 or not args.enter:
        parser.error(
            f'--enter {args.enter:g} --leave {args.leave:g}; give scores '
            'from 0 to 1, --leave not above --enter'
        )
    if not args.to:
        names = ('smooth', 'enter', 'leave', 'min_length')
        refuse_unread(parser, args, names, '--to FILE')
    of_checkpoint = (args.config, args.checkpoint)
    if args.model and any((*of_checkpoint, args.device, args.cfg_options)):
        parser.error(
            '--model takes no --config, --checkpoint, --device or '
            '--cfg-options'
        )
    if not args.model and not all(of_checkpoint):
        parser.error('give --config and --checkpoint, or --model')


def main():
    args = parse_args()
    # A service is ended by SIGTERM; its files are written, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Slow; --help does not need them.
    import dvfl_mmaction  # noqa: F401, repairs mmaction before its import
    from dvfl_mmaction.deployment.live.opened_source import opener_of
    from dvfl_mmaction.deployment.live.pacing import Pacer
    from dvfl_mmaction.deployment.live.run import (
        STDOUT,
        StreamOutputs,
        run_stream,
    )
    from dvfl_mmaction.deployment.live.segments import SegmentRule
    from dvfl_mmaction.deployment.live.source import Source
    from dvfl_mmaction.deployment.live.window import why_no_window
    from dvfl_mmaction.deployment.writers import files_of

    # A name must not end the program where the terminal is not in UTF-8.
    sys.stdout.reconfigure(errors='backslashreplace')
    outputs = StreamOutputs(
        not args.headless and not args.as_fast_as_possible,
        args.jsonl,
        args.video,
        args.to,
        args.top,
    )
    if outputs.window and (reason := why_no_window()):
        print(f'{reason}; running as with --headless', file=sys.stderr)
        outputs.window = False
    if not (outputs.window or args.jsonl or args.video or args.to):
        outputs.lines = STDOUT
    stop = threading.Event()
    source = Source(
        args.source,
        opener_of(args.source, args.timeout),
        args.retries,
        None if args.as_fast_as_possible else Pacer(wait=stop.wait),
        stop,
    )
    read = files_of(Path(args.model)) if args.model else []
    read += [args.source, args.config, args.checkpoint, args.classes]
    outputs.check(read)
    source.check()  # a wrong name is reported before the model is loaded
    run_stream(
        source,
        load_classifier(args),
        outputs,
        SegmentRule(args.smooth, args.enter, args.leave, args.min_length),
        args.as_fast_as_possible,
    )
    for path in (args.jsonl, args.video, *args.to):
        if path and path != STDOUT:
            print(f'wrote {path}', file=sys.stderr)


def load_classifier(args: argparse.Namespace):
    """The classifier that the arguments name."""
    import torch

    from dvfl_mmaction.deployment.live.load import (
        load_from_checkpoint,
        load_from_export,
    )

    pace = (args.stride, args.every)
    if args.model:
        return load_from_export(args.model, args.threads, args.classes, *pace)
    if args.threads:
        torch.set_num_threads(args.threads)
    return load_from_checkpoint(
        args.config,
        args.checkpoint,
        choose_device(args.device),
        args.cfg_options,
        args.classes,
        *pace,
    )


if __name__ == '__main__':
    print_user_errors()
    try:
        main()
    except KeyboardInterrupt as stop:
        print(f'\n{stop or "stopped"}', file=sys.stderr, flush=True)
        sys.exit(130)
