"""Copy the project's configs and tools to a folder.

After an installation from a wheel, the documented commands and base configs
(configs/..., tools/...) then work in that folder, as in a checkout.

Example:
    mim run dvfl_mmaction copy_project .
"""

import argparse
from pathlib import Path


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'folder',
        type=Path,
        nargs='?',
        default=Path(),
        help='folder to copy to (default: the current one)',
    )
    return parser.parse_args()


def main(args):
    # Imported after parsing, so that --help does not import torch.
    from dvfl_mmaction.errors import print_user_errors
    from dvfl_mmaction.project_paths import copy_project

    print_user_errors()
    for path in copy_project(args.folder):
        print(f'copied to {path}')


if __name__ == '__main__':
    main(parse_args())
