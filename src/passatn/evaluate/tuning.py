"""Baselines that are tuned: for each N the configuration (epoch, temperature, both) with the best pass@N on validation.

"Cross-entropy with early stopping and a tuned temperature" is the baseline a coverage objective has to be held against:
the configuration is chosen on validation problems, one per N, and its pass@N is reported on test problems.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from passatn.evaluate.checks import FloatArray, check_log_p, check_ns
from passatn.evaluate.pass_at_n import PassAtN, Source, count_values, coverage_values, summarize_values


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
    validation: Mapping[str, tuple[float, ...]]
    """Validation pass@N `[len(ns)]` of every configuration."""


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
    budgets = check_ns(ns)
    before, after = (np.stack([coverage_values(row, budgets) for row in grid]) for grid in (validation, test))
    source: Source = "exact" if is_exact else "lower bound"
    options = {"confidence": confidence, "num_resamples": num_resamples, "seed": seed}
    return _tuned(before, after, budgets, labels, axes or {}, source, options)


def tuned_pass_at_n_from_counts(
    validation_counts: Sequence[tuple[ArrayLike, ArrayLike]],
    test_counts: Sequence[tuple[ArrayLike, ArrayLike]],
    ns: Sequence[int],
    labels: Sequence[str],
    *,
    axes: Mapping[str, Sequence[float]] | None = None,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> TunedPassAtN:
    """As `tuned_pass_at_n`, from (samples, correct ones), each `[P]`, of each configuration."""
    budgets = check_ns(ns)
    before, after = (
        np.stack([count_values(samples, correct, budgets) for samples, correct in grid])
        for grid in (validation_counts, test_counts)
    )
    options = {"confidence": confidence, "num_resamples": num_resamples, "seed": seed}
    return _tuned(before, after, budgets, labels, axes or {}, "samples", options)


def _tuned(
    validation: FloatArray,
    test: FloatArray,
    ns: tuple[int, ...],
    labels: Sequence[str],
    axes: Mapping[str, Sequence[float]],
    source: Source,
    options: dict[str, Any],
) -> TunedPassAtN:
    """validation, test: `[configs, P, len(ns)]`, pass@N of each problem."""
    for name, length in [("test", len(test)), ("labels", len(labels))] + [
        (f"axes[{name!r}]", len(values)) for name, values in axes.items()
    ]:
        if length != len(validation):
            raise ValueError(f"{name} has {length} configurations, validation has {len(validation)}")
    means = validation.mean(axis=1)
    chosen = tuple(np.argmax(means, axis=0).tolist())
    columns = [test[index, :, number] for number, index in enumerate(chosen)]
    curve = summarize_values(np.stack(columns, axis=1), ns, source, **options)
    return TunedPassAtN(
        curve=curve,
        chosen=chosen,
        labels=tuple(labels[index] for index in chosen),
        edges=tuple(_edges_at(index, axes) for index in chosen),
        validation={label: tuple(row) for label, row in zip(labels, means.tolist(), strict=True)},
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
