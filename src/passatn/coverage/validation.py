"""What the functions of this folder accept. Each check names the first value that it refuses."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from passatn.coverage.numerics import Array, as_floating, namespace, to_numpy, working_dtype

MAX_COUNT = 2**31 - 1


def require(accepted: Any, values: Any, message: str) -> None:
    """Raise ValueError, with the first value that is not accepted, unless all are. NaN fails every comparison."""
    if bool(accepted.all()):
        return
    refused = to_numpy(values)[~to_numpy(accepted)].ravel()[0]
    raise ValueError(f"{message}, got {refused}")


def checked_log_p(log_p: Any) -> Any:
    """log_p as a float32 or float64 array: natural log-probabilities, -inf to 0."""
    log_p = as_floating(log_p)
    require(log_p <= 0, log_p, "log_p must be a natural log-probability, at most 0")
    return log_p


def checked_n(n: Any, beside: Array) -> Any:
    """n as an array in working precision, of the kind and on the device of the array `beside`: finite, at least 1."""
    wide: Any
    if isinstance(beside, torch.Tensor):
        wide = torch.as_tensor(n, dtype=working_dtype(beside.device), device=beside.device).detach()
    else:
        wide = to_numpy(n).astype(np.float64)
    require((wide >= 1) & namespace(wide).isfinite(wide), wide, "n must be a finite number of samples, at least 1")
    return wide


def whole_numbers(values: Any, name: str) -> npt.NDArray[np.int64]:
    """Counts as int64; a float is accepted when it is a whole number."""
    array = to_numpy(values)
    if array.dtype.kind not in "iuf" and array.size:
        raise ValueError(f"{name} must be whole numbers, got {array.dtype} values such as {array.ravel()[0]!r}")
    # NaN and infinities fail the comparisons, so the cast below is exact.
    require((np.abs(array) <= MAX_COUNT) & (array == np.trunc(array)), array, f"{name} must be a whole number < 2^31")
    return array.astype(np.int64)


def checked_counts(
    num_samples: Any, num_correct: Any, n: Any
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The counts as int64, with 0 <= num_correct <= num_samples and 1 <= n <= num_samples; n is not broadcast."""
    samples, correct = np.broadcast_arrays(
        whole_numbers(num_samples, "num_samples"), whole_numbers(num_correct, "num_correct")
    )
    draws = whole_numbers(n, "n")
    require(draws >= 1, draws, "n must be at least 1")
    require(samples >= 0, samples, "num_samples must be at least 0")
    require(correct >= 0, correct, "num_correct must be at least 0")
    _require_at_most_samples("num_correct", correct, samples)
    _require_at_most_samples("n", draws, samples)
    return samples, correct, draws


def _require_at_most_samples(name: str, counts: npt.NDArray[np.int64], samples: npt.NDArray[np.int64]) -> None:
    shape = np.broadcast_shapes(samples.shape, counts.shape)
    if 0 in shape or counts.max() <= samples.min():
        return
    above = np.broadcast_to(counts > samples, shape)
    if above.any():
        first = np.unravel_index(above.argmax(), shape)
        count, drawn = np.broadcast_to(counts, shape)[first], np.broadcast_to(samples, shape)[first]
        raise ValueError(f"{name} must be at most num_samples, got {name} = {count} with num_samples = {drawn}")


def checked_accuracies(accuracies: Any) -> npt.NDArray[np.float64]:
    """Accuracies [..., K] as float64: probabilities, of which at least one in each row is above 0."""
    array = to_numpy(as_floating(accuracies)).astype(np.float64)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"accuracies must have shape [..., K] with K >= 1 answers, got shape {array.shape}")
    require((array >= 0) & (array <= 1), array, "accuracies must be probabilities, from 0 to 1")
    best = array.max(axis=-1)
    require(best > 0, best, "accuracies need an answer of accuracy above 0 in each row: the largest must be above 0")
    return array
