"""Exact log-probabilities of completions by teacher forcing: what sampling could only estimate.

For a direct answer, the p of the paper's coverage 1 - (1 - p)^N (arXiv 2502.07154, eq. 2) is the total probability of
the accepted answers, and one forward pass gives it. Prompts and completions are the token ids of `EncodedExample`;
log p includes the end-of-sequence token that closes every completion, and is in nats.

Sequences are padded on the left, so that the completions of a batch end in the same column and the model projects only
the last columns to the vocabulary (`logits_to_keep`): the logits of the prompt are never computed.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from passatn.sample.memory import ModelCost, parameter_device, run_in_batches, usable_bytes
from passatn.sample.modes import inference
from passatn.sample.progress import progress_bar
from passatn.tasks.encoding import EncodedExample

# Beyond these a batch only grows in memory, not in speed.
_MAX_BATCH_TOKENS = {"cpu": 2**11}
_MAX_BATCH_TOKENS_ACCELERATOR = 2**15
# Logits are widened to float32 and normalised this many at a time, so that the copies stay small.
_CHUNK_ELEMENTS = 2**22


def score_completions(
    model: torch.nn.Module,
    examples: Sequence[EncodedExample],
    *,
    temperatures: Sequence[float] = (1.0,),
    top_ps: Sequence[float] | None = None,
    batch_tokens: int | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Log-probability of each completion given its prompt, at each sampling temperature.

    Args:
        model: A causal language model of transformers, also wrapped by PEFT or patched by TRL, on any device, in any
            mode, in which it is left. Dropout is off while scoring.
        examples: Prompts and completions, both non-empty; a completion includes its end-of-sequence token.
        temperatures: Positive; the distribution scored is softmax(logits / temperature) at every token.
        top_ps: One for each temperature, in (0, 1] (None: 1). After the temperature, the smallest set of most probable
            tokens with at least this probability is kept, and what is left normalised; a completion with another token
            has probability 0. Tokens as probable as the last one that is kept are all kept.
        batch_tokens: Largest number of positions, padding included, in one forward pass; None derives it from the free
            memory. A longer example is still scored, alone. The result depends on it only through rounding.
        progress: Show a progress bar on stderr.

    Returns:
        float64 `[num_examples, num_temperatures]`, in nats, <= 0, in the order of `examples`; -inf is possible. Token
        log-probabilities are computed in float32 (float64 for a float64 model) and added in float64.

    Raises:
        ValueError: an empty prompt or completion, a temperature that is not positive and finite, a top-p outside (0, 1]
            or not one per temperature, or NaN logits; the message names the index of the example.
    """
    _check_inputs(examples, temperatures, batch_tokens)
    settings = _settings(temperatures, top_ps)
    scores = np.empty((len(examples), len(temperatures)))
    batches = _plan_batches(examples, *_limits(model, examples, batch_tokens))

    def run(batch: list[int]) -> np.ndarray:
        return _score_batch(model, [examples[i] for i in batch], settings)

    with inference(model), progress_bar("scoring", len(examples), show=progress) as advance:
        for batch, log_p in run_in_batches(batches, run):
            if np.isnan(log_p).any():
                index = batch[int(np.isnan(log_p).any(axis=1).argmax())]
                raise ValueError(f"example {index}: the model's logits are NaN")
            scores[batch] = log_p
            advance(len(batch))
    if parameter_device(model).type == "cuda":
        # Training goes on, or other processes share the device: nobody needs the largest batch's memory any more.
        torch.cuda.empty_cache()
    return scores


def score_problems(
    model: torch.nn.Module,
    encoded: Sequence[Sequence[EncodedExample]],
    *,
    temperatures: Sequence[float] = (1.0,),
    top_ps: Sequence[float] | None = None,
    batch_tokens: int | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Log of the total probability of all accepted answers of each problem: log p of eq. 2.

    Exact when the encodings are all the correct completions of the problem, otherwise a lower bound.

    Args:
        encoded: For each problem, the encodings of its accepted answers: one prompt, at least one completion. An
            encoding that occurs twice is counted once.
        model, temperatures, top_ps, batch_tokens, progress: As for `score_completions`.

    Returns:
        float64 `[num_problems, num_temperatures]`, in nats, <= 0.

    Raises:
        ValueError: a problem has no accepted answer or more than one prompt; the message names its index. Otherwise as
            for `score_completions`, whose example index counts the distinct encodings in order.
    """
    distinct = [_distinct_encodings(index, examples) for index, examples in enumerate(encoded)]
    flat = [example for examples in distinct for example in examples]
    scores = score_completions(
        model, flat, temperatures=temperatures, top_ps=top_ps, batch_tokens=batch_tokens, progress=progress
    )
    if not distinct:
        return scores
    starts = np.cumsum([0] + [len(examples) for examples in distinct[:-1]])
    # Rounding can lift the sum of several answers above 1.
    return np.minimum(np.logaddexp.reduceat(scores, starts, axis=0), 0.0)


def _distinct_encodings(index: int, examples: Sequence[EncodedExample]) -> list[EncodedExample]:
    if not examples:
        raise ValueError(f"problem {index}: no accepted answer to score")
    if any(example.prompt_ids != examples[0].prompt_ids for example in examples):
        raise ValueError(f"problem {index}: its accepted answers are encoded with different prompts")
    return list(dict.fromkeys(examples))


def _check_inputs(examples: Sequence[EncodedExample], temperatures: Sequence[float], batch_tokens: int | None) -> None:
    if not temperatures:
        raise ValueError("temperatures is empty: give at least one, 1.0 for the model's own distribution")
    for temperature in temperatures:
        if not (0 < temperature < float("inf")):
            raise ValueError(f"temperatures must be positive and finite, got {temperature}")
    if batch_tokens is not None and batch_tokens < 1:
        raise ValueError(f"batch_tokens must be at least 1, got {batch_tokens}")
    for index, example in enumerate(examples):
        if not example.prompt_ids or not example.completion_ids:
            raise ValueError(f"example {index}: the prompt and the completion must have at least one token each")


_Settings = list[tuple[float, float]]
"""(temperature, top-p) pairs."""


def _settings(temperatures: Sequence[float], top_ps: Sequence[float] | None) -> _Settings:
    if top_ps is None:
        return [(temperature, 1.0) for temperature in temperatures]
    if len(top_ps) != len(temperatures):
        raise ValueError(f"top_ps must be one for each of the {len(temperatures)} temperatures, got {len(top_ps)}")
    for top_p in top_ps:
        if not 0 < top_p <= 1:
            raise ValueError(f"top_ps must be in (0, 1], got {top_p}")
    return list(zip(temperatures, top_ps, strict=True))


def _limits(model: torch.nn.Module, examples: Sequence[EncodedExample], batch_tokens: int | None) -> tuple[int, int]:
    """Largest numbers of positions to run through the model and to project to the vocabulary, in one batch."""
    device = parameter_device(model)
    cost, half = ModelCost.of(model), usable_bytes(device) // 2
    if batch_tokens is None:
        width = max((len(example.prompt_ids) + len(example.completion_ids) for example in examples), default=1)
        most = _MAX_BATCH_TOKENS.get(device.type, _MAX_BATCH_TOKENS_ACCELERATOR)
        batch_tokens = min(most, half // cost.scoring(width))
    return batch_tokens, half // cost.logits


def _plan_batches(examples: Sequence[EncodedExample], max_tokens: int, max_positions: int) -> Iterator[list[int]]:
    """Indices of examples with similar lengths, the longest first: a batch that is too large shows at once."""
    lengths = [(len(e.completion_ids), len(e.prompt_ids) + len(e.completion_ids) - 1) for e in examples]
    batch: list[int] = []
    keep = width = 0
    for index in sorted(range(len(examples)), key=lengths.__getitem__, reverse=True):
        keep, width = max(keep, lengths[index][0]), max(width, lengths[index][1])
        size = len(batch) + 1
        if batch and (size * width > max_tokens or size * keep > max_positions):
            yield batch
            batch, (keep, width) = [], lengths[index]
        batch.append(index)
    if batch:
        yield batch


def _score_batch(model: torch.nn.Module, batch: list[EncodedExample], settings: _Settings) -> np.ndarray:
    """float64 `[batch, settings]`."""
    device = parameter_device(model)
    input_ids, attention_mask, targets = (torch.from_numpy(array).to(device) for array in _pad(batch))
    keep = targets.shape[1]
    logits = model(
        input_ids=input_ids,
        attention_mask=attention_mask,
        position_ids=(attention_mask.cumsum(-1) - 1).clamp(min=0),
        use_cache=False,
        logits_to_keep=keep,
    ).logits[:, -keep:]
    rows, columns = (targets >= 0).nonzero(as_tuple=True)
    token_log_p = _token_log_p(logits, rows, columns, targets.to(logits.device), settings)
    log_p = np.zeros((len(batch), len(settings)))
    np.add.at(log_p, rows.cpu().numpy(), token_log_p)
    return log_p


def _pad(batch: list[EncodedExample]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs and attention mask `[batch, width]` and targets `[batch, keep]`, all padded on the left; no target is -1.

    The last token of a completion is a target only, so `width` is one less than the longest sequence.
    """
    keep = max(len(example.completion_ids) for example in batch)
    width = max(len(example.prompt_ids) + len(example.completion_ids) for example in batch) - 1
    input_ids = np.zeros((len(batch), width), dtype=np.int64)
    attention_mask = np.zeros((len(batch), width), dtype=np.int64)
    targets = np.full((len(batch), keep), -1, dtype=np.int64)
    for row, example in enumerate(batch):
        ids = example.prompt_ids + example.completion_ids[:-1]
        input_ids[row, width - len(ids) :] = ids
        attention_mask[row, width - len(ids) :] = 1
        targets[row, keep - len(example.completion_ids) :] = example.completion_ids
    return input_ids, attention_mask, targets


def _token_log_p(
    logits: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
    targets: torch.Tensor,
    settings: _Settings,
) -> np.ndarray:
    """float64 `[num_tokens, settings]`, from logits `[batch, keep, vocab]` at positions `(rows, columns)`."""
    chunks = []
    size = max(1, _CHUNK_ELEMENTS // logits.shape[-1])
    dtype = torch.promote_types(logits.dtype, torch.float32)
    for row, column in zip(rows.to(logits.device).split(size), columns.to(logits.device).split(size), strict=True):
        wide, target = logits[row, column].to(dtype), targets[row, column, None]
        log_p = [_log_p_of(target, wide if t == 1 else wide / t, top_p) for t, top_p in settings]
        chunks.append(torch.stack(log_p, dim=-1).cpu().double().numpy())
    return np.concatenate(chunks)


def _log_p_of(target: torch.Tensor, logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """Log-probability `[tokens]` of `target` `[tokens, 1]` under softmax(logits), truncated to the nucleus of top_p."""
    log_p = logits.gather(1, target)[:, 0] - logits.logsumexp(-1)
    if top_p == 1:
        return log_p
    p = logits.softmax(-1)
    ordered = p.sort(-1, descending=True).values
    before = ordered.cumsum(-1) - ordered
    smallest_kept = ordered.gather(1, (before < top_p).sum(-1, keepdim=True) - 1)
    is_kept = p >= smallest_kept
    kept = torch.where(is_kept, p, 0.0).sum(-1)
    return torch.where(is_kept.gather(1, target)[:, 0], log_p - kept.log(), -torch.inf)
