"""Sampling with transformers: the engine that works wherever the model does.

Samples with equal beginnings share their work (`shared_prefix`); with stop strings, and for models that keep more than
keys and values, transformers' own `generate` draws them.

Each sample is reproducible by itself (see `draw`): batching, the number of samples and interruptions do not change it.
The model's generation_config (the temperature or repetition penalty that instruct models carry) is ignored: what is
sampled is the model's distribution, shaped by `SamplingParams` and nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedTokenizerBase

from passatn.sample.draw import SampleTokens, uniforms_of_rows
from passatn.sample.engine import Completion, Greedy, SampleRequest, SamplingParams, check_requests
from passatn.sample.memory import ModelCost, parameter_device, run_in_batches, usable_bytes
from passatn.sample.modes import inference
from passatn.sample.parity import Weights, named_tensors
from passatn.sample.progress import progress_bar
from passatn.sample.score import score_completions
from passatn.sample.shared_prefix import can_share_prefixes, pad_left, sample_with_shared_prefixes
from passatn.sample.stops import cut_at_stop
from passatn.tasks.encoding import EncodedExample

# One row of a batch: the request and the index of the sample.
_Row = tuple[SampleRequest, int]


class HFEngine(Greedy):
    """Samples from a causal language model of transformers (bare, or with PEFT adapters) in this process.

    A completion ends at the tokenizer's end-of-sequence token, the one that exact scoring counts. Further tokens that
    should end it, such as an instruct model's end of turn, are named in `extra_stop_ids`.

    Args:
        model: On any device, in any mode; used as it is at each call, so weights that change in between take effect.
        tokenizer: Supplies the end-of-sequence token and decodes completions.
        extra_stop_ids: Token ids that end a completion beside the tokenizer's.
        max_batch_size: Most sequences generated at once; fewer if the free memory asks for it.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        *,
        extra_stop_ids: Sequence[int] = (),
        max_batch_size: int = 1024,
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise ValueError("the tokenizer has no end-of-sequence token: set tokenizer.eos_token")
        if max_batch_size < 1:
            raise ValueError(f"max_batch_size must be at least 1, got {max_batch_size}")
        self._model = model
        self._tokenizer = tokenizer
        self._stop_ids = list(dict.fromkeys([int(tokenizer.eos_token_id), *extra_stop_ids]))
        self._max_batch_size = max_batch_size

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, *, progress: bool = False
    ) -> list[Completion]:
        """`params.n` completions of each prompt, or its `indices`, ordered as the requests are and then by index.

        Raises:
            ValueError: two requests have the same problem id, or the model's logits are NaN.
            RuntimeError: a single sequence does not fit into memory.
        """
        check_requests(requests)
        by_length = sorted(requests, key=lambda request: len(request.prompt_ids), reverse=True)
        rows = [(request, index) for request in by_length for index in params.indices_of(request)]
        batches = self._plan_batches(rows, params.max_new_tokens)
        done: dict[tuple[str, int], Completion] = {}
        with self._ready(), progress_bar("sampling", len(rows), show=progress) as advance:
            for batch, completions in run_in_batches(batches, self._runner(params)):
                done.update(((completion.problem_id, completion.index), completion) for completion in completions)
                advance(len(batch))
        return [done[request.problem_id, index] for request in requests for index in params.indices_of(request)]

    def score(
        self, examples: Sequence[EncodedExample], *, temperatures: Sequence[float] = (1.0,), progress: bool = False
    ) -> np.ndarray:
        """See `score_completions`."""
        return score_completions(self._model, examples, temperatures=temperatures, progress=progress)

    def update_weights(self, weights: Weights | str | Path) -> None:
        """Replace the model's weights in place.

        Raises:
            ValueError: a tensor that the model does not have, lacks, or has in another shape.
        """
        try:
            missing, unexpected = self._model.load_state_dict(dict(named_tensors(weights)), strict=False)
        except RuntimeError as error:
            raise ValueError(f"weights do not fit the model: {' '.join(str(error).split()):.300}") from None
        tied = set(getattr(self._model, "_tied_weights_keys", None) or ())
        if wrong := [*unexpected, *(name for name in missing if name not in tied)]:
            raise ValueError(f"weights do not fit the model: {wrong[0]} is missing or unknown ({len(wrong)} in all)")

    def close(self) -> None:
        """Drop the reference to the model."""
        self._model = None

    def _ready(self) -> Any:
        return _clean_generation(self._model)

    def _plan_batches(self, rows: list[_Row], max_new_tokens: int) -> Iterator[list[_Row]]:
        """Consecutive rows, the longest prompts first, as many at once as fit into memory."""
        cost, usable = ModelCost.of(self._model), usable_bytes(parameter_device(self._model))
        start = 0
        while start < len(rows):
            per_row = cost.generation(len(rows[start][0].prompt_ids), max_new_tokens)
            size = max(1, min(self._max_batch_size, usable // per_row))
            yield rows[start : start + size]
            start += size

    def _runner(self, params: SamplingParams) -> Callable[[list[_Row]], list[Completion]]:
        config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            use_cache=True,
            max_new_tokens=params.max_new_tokens,
            eos_token_id=self._stop_ids,
            pad_token_id=self._stop_ids[0],
            stop_strings=list(params.stop) or None,
        )
        return lambda rows: self._generate(rows, params, config)

    def _generate(self, rows: list[_Row], params: SamplingParams, config: GenerationConfig) -> list[Completion]:
        uniforms = None
        if params.temperature > 0:
            named = [(request.problem_id, index) for request, index in rows]
            uniforms = uniforms_of_rows(named, params.seed, params.max_new_tokens, parameter_device(self._model))
        sampler = SampleTokens(uniforms, params.temperature, params.top_k, params.top_p)
        prompts = [request.prompt_ids for request, _ in rows]
        if not params.stop and can_share_prefixes(self._model):
            tokens, log_p = sample_with_shared_prefixes(
                self._model, prompts, sampler, self._stop_ids, params.max_new_tokens
            )
        else:
            tokens, log_p = self._generate_rows(prompts, sampler, config, use_stop_strings=bool(params.stop))
        completions = self._completions(rows, tokens, log_p)
        if not params.stop:
            return completions
        return [self._cut(c, row, params.stop) for c, row in zip(completions, log_p, strict=True)]

    def _generate_rows(
        self,
        prompts: Sequence[tuple[int, ...]],
        sampler: SampleTokens,
        config: GenerationConfig,
        *,
        use_stop_strings: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and log-probabilities `[samples, steps]` by transformers' `generate`, a row for each sample."""
        input_ids, attention_mask = pad_left(prompts, parameter_device(self._model))
        sequences = self._model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            generation_config=config,
            logits_processor=LogitsProcessorList([sampler]),
            tokenizer=self._tokenizer if use_stop_strings else None,
        )
        tokens = sequences[:, input_ids.shape[1] :].cpu().numpy()
        return tokens, torch.stack(sampler.log_p, dim=1)[:, : tokens.shape[1]].cpu().double().numpy()

    def _cut(self, completion: Completion, log_p: np.ndarray, stop: Sequence[str]) -> Completion:
        """A completion that contains a stop string, cut there; `log_p` `[steps]` of its tokens."""
        cut = cut_at_stop(self._tokenizer, completion.token_ids, stop)
        if cut is None:
            return completion
        count, text = cut
        ids, total = completion.token_ids[:count], float(log_p[:count].sum())
        return replace(completion, token_ids=ids, text=text, log_prob=total, num_tokens=count, finished=True)

    def _completions(self, rows: list[_Row], tokens: np.ndarray, log_p: np.ndarray) -> list[Completion]:
        """From the generated tokens and their log-probabilities, `[batch, steps]`, cut after the first stop token."""
        stops = np.isin(tokens, self._stop_ids)
        finished = np.asarray(stops.any(axis=1))
        lengths = np.where(finished, stops.argmax(axis=1) + 1, tokens.shape[1])
        totals = np.where(np.arange(tokens.shape[1]) < lengths[:, None], log_p, 0.0).sum(axis=1)
        if np.isnan(totals).any():
            problem_id = rows[int(np.isnan(totals).argmax())][0].problem_id
            raise ValueError(f"problem {problem_id!r}: the model's logits are NaN")
        kept = [ids[:length].tolist() for ids, length in zip(tokens, lengths, strict=True)]
        texts = self._tokenizer.batch_decode(
            [ids[:-1] if ended else ids for ids, ended in zip(kept, finished, strict=True)],
            clean_up_tokenization_spaces=False,
        )
        return [
            Completion(request.problem_id, index, tuple(ids), text, float(total), len(ids), bool(ended))
            for (request, index), ids, text, total, ended in zip(rows, kept, texts, totals, finished, strict=True)
        ]


@contextmanager
def _clean_generation(model: Any) -> Iterator[None]:
    """Inference mode, with no generation defaults of the model's own.

    `generate` fills whatever its generation_config leaves open from the model's, so an explicit one does not suffice.
    """
    owners = [model, *([model.get_base_model()] if hasattr(model, "get_base_model") else [])]
    owners = [owner for owner in owners if hasattr(owner, "generation_config")]
    saved = [owner.generation_config for owner in owners]
    for owner in owners:
        owner.generation_config = GenerationConfig()
    try:
        with inference(model):
            yield
    finally:
        for owner, config in zip(owners, saved, strict=True):
            owner.generation_config = config
