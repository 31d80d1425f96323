"""Batches of scored roll-outs as TRL builds them, dicts of tensors by row: joined, and some of their rows taken.

Rounds of generation pad to their own longest prompt and completion; joined, they are padded to the longest of all.
"""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

Rollouts = dict[str, Tensor]

# What each `[rollouts, tokens]` tensor is padded with; "pad" stands for the tokenizer's padding token.
_FILL: dict[str, int | str] = {
    "prompt_ids": "pad",
    "prompt_mask": 0,
    "completion_ids": "pad",
    "completion_mask": 0,
    "tool_mask": 1,
    "old_per_token_logps": 0,
    "ref_per_token_logps": 0,
    "sampling_per_token_logps": 0,
    "importance_sampling_ratio": 0,
}
_PER_ROLLOUT = ("advantages",)
_LEFT_PADDED = ("prompt_ids", "prompt_mask")
# A property of the whole batch, counted anew when it is put together.
TOKEN_COUNT = "num_items_in_batch"


def rows_only(batch: Rollouts) -> Rollouts:
    """The batch without its scalars; ValueError for rows of a kind that cannot be joined (images)."""
    rows = {name: tensor for name, tensor in batch.items() if name != TOKEN_COUNT}
    unknown = [name for name in rows if name not in _FILL and name not in _PER_ROLLOUT]
    if unknown:
        raise ValueError(f"refill_groups cannot join batches with {', '.join(unknown)}; set refill_groups=False")
    return rows


def gather_rows(batch: Rollouts, accelerator: Accelerator, pad_token_id: int) -> Rollouts:
    """The rows of all processes in rank order, on every process; each has the same number of rows."""
    if accelerator.num_processes == 1:
        return batch
    gathered = {}
    for name, tensor in batch.items():
        if tensor.dim() > 1:
            tensor = accelerator.pad_across_processes(
                tensor, dim=1, pad_index=_fill(name, pad_token_id), pad_first=name in _LEFT_PADDED
            )
        gathered[name] = accelerator.gather(tensor)
    return gathered


def join_rows(parts: Sequence[Rollouts], pad_token_id: int) -> Rollouts:
    """The rows of all parts in their order."""
    return {name: torch.cat(_pad_alike([part[name] for part in parts], name, pad_token_id)) for name in parts[0]}


def take_rows(batch: Rollouts, index: Tensor | slice) -> Rollouts:
    return {name: tensor[index] for name, tensor in batch.items()}


def blank_rows(batch: Rollouts, count: int) -> Rollouts:
    """`count` rows without a token that counts: they add nothing to a sum over completion tokens."""
    blank = take_rows(batch, torch.zeros(count, dtype=torch.int64))
    for name in ("completion_mask", "advantages"):
        blank[name] = torch.zeros_like(blank[name])
    return blank


def num_tokens(batch: Rollouts) -> Tensor:
    """Number of completion tokens that the loss counts."""
    mask = batch["completion_mask"]
    return (mask * batch["tool_mask"] if "tool_mask" in batch else mask).sum()


def _pad_alike(tensors: Sequence[Tensor], name: str, pad_token_id: int) -> list[Tensor]:
    if tensors[0].dim() == 1:
        return list(tensors)
    length = max(tensor.shape[1] for tensor in tensors)
    padded = []
    for tensor in tensors:
        missing = length - tensor.shape[1]
        sides = (missing, 0) if name in _LEFT_PADDED else (0, missing)
        padded.append(torch.nn.functional.pad(tensor, sides, value=_fill(name, pad_token_id)))
    return padded


def _fill(name: str, pad_token_id: int) -> int:
    fill = _FILL[name]
    return pad_token_id if isinstance(fill, str) else fill
