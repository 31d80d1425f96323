"""From a task of one's own to a trained model: write problems as JSON Lines, train on them, read pass@N.

The task is a remainder, (a · b) mod 7. To run in seconds without a download, the model is a tiny Llama with random
weights and a tokenizer of characters; with a real one, replace `tiny_model` by its name.

python examples/own_task.py runs/own-task
"""

import json
import random
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from passatn.experiments.config import RunConfig
from passatn.experiments.finetune import train
from passatn.experiments.run_directory import RunDirectory


def problems(count: int, seed: int) -> list[dict[str, str]]:
    """Records with a prompt and its answer; ids are given by passatn where they are missing."""
    rng = random.Random(seed)
    pairs = [(rng.randrange(100), rng.randrange(100)) for _ in range(count)]
    return [{"prompt": f"{a} * {b} mod 7", "answer": str(a * b % 7)} for a, b in pairs]


def write_jsonl(path: Path, records: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def tiny_model(folder: Path) -> str:
    """A random model and a tokenizer of single characters, stored as `save_pretrained` does."""
    characters = sorted(set("Question: Answer: 0123456789 * mod\n"))
    vocabulary = {token: index for index, token in enumerate(["<eos>", *characters])}
    backend = Tokenizer(models.WordLevel(vocabulary))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.add_special_tokens(["<eos>"])
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, eos_token_id=0
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = RunConfig.from_mapping(
        {
            "model": tiny_model(folder / "tiny"),
            "train_data": write_jsonl(folder / "train.jsonl", problems(400, seed=0)),
            "eval_data": write_jsonl(folder / "test.jsonl", problems(100, seed=1)),
            "eval_ns": [1, 4, 16],
            "n_passes": 16,
            "num_train_epochs": 2,
            "per_device_train_batch_size": 16,
            "learning_rate": 3e-3,
            "num_threads": 1,
        }
    )
    results = train(config, RunDirectory(folder / "dco-16"), print)
    assert results is not None
    (curve,) = results.pass_at_n
    for n, estimate, low, high in zip(curve.ns, curve.estimate, curve.low, curve.high, strict=True):
        print(f"pass@{n}: {100 * estimate:.1f} % ({100 * low:.1f} to {100 * high:.1f})")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/own-task"))
