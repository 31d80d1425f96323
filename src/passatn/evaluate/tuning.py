"""Baselines that are tuned: for each N the configuration (epoch, temperature, both) with the best pass@N on validation.

"Cross-entropy with early stopping and a tuned temperature" is the baseline a coverage objective has to be held against:
the configuration is chosen on validation problems, one per N, and its pass@N is reported on test problems.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from passatn.evaluate.checks import FloatArray, check_log_p, check_ns
from passatn.evaluate.pass_at_n import PassAtN, coverage_values, summarize_values


@dataclass(frozen=True)
class TunedPassAtN:
    """A test curve whose configuration was chosen per N on validation."""

    curve: PassAtN
    """On the test problems; its interval takes the choice as given."""
    chosen: tuple[int, ...]
    """[len(ns)] index of the configuration."""
    labels: tuple[str, ...]
    """[len(ns)] its label."""
    edges: tuple[tuple[str, ...], ...]
    """[len(ns)] names of the axes on whose edge the choice sits: the grid should go further there."""


def choose_per_n(validation_log_p: ArrayLike, ns: Sequence[int]) -> tuple[int, ...]:
    """For each N the configuration with the highest validation pass@N, the first of equals.

    Args:
        validation_log_p: [configs, P] natural log of the probability that one sample is correct.
    """
    log_p = _check_grid(validation_log_p, "validation_log_p")
    means = np.stack([coverage_values(row, check_ns(ns)).mean(axis=0) for row in log_p])
    return tuple(np.argmax(means, axis=0).tolist())


def tuned_pass_at_n(
    validation_log_p: ArrayLike,
    test_log_p: ArrayLike,
    ns: Sequence[int],
    labels: Sequence[str],
    *,
    axes: Mapping[str, Sequence[float]] | None = None,
    is_exact: bool = True,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> TunedPassAtN:
    """Choose per N on validation, report on test.

    Args:
        validation_log_p: [configs, P_validation].
        test_log_p: [configs, P_test], the same configurations in the same order.
        labels: [configs] a name of each, such as "epoch 4, T = 1.2".
        axes: name of a tuned quantity → its value in each configuration [configs]; `edges` names the axes at whose
            smallest or largest value a choice sits.
    """
    validation, test = _check_grid(validation_log_p, "validation_log_p"), _check_grid(test_log_p, "test_log_p")
    for name, length in [("test_log_p", len(test)), ("labels", len(labels))] + [
        (f"axes[{name!r}]", len(values)) for name, values in (axes or {}).items()
    ]:
        if length != len(validation):
            raise ValueError(f"{name} has {length} configurations, validation_log_p has {len(validation)}")
    chosen = choose_per_n(validation, ns)
    columns = [coverage_values(test[index], [n])[:, 0] for index, n in zip(chosen, ns, strict=True)]
    curve = summarize_values(
        np.stack(columns, axis=1),
        ns,
        "exact" if is_exact else "lower bound",
        confidence=confidence,
        num_resamples=num_resamples,
        seed=seed,
    )
    return TunedPassAtN(
        curve=curve,
        chosen=chosen,
        labels=tuple(labels[index] for index in chosen),
        edges=tuple(_edges_at(index, axes or {}) for index in chosen),
    )


def _check_grid(log_p: ArrayLike, name: str) -> FloatArray:
    values = np.asarray(log_p, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] == 0:
        raise ValueError(f"{name} must have shape [configs, P], got shape {list(values.shape)}")
    return np.stack([check_log_p(row, f"{name}[{index}]") for index, row in enumerate(values)])


def _edges_at(index: int, axes: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    """Axes with more than one value on whose smallest or largest value this configuration sits."""
    return tuple(
        name
        for name, values in axes.items()
        if min(values) < max(values) and values[index] in (min(values), max(values))
    )
