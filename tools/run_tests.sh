#!/usr/bin/env bash
# Run the tests on a machine that has only Python 3.10 or newer.
#
#   bash tools/run_tests.sh                       all of them
#   bash tools/run_tests.sh tests/test_compat.py  some; arguments are pytest's
#
# The first run makes the Python environment (see environment.sh).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

ensure_environment tests
cd "$ROOT"
# One process per core, with one thread each.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "$VENV/bin/python" -m pytest -q -n auto --maxprocesses 4 \
    --dist loadfile --no-loadscope-reorder "$@"
