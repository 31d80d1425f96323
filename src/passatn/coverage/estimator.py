"""The unbiased estimate of pass@n from counted samples.

From num_samples draws of which num_correct are correct, the probability that a random subset of n holds a correct
one is 1 - C(num_samples - num_correct, n) / C(num_samples, n) (Chen et al. 2021, arXiv 2107.03374, section 2.1), whose
expectation is C^n of arXiv 2502.07154, eq. 2. The ratio of binomials is symmetric in num_correct and n, so it has
min(num_correct, n) factors; the work is done once for each distinct (num_samples, num_correct, n).
"""

import math
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import torch

from passatn.coverage.numerics import NumpyInput, like_input
from passatn.coverage.validation import checked_counts

Counts: TypeAlias = npt.NDArray[np.int64]

# A miss of probability below e^-40 leaves 1 - miss = 1 in float64.
LARGEST_EXPONENT = 40
# Elements evaluated together: a few arrays of this length stay in the cache, and memory stays bounded.
CHUNK = 1 << 16


@overload
def pass_at_n(num_samples: torch.Tensor, num_correct: Any, n: Any) -> torch.Tensor: ...
@overload
def pass_at_n(num_samples: NumpyInput, num_correct: torch.Tensor, n: Any) -> torch.Tensor: ...
@overload
def pass_at_n(num_samples: NumpyInput, num_correct: NumpyInput, n: torch.Tensor) -> torch.Tensor: ...
@overload
def pass_at_n(num_samples: NumpyInput, num_correct: NumpyInput, n: NumpyInput) -> npt.NDArray[np.float64]: ...
def pass_at_n(num_samples: Any, num_correct: Any, n: Any) -> Any:
    """Unbiased pass@n from counts: 1 - C(num_samples - num_correct, n) / C(num_samples, n).

    All three broadcast together, for example num_samples [P], num_correct [P] and n [V, 1] to [V, P]. The result is
    float64 (float32 on Apple's GPUs), a tensor if any argument is one, within 1e-9 relative of exact arithmetic up to
    a million samples. Counts are whole numbers below 2^31; floats are accepted when they are whole.

    ValueError, naming the value: a count that is not whole, num_correct outside 0 ... num_samples, n below 1, or n
    above num_samples, where no unbiased estimate exists.

    >>> float(pass_at_n(10, 3, 1))
    0.3
    """
    samples, correct, draws = checked_counts(num_samples, num_correct, n)
    shape = np.broadcast_shapes(samples.shape, draws.shape)
    widths, width_index = np.unique(draws, return_inverse=True)
    pairs, pair_index = np.unique(samples * (correct.max(initial=0) + 1) + correct, return_inverse=True)
    if len(widths) * len(pairs) <= math.prod(shape):
        some_samples, some_correct = np.divmod(pairs, correct.max(initial=0) + 1)
        table = _in_chunks(some_samples, some_correct, widths[:, None])
        result = table[width_index.reshape(draws.shape), pair_index.reshape(samples.shape)]
    else:
        result = _in_chunks(samples, correct, draws)
    return like_input(result, num_samples, num_correct, n)


def _in_chunks(samples: Counts, correct: Counts, draws: Counts) -> npt.NDArray[np.float64]:
    """hit_probability over arrays that broadcast, without ever building the broadcast copies."""
    chunks = np.nditer(
        [samples, correct, draws, None],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly"], ["readonly"], ["readonly"], ["writeonly", "allocate"]],
        op_dtypes=[np.int64, np.int64, np.int64, np.float64],
        buffersize=CHUNK,
    )
    with chunks:
        for some_samples, some_correct, some_draws, result in chunks:
            result[...] = hit_probability(some_samples, some_correct, some_draws)
        return chunks.operands[3]


def hit_probability(samples: Counts, correct: Counts, draws: Counts) -> npt.NDArray[np.float64]:
    """Probability [M] that `draws` of `samples` items, `correct` of them marked, include a marked one; all [M].

    With k = min(correct, draws) and m = max(correct, draws) the miss is the product over i < k of
    1 - m / (samples - i). Its complement is accumulated, hit <- hit + (1 - hit) m / (samples - i): every term is
    positive, so nothing cancels, where 1 - product would lose the digits of a rare success.
    """
    fewer, more = np.minimum(correct, draws), np.maximum(correct, draws)
    # The miss is 0 if the draws outnumber the unmarked items, and at most exp(-k m / samples).
    certain = (correct + draws > samples) | (fewer * more > LARGEST_EXPONENT * samples)
    num_factors = np.where(certain, 0, fewer)
    order = np.argsort(-num_factors)
    left, marked = samples[order].astype(np.float64), more[order].astype(np.float64)
    hit = np.zeros(len(order))
    ends = np.searchsorted(-num_factors[order], -np.arange(num_factors.max(initial=0)), side="left")
    for i, end in enumerate(ends):
        hit[:end] += (1 - hit[:end]) * (marked[:end] / (left[:end] - i))
    result = np.empty_like(hit)
    result[order] = hit
    result[certain] = 1.0
    return result
