"""Compare a trained model in all its forms on this machine.

Measures eager PyTorch, the formulation of the released code, bfloat16 where
the processor has it, and exported files: accuracy on a list of clips,
agreement, latency, memory and file size. Writes deployed.json, deployed.md
and deployed.png to a folder. All forms are timed in turns. Answers to clips
are kept: rerun the command to resume.

Examples:
    python tools/benchmark_deployed.py configs/vflnet_ucf101.py CHECKPOINT \\
        --to deployed --exported vflnet.onnx vflnet_int8.xml
    python tools/benchmark_deployed.py configs/vflnet_ucf101.py CHECKPOINT \\
        --to deployed --exported vflnet_int8.xml \\
        --list data/ucf101/ucf101_val_split_1_videos.txt --clips 2000 \\
        --peer PEER_CONFIG.py
"""

import argparse
import sys
from pathlib import Path

from dvfl_mmaction.errors import print_user_errors
from dvfl_mmaction.tool_options import (
    add_cfg_options,
    add_model,
    add_root,
    check_least,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(parser)
    parser.add_argument(
        '--to',
        type=Path,
        required=True,
        metavar='FOLDER',
        help='folder to write to',
    )
    parser.add_argument(
        '--exported',
        nargs='+',
        default=[],
        metavar='FILE',
        help='files of tools/export.py, clip or streaming',
    )
    parser.add_argument(
        '--peer',
        nargs='+',
        default=[],
        metavar='CONFIG[:CHECKPOINT]',
        help='also measure these models; without weights, only their speed',
    )
    parser.add_argument(
        '--list', metavar='FILE', help='clips to predict: "path label" lines'
    )
    add_root(parser, '--list')
    parser.add_argument(
        '--clips',
        type=int,
        metavar='N',
        help='predict N clips, spread evenly over the list (default: all)',
    )
    parser.add_argument(
        '--threads',
        type=int,
        nargs='+',
        default=[1, 2],
        help='numbers of threads (default: 1 2)',
    )
    parser.add_argument(
        '--rounds',
        type=int,
        default=30,
        help='timed passes per form and number of threads (default: 30)',
    )
    parser.add_argument(
        '--bf16',
        choices=('auto', 'yes', 'no'),
        default='auto',
        help='eager bfloat16 autocast (default: if the processor has it)',
    )
    parser.add_argument(
        '--no-memory', action='store_true', help='do not measure memory'
    )
    add_cfg_options(parser, 'test_views=4x3')
    args = parser.parse_args()
    check_least(parser, args, threads=1, rounds=1, clips=1)
    if (args.clips or args.root) and not args.list:
        parser.error('--clips and --root need --list FILE')
    return args


def main():
    args = parse_args()
    # Slow; --help does not need them.
    from dvfl_mmaction.analysis.benchmark import describe_machine
    from dvfl_mmaction.analysis.deployed_benchmark import (
        JOURNAL,
        RESULTS,
        run_deployed_benchmark,
    )
    from dvfl_mmaction.analysis.deployed_entries import make_entries
    from dvfl_mmaction.analysis.deployed_report import draw, markdown
    from dvfl_mmaction.analysis.prediction.clips import find_clips
    from dvfl_mmaction.deployment.writers import files_of
    from dvfl_mmaction.files import check_outputs, check_writable
    from dvfl_mmaction.preparation.clips.runner import even_sample

    clips = []
    if args.list:
        clips = find_clips([args.list], args.root, several_labels=True)
    if args.clips:
        clips, _ = even_sample(clips, args.clips)
    entries = make_entries(
        args.config,
        args.checkpoint,
        args.exported,
        args.peer,
        dict(auto=None, yes=True, no=False)[args.bf16],
        args.cfg_options,
        describe_machine('cpu', 1),
    )
    written = (RESULTS, JOURNAL, 'deployed.md', 'deployed.png')
    read = [f for path in args.exported for f in files_of(Path(path))]
    read += [file for e in entries for file in (e.config, e.checkpoint)]
    read.append(args.list)
    check_outputs([args.to / name for name in written], read)
    check_writable(args.to / RESULTS)  # before the work
    results = run_deployed_benchmark(
        entries,
        args.to,
        clips,
        sorted(set(args.threads)),
        args.rounds,
        not args.no_memory,
        report=lambda line: print(line, flush=True),
    )
    text = markdown(results)
    (args.to / 'deployed.md').write_text(text + '\n', encoding='utf-8')
    draw(results, args.to / 'deployed.png')
    print(f'\n{text}\n\nwrote {args.to}')


if __name__ == '__main__':
    print_user_errors()
    try:
        main()
    except KeyboardInterrupt:
        print(
            '\nstopped; answers are kept: rerun the command to resume',
            file=sys.stderr,
        )
        sys.exit(130)
