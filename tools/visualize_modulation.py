"""Show what a trained network looks at: its modulators in space and time.

For each stage, the magnitude of the modulator of space, of that of time and
of their product is laid over the frames, with one colour scale for all
frames. VIDEO is a video, a folder, a pattern in quotes, or a list (.txt).

Examples:
    python tools/visualize_modulation.py configs/vflnet_ucf101.py CHECKPOINT \\
        video.mp4 --out maps --gif
    python tools/visualize_modulation.py configs/vflnet_ucf101.py STUDENT \\
        clips/ --compare configs/videofocalnet_base_ucf101.py TEACHER
    python tools/visualize_modulation.py configs/vflnet_demo.py CHECKPOINT \\
        data/demo/test.txt --focus focus.json
"""

import argparse
import sys
from pathlib import Path

from dvfl_mmaction.errors import UserError, print_user_errors
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    add_classes,
    add_compare,
    add_device,
    add_model,
    add_root,
    check_root,
    choose_device,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(parser)
    parser.add_argument(
        'videos',
        nargs='+',
        metavar='VIDEO',
        help='video, folder, pattern or list',
    )
    add_root(parser)
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FOLDER',
        help='draw a picture per clip (default: modulation, without --focus)',
    )
    parser.add_argument(
        '--gif', action='store_true', help='also an animation per clip'
    )
    parser.add_argument(
        '--video', action='store_true', help='also an MP4 video per clip'
    )
    add_compare(parser)
    parser.add_argument(
        '--stages',
        nargs='+',
        type=int,
        metavar='N',
        help='numbers of stages, from 1 (default: all)',
    )
    parser.add_argument(
        '--focus',
        type=Path,
        metavar='FILE',
        help='on clips of the demo data: share of the weight on the object '
        'over its share of the area, trained and untrained, as JSON',
    )
    add_classes(parser, 'numbers')
    add_device(parser)
    add_cfg_options(parser, 'clip_len=16', 'the first config')
    args = parser.parse_args()
    check_root(parser, args.root, args.videos)
    draws = args.out or args.gif or args.video or not args.focus
    if draws and args.out is None:
        args.out = Path('modulation')
    return args


def main():
    args = parse_args()
    # Slow; --help does not need them.
    import dvfl_mmaction  # noqa: F401, repairs mmaction before its import
    from dvfl_mmaction.analysis.modulation.focus import focus_table
    from dvfl_mmaction.analysis.modulation.observer import load_observer
    from dvfl_mmaction.analysis.modulation.run import (
        Pictures,
        draw_clips,
        run_focus,
    )
    from dvfl_mmaction.analysis.prediction.clips import find_clips
    from dvfl_mmaction.files import check_outputs, check_writable

    # A name must not end the program where the terminal is not in UTF-8.
    sys.stdout.reconfigure(errors='backslashreplace')
    clips = find_clips(args.videos, args.root, excluded=args.out)
    read = [args.config, args.checkpoint, *(args.compare or ())]
    read += [args.classes, *args.videos, *(clip.path for clip in clips)]
    check_outputs([args.focus], read)
    if args.focus:
        check_writable(args.focus)
    device = choose_device(args.device)
    models = [(args.config, args.checkpoint, args.cfg_options)]
    if args.compare:
        models.append((*args.compare, None))
    observers = [
        load_observer(
            config, checkpoint, args.stages, device, options, args.classes
        )
        for config, checkpoint, options in models
    ]
    broken = []
    if args.out:
        pictures = Pictures(args.out, args.gif, args.video)
        written, broken = draw_clips(observers, clips, pictures)
        if written:
            print(f'wrote {len(written)} files to {args.out}')
    if args.focus:
        report, broken = run_focus(observers, clips, args.focus)
        print(focus_table(report))
        print(f'{report["clips"]} clips; wrote {args.focus}')
    for clip, error in broken:
        print(f'broken clip {clip.name}: {error}')
    if len(broken) == len(clips):
        clip, error = broken[0]
        raise UserError(
            f'none of {len(clips)} clips can be read; the first is '
            f'{clip.name}: {error}; check the paths (--root) and the files'
        )


if __name__ == '__main__':
    print_user_errors()
    try:
        main()
    except KeyboardInterrupt:
        print('\nstopped; rerun the command', file=sys.stderr, flush=True)
        sys.exit(130)
