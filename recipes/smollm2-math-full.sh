#!/usr/bin/env bash
# MATH direct answers in full with SmolLM2-135M: cross-entropy and DCO-16, 256, 4096, four epochs on all 12,000 problems,
# tested on MATH-500 after each epoch and on AIME24 at the end. Minutes a training on one GPU.
#
#   bash recipes/smollm2-math-full.sh SmolLM2-135M-Instruct.Q4_1.gguf data runs/full [settings of passatn train …]
#
# The data folder holds math_train_12000.jsonl.gz, math_test_500.jsonl and aime24.jsonl. What is finished is not run again.
set -euo pipefail
model=$1 data=$2 output=$3
shift 3
for n in 1 16 256 4096; do
  run=$output/n-$n
  resume=()
  if [ -d "$run" ]; then resume=(--resume); fi
  if [ ! -f "$run/model/config.json" ]; then
    passatn train --config "$(dirname "$0")/math-direct.yaml" --model "$model" --output "$run" --n_passes "$n" \
      --train_data "$data/math_train_12000.jsonl.gz" --eval_data "$data/math_test_500.jsonl" \
      --limit null --max_prompt_tokens null --max_answer_tokens null --num_threads null \
      --per_device_train_batch_size 64 --gradient_checkpointing false "${resume[@]}" "$@"
  fi
  if [ ! -f "$output/aime24-n-$n/results.json" ]; then
    passatn evaluate --model "$run/model" --data "$data/aime24.jsonl" --preset aime --template direct \
      --output "$output/aime24-n-$n"
  fi
done
for n in 16 256 4096; do
  passatn compare "$output/n-1" "$output/n-$n"
  passatn compare "$output/aime24-n-1" "$output/aime24-n-$n"
done
