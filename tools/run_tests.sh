#!/usr/bin/env bash
# Run the tests on a machine with nothing but Python 3.10 or newer.
#
#   bash tools/run_tests.sh                       all of them
#   bash tools/run_tests.sh tests/test_compat.py  some; arguments are pytest's
#
# The environment is made on the first run: see environment.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

ensure_environment tests
cd "$ROOT"
# A process a core; each computes with one thread, or they would fight.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "$VENV/bin/python" -m pytest -q -n auto --maxprocesses 4 \
    --dist loadfile "$@"
