"""Data, configuration and reference computations for the tests of the trainer."""

import random
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from trl import SFTConfig

from passatn.train import CoverageConfig, CoverageTrainer
from tiny import build_model, build_tokenizer


def make_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Prompts `12+34=` with completions of one to four digits: log p differs widely under a random model."""
    rng = random.Random(seed)
    return [
        {
            "prompt": f"{rng.randrange(100)}+{rng.randrange(100)}=",
            "completion": str(rng.randrange(10 ** (1 + index % 4))),
        }
        for index in range(count)
    ]


def make_config(output_dir: Path, config_class: Any = CoverageConfig, **settings: Any) -> Any:
    defaults: dict[str, Any] = {
        "output_dir": str(output_dir),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
    }
    return config_class(**(defaults | settings))


def plain_sgd() -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    return torch.optim.SGD, {"lr": 1.0}


def log_probs_float64(model: Any, tokenizer: Any, rows: list[dict[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
    """log p of each completion with its end-of-sequence token, one row at a time, from full float64 logits."""
    log_ps, lengths = [], []
    for row in rows:
        prompt = tokenizer(row["prompt"])["input_ids"]
        ids = tokenizer(row["prompt"] + row["completion"] + tokenizer.eos_token)["input_ids"]
        logits = model(torch.tensor([ids])).logits[0].double()
        token_log_probs = torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        log_ps.append(token_log_probs[len(prompt) - 1 :].sum())
        lengths.append(len(ids) - len(prompt))
    return torch.stack(log_ps), torch.tensor(lengths)


def make_trainer(
    output_dir: Path,
    rows: list[dict[str, Any]] | None = None,
    *,
    model: Any = None,
    trainer_class: Any = CoverageTrainer,
    arguments: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """A trainer of the tiny model on `rows` (default: 16); `arguments` go to the trainer, `settings` to its config."""
    config_class = CoverageConfig if trainer_class is CoverageTrainer else SFTConfig
    given = {
        "train_dataset": Dataset.from_list(make_rows(16) if rows is None else rows),
        "processing_class": build_tokenizer(),
        **(arguments or {}),
    }
    args = make_config(output_dir, config_class, **settings)
    return trainer_class(build_model() if model is None else model, args=args, **given)


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def assert_same_weights(model: Any, expected: dict[str, torch.Tensor]) -> None:
    """To the bit."""
    assert [name for name, p in model.named_parameters() if not torch.equal(p, expected[name])] == []


def training_logs(trainer: Any) -> list[dict[str, float]]:
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def merging_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE whose tokens merge over spaces and colons: `: ` is one token, `:` alone is another."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=270, special_tokens=["<pad>", "<eos>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator(["x: 1", "y: 2", "z: 3", "question: 4"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>")
