#!/usr/bin/env bash
# Train, test and compare all networks of docs/results_real_clips.md. Finished
# runs are skipped; rerun the command to resume, or to do what was added here.
#
#   bash docs/real_clips/run.sh
#
#   PICTURES  clone of the pictures (default: data/ASL-Gesture-Dataset)
#   WORK_DIR  folder of the runs (default: work_dirs/real_clips)
#   JOBS      runs at once (default: 2)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
pictures="${PICTURES:-data/ASL-Gesture-Dataset}"
out="${WORK_DIR:-work_dirs/real_clips}"
jobs="${JOBS:-2}"
configs=docs/real_clips
data=data/letters
folds=$data/folds
# The runs of the page had one thread each.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# The clips, and the lists of the folds.
[ -f $data/train.txt ] ||
    python $configs/make_signed_letters.py "$pictures" $data
python tools/prepare_dataset.py custom --root $data --folds 5 \
    --labels-per-class 3
python tools/prepare_dataset.py custom --root $data --folds 5 \
    --labels-per-class 1
# Each of the ten labelled clips four times: a batch then has eight clips.
mkdir -p $folds/only_1x4
for number in 1 2 3 4 5; do
    for _ in 1 2 3 4; do
        cat $folds/only_1/train_$number.txt
    done >$folds/only_1x4/train_$number.txt
done
sed 's/only_1/only_1x4/' $folds/only_1/folds.json >$folds/only_1x4/folds.json

# The teachers, with all labels.
python tools/ablate.py $configs/teacher.py --vary $folds/all/folds.json \
    --out "$out/teachers" --jobs "$jobs"
of_teachers=(--teachers "$out/teachers" --jobs "$jobs")

# One label per class.
python tools/ablate.py $configs/alone.py --vary $folds/only_1x4/folds.json \
    --epochs 144 --cfg-options warmup_epochs=7.2 --seeds 0 1 2 \
    --out "$out/one_label" --jobs "$jobs"
python tools/ablate.py $configs/alone.py --vary $folds/only_1x4/folds.json \
    --epochs 432 --cfg-options warmup_epochs=7.2 --seeds 1 \
    --out "$out/one_label" --jobs "$jobs"
python tools/ablate.py $configs/kd.py --vary $folds/labels_1/folds.json \
    --loss KLDivergenceLoss --alpha 0.3 --temperature 10 --seeds 0 1 2 \
    --epochs 40 --out "$out/one_label" "${of_teachers[@]}"
python tools/ablate.py $configs/kd.py --vary $folds/labels_1/folds.json \
    --loss DISTLoss --alpha 0.5 --seeds 0 1 2 \
    --epochs 40 --out "$out/one_label" "${of_teachers[@]}"
python tools/ablate.py $configs/kd.py --vary $folds/labels_1/folds.json \
    --loss KLDivergenceLoss --alpha 0.7 --temperature 4 --seeds 0 1 2 \
    --epochs 40 --out "$out/one_label" "${of_teachers[@]}"
python tools/ablate.py $configs/kd_causal.py \
    --vary $folds/labels_1/folds.json \
    --loss KLDivergenceLoss --alpha 0.7 --temperature 4 --seeds 0 1 2 \
    --epochs 40 --out "$out/one_label" "${of_teachers[@]}"
# Other weights of the teacher and temperatures, and three times the epochs.
python tools/ablate.py $configs/kd.py --vary $folds/labels_1/folds.json \
    --loss KLDivergenceLoss --alpha 0.3 0.7 --temperature 4 10 --seeds 1 \
    --epochs 40 --out "$out/one_label" "${of_teachers[@]}"
python tools/ablate.py $configs/kd.py --vary $folds/labels_1/folds.json \
    --loss KLDivergenceLoss --alpha 0.1 0.5 0.9 --temperature 4 --seeds 1 \
    --epochs 40 --out "$out/one_label" "${of_teachers[@]}"
python tools/ablate.py $configs/kd.py --vary $folds/labels_1/folds.json \
    --loss KLDivergenceLoss --alpha 0.7 --temperature 1 --seeds 1 \
    --epochs 40 --out "$out/one_label" "${of_teachers[@]}"
python tools/ablate.py $configs/kd.py --vary $folds/labels_1/folds.json \
    --loss KLDivergenceLoss --alpha 0.7 --temperature 4 --seeds 0 1 2 \
    --epochs 120 --out "$out/one_label" "${of_teachers[@]}"
kl='loss=KLDivergenceLoss temperature'
alone='alone epochs=144'
best="kd alpha=0.7 epochs=40 $kl=4"
paper="kd alpha=0.3 epochs=40 $kl=10"
python tools/ablate.py --report "$out/one_label" --pool folds \
    --compare "$best" "$paper" \
    --compare DIST "$paper" --compare DIST "$best" \
    --compare "$paper" "$alone" --compare "$best" "$alone" \
    --compare DIST "$alone" \
    --compare causal "$best" --compare causal "$alone" \
    --compare "$best" "kd alpha=0.3 epochs=40 $kl=4" \
    --compare "kd alpha=0.7 epochs=40 $kl=10" "$paper" \
    --compare "kd alpha=0.9 epochs=40 $kl=4" "kd alpha=0.3 epochs=40 $kl=4" \
    --compare "kd alpha=0.5 epochs=40 $kl=4" "kd alpha=0.3 epochs=40 $kl=4" \
    --compare "$best" "kd alpha=0.5 epochs=40 $kl=4" \
    --compare "kd alpha=0.9 epochs=40 $kl=4" "kd alpha=0.5 epochs=40 $kl=4" \
    --compare "kd alpha=0.9 epochs=40 $kl=4" "$best" \
    --compare "kd alpha=0.3 epochs=40 $kl=4" "kd alpha=0.1 epochs=40 $kl=4" \
    --compare "kd alpha=0.1 epochs=40 $kl=4" "$alone" \
    --compare "kd alpha=0.3 epochs=40 $kl=4" "$paper" \
    --compare "$best" "kd alpha=0.7 epochs=40 $kl=10" \
    --compare "$best" "kd alpha=0.7 epochs=40 $kl=1" \
    --compare epochs=120 "$best" --compare epochs=120 teacher \
    --compare epochs=120 'alone epochs=432' \
    --compare 'alone epochs=432' "$alone" \
    --compare "$best" 'alone epochs=432' \
    --compare teacher "$paper" --compare teacher DIST \
    --clip-groups '([^/]+)_seg'

# Worse teachers.
for epochs in 30 45; do
    python tools/ablate.py $configs/teacher.py --vary $folds/all/folds.json \
        --epochs $epochs --out "$out/teachers_$epochs" --jobs "$jobs"
    python tools/ablate.py $configs/kd.py --vary $folds/labels_1/folds.json \
        --loss KLDivergenceLoss --alpha 0.7 --temperature 4 --seeds 1 \
        --epochs 40 --out "$out/one_label_$epochs" \
        --teachers "$out/teachers_$epochs" --jobs "$jobs"
    python tools/ablate.py --report "$out/one_label_$epochs" --pool folds \
        --compare kd teacher --clip-groups '([^/]+)_seg'
done

# Three labels per class.
python tools/ablate.py $configs/alone.py --vary $folds/only_3/folds.json \
    --epochs 180 --cfg-options warmup_epochs=9 --seeds 0 1 2 \
    --out "$out/three_labels" --jobs "$jobs"
python tools/ablate.py $configs/kd.py --vary $folds/labels_3/folds.json \
    --loss KLDivergenceLoss --alpha 0.7 --temperature 4 --seeds 0 1 2 \
    --epochs 40 --out "$out/three_labels" "${of_teachers[@]}"
python tools/ablate.py $configs/kd.py --vary $folds/labels_3/folds.json \
    --loss KLDivergenceLoss --alpha 0.3 --temperature 10 --seeds 1 \
    --epochs 40 --out "$out/three_labels" "${of_teachers[@]}"
python tools/ablate.py $configs/kd.py --vary $folds/labels_3/folds.json \
    --loss DISTLoss --alpha 0.5 --seeds 1 \
    --epochs 40 --out "$out/three_labels" "${of_teachers[@]}"
python tools/ablate.py --report "$out/three_labels" --pool folds \
    --compare "$best" alone --compare DIST alone --compare "$paper" alone \
    --compare DIST "$paper" --compare "$best" "$paper" \
    --compare DIST "$best" --compare teacher "$best" --compare teacher DIST \
    --clip-groups '([^/]+)_seg'

# All labels.
python tools/ablate.py $configs/alone.py --vary $folds/all/folds.json \
    --epochs 40 --seeds 1 --out "$out/all_labels" --jobs "$jobs"
python tools/ablate.py $configs/kd.py --vary $folds/all/folds.json \
    --loss DISTLoss --alpha 0.5 --seeds 1 \
    --epochs 40 --out "$out/all_labels" "${of_teachers[@]}"
python tools/ablate.py $configs/kd.py --vary $folds/all/folds.json \
    --loss KLDivergenceLoss --alpha 0.7 --temperature 4 --seeds 1 \
    --epochs 40 --out "$out/all_labels" "${of_teachers[@]}"
python tools/ablate.py --report "$out/all_labels" --pool folds \
    --compare DIST alone --compare "$best" alone --compare "$best" DIST \
    --compare teacher "$best" --clip-groups '([^/]+)_seg'
