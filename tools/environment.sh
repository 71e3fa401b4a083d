# Makes the Python environment; sourced by the scripts in this folder.
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

# Succeed if $VENV has a Python that starts, and pip.
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
    fail "${found:-${PYTHON:-python3} not found};" \
        'Python 3.10 or newer is required;' \
        'install it, or pass its path: PYTHON=/path/to/python3'
}

# Print a hash of everything that determines the content of $VENV.
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
        fail "$python has no venv module;" \
            'install it (Debian and Ubuntu: apt install python3-venv)'
    # Remove a folder only if it is empty or carries our stamp.
    if [ ! -f "$VENV/$STAMP_NAME" ] && [ -n "$(ls -A "$VENV" 2>&-)" ]; then
        fail "$VENV exists and is not a working environment;" \
            'remove it, or pass another folder: VENV=/path/to/folder'
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

    # After an interruption pip or the hash is missing; if the interpreter was
    # removed, the Python of $VENV does not start.
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
    printf 'Installing into %s (2 GB or more, only once)\n' "$VENV" >&2
    extras="${extras# }"
    (cd "$ROOT" && "$VENV/bin/python" -m pip install \
        -c requirements/constraints.txt \
        -e ".${extras:+[${extras// /,}]}") >&2 ||
        fail "the installation into $VENV failed for the reason above;" \
            'rerun the command to resume'
    "$VENV/bin/python" -c 'import cv2' 2>/dev/null ||
        fail 'OpenCV does not start because system libraries are missing;' \
            'install them (Debian and Ubuntu:' \
            'apt install libgl1 libglib2.0-0) and rerun the command'
    printf '%s%s\n' "$hash" "${extras:+ $extras}" >"$VENV/$STAMP_NAME"
}
