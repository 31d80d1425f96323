"""What a step of chain-of-thought training logs: estimates, discarded candidates (the paper's figure 4), roll-outs."""

from collections.abc import Sequence

import numpy as np

from passatn.train.rollout_batch import RolloutBatch
from passatn.train.rollout_weights import RolloutWeight
from passatn.train.rollouts import RolloutCounts
from passatn.train.stopwatch import Stopwatch

QUANTILES = (0.1, 0.5, 0.9)
BIN_LIMITS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper limits of the bins of p̂: 0 itself, (0, 0.02], (0.02, 0.05], …; 0.1 is about where N = 64 discards."""
PHASES = ("sampling", "verifying", "waiting", "transfer")


def rollout_metrics(batch: RolloutBatch, weight: RolloutWeight, counts: RolloutCounts, step: int) -> dict[str, float]:
    """Statistics of the candidates that were decided on in one step, at which `step` optimizer steps were done.

    Returns:
        `discarded_candidates`; `active_fraction` (kept of decided); `mean_confidence_weight` (F of all decided);
        `p_hat_mean`, its quantiles `p_hat_q…` and its histogram `p_hat_to_…` (number of candidates up to that limit);
        `max_confidence_by_answer`: the share of roll-outs that end in the candidate's most frequent final answer, mean;
        `estimate_age_mean`, `estimate_age_max` in steps; `rollouts_drawn`, and saved by stopping early and by using
        estimates again; of those drawn `rollouts_truncated` and `verifier_failed`, as fractions.
    """
    decided = batch.decided
    p_hat = np.array([estimate.p_hat for estimate in decided])
    ages = [step - estimate.step for estimate in decided]
    is_soft = weight.hard_max_success is None
    weights = [weight(made.num_correct, made.num_rollouts) if made.keep or is_soft else 0.0 for made in decided]
    drawn = max(counts.drawn, 1)
    return {
        "discarded_candidates": sum(not estimate.keep for estimate in decided),
        "active_fraction": _mean([estimate.keep for estimate in decided]),
        "mean_confidence_weight": _mean(weights),
        "p_hat_mean": _mean(p_hat),
        **{f"p_hat_q{round(100 * q)}": float(np.quantile(p_hat, q)) for q in QUANTILES if len(p_hat)},
        **{f"p_hat_to_{limit:g}": count for limit, count in zip(BIN_LIMITS, _histogram(p_hat), strict=True)},
        "max_confidence_by_answer": _mean([made.num_most_frequent / made.num_rollouts for made in decided]),
        "estimate_age_mean": _mean(ages),
        "estimate_age_max": max(ages, default=0),
        "rollouts_drawn": counts.drawn,
        "rollouts_saved_by_stopping": counts.saved_by_stopping,
        "rollouts_saved_by_reuse": counts.saved_by_reuse,
        "rollouts_truncated": counts.truncated / drawn,
        "verifier_failed": counts.failed / drawn,
    }


def time_metrics(stopwatch: Stopwatch) -> dict[str, float]:
    """Seconds of this process since they were last taken. Verifying runs beside sampling; waiting is what it does not
    hide, and for other processes."""
    return {f"seconds_{phase}": stopwatch.take(phase) for phase in PHASES}


def _histogram(p_hat: np.ndarray) -> list[int]:
    bins = np.searchsorted(BIN_LIMITS, p_hat)
    return np.bincount(bins, minlength=len(BIN_LIMITS)).tolist()


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else 0.0
