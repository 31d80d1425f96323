"""Two runs on the same problems, paired: what b gains over a at each N, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from passatn.evaluate.bootstrap import bootstrap_means, percentile_interval
from passatn.evaluate.checks import FloatArray, check_log_p, check_ns
from passatn.evaluate.pass_at_n import count_values, coverage_values
from passatn.evaluate.results import Results


@dataclass(frozen=True)
class PairedDifference:
    """pass@N of b minus pass@N of a, in fractions: positive where b is better."""

    ns: tuple[int, ...]
    difference: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    p_value: tuple[float, ...]
    """Two-sided, from the bootstrap: twice the share of resampled differences on the rarer side of 0, at most 1 and
    at least 2/(num_resamples + 1). One per N, not corrected for looking at several N."""
    adjusted_p_value: tuple[float, ...]
    """The same with Holm's correction (1979) for looking at all these N: the chance of any false alarm among them."""
    wins: tuple[int, ...]
    losses: tuple[int, ...]
    """Problems on which b is better, and worse; the rest are ties."""
    sign_p_value: tuple[float, ...]
    """Two-sided exact sign test on wins and losses; not corrected."""
    num_problems: int
    confidence: float = 0.95

    def verdict(self, name_a: str, name_b: str, *, level: float = 0.05) -> str:
        """One plain sentence: at which N one of the two is better beyond doubt, after correction."""
        significant = [i for i, p in enumerate(self.adjusted_p_value) if p <= level]
        parts = []
        for better, worse, sign in ((name_b, name_a, 1), (name_a, name_b, -1)):
            at = [i for i in significant if sign * self.difference[i] > 0]
            if at:
                largest = max(at, key=lambda i: abs(self.difference[i]))
                parts.append(
                    f"{better} is better than {worse} at N = {', '.join(str(self.ns[i]) for i in at)} "
                    f"(by up to {100 * abs(self.difference[largest]):.1f} points, at N = {self.ns[largest]})"
                )
        unclear = [str(n) for i, n in enumerate(self.ns) if i not in significant]
        if unclear:
            parts.append(f"these {self.num_problems} problems do not tell them apart at N = {', '.join(unclear)}")
        sentence = "; ".join(parts)
        return f"Verdict: {sentence} (paired bootstrap, Holm-corrected over N, level {level:g})."


def compare_paired(
    log_p_a: ArrayLike,
    log_p_b: ArrayLike,
    ns: Sequence[int],
    *,
    ids_a: Sequence[str] | None = None,
    ids_b: Sequence[str] | None = None,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> PairedDifference:
    """b minus a from known log-probabilities [P] of the same problems in the same order; ids, when given, must agree.

    The interval is over the population of problems, for these two trained models: other training seeds are not in it.
    """
    a, b = check_log_p(log_p_a, "log_p_a"), check_log_p(log_p_b, "log_p_b")
    _check_same_problems(len(a), len(b), ids_a, ids_b)
    budgets = check_ns(ns)
    values = coverage_values(b, budgets) - coverage_values(a, budgets)
    resampled = bootstrap_means(values, num_resamples=num_resamples, seed=seed)
    return summarize_differences(values, resampled, budgets, confidence)


def compare_paired_counts(
    num_samples_a: ArrayLike,
    num_correct_a: ArrayLike,
    num_samples_b: ArrayLike,
    num_correct_b: ArrayLike,
    ns: Sequence[int],
    *,
    ids_a: Sequence[str] | None = None,
    ids_b: Sequence[str] | None = None,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> PairedDifference:
    """b minus a from counts [P] of the same problems in the same order; the numbers of samples may differ."""
    budgets = check_ns(ns)
    a, b = count_values(num_samples_a, num_correct_a, budgets), count_values(num_samples_b, num_correct_b, budgets)
    _check_same_problems(len(a), len(b), ids_a, ids_b)
    resampled = bootstrap_means(b - a, num_resamples=num_resamples, seed=seed)
    return summarize_differences(b - a, resampled, budgets, confidence)


def compare_results(
    a: Results, b: Results, ns: Sequence[int], *, confidence: float = 0.95, num_resamples: int = 2000, seed: int = 0
) -> PairedDifference:
    """b minus a for two runs over the same problems in any order: from log_p where both have it, else from counts.

    Raises ValueError naming the first problem that only one of them has.
    """
    ids = a.ids
    order = {problem.id: row for row, problem in enumerate(b.problems)}
    for name, missing in ((b.name, set(ids) - order.keys()), (a.name, order.keys() - set(ids))):
        if missing:
            raise ValueError(f"{name} has no problem {min(missing)!r}: a paired comparison needs the same problems")
    rows = np.array([order[problem_id] for problem_id in ids])
    options: dict[str, Any] = {"confidence": confidence, "num_resamples": num_resamples, "seed": seed}
    log_p_a, log_p_b = a.column("log_p"), b.column("log_p")
    if log_p_a is not None and log_p_b is not None:
        return compare_paired(log_p_a, log_p_b[rows], ns, **options)
    samples_a, correct_a = a.column("num_samples"), a.column("num_correct")
    samples_b, correct_b = b.column("num_samples"), b.column("num_correct")
    if samples_a is None or correct_a is None or samples_b is None or correct_b is None:
        raise ValueError(f"{a.name} and {b.name} share neither log_p nor counts for every problem")
    return compare_paired_counts(samples_a, correct_a, samples_b[rows], correct_b[rows], ns, **options)


def _check_same_problems(num_a: int, num_b: int, ids_a: Sequence[str] | None, ids_b: Sequence[str] | None) -> None:
    if num_a != num_b:
        raise ValueError(f"a has {num_a} problems, b has {num_b}: a paired comparison needs the same problems")
    if num_a < 2:
        raise ValueError("a paired comparison needs at least 2 problems, got 1")
    if ids_a is None or ids_b is None:
        return
    for name, ids in (("ids_a", ids_a), ("ids_b", ids_b)):
        if len(ids) != num_a:
            raise ValueError(f"{name} has {len(ids)} entries for {num_a} problems")
    for row, (id_a, id_b) in enumerate(zip(ids_a, ids_b, strict=True)):
        if id_a != id_b:
            raise ValueError(f"row {row}: a has problem {id_a!r}, b has {id_b!r}: bring both into the same order")


def summarize_differences(
    values: FloatArray, resampled: FloatArray, ns: tuple[int, ...], confidence: float
) -> PairedDifference:
    """values: [P, len(ns)] differences per problem; resampled: [R, len(ns)] their means, drawn again."""
    low, high = percentile_interval(resampled, confidence)
    rarer = np.minimum((resampled <= 0).sum(axis=0), (resampled >= 0).sum(axis=0))
    p_value = np.minimum(1.0, 2 * (rarer + 1) / (len(resampled) + 1))
    wins, losses = (values > 0).sum(axis=0).tolist(), (values < 0).sum(axis=0).tolist()
    return PairedDifference(
        ns=ns,
        difference=tuple(values.mean(axis=0).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        p_value=tuple(p_value.tolist()),
        adjusted_p_value=holm(p_value.tolist()),
        wins=tuple(wins),
        losses=tuple(losses),
        sign_p_value=tuple(sign_test(won, lost) for won, lost in zip(wins, losses, strict=True)),
        num_problems=len(values),
        confidence=confidence,
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down correction: adjusted p-values in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return tuple(adjusted)


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p-value of the exact sign test: under no difference, wins ~ Binomial(wins + losses, 1/2)."""
    trials, rarer = wins + losses, min(wins, losses)
    tail = sum(math.exp(_log_binomial(trials, k) - trials * math.log(2)) for k in range(rarer + 1))
    return min(1.0, 2 * tail)


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
