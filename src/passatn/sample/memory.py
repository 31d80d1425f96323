"""How many sequences fit into memory: free bytes of a device, and what a forward pass of a model needs.

The estimates come from the model's configuration and are deliberately high. They need not be exact: a batch that still
runs out of memory is split in two and the work goes on (`run_in_batches`).
"""

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
from accelerate.utils.memory import should_reduce_batch_size

Item = TypeVar("Item")
Result = TypeVar("Result")

# The share of the free memory a batch may claim: the host's is shared with other programs, a GPU's seldom is.
CPU_SHARE = 0.25
ACCELERATOR_SHARE = 0.6

_CGROUP_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def free_bytes(device: torch.device) -> int:
    """Bytes still free on `device`: a GPU's memory, or the host's within its container's limit."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    return min(int(psutil.virtual_memory().available), _free_container_bytes())


def _free_container_bytes() -> int:
    for limit, usage in _CGROUP_LIMITS:
        try:
            return max(0, int(limit.read_text()) - int(usage.read_text()))
        except (OSError, ValueError):  # no such file, or "max": no limit of this kind
            continue
    return 2**63


def usable_bytes(device: torch.device) -> int:
    """The part of the free memory that one batch may plan with."""
    return int(free_bytes(device) * (CPU_SHARE if device.type == "cpu" else ACCELERATOR_SHARE))


@dataclass(frozen=True)
class ModelCost:
    """Bytes that inference with one model takes; all figures are upper estimates, per token of one sequence."""

    kv_cache: int
    """Keys and values of all layers."""
    activations: int
    """The widest moment inside one layer."""
    attention_per_key: int
    """Attention scores or mask, to be multiplied by the number of keys."""
    logits: int
    """One row of logits with the float32 copies that are made of it."""

    @classmethod
    def of(cls, model: Any) -> "ModelCost":
        """Read the sizes off `model.config` (a transformers model, bare or wrapped by PEFT)."""
        config = model.config.get_text_config()
        itemsize = parameter_dtype(model).itemsize
        hidden, heads = config.hidden_size, config.num_attention_heads
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        head_dim = getattr(config, "head_dim", None) or hidden // heads
        intermediate = getattr(config, "intermediate_size", None) or 4 * hidden
        eager = getattr(config, "_attn_implementation", None) == "eager"
        return cls(
            kv_cache=2 * config.num_hidden_layers * kv_heads * head_dim * itemsize,
            activations=itemsize * (6 * hidden + 2 * heads * head_dim + 3 * intermediate) + 8 * hidden,
            attention_per_key=8 * heads if eager else 4,
            logits=config.vocab_size * (itemsize + 12),
        )

    def scoring(self, width: int) -> int:
        """Bytes per position of a forward pass over sequences of `width` tokens, without a cache and without logits."""
        return self.activations + self.attention_per_key * width

    def generation(self, prompt_length: int, max_new_tokens: int) -> int:
        """Bytes per sequence while generating: the cache (with its copy as it grows), the prefill, the logits."""
        cache = int(1.5 * self.kv_cache * (prompt_length + max_new_tokens))
        return cache + prompt_length * self.scoring(prompt_length) + 2 * self.logits


def parameter_dtype(model: torch.nn.Module) -> torch.dtype:
    """The dtype of the model's first floating-point parameter; float32 if it has none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def parameter_device(model: torch.nn.Module) -> torch.device:
    """The device that the model's inputs belong on: that of its first parameter."""
    return next(model.parameters()).device


def run_in_batches(
    batches: Iterable[list[Item]], run: Callable[[list[Item]], Result]
) -> Iterator[tuple[list[Item], Result]]:
    """Yield `(batch, run(batch))`; a batch that runs out of memory is halved, and so are the later ones of its size.

    Raises:
        RuntimeError: a single item does not fit into memory.
    """
    largest: int | None = None
    for planned in batches:
        pending = deque([planned])
        while pending:
            batch = pending.popleft()
            if largest is not None and len(batch) > largest:
                pending.extendleft([batch[largest:], batch[:largest]])
                continue
            result = _run_unless_out_of_memory(batch, run)
            if result is None:
                largest = len(batch) // 2
                pending.appendleft(batch)
                _release_memory()
                continue
            yield batch, result[0]


def _run_unless_out_of_memory(batch: list[Item], run: Callable[[list[Item]], Result]) -> tuple[Result] | None:
    # The exception's traceback holds the tensors of the failed attempt, so the caller retries after this has returned.
    try:
        return (run(batch),)
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        if len(batch) == 1:
            raise RuntimeError("a single sequence does not fit into memory: use a smaller model or dtype") from error
        return None


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or should_reduce_batch_size(error)


def _release_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
