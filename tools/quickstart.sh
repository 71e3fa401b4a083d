#!/usr/bin/env bash
# Distil a teacher into a student on this machine, from nothing but Python.
#
#   bash tools/quickstart.sh
#
# Makes the environment and a small data set, trains a teacher, a student
# alone and a distilled student, tests them, counts their multiply-adds and
# prints a table. What is already there is reused; interrupted, run it again.
#
#   WORK_DIR  where the runs go (default: work_dirs/quickstart); remove it to
#             train again
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

started=$SECONDS
ensure_environment
cd "$ROOT"
export PATH="$VENV/bin:$PATH"

WORK_DIR="${WORK_DIR:-work_dirs/quickstart}"
TEACHER=checkpoints/videofocalnet_base_demo.pth

step() {
    printf '\n[%3d s] %s\n' "$((SECONDS - started))" "$*"
}

# Run a command once: its output is shown and kept, $1 marks that it ended.
once() {
    local mark="$1" before=$SECONDS
    shift
    mkdir -p "$(dirname "$mark")"
    [ ! -f "$mark" ] || { echo "there already: $mark"; return; }
    "$@" 2>&1 | tee "$mark.log" | show_progress ||
        fail "this step stopped, its whole output is in $mark.log;" \
            'run the same command again to continue'
    echo "$((SECONDS - before))" >"$mark"
}

# Of a log, what a person watches: steps, accuracies, errors.
show_progress() {
    grep --line-buffered -oE \
        '(Epoch\(|teacher: top|acc/top1|[Ee]rror:|Flops:|Params:|Abort).{0,150}' ||
        true
}

train() {
    local name="$1" config="$2"
    step "train: $name ($config)"
    once "$WORK_DIR/$name/trained" mim train mmaction2 "$config" \
        --work-dir "$WORK_DIR/$name" --resume \
        --cfg-options randomness.seed=0
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

count() {
    local name="$1" config="$2"
    step "count: $name"
    once "$WORK_DIR/$name/counted" mim run mmaction2 get_flops "$config" \
        --shape 1 3 8 32 32
}

step 'make the demo data set'
python tools/make_demo_dataset.py data/demo

train teacher configs/videofocalnet_base_demo.py
mkdir -p checkpoints
cp "$(cat "$WORK_DIR/teacher/last_checkpoint")" "$TEACHER.part"
mv "$TEACHER.part" "$TEACHER"
train alone configs/vflnet_demo.py
train distilled configs/vflnet_kd_demo.py

test_views teacher configs/videofocalnet_base_demo.py 1x1
test_views alone configs/vflnet_demo.py 1x1
test_views distilled configs/vflnet_demo.py 1x1
test_views distilled configs/vflnet_demo.py 4x3

count teacher configs/videofocalnet_base_demo.py
count distilled configs/vflnet_demo.py

step 'done'
python tools/quickstart_table.py "$WORK_DIR"
