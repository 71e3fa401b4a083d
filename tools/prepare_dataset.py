"""Write lists of clips from a data set's official archives, and check them.

Put the archives in a folder (see docs/datasets.md), or pass --download to
fetch those that have a public link. Finished steps are skipped; rerun the
command to resume.

Examples:
    python tools/prepare_dataset.py ucf50 --root data/ucf50 --download
    python tools/prepare_dataset.py ucf101 --root data/ucf101
    python tools/prepare_dataset.py hmdb51 --root data/hmdb51 --split paper
    python tools/prepare_dataset.py ssv2 --root data/ssv2 --strict
    python tools/prepare_dataset.py k400 --root data/k400
    python tools/prepare_dataset.py ucf101 --root data/ucf101 --check
    python tools/prepare_dataset.py ucf101 --root data/ucf101 \\
        --pack data/ucf101_packed
    python tools/prepare_dataset.py custom --root data/mine --check
    python tools/prepare_dataset.py custom --root data/mine --folds 5 \\
        --labels-per-class 3
    python tools/prepare_dataset.py k400 --root data/k400 --check \\
        --scheduler tcp://host:8786
"""

import argparse
import sys
from pathlib import Path

# Repeated here because importing the package takes seconds; a test compares.
DATASETS = ('ucf50', 'ucf101', 'hmdb51', 'ssv2', 'k400')
SPLITS = ('official', 'paper')
CUSTOM = 'custom'


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'dataset',
        choices=[*DATASETS, CUSTOM],
        help=f'{CUSTOM}: your own clips, with lists and videos/ in place',
    )
    parser.add_argument(
        '--root',
        type=Path,
        required=True,
        help='folder of the archives, or of your own lists; lists are written '
        'there',
    )
    parser.add_argument(
        '--download', action='store_true', help='download missing archives'
    )
    parser.add_argument(
        '--split',
        choices=SPLITS,
        default='official',
        help='all official splits, or 70/30 by source video as in the paper '
        '(default: official)',
    )
    parser.add_argument(
        '--strict',
        action='store_true',
        help='write nothing if clips are missing, unknown or duplicated',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='decode every clip; write a report and lists without broken ones',
    )
    parser.add_argument(
        '--pack',
        type=Path,
        metavar='FOLDER',
        help='also write a copy that is fast to train on',
    )
    parser.add_argument(
        '--folds',
        type=int,
        metavar='N',
        help=f'write lists for N-fold cross-validation ({CUSTOM} only)',
    )
    parser.add_argument(
        '--labels-per-class',
        type=int,
        metavar='N',
        help='with --folds, also lists where N training clips of each class '
        'keep their label',
    )
    parser.add_argument(
        '--workers',
        type=int,
        help='local processes of --check and --pack (default: one per core)',
    )
    parser.add_argument(
        '--scheduler',
        metavar='tcp://HOST:PORT',
        help='run --check and --pack on the workers of this dask scheduler',
    )
    parser.add_argument(
        '--timeout',
        type=float,
        default=60,
        metavar='SECONDS',
        help='a clip that --check or --pack reads for longer is broken '
        '(default: 60)',
    )
    args = parser.parse_args()
    if not args.timeout > 0:
        parser.error(f'--timeout {args.timeout}; give more than 0 seconds')
    if args.workers is not None and args.workers < 1:
        parser.error(f'--workers {args.workers}; give 1 or more processes')
    if args.scheduler and args.workers:
        parser.error('give --workers or --scheduler, not both')
    if args.scheduler and not (args.check or args.pack):
        parser.error('--scheduler needs --check or --pack')
    work = args.check or args.pack or args.folds is not None
    if args.dataset == CUSTOM and not work:
        parser.error(f'{CUSTOM} needs --check, --pack or --folds')
    official = dict(
        download=args.download,
        split=args.split != SPLITS[0],
        strict=args.strict,
    )
    if args.dataset == CUSTOM and any(official.values()):
        given = next(name for name, used in official.items() if used)
        parser.error(
            f'--{given} is for the data sets with archives; {CUSTOM} has '
            'your own lists: leave it out'
        )
    for name in ('workers', 'timeout'):
        is_set = getattr(args, name) != parser.get_default(name)
        if is_set and not (args.check or args.pack):
            parser.error(f'--{name} needs --check or --pack')
    if args.dataset != CUSTOM and args.folds is not None:
        parser.error(
            f'--folds is for {CUSTOM}; {args.dataset} has official splits'
        )
    if args.labels_per_class is not None and args.folds is None:
        parser.error('--labels-per-class needs --folds')
    return args


def main(args):
    # Imported after parsing, so that --help does not import torch.
    from dvfl_mmaction.errors import UserError, print_user_errors
    from dvfl_mmaction.preparation import prepare
    from dvfl_mmaction.preparation.clips.check import check_clips
    from dvfl_mmaction.preparation.clips.folds import make_folds
    from dvfl_mmaction.preparation.clips.pack import pack_clips

    print_user_errors()
    # A name must not end the program where the terminal cannot show it.
    sys.stdout.reconfigure(errors='backslashreplace')
    try:
        if args.dataset != CUSTOM:
            prepared = prepare(
                args.dataset,
                args.root,
                args.download,
                args.split,
                args.strict,
            )
            print('\n'.join(prepared.lines))
        if args.check:
            checked = check_clips(
                args.root, args.workers, args.scheduler, args.timeout
            )
            print('\n'.join(checked.lines()))
        if args.folds is not None:
            folds = make_folds(args.root, args.folds, args.labels_per_class)
            print('\n'.join(folds.lines()))
        if args.pack:
            packed = pack_clips(
                args.root,
                args.pack,
                args.workers,
                scheduler=args.scheduler,
                timeout_s=args.timeout,
            )
            print('\n'.join(packed.lines()))
    except OSError as error:  # a full disk, a folder without permission
        raise UserError(
            f'{error.filename or args.root}: {error.strerror or error}; make '
            'it writable, free enough space, and rerun the command'
        ) from error


if __name__ == '__main__':
    try:
        main(parse_args())
    except KeyboardInterrupt:
        print('stopped; rerun the command to resume', file=sys.stderr)
        sys.exit(130)
