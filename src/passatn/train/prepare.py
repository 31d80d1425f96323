"""Checks on tokenised training examples: what would silently change p is an error, or is skipped and counted.

TRL truncates at `max_length` without a word and only warns when tokens merge across the prompt/completion border.
Either way the completion that is trained is not the completion that will be sampled.
"""

import json
from functools import partial
from typing import Any

from accelerate.logging import get_logger
from datasets import Dataset, IterableDataset
from transformers import PreTrainedTokenizerBase

logger = get_logger(__name__)


def check_examples(
    dataset: Dataset | IterableDataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None,
    chat_template: str | None = None,
    skip_bad: bool = False,
    num_proc: int | None = None,
    name: str = "train",
) -> Dataset | IterableDataset:
    """Return the dataset, checked; with `skip_bad`, without the examples that fail (their number is logged).

    Args:
        dataset: tokenised (`input_ids`, `labels`), with the original `prompt` column if there was one.
        max_length: longest allowed sequence in tokens (None: any).

    Raises:
        ValueError: an example is over-long, has no completion token, or its prompt and completion share a token;
            names the row and the remedy. For an IterableDataset it is raised when the row is reached.
    """
    keep = partial(
        _is_good, tokenizer=tokenizer, max_length=max_length, chat_template=chat_template, skip_bad=skip_bad, name=name
    )
    if isinstance(dataset, IterableDataset):
        return dataset.filter(keep, with_indices=True)
    checked = dataset.filter(keep, with_indices=True, num_proc=num_proc, desc=f"Checking {name} dataset")
    num_skipped = len(dataset) - len(checked)
    if num_skipped:
        logger.warning(f"skip_bad_examples: {num_skipped} of {len(dataset)} {name} examples were left out")
    if len(checked) == 0:
        raise ValueError(f"no usable example is left in the {name} dataset of {len(dataset)}")
    return checked


def _is_good(
    example: dict[str, Any],
    row: int,
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
    chat_template: str | None,
    skip_bad: bool,
    name: str,
) -> bool:
    problem = find_problem(example, tokenizer, max_length=max_length, chat_template=chat_template)
    if problem is None or skip_bad:
        return problem is None
    raise ValueError(f"{name} dataset, row {row}: {problem} (or set skip_bad_examples=True to leave such rows out)")


def find_problem(
    example: dict[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None,
    chat_template: str | None = None,
) -> str | None:
    """What is wrong with one tokenised example, in one line; None if nothing is."""
    input_ids, labels = example["input_ids"], example["labels"]
    if max_length is not None and len(input_ids) > max_length:
        return (
            f"{len(input_ids)} tokens exceed max_length={max_length}; truncation would change p: raise max_length or "
            "drop the row"
        )
    start = next((position for position, label in enumerate(labels) if label != -100), None)
    # The first token of a sequence is never predicted.
    if start is None or not any(label != -100 for label in labels[1:]):
        return "it has no completion tokens to train on"
    prompt_ids = _prompt_ids(example, tokenizer, chat_template)
    if prompt_ids is not None and start < len(prompt_ids):
        alone, joint = tokenizer.decode(prompt_ids[start:]), tokenizer.decode(input_ids[start : start + 1])
        return (
            f"the prompt alone ends in the token(s) {alone!r}, but before this completion the tokeniser gives "
            f"{joint!r}: end the prompt and begin the completion where tokens do not merge (a space at the start of "
            "the completion often helps)"
        )
    return None


def _prompt_ids(example: dict[str, Any], tokenizer: Any, chat_template: str | None) -> list[int] | None:
    """The prompt tokenised alone, as it will be at sampling time; None for data without a prompt column."""
    prompt = example.get("prompt")
    if isinstance(prompt, str):
        return tokenizer(text=prompt)["input_ids"]
    if isinstance(prompt, list):
        tools = example.get("tools")
        rendered = tokenizer.apply_chat_template(
            prompt,
            tokenize=True,
            return_dict=True,
            add_generation_prompt=True,
            chat_template=chat_template,
            tools=json.loads(tools) if isinstance(tools, str) else tools,
            **(example.get("chat_template_kwargs") or {}),
        )
        return rendered["input_ids"]
    return None
