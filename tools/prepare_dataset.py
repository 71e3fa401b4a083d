"""Make MMAction2's annotation files from a data set's official archives.

Example:
    python tools/prepare_dataset.py ucf101 --root data/ucf101
"""

import argparse
from pathlib import Path

from dvfl_mmaction.datasets.ucf101 import prepare_ucf101
from dvfl_mmaction.engine.plain_errors import install

DATASETS = dict(ucf101=prepare_ucf101)

if __name__ == '__main__':
    install()
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('dataset', choices=DATASETS)
    parser.add_argument(
        '--root',
        type=Path,
        required=True,
        help='folder in which the archives were unpacked',
    )
    args = parser.parse_args()
    print('\n'.join(DATASETS[args.dataset](args.root)))
