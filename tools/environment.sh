# Sourced by the scripts in this folder: makes the Python environment.
#
#   VENV    folder of the environment   (default: .venv in the repository)
#   PYTHON  interpreter to make it with (default: the first Python >= 3.10)
#
# After `ensure_environment [extra...]`, $VENV is an absolute path and
# "$VENV/bin/python" has this package and the named extras.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
STAMP_NAME=dvfl_mmaction.stamp # in $VENV: a hash, then the extras installed

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

is_recent_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

# Print the version of an interpreter; nothing if it does not start.
version_of() {
    "$1" -c 'import sys; print(sys.version)' 2>/dev/null || true
}

# Tell whether $VENV has a Python that starts, and pip.
environment_starts() {
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1
}

# Print the interpreter to make the environment with.
find_python() {
    local candidate found=''
    local -a candidates=(python3 python3.13 python3.12 python3.11 python3.10)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if is_recent_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
        found="${found:-$candidate is $("$candidate" --version 2>&1)}"
    done
    fail "${found:-there is no ${PYTHON:-python3}}," \
        'Python 3.10 or newer is wanted;' \
        'install it, or name one: PYTHON=/path/to/python3'
}

# Print a hash of all that decides what the environment holds.
hash_for() {
    "$1" - "$ROOT" <<'PY'
import hashlib
import sys
from pathlib import Path

root = Path(sys.argv[1])
digest = hashlib.sha256(f'{sys.version} {root}'.encode())
for path in sorted([*root.glob('requirements/*.txt'), root / 'setup.py']):
    digest.update(path.name.encode() + path.read_bytes())
print(digest.hexdigest())
PY
}

make_environment() {
    local python="$1"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module, which makes the environment;" \
            'install it (Debian and Ubuntu: apt install python3-venv)'
    # Only what is empty or carries our stamp is ours to remove.
    if [ ! -f "$VENV/$STAMP_NAME" ] && [ -n "$(ls -A "$VENV" 2>&-)" ]; then
        fail "$VENV is there, and is no environment that works;" \
            'remove it, or name another folder: VENV=/path/to/folder'
    fi
    printf 'Making a Python environment in %s\n' "$VENV" >&2
    rm -rf "$VENV"
    mkdir -p "$VENV"
    : >"$VENV/$STAMP_NAME" # without a hash: not finished
    "$python" -m venv "$VENV"
}

ensure_environment() {
    local python hash stamp='' extras extra missing=''
    VENV="${VENV:-$ROOT/.venv}"
    [ "${VENV:0:1}" = / ] || VENV="$PWD/$VENV"

    # An interrupted run leaves no pip, or no hash; an interpreter that was
    # removed leaves a Python that does not start.
    if [ -z "${PYTHON:-}" ] && environment_starts &&
        is_recent_enough "$VENV/bin/python"; then
        python="$VENV/bin/python"
    else
        python="$(find_python)"
    fi
    hash="$(hash_for "$python")"
    [ ! -f "$VENV/$STAMP_NAME" ] || stamp="$(cat "$VENV/$STAMP_NAME")"
    extras="${stamp:${#hash}}"
    for extra in "$@"; do
        case "$extras " in
            *" $extra "*) ;;
            *) missing=1 extras="$extras $extra" ;;
        esac
    done
    if [ "${stamp:0:${#hash}}" = "$hash" ] && [ -z "$missing" ] &&
        environment_starts; then
        return
    fi

    environment_starts &&
        [ "$(version_of "$VENV/bin/python")" = "$(version_of "$python")" ] ||
        make_environment "$python"
    : >"$VENV/$STAMP_NAME"
    printf 'Installing into %s: 2 GB or more, once\n' "$VENV" >&2
    extras="${extras# }"
    (cd "$ROOT" && "$VENV/bin/python" -m pip install \
        -c requirements/constraints.txt \
        -e ".${extras:+[${extras// /,}]}") >&2 ||
        fail "the installation into $VENV stopped, its reason is above;" \
            'run the same command again to continue it'
    "$VENV/bin/python" -c 'import cv2' 2>/dev/null ||
        fail 'OpenCV does not start: it wants system libraries that are' \
            'missing here; install them (Debian and Ubuntu:' \
            'apt install libgl1 libglib2.0-0) and run the same command again'
    printf '%s%s\n' "$hash" "${extras:+ $extras}" >"$VENV/$STAMP_NAME"
}
