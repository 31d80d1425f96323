"""After new weights went into an engine: does it now give the log-probabilities that the trainer's model gives?

A weight transfer can fail without a word (vLLM on the CPU keeps prepacked copies of linear weights and goes on serving
the old ones). So every transfer is followed by this check, and a mismatch stops the run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file

from passatn.sample.score import score_completions
from passatn.tasks.encoding import EncodedExample

if TYPE_CHECKING:
    from passatn.sample.engine import Engine

Weights = Mapping[str, torch.Tensor] | Iterable[tuple[str, torch.Tensor]]

# Per-token difference of log-probabilities that rounding explains, by the coarser of the two dtypes.
TOLERANCES = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}


class WeightParityError(RuntimeError):
    """An engine's log-probabilities differ from the trainer's after a weight transfer."""


def update_weights(
    engine: "Engine",
    model: torch.nn.Module,
    probes: Sequence[EncodedExample],
    *,
    checkpoint: str | Path | None = None,
    tolerance: float | None = None,
) -> float:
    """Send a model's weights to an engine and check that it serves them.

    Args:
        model: the trainer's model, unwrapped, with the parameter names of transformers.
        probes: fixed prompts and completions; at least one.
        checkpoint: send what this folder of safetensors files holds, which should be the model's weights, instead.
        tolerance: largest difference in nats per token (None: by the model's dtype).

    Returns:
        The largest difference seen, in nats per token.

    Raises:
        WeightParityError: the engine disagrees; the message shows both numbers.
    """
    engine.update_weights(model.state_dict() if checkpoint is None else checkpoint)
    return check_parity(engine, model, probes, tolerance=tolerance)


def check_parity(
    engine: "Engine", model: torch.nn.Module, probes: Sequence[EncodedExample], *, tolerance: float | None = None
) -> float:
    """Compare an engine's scores of the probes with the model's own. See `update_weights`."""
    if not probes:
        raise ValueError("a parity check needs at least one probe")
    dtype = next(model.parameters()).dtype
    limit = TOLERANCES.get(dtype, 1e-3) if tolerance is None else tolerance
    expected = ExpectedScores(tuple(probes), tuple(score_completions(model, probes)[:, 0].tolist()), limit)
    worst = expected.check(engine)
    if hasattr(engine, "expect_scores"):
        engine.expect_scores(expected)
    return worst


@dataclass(frozen=True)
class ExpectedScores:
    """What an engine with the right weights gives for fixed probes."""

    probes: tuple[EncodedExample, ...]
    log_p: tuple[float, ...]
    tolerance: float
    """Nats per token."""

    def check(self, engine: "Engine") -> float:
        """The largest difference in nats per token, over all replicas of the engine if it has several.

        Raises:
            WeightParityError: it is larger than the tolerance, or not a number.
        """
        if hasattr(engine, "score_replicas"):
            found = np.asarray(engine.score_replicas(self.probes))
        else:
            found = np.asarray(engine.score(self.probes))[:, 0][None]
        lengths = np.array([len(probe.completion_ids) for probe in self.probes])
        difference = np.abs(found - np.array(self.log_p)) / lengths
        replica, worst = np.unravel_index(np.argmax(np.nan_to_num(difference, nan=np.inf)), difference.shape)
        if not difference[replica, worst] <= self.tolerance:
            raise WeightParityError(
                f"after the weight transfer, the engine gives log p = {found[replica, worst]:.6f} for probe {worst} "
                f"where the trainer's model gives {self.log_p[worst]:.6f} ({difference[replica, worst]:.2e} nats per "
                f"token, allowed {self.tolerance:g}): the engine does not serve the new weights"
            )
        return float(difference[replica, worst])


def named_tensors(weights: "Weights | str | Path") -> list[tuple[str, torch.Tensor]]:
    """Weights as (name, tensor) pairs: from a state dict, from pairs, or from a checkpoint's safetensors files.

    Raises:
        ValueError: a folder without safetensors files.
    """
    if isinstance(weights, (str, Path)):
        files = sorted(Path(weights).glob("*.safetensors"))
        if not files:
            raise ValueError(f"{weights}: no .safetensors file in it")
        return [pair for file in files for pair in load_file(file).items()]
    pairs: Any = weights.items() if isinstance(weights, Mapping) else weights
    return list(pairs)
