"""Sampling with shared beginnings against transformers' `generate` with a row for each sample.

Both are `HFEngine` on the same model, prompts and random numbers; the peer is what the engine falls back to
(`can_share_prefixes` false). Reported: the ratio of times (peer over ours), the growth of resident memory of either,
and how many samples came out the same (rounding may move a token).

    python benchmarks/shared_prefix.py --model MODEL --data test.jsonl --preset math [--problems 8] [--samples 64]
        [--template direct] [--max-new-tokens 24] [--rounds 3]
"""

import argparse
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil

from passatn.sample import HFEngine, SampleRequest, SamplingParams, hf
from passatn.sample.models import load_model
from passatn.tasks import get_template, load_problems, render_prompt


def measured(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, seconds, and growth of resident memory in MB (sampled every 5 ms)."""
    process, done, highest = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.005):
            highest[0] = max(highest[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    return result, seconds, max(0, highest[0] - before) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--preset")
    parser.add_argument("--template", default="direct")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    model, tokenizer = load_model(args.model)
    template = get_template(args.template)
    problems = list(load_problems(args.data, preset=args.preset))[: args.problems]
    requests = [SampleRequest(p.id, tuple(tokenizer(render_prompt(template, p.prompt))["input_ids"])) for p in problems]
    params = SamplingParams(n=args.samples, max_new_tokens=args.max_new_tokens, seed=0)
    engine = HFEngine(model, tokenizer)
    share = hf.can_share_prefixes
    ways = {"shared": share, "generate": lambda model: False}
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    samples = {}
    for _ in range(args.rounds):
        for name, way in ways.items():
            hf.can_share_prefixes = way
            samples[name], seconds, memory = measured(lambda: engine.sample(requests, params))
            figures[name].append((seconds, memory))
    ratios = [peer[0] / own[0] for own, peer in zip(figures["shared"], figures["generate"], strict=True)]
    equal = np.mean([a.token_ids == b.token_ids for a, b in zip(*samples.values(), strict=True)])
    length = np.mean([len(request.prompt_ids) for request in requests])
    print(f"{len(requests)} prompts of {length:.0f} tokens, {args.samples} samples of each")
    for name, of in figures.items():
        print(f"{name:9} {np.median([s for s, _ in of]):8.2f} s  {max(m for _, m in of):8.0f} MB")
    print(f"times as fast: {np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}); equal samples {equal:.1%}")


if __name__ == "__main__":
    main()
