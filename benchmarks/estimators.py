"""pass@N of many problems: passatn.coverage.pass_at_n against the usual loop over problems.

The peer is the estimator of the HumanEval repository (Chen et al. 2021, arXiv 2107.03374), written here in our own
words: one numpy product per problem and N, in a Python loop. It is timed on the first problems only and scaled by
their number, which the output says; ours is timed on all of them. Memory is measured in separate, untimed calls.

    python benchmarks/estimators.py [--problems 1000000] [--samples 4096] [--reference-problems 2000] [--seed 0]
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from passatn.coverage import pass_at_n

Counts: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


def one_problem(num_samples: int, num_correct: int, n: int) -> float:
    """1 - C(num_samples - num_correct, n) / C(num_samples, n) as one product over the correct samples."""
    if num_samples - num_correct < n:
        return 1.0
    return 1.0 - float(np.prod(1.0 - n / np.arange(num_samples - num_correct + 1, num_samples + 1)))


def loop_over_problems(num_samples: Counts, num_correct: Counts, widths: list[int]) -> Floats:
    """The peer: pass@n [V, P], one problem at a time."""
    return np.array(
        [[one_problem(int(s), int(c), n) for s, c in zip(num_samples, num_correct, strict=True)] for n in widths]
    )


def draw_counts(problems: int, samples: int, seed: int) -> tuple[Counts, Counts]:
    """Counts of a benchmark with problems of all difficulties: success rates uniform in 0 ... 1."""
    rng = np.random.default_rng(seed)
    return np.full(problems, samples), rng.binomial(samples, rng.random(problems))


def seconds_of(call: Callable[[], object], repeats: int) -> float:
    """The fastest of some calls, after one whose time is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_megabytes(call: Callable[[], object]) -> float:
    """The most memory allocated by Python and numpy during the call, its result included."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=4096, help="samples per problem, for N = 1, 2, 4 ... samples")
    parser.add_argument("--reference-problems", type=int, default=2000, help="problems that the loop is timed on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    widths = [2**i for i in range(args.samples.bit_length())]
    n = np.array(widths)[:, None]
    num_samples, num_correct = draw_counts(args.problems, args.samples, args.seed)
    few = min(args.reference_problems, args.problems)
    some = num_samples[:few], num_correct[:few]

    def ours() -> Floats:
        return pass_at_n(num_samples, num_correct, n)

    def peer() -> Floats:
        return loop_over_problems(*some, widths)

    difference = np.abs(pass_at_n(*some, n) - peer()).max()
    our_seconds, peer_seconds = seconds_of(ours, repeats=3), seconds_of(peer, repeats=1)
    scaled = peer_seconds * args.problems / few

    print(
        f"pass@N, {args.problems:,} problems x {args.samples:,} samples, {len(widths)} values of N up to {widths[-1]:,}"
    )
    print(f"  passatn.pass_at_n: {our_seconds:9.3f} s, measured; peak memory {peak_megabytes(ours):8.1f} MB")
    print(
        f"  loop over problems: {scaled:8.1f} s, scaled from {peer_seconds:.3f} s on {few:,} problems;"
        f" peak memory {peak_megabytes(peer):.1f} MB on those"
    )
    print(f"  ratio: {scaled / our_seconds:,.0f} x; largest absolute difference on those problems {difference:.1e}")


if __name__ == "__main__":
    main()
