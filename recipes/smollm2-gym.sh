#!/usr/bin/env bash
# Four families of reasoning-gym with SmolLM2-135M: cross-entropy and DCO-256, each tuned on validation (twelve trials),
# three seeds on test and three new ones. About a minute a training on one GPU, by those in float32 with TF32 products; here
# a GPU trains in bf16, as passatn train does.
#
#   bash recipes/smollm2-gym.sh SmolLM2-135M-Instruct.Q4_1.gguf runs/gym 6 [options of the testbed …]
#
# The third word is the number of trainings side by side. What is finished is not run again.
set -euo pipefail
model=$1 output=$2 workers=$3
shift 3
python -m passatn.experiments.testbeds gym --model "$model" --num-eval 1000 --output "$output/testbed" "$@"
resume=()
if [ -f "$output/sweep/sweep.yaml" ]; then resume=(--resume); fi
passatn sweep "$output/testbed/sweep.yaml" --output "$output/sweep" --workers "$workers" "${resume[@]}"
