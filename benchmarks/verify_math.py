r"""A million samples through `MathVerifier` against a plain loop over math-verify.

The samples are completions of MATH problems, `\boxed{…}` behind a line of reasoning, of which `--unique` (1 %) differ:
for each problem drawn, the gold answer and wrong ones in the forms that models write. Repetitions are drawn evenly and
shuffled. Both sides start with nothing cached.

The peer is what one writes first: `verify(parse(gold), parse(completion))` for each sample in one process, with
math-verify's defaults (its SIGALRM limits on; it caches the parses of the last 20 texts itself). It is timed on
`--peer-samples` of the same samples, drawn at random, and its time *scaled linearly* to all of them.

Ours includes starting the workers, extraction, the cache and the list of verdicts. How often the two disagree is
printed too: a fast verifier is of no use if it is another one.

    python benchmarks/verify_math.py --data ../shared/data [--samples 1000000] [--unique 0.01] [--workers 2] [--seed 0]
"""

import argparse
import gzip
import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

from passatn.tasks import Problem
from passatn.verify.math import MathVerifier
from passatn.verify.verdict import Outcome, Submission

REQUIRED_RATIO = 50


def unique_samples(folder: Path, number: int, seed: int) -> list[Submission]:
    """Distinct completions: for each gold answer right and wrong ones, until there are enough."""
    with gzip.open(folder / "math_train_12000.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["answer"]]
    generator = random.Random(seed)
    problems = [Problem(row["unique_id"], row["problem"], (row["answer"],)) for row in rows]
    samples: dict[tuple[str, str], Submission] = {}
    while len(samples) < number:
        problem, other = generator.choice(problems), generator.choice(problems)
        gold = problem.answers[0]
        answer = generator.choice(
            [gold, f"{gold} + 1", f"x = {gold}", other.answers[0], str(generator.randrange(1000))]
        )
        completion = rf"We compute step {generator.randrange(4)} and find \boxed{{{answer}}}."
        samples.setdefault((problem.id, completion), Submission(problem, completion))
    return list(samples.values())


def plain_loop(samples: list[Submission]) -> tuple[float, list[bool]]:
    """Seconds, and math-verify's verdicts."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    parse("$1$")
    start = time.perf_counter()
    verdicts = [bool(verify(parse(f"${s.problem.answers[0]}$"), parse(s.completion))) for s in samples]
    return time.perf_counter() - start, verdicts


def timed(work: Callable[[], list[bool]]) -> tuple[float, list[bool]]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with math_train_12000.jsonl.gz")
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--unique", type=float, default=0.01)
    parser.add_argument("--peer-samples", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=None, help="default: the CPUs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    unique = unique_samples(options.data, round(options.samples * options.unique), options.seed)
    generator = random.Random(options.seed + 1)
    samples = unique + generator.choices(unique, k=options.samples - len(unique))
    generator.shuffle(samples)
    chosen = generator.sample(range(len(samples)), options.peer_samples)

    verifier = MathVerifier(num_workers=options.workers)
    ours, verdicts = timed(lambda: [verdict.outcome is Outcome.CORRECT for verdict in verifier.verify(samples)])
    again, _ = timed(lambda: [verdict.outcome is Outcome.CORRECT for verdict in verifier.verify(samples)])
    verifier.close()
    peer, peer_verdicts = plain_loop([samples[index] for index in chosen])
    peer_all = peer / options.peer_samples * options.samples
    pairs = zip(chosen, peer_verdicts, strict=True)
    differing = [index for index, verdict in pairs if verdicts[index] != verdict]

    print(f"{options.samples:,} samples, {len(unique):,} of them unique ({sum(verdicts):,} correct)")
    print(f"passatn: {ours:.1f} s ({options.samples / ours:,.0f} samples/s); once more, from the cache: {again:.1f} s")
    print(f"math-verify loop: {peer:.1f} s for {options.peer_samples:,}, scaled linearly {peer_all:,.0f} s")
    print(f"verdicts that differ on those: {len(differing)}")
    for index in differing[:10]:
        sample = samples[index]
        print(f"    passatn {verdicts[index]}: {sample.problem.answers[0]!r} against {sample.completion!r}")
    print(f"ratio: {peer_all / ours:.0f} (required: {REQUIRED_RATIO})")


if __name__ == "__main__":
    main()
