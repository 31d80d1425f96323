r"""F on a confidence that is given with the data, such as that of a model which was not trained on the example.

    loss of an example = F(N, p̂) · (−log p)        F(N, p̂) = N p̂ (1 − p̂)^{N−1} / (1 − (1 − p̂)^N)

p̂ is a constant of the example (column `given_log_p`, in nats), so F is one too: examples with F < ε are left out
once, before training, and the rest is a weighted cross-entropy. With p̂ = p of the model in training it would have the
gradient of DCO (arXiv 2502.07154, eq. 4); DCOa (its section 5.4) puts an estimate by roll-outs in that place. A p̂ from
cross-fitting, of a model that saw the other half of the data, tells what is learnt from what is memorised.

    passatn train --confidence given --given_log_p fold0.jsonl,fold1.jsonl --n_passes 256 …
"""

from collections.abc import Callable
from typing import Any

import torch
from datasets import Dataset, IterableDataset

from passatn.train.likelihood import confidence_weights
from passatn.train.prepare import logger

GIVEN_COLUMN = "given_log_p"
WEIGHT_KEY = "example_weights"
"""Where a collated batch has the weight of each example."""


def keep_unlearnt(dataset: Dataset | IterableDataset, n_passes: float, min_weight: float) -> Dataset:
    """The training examples with F(N, p̂) ≥ ε; how many others there were is logged.

    Raises:
        ValueError: streaming data, no column of log-probabilities, one that is none, or nothing left.
    """
    if not isinstance(dataset, Dataset):
        raise ValueError("confidence='given' needs a datasets.Dataset, not streaming data")
    if GIVEN_COLUMN not in dataset.column_names:
        raise ValueError(f"confidence='given' needs a column {GIVEN_COLUMN!r}; the data has {dataset.column_names}")
    values = list(dataset[GIVEN_COLUMN])
    for row, value in enumerate(values):
        if not (isinstance(value, int | float) and value <= 0):
            raise ValueError(f"row {row}: {GIVEN_COLUMN} must be a log-probability, at most 0, got {value}")
    active = (given_weights(values, n_passes) >= min_weight).nonzero()[:, 0].tolist()
    if not active:
        raise ValueError(
            f"all {len(values)} training examples have F(N, p) < {min_weight:g} at N = {n_passes:g} under the given "
            "log p: nothing is left to train on (lower n_passes or min_confidence_weight)"
        )
    if len(active) < len(values):
        logger.warning(f"{len(values) - len(active)} of {len(values)} training examples are learnt: F < {min_weight:g}")
    return dataset.select(active)


def given_weights(log_p: list[float], n_passes: float) -> torch.Tensor:
    """F(N, p̂) `[examples]`, float64."""
    return confidence_weights(torch.tensor(log_p, dtype=torch.float64), n_passes)


class GivenCollator:
    """Collate as before, with the weight of each example where the rows have one."""

    def __init__(self, collate_rows: Callable[[list[dict[str, Any]]], dict[str, Any]], n_passes: float) -> None:
        self.collate_rows, self.n_passes = collate_rows, n_passes

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        values = [row[GIVEN_COLUMN] for row in rows if GIVEN_COLUMN in row]
        batch = self.collate_rows([{k: v for k, v in row.items() if k != GIVEN_COLUMN} for row in rows])
        return {**batch, WEIGHT_KEY: given_weights(values, self.n_passes)} if values else batch
