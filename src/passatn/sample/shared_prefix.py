"""Generation in which samples that have the same tokens so far are one row of the batch.

Samples of one prompt begin alike: they share the prompt, and a model that is sure of its first tokens gives most of
them the same beginning. The distribution of the next token depends on the tokens before it alone, so it is computed
once for all of them; each sample then draws with its own random numbers, and rows split where samples part. The samples
are those of a batch with a row for each, up to the rounding that any other batch shape brings.

    tokens, log_p = sample_with_shared_prefixes(model, prompts, sampler, stop_ids, max_new_tokens)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from passatn.sample.draw import SampleTokens
from passatn.sample.memory import parameter_device


def can_share_prefixes(model: Any) -> bool:
    """Whether the model keeps keys and values alone, of all tokens: what rows can be picked from at will."""
    config = getattr(model, "config", None)
    if config is None or getattr(config, "is_encoder_decoder", False):
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def sample_with_shared_prefixes(
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    sampler: SampleTokens,
    stop_ids: Sequence[int],
    max_new_tokens: int,
) -> tuple[np.ndarray, np.ndarray]:
    """One sample for each prompt, equal prompts sharing their work; to be called in inference mode.

    Returns:
        Tokens int64 `[samples, steps]` and their log-probabilities float64 `[samples, steps]`, both 0 after the first
        of the `stop_ids`.
    """
    distinct = list(dict.fromkeys(prompts))
    number = {prompt: row for row, prompt in enumerate(distinct)}
    rows = _Rows(model, distinct)
    device = rows.scores.device
    row_of = torch.tensor([number[prompt] for prompt in prompts], device=device)
    samples = torch.arange(len(prompts), device=device)
    stops = torch.tensor(list(stop_ids), device=device)
    tokens = torch.zeros(len(prompts), max_new_tokens, dtype=torch.long, device=device)
    log_p = torch.zeros(len(prompts), max_new_tokens, dtype=torch.float64, device=device)
    for step in range(max_new_tokens):
        drawn, drawn_log_p = sampler.choose(step, samples, rows.scores[row_of])
        tokens[samples, step], log_p[samples, step] = drawn, drawn_log_p.double()
        goes_on = ~torch.isin(drawn, stops)
        samples, row_of, drawn = samples[goes_on], row_of[goes_on], drawn[goes_on]
        if not len(samples) or step == max_new_tokens - 1:
            return tokens[:, : step + 1].cpu().numpy(), log_p[:, : step + 1].cpu().numpy()
        row_of = rows.extend(row_of, drawn)
    raise AssertionError("unreachable: the last step returns")


def pad_left(prompts: Sequence[tuple[int, ...]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, int64 `[prompts, longest]`."""
    width = max(map(len, prompts))
    input_ids = torch.tensor([(0,) * (width - len(prompt)) + prompt for prompt in prompts], device=device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    return input_ids, (torch.arange(width, device=device) >= width - lengths[:, None]).long()


class _Rows:
    """The distinct beginnings, with their keys and values, and `scores` `[rows, vocabulary]` of the next token."""

    def __init__(self, model: Any, prompts: Sequence[tuple[int, ...]]) -> None:
        padded, self._mask = pad_left(prompts, parameter_device(model))
        self._model = model
        self._cache = DynamicCache(config=model.config)
        self.scores = self._forward(padded, (self._mask.cumsum(-1) - 1).clamp(min=0))

    def extend(self, parents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Make a row of each distinct pair of a row and a next token; the row of each pair that was given."""
        vocabulary = self.scores.shape[-1]
        pairs, row_of = torch.unique(parents * vocabulary + tokens, return_inverse=True)
        kept, following = pairs // vocabulary, pairs % vocabulary
        if len(kept) != len(self._mask) or not torch.equal(kept, torch.arange(len(kept), device=kept.device)):
            self._cache.batch_select_indices(kept)
            self._mask = self._mask[kept]
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(kept), 1)], dim=1)
        self.scores = self._forward(following[:, None], self._mask.sum(-1, keepdim=True) - 1)
        return row_of

    def _forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        output = self._model(
            input_ids=input_ids,
            attention_mask=self._mask,
            position_ids=position_ids,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        scores: torch.Tensor = output.logits[:, -1].float()
        return scores
