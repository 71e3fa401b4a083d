"""Make lists of clips from a data set's official archives, and check them.

Put the archives in a folder (docs/datasets.md says which), or have those
with a public link fetched by --download. What is unpacked is not unpacked
again, and what was interrupted goes on.

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
"""

import argparse
import sys
from pathlib import Path

from dvfl_mmaction.errors import UserError, print_user_errors
from dvfl_mmaction.preparation import CATALOGUE, prepare
from dvfl_mmaction.preparation.clips.check import check_clips
from dvfl_mmaction.preparation.clips.pack import pack_clips
from dvfl_mmaction.preparation.prepare import SPLITS

CUSTOM = 'custom'


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'dataset',
        choices=[*CATALOGUE, CUSTOM],
        help=f'{CUSTOM}: lists and videos/ of your own are there already',
    )
    parser.add_argument(
        '--root',
        type=Path,
        required=True,
        help='folder with the archives; the lists are written there',
    )
    parser.add_argument(
        '--download', action='store_true', help='fetch what is not there'
    )
    parser.add_argument(
        '--split',
        choices=SPLITS,
        default='official',
        help='all official splits, or 70/30 by source video as in the paper',
    )
    parser.add_argument(
        '--strict',
        action='store_true',
        help='write nothing if clips are missing, unknown or there twice',
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
        '--workers', type=int, help='processes of --check and --pack'
    )
    args = parser.parse_args()
    if args.workers is not None and args.workers < 1:
        parser.error(f'--workers {args.workers}; give 1 or more processes')
    if args.dataset == CUSTOM and not (args.check or args.pack):
        parser.error(f'{CUSTOM} wants --check or --pack')
    return args


def main():
    args = parse_args()
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
            print('\n'.join(check_clips(args.root, args.workers).lines()))
        if args.pack:
            packed = pack_clips(args.root, args.pack, args.workers)
            print('\n'.join(packed.lines()))
    except OSError as error:  # a full disk, a folder of somebody else's
        raise UserError(
            f'{error.filename or args.root}: {error.strerror or error}; make '
            'it writable, with enough room, and run the same command again'
        ) from error


if __name__ == '__main__':
    print_user_errors()
    try:
        main()
    except KeyboardInterrupt:
        print('stopped; run the same command to go on', file=sys.stderr)
        sys.exit(130)
