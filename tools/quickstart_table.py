"""Print the table of a finished ``tools/quickstart.sh``.

Example:
    python tools/quickstart_table.py work_dirs/quickstart
"""

import argparse
from pathlib import Path

from dvfl_mmaction.analysis.quickstart_table import build_table
from dvfl_mmaction.errors import print_user_errors

if __name__ == '__main__':
    print_user_errors()
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'work_dir',
        type=Path,
        help='folder of the runs, the WORK_DIR of tools/quickstart.sh',
    )
    print(build_table(parser.parse_args().work_dir))
