#!/usr/bin/env bash
# Distil a teacher into a student on a machine that has only Python.
#
#   bash tools/quickstart.sh
#
# Makes the environment and a small data set, trains a teacher, a student
# alone and a distilled student, tests them and prints a table. Finished steps
# are skipped; rerun the command to resume.
#
#   WORK_DIR  folder of the runs (default: work_dirs/quickstart in the
#             repository); remove it to train again
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

started=$SECONDS
ensure_environment
WORK_DIR="${WORK_DIR:-$ROOT/work_dirs/quickstart}"
[ "${WORK_DIR:0:1}" = / ] || WORK_DIR="$PWD/$WORK_DIR"
cd "$ROOT"
export PATH="$VENV/bin:$PATH"
# Two workers decode the clips. Threads of PyTorch would take their cores from
# them, and spin there while they wait for work (docs/speed.md).
threads=$(($(getconf _NPROCESSORS_ONLN) - 2))
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((threads > 1 ? threads : 1))}"
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"

TEACHER=checkpoints/videofocalnet_base_demo.pth

step() {
    printf '\n[%3d s] %s\n' "$((SECONDS - started))" "$*"
}

# once MARK COMMAND...
# Run a command unless MARK exists. Its output goes to MARK.log; when it
# succeeds, MARK gets its duration in seconds, after '> ' if an attempt before
# was interrupted and took an unknown part of the time.
once() {
    local mark="$1" before=$SECONDS more=''
    shift
    mkdir -p "$(dirname "$mark")"
    [ ! -f "$mark" ] || { echo "skipped: $mark exists"; return; }
    [ ! -f "$mark.log" ] || more='> '
    "$@" 2>&1 | tee "$mark.log" | show_progress ||
        fail "this step failed; its whole output is in $mark.log;" \
            'rerun the command to resume'
    echo "$more$((SECONDS - before))" >"$mark"
}

# Print only the steps, accuracies and errors of a log.
show_progress() {
    grep --line-buffered -oE \
        '(Epoch\(|teacher: top|acc/top1|[Ee]rror:|Abort).{0,150}' ||
        true
}

# train NAME CONFIG [KEY=VALUE...]
train() {
    local name="$1" config="$2"
    shift 2
    step "train: $name ($config)"
    once "$WORK_DIR/$name/trained" mim train mmaction2 "$config" \
        --work-dir "$WORK_DIR/$name" --resume \
        --cfg-options randomness.seed=0 "$@"
}

# test_views NAME CONFIG VIEWS
test_views() {
    local name="$1" config="$2" views="$3"
    step "test: $name, $views"
    once "$WORK_DIR/$name/tested_$views" mim test mmaction2 "$config" \
        --checkpoint "$(cat "$WORK_DIR/$name/last_checkpoint")" \
        --work-dir "$WORK_DIR/$name/test_$views" \
        --cfg-options "test_views=$views"
}

step 'make the demo data set'
python tools/make_demo_dataset.py data/demo

train teacher configs/videofocalnet_base_demo.py
mkdir -p checkpoints
cp "$(cat "$WORK_DIR/teacher/last_checkpoint")" "$TEACHER.part"
mv "$TEACHER.part" "$TEACHER"
train alone configs/vflnet_demo.py
# The config has the paper's loss; docs/results.md compares the others.
train distilled configs/vflnet_kd_demo.py model.alpha=0.5 \
    model.loss_kd.type=DISTLoss model.loss_kd.temperature=1.0

test_views teacher configs/videofocalnet_base_demo.py 1x1
test_views alone configs/vflnet_demo.py 1x1
test_views distilled configs/vflnet_demo.py 1x1
test_views distilled configs/vflnet_demo.py 4x3

step 'done'
python tools/quickstart_table.py "$WORK_DIR"
