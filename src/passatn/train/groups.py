"""Rows that share a `group_id` as one example.

With confidence="proof" they are the steps of a proof, all needed (whole-proof DCO, arXiv 2502.07154, section 5.3); with
confidence="answers" they are answers to one prompt, of which any will do (`train/alternatives.py`).
"""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from accelerate.logging import get_logger
from datasets import Dataset, IterableDataset

logger = get_logger(__name__)

GROUP_COLUMN = "group_id"
Groups = dict[Any, tuple[list[list[int]], list[list[int]]]]
"""By `group_id`: input_ids and labels of its rows."""


def group_rows(
    dataset: Dataset | IterableDataset, before: Dataset | IterableDataset | None = None, *, confidence: str
) -> Dataset:
    """Collapse tokenised rows into one row per `group_id`, in order of first appearance.

    Args:
        dataset: columns `input_ids`, `labels` and `group_id`.
        before: the same before rows were left out. A group that lost one is left out too: the rest has another p.
        confidence: "proof" or "answers"; says what the groups are.

    Returns:
        A dataset whose `input_ids` and `labels` are lists of rows, one list per group.

    Raises:
        ValueError: there is no `group_id` column, a row has none, no group is whole, the data is streaming, or the rows
            of a group are not answers to one prompt that exclude each other.
    """
    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"confidence={confidence!r} cannot be combined with streaming data: a group has to be seen whole"
        )
    if GROUP_COLUMN not in dataset.column_names:
        raise ValueError(f"confidence={confidence!r} needs a column {GROUP_COLUMN!r}; it has {dataset.column_names}")
    groups: Groups = {}
    for row, example in enumerate(dataset.select_columns([GROUP_COLUMN, "input_ids", "labels"])):
        if example[GROUP_COLUMN] is None:
            raise ValueError(f"row {row} has no {GROUP_COLUMN}")
        input_ids, labels = groups.setdefault(example[GROUP_COLUMN], ([], []))
        input_ids.append(example["input_ids"])
        labels.append(example["labels"])
    if before is not None and len(before) > len(dataset):
        groups = _whole_groups(groups, Counter(before[GROUP_COLUMN]))
    if confidence == "answers":
        for group, rows in groups.items():
            _check_answers(group, *rows)
    return Dataset.from_dict(
        {
            GROUP_COLUMN: list(groups),
            "input_ids": [input_ids for input_ids, _ in groups.values()],
            "labels": [labels for _, labels in groups.values()],
        }
    )


def _whole_groups(groups: Groups, num_before: Counter[Any]) -> Groups:
    whole = {group: rows for group, rows in groups.items() if len(rows[0]) == num_before[group]}
    logger.warning(f"{len(num_before) - len(whole)} of {len(num_before)} groups lack a row and were left out")
    if not whole:
        raise ValueError(f"none of the {len(num_before)} groups is whole after bad rows were left out")
    return whole


def _check_answers(group: Any, input_ids: list[list[int]], labels: list[list[int]]) -> None:
    """ValueError unless probabilities of the rows may be added: one prompt, and no completion that begins another."""
    starts = [next((at for at, label in enumerate(row) if label != -100), len(row)) for row in labels]
    if len({tuple(ids[:start]) for ids, start in zip(input_ids, starts, strict=True)}) > 1:
        raise ValueError(f"{GROUP_COLUMN} {group!r}: answers in a group must share their prompt, token by token")
    completions = sorted(ids[start:] for ids, start in zip(input_ids, starts, strict=True))
    for shorter, longer in pairwise(completions):
        if longer[: len(shorter)] == shorter:
            raise ValueError(
                f"{GROUP_COLUMN} {group!r}: one answer is, or begins, another (tokens {shorter} and {longer}), so that "
                "their probabilities must not be added: give each answer once, with an end-of-sequence token"
            )


def is_grouped(dataset: Dataset | IterableDataset) -> bool:
    """Whether the rows are groups already, made by `group_rows`."""
    if not isinstance(dataset, Dataset) or GROUP_COLUMN not in dataset.column_names:
        return False
    return "labels" in dataset.column_names and len(dataset) > 0 and isinstance(dataset[0]["labels"][0], list)


class GroupCollator:
    """Collate groups by flattening them into rows; `group_sizes` `[groups]` says how many rows each has.

    `group_sizes` comes first in the batch, so that whoever reads the batch size off the first tensor counts groups.
    """

    def __init__(self, collate_rows: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
        self.collate_rows = collate_rows

    def __call__(self, groups: list[dict[str, Any]]) -> dict[str, Any]:
        rows = [
            {"input_ids": input_ids, "labels": labels}
            for group in groups
            for input_ids, labels in zip(group["input_ids"], group["labels"], strict=True)
        ]
        return {"group_sizes": torch.tensor([len(group["input_ids"]) for group in groups]), **self.collate_rows(rows)}
