"""A tiny model that proposes real tactics, and theorems that some of them prove, as files for whole commands."""

import json
from pathlib import Path
from typing import Any

import torch

from passatn.tasks import Problem, get_template
from passatn.tasks.encoding import encode_example
from tiny import build_model
from tiny_files import byte_tokenizer, write_jsonl

TACTICS = (
    *("intro h", "constructor", "assumption", "rfl", "left", "right", "cases h", "exact h.1", "exact h.2", "simp"),
    *("induction b", "trivial", "exact foo", "exact ⟨h.2, h.1⟩"),
)
THEOREMS: tuple[dict[str, Any], ...] = (
    {"id": "and_left", "statement": "theorem t (p q : Prop) (h : p ∧ q) : p", "family": "logic"},
    {"id": "and/swap", "statement": "theorem t (p q : Prop) (h : p ∧ q) : q ∧ p", "family": "logic"},
    {"id": "imp", "statement": "theorem t (p q : Prop) : p → p ∨ q", "family": "logic"},
    {"id": "both", "statement": "theorem t (p q : Prop) (h : p) (k : q) : p ∧ q", "family": "logic"},
    {"id": "two", "statement": "theorem t : double 1 = 2", "header": "def double (n : Nat) : Nat := n + n"},
    {"id": "false", "statement": "theorem t (p q : Prop) (h : p) : q"},
)


def save_tactic_model(folder: Path, *, steps: int = 60, seed: int = 0, **config: object) -> Path:
    """Each tactic is one token, and the model is trained until a tactic and its end are what it mostly says."""
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(list(TACTICS))
    settings = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "max_position_embeddings": 256}
    model = build_model(
        seed=seed,
        vocab_size=len(tokenizer),
        pad_token_id=1,
        eos_token_id=0,
        initializer_range=0.05,
        **(settings | config),
    )
    states = ["p q : Prop\nh : p ∧ q\n⊢ q ∧ p", "⊢ 1 + 1 = 2", "p q : Prop\n⊢ p → p ∨ q", "a b : Nat\n⊢ a + b = b + a"]
    examples = [
        encode_example(tokenizer, get_template("tactic"), Problem("x", state, (tactic,)))
        for state in states
        for tactic in TACTICS
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    width = max(len(e.prompt_ids) + len(e.completion_ids) for e in examples)
    ids = torch.full((len(examples), width), 1)
    labels = torch.full((len(examples), width), -100)
    for row, example in enumerate(examples):
        start, end = len(example.prompt_ids), len(example.prompt_ids) + len(example.completion_ids)
        ids[row, :end] = torch.tensor(example.prompt_ids + example.completion_ids)
        labels[row, start:end] = ids[row, start:end]
    for _ in range(steps):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_theorems(path: Path, theorems: Any = THEOREMS) -> Path:
    """As problems; the prompt is what a person would read."""
    return write_jsonl(path, [{"prompt": theorem["statement"]} | theorem for theorem in theorems])


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """All records in a folder, in a fixed order, without the time they took and what depends on the shape of a batch:
    the last bits of log-probabilities."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines()]
    records = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
    for record in records:
        for proof in record.get("proofs", ()):
            proof["log_prob"] = round(proof["log_prob"], 4)
    return sorted(records, key=lambda record: (record["theorem"], record.get("first_sample", 0)))
