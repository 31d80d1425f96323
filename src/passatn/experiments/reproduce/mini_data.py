"""The demo's base model and problems: mini-MATH, with levels of difficulty and a split of another kind.

- Base: a Llama pre-trained on all ten functions; then their ten embeddings are drawn anew, as if the instructions were
  written in words that the model does not know. Fine-tuning has to connect them, as on MATH it has to learn to answer
  directly.
- Levels 1 (easy) to 5: the ten functions by the pre-trained model's mean log p on validation problems, two a level.
- Training and test problems have both A and B below 80. Out of distribution: both from 80, which the model saw in
  pre-training and never with the new embeddings.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaForCausalLM

from passatn.evaluate.atomic import write_atomically
from passatn.experiments.mini_math import Settings, encoded, pretrain
from passatn.experiments.reproduce.recipes import MiniMath
from passatn.sample import score_problems
from passatn.tasks import Problem
from passatn.tasks.mini_math import FUNCTION_IDS, FUNCTIONS, MiniMathBatch, Split, build_tokenizer, sample_problems

BORDER = 80
"""Operands A, B below it are in distribution, from it on out of it."""
NUM_LEVELS = 5
LEVEL_PROBLEMS = 500
POOL = 20_000
"""Problems drawn from a split before those with fitting operands are taken."""


def make_pretrained(sizes: MiniMath, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Pre-train into `folder`."""
    settings = Settings(pretrain_steps=sizes.pretrain_steps, pretrain_batch=sizes.pretrain_batch)
    pretrain(settings, folder, progress, hidden_size=sizes.hidden_size, num_layers=sizes.num_layers)


def make_base(pretrained: Path, folder: Path, seed: int = 0) -> None:
    """The pre-trained model with fresh embeddings of unit scale for the ten functions."""
    model = LlamaForCausalLM.from_pretrained(pretrained)
    rows: torch.Tensor = model.model.embed_tokens.weight.data
    noise = torch.randn(len(FUNCTION_IDS), rows.shape[1], generator=torch.Generator().manual_seed(seed))
    rows[list(FUNCTION_IDS)] = rows[list(FUNCTION_IDS)].mean(0) + noise
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)


def function_levels(pretrained: Path) -> dict[str, int]:
    """The level of each function, 1 for those that the pre-trained model finds easiest."""
    batch = sample_problems("validation", LEVEL_PROBLEMS, seed=11)
    log_p = score_problems(LlamaForCausalLM.from_pretrained(pretrained), encoded(batch))[:, 0]
    means = [log_p[batch.functions == index].mean() for index in range(len(FUNCTIONS))]
    order = np.argsort(-np.array(means), kind="stable")
    per_level = len(FUNCTIONS) // NUM_LEVELS
    return {list(FUNCTIONS)[index]: 1 + rank // per_level for rank, index in enumerate(order.tolist())}


def make_data(sizes: MiniMath, probes_per_level: int, levels: dict[str, int], folder: Path) -> None:
    """train.jsonl, test.jsonl, other.jsonl (out of distribution) and probe.jsonl (as train, but not trained on)."""
    fitting = _problems("finetune", 100, levels, other=False)
    train, rest = fitting[: sizes.num_train], fitting[sizes.num_train :]
    wanted = range(1, NUM_LEVELS + 1)
    probe = [p for level in wanted for p in [q for q in rest if q.metadata["level"] == level][:probes_per_level]]
    files = {
        "train": train,
        "probe": probe,
        "test": _problems("test", 7, levels, other=False)[: sizes.num_test],
        "other": _problems("test", 7, levels, other=True)[: sizes.num_test],
    }
    for name, problems in files.items():
        lines = "".join(json.dumps(problem.to_record()) + "\n" for problem in problems)
        write_atomically(folder / f"{name}.jsonl", lines.encode())


def _problems(split: Split, seed: int, levels: dict[str, int], *, other: bool) -> list[Problem]:
    batch: MiniMathBatch = sample_problems(split, POOL, seed=seed)
    low, high = np.minimum(batch.a, batch.b), np.maximum(batch.a, batch.b)
    is_kept = (low >= BORDER) if other else (high < BORDER)
    return [
        Problem(p.id, p.prompt, p.answers, metadata={"level": levels[p.metadata["function"]]})
        for p, keep in zip(batch.problems(), is_kept.tolist(), strict=True)
        if keep
    ]
