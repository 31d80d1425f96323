"""Drawing tokens from logits with random numbers that belong to the sample, not to the batch.

Every sample has its own stream of uniform numbers, one per token, from a counter-based generator (Philox) keyed by a
hash of the seed, the problem's id and the sample's index. A token is the inverse of the cumulative distribution at its
number. So a sample stays the same when the batch around it changes or more samples are asked for, and a run can be
continued or split over machines. What remains is rounding: another batch shape may change a logit in its last bit,
which moves a token only if its number lies within that bit of a border.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

# Probabilities are added up in blocks: a float32 sum inside a block is fast, a float64 one over blocks loses nothing.
_BLOCK = 128


def sample_uniforms(seed: int, problem_id: str, index: int, count: int) -> np.ndarray:
    """The first `count` uniform numbers in [0, 1) of one sample, float64 `[count]`, with 52 random bits each.

    The raw words of Philox are fixed by its definition, so the numbers are the same on every machine and numpy version.
    """
    name = f"{seed} {index} {problem_id}".encode()
    key = np.frombuffer(hashlib.blake2b(name, digest_size=16).digest(), dtype="<u8")
    return (np.random.Philox(key=key).random_raw(count) >> np.uint64(12)) * 2.0**-52


def inverse_cdf(probabilities: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """The token at which the cumulative distribution of each row passes its uniform number.

    Args:
        probabilities: float32 `[batch, width]`, rows with a positive sum (it need not be 1); `width` is a multiple of
            128.
        uniforms: float64 `[batch]` in [0, 1).

    Returns:
        int64 `[batch]`; a token of probability 0 is never returned.
    """
    blocks = probabilities.unflatten(-1, (-1, _BLOCK))
    block, rest = _invert(blocks.sum(-1), uniforms)
    chosen = blocks.gather(1, block[:, None, None].expand(-1, 1, _BLOCK))[:, 0]
    # `rest` is the share of the chosen block that lies below the number.
    within, _ = _invert(chosen, rest)
    return block * _BLOCK + within


def _invert(masses: torch.Tensor, uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Index `[batch]` of the cell in which each number falls, and where in it, in [0, 1)."""
    cumulative = masses.cumsum(-1, dtype=torch.float64)
    target = uniforms[:, None] * cumulative[:, -1:]
    # With right=True the cell has a positive mass, and 52-bit numbers keep the target below the total.
    index = torch.searchsorted(cumulative, target, right=True).clamp(max=masses.shape[-1] - 1)
    mass = masses.gather(1, index).double()
    start = cumulative.gather(1, index) - mass
    return index[:, 0], ((target - start) / mass).clamp(0, 1 - 2.0**-52)[:, 0]


class SampleTokens(LogitsProcessor):
    """Chooses the next token of every row and returns scores whose maximum it is, for `generate(do_sample=False)`.

    Keeps the log-probability of each choice at temperature 1 without truncation in `log_p`: a float32 tensor `[batch]`
    per step. One instance serves one call of `generate`, or any number of calls of `choose`.
    """

    def __init__(self, uniforms: torch.Tensor | None, temperature: float, top_k: int, top_p: float) -> None:
        """`uniforms`: float64 `[max_new_tokens, batch]` on the model's device; None takes the most probable token."""
        self.log_p: list[torch.Tensor] = []
        self._uniforms = uniforms
        self._warpers = _warpers(temperature, top_k, top_p) if uniforms is not None else []
        self._padded = torch.empty(0)
        self._one_hot = torch.empty(0)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        tokens, log_p = self.choose(len(self.log_p), slice(None), scores)
        self.log_p.append(log_p)
        return self._scores_for(tokens, scores)

    def choose(
        self, step: int, samples: torch.Tensor | slice, scores: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens int64 `[samples]` and their log-probabilities at temperature 1, from logits `[samples, vocabulary]`.

        `samples` says which columns of the random numbers they are, `step` which row.
        """
        log_p = scores.log_softmax(-1)
        if self._uniforms is None:
            tokens = log_p.argmax(-1)
        else:
            warped = log_p
            for warper in self._warpers:
                warped = warper(None, warped)
            tokens = inverse_cdf(self._probabilities(warped), self._uniforms[step, samples])
            # Only NaN logits lead past the vocabulary; the log-probability is then NaN, which the engine reports.
            tokens = tokens.clamp(max=scores.shape[-1] - 1)
        return tokens, log_p.gather(1, tokens[:, None])[:, 0]

    def _probabilities(self, log_p: torch.Tensor) -> torch.Tensor:
        """`log_p` as unnormalised probabilities, padded with zeros to whole blocks."""
        batch, vocab_size = log_p.shape
        if self._padded.shape[0] != batch:
            self._padded = log_p.new_zeros(batch, -(-vocab_size // _BLOCK) * _BLOCK)
        if self._warpers:  # the maximum may be far below 0 after dividing by a small temperature
            log_p = log_p - log_p.amax(-1, keepdim=True)
        torch.exp(log_p, out=self._padded[:, :vocab_size])
        return self._padded

    def _scores_for(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """A one-hot row per token; the buffer is used again at every step, since `generate` only takes its maximum."""
        if self._one_hot.shape != scores.shape:
            self._one_hot = torch.zeros_like(scores)
        self._one_hot.zero_().scatter_(1, tokens[:, None], 1.0)
        return self._one_hot


def _warpers(temperature: float, top_k: int, top_p: float) -> list[LogitsProcessor]:
    warpers: list[LogitsProcessor] = []
    if temperature != 1:
        warpers.append(TemperatureLogitsWarper(float(temperature)))
    if top_k > 0:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(TopPLogitsWarper(float(top_p)))
    return warpers


def uniforms_of_rows(
    rows: Sequence[tuple[str, int]], seed: int, max_new_tokens: int, device: torch.device
) -> torch.Tensor:
    """float64 `[max_new_tokens, batch]`: column r belongs to the sample `(problem_id, index)` of row r."""
    numbers = np.stack([sample_uniforms(seed, problem_id, index, max_new_tokens) for problem_id, index in rows])
    return torch.from_numpy(np.ascontiguousarray(numbers.T)).to(device)
