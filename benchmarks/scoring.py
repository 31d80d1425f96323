"""Exact pass@N by teacher forcing against the sampling that gives an interval of the same width.

For direct answers, `score_problems` gives each problem's success probability p without error, so the 95 % interval of
mean pass@N has only the variance between problems in it. Samples add a variance of their own: n per problem add
mean_i Var(estimate_i) / P to that of the mean over P problems. The benchmark trains a small model on Mini-MATH for some
seconds, so that p spreads over its range, scores all problems exactly, samples them (HFEngine on the same model, the
peer), and reports

- the smallest power of two n for which sampling widens the interval by at most `--widening` (1 %); the variance of the
  unbiased estimator is summed over all outcomes of its binomial, at the exact p; below n = N there is no estimate;
- the time of sampling n per problem, *scaled linearly* from the n that was measured, over the time of exact scoring;
- the z-score of the measured pass@N against the exact one: with |z| of order 1, both measure the same thing;
- the median of five runs of exact scoring, which is short, and one run of sampling;
- the growth of the process's resident memory during either phase (sampled every 5 ms).

Verifying the samples costs nothing here (answers are compared as strings), which favours sampling. Exact scoring pays
for a second accepted answer with a second pass, and cannot be used where the answers cannot be listed.

    python benchmarks/scoring.py [--problems 200] [--samples 256] [--steps 400] [--widening 0.01] [--seed 0]
"""

import argparse
import threading
import time
from collections import Counter
from collections.abc import Callable
from math import lgamma

import numpy as np
import psutil
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from passatn.coverage import coverage, pass_at_n
from passatn.sample import HFEngine, SampleRequest, SamplingParams, score_problems
from passatn.tasks.encoding import EncodedExample
from passatn.tasks.mini_math import (
    EOS_ID,
    MAX_COMPLETION_LENGTH,
    PAD_ID,
    PROMPT_LENGTH,
    VOCABULARY,
    MiniMathBatch,
    build_tokenizer,
    sample_problems,
)

WIDTHS = (1, 16, 256)
LARGEST_N = 2**14


def trained_model(steps: int, seed: int) -> LlamaForCausalLM:
    """A Llama of 0.6M parameters after some seconds of next-token prediction on the answers."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=32,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    batches = torch.from_numpy(sample_problems("pretrain", 128 * steps, seed).input_ids).split(128)
    for ids in batches:
        labels = ids.masked_fill(ids == PAD_ID, -100)
        labels[:, :PROMPT_LENGTH] = -100
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def encode(batch: MiniMathBatch) -> list[EncodedExample]:
    rows = zip(batch.prompt_ids, batch.completion_ids, batch.completion_lengths, strict=True)
    return [EncodedExample(tuple(p.tolist()), tuple(c[:length].tolist())) for p, c, length in rows]


def count_correct(model: LlamaForCausalLM, examples: list[EncodedExample], n: int, seed: int) -> np.ndarray:
    """int64 `[num_problems]`: how many of n samples per problem are its answer."""
    requests = [SampleRequest(str(i), example.prompt_ids) for i, example in enumerate(examples)]
    params = SamplingParams(n=n, max_new_tokens=MAX_COMPLETION_LENGTH, seed=seed)
    completions = HFEngine(model, build_tokenizer()).sample(requests, params)
    correct = Counter(c.problem_id for c in completions if c.token_ids == examples[int(c.problem_id)].completion_ids)
    return np.array([correct[request.problem_id] for request in requests])


def sampling_variance(p: np.ndarray, n: int, width: int) -> np.ndarray:
    """Variance float64 `[num_problems]` of the unbiased estimate of pass@width from n samples, at success rates p."""
    c = np.arange(n + 1)
    log_choose = np.array([lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) for k in c])
    p = np.clip(p, 1e-300, 1 - 1e-16)[:, None]
    outcomes = np.exp(log_choose + c * np.log(p) + (n - c) * np.log1p(-p))
    outcomes /= outcomes.sum(axis=1, keepdims=True)
    estimates = pass_at_n(np.full(n + 1, n), c, width)
    return outcomes @ estimates**2 - (outcomes @ estimates) ** 2


def samples_needed(p: np.ndarray, width: int, widening: float) -> int | None:
    """The smallest power of two of samples per problem that widens the interval by at most `widening`; None: more."""
    between = coverage(p_to_log(p), width).var(ddof=1)
    n = max(2, width)
    while n <= LARGEST_N:
        if np.sqrt(1 + sampling_variance(p, n, width).mean() / between) <= 1 + widening:
            return n
        n *= 2
    return None


def p_to_log(p: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(p)


def measured(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """The call's result, its seconds, and the growth of resident memory at its peak, in megabytes."""
    process, done, peak = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        result = call()
        seconds = time.perf_counter() - start
    finally:
        done.set()
        watcher.join()
    return result, seconds, max(0, peak[0] - before) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument(
        "--samples", type=int, default=256, help=f"samples per problem to measure, at least {WIDTHS[-1]}"
    )
    parser.add_argument("--steps", type=int, default=400, help="training steps of the model")
    parser.add_argument("--widening", type=float, default=0.01, help="how much wider sampling may make the interval")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.samples < WIDTHS[-1]:
        parser.error(f"--samples must be at least {WIDTHS[-1]}")
    torch.set_num_threads(1)

    model = trained_model(options.steps, options.seed)
    examples = encode(sample_problems("test", options.problems, options.seed))
    score_problems(model, [[example] for example in examples[:64]])  # the first calls of a process are slow
    count_correct(model, examples[:8], 8, options.seed)
    runs = [measured(lambda: score_problems(model, [[example] for example in examples])[:, 0]) for _ in range(5)]
    log_p, exact_seconds, exact_mb = runs[0][0], float(np.median([run[1] for run in runs])), max(run[2] for run in runs)
    n = options.samples
    correct, sampling_seconds, sampling_mb = measured(lambda: count_correct(model, examples, n, options.seed))

    p = np.exp(log_p)
    print(f"{len(p)} problems; quartiles of p: {', '.join(f'{q:.2g}' for q in np.quantile(p, (0.25, 0.5, 0.75)))}")
    print(f"exact scoring:                 {exact_seconds:8.3f} s, {exact_mb:6.1f} MB more memory at the peak")
    print(f"sampling, {n} per problem:    {sampling_seconds:8.3f} s, {sampling_mb:6.1f} MB more memory at the peak")
    print("     N   exact pass@N   sampled (z)        n for the same interval   time ratio, sampling : exact")
    for width in WIDTHS:
        print(row(p, correct, n, width, options.widening, sampling_seconds / n / exact_seconds))


def row(p: np.ndarray, correct: np.ndarray, n: int, width: int, widening: float, ratio_per_sample: float) -> str:
    """One line of the table: pass@width exactly and from n samples, and what sampling would take."""
    exact = coverage(p_to_log(p), width)
    half_width = 1.96 * np.sqrt(exact.var(ddof=1) / len(p))
    sampled = pass_at_n(np.full(len(p), n), correct, width).mean()
    z = (sampled - exact.mean()) * len(p) / np.sqrt(sampling_variance(p, n, width).sum())
    needed = samples_needed(p, width, widening)
    cost = f"more than {LARGEST_N}" if needed is None else f"{needed:6d}   {needed * ratio_per_sample:32.0f} x"
    return f"{width:6d}   {exact.mean():.4f} ± {half_width:.4f}   {sampled:.4f} ({z:+.2f})   {cost}"


if __name__ == "__main__":
    main()
