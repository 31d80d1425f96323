"""An expert iteration that can be killed: `python expert_run.py FOLDER [KILL]`, KILL as in `kill_at`.

The search is made up: it finds the proofs it is told of, through the real files. Training and Lean are real.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from passatn.evaluate import Results
from passatn.experiments import expert_iteration
from passatn.experiments.expert_iteration import ExpertConfig, run_expert
from passatn.experiments.quiet import quiet_libraries
from passatn.lean import LeanPool
from passatn.prove.record_files import RecordFiles, read_records
from passatn.prove.records import FoundProof, SearchRecord, merge, problem_results
from passatn.prove.theorem import theorems_of
from passatn.tasks import load_problems
from tiny_files import save_tiny_model, write_jsonl

torch.set_num_threads(1)

KNOWN = {
    "known_and": ("(p q : Prop) (h : p ∧ q) : q ∧ p", ["exact ⟨h.2, h.1⟩"]),
    "known_two": ("(p : Prop) : p → p", ["intro h", "exact h"]),
    "known_rfl": (": 1 + 1 = 2", ["rfl"]),
}
UNPROVED = {
    "easy": (": 2 + 2 = 4", [["rfl"], ["skip", "rfl"]]),
    "other": ("(p q : Prop) (h : p) : q → p", [["intro _", "exact h"]]),
    "later": ("(n : Nat) : n = n", [["rfl"]]),
    "never": (": 1 = 2", []),
}
FOUND_AT = {"easy": 0, "other": 0, "later": 1}
"""The iteration whose search finds them."""


def theorem(name: str, binders: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "prompt": name, "metadata": {"statement": f"theorem {name} {binders}"} | more}


def write_inputs(folder: Path) -> None:
    save_tiny_model(folder / "tiny")
    known = [theorem(name, binders, proof=proof) for name, (binders, proof) in KNOWN.items()]
    write_jsonl(folder / "train.jsonl", known)
    write_jsonl(folder / "unproved.jsonl", [theorem(name, binders) for name, (binders, _) in UNPROVED.items()])
    write_jsonl(folder / "test.jsonl", [theorem("held_out", ": 3 = 3")])


def make_config(folder: Path, **changes: Any) -> ExpertConfig:
    recipe = {
        "model": str(folder / "tiny"),
        "template": "tactic",
        "n_passes": 4,
        "num_train_epochs": 3,
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-3,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    settings: dict[str, Any] = {
        "recipe": recipe,
        "theorems": str(folder / "train.jsonl"),
        "unproved": str(folder / "unproved.jsonl"),
        "iterations": 2,
        "num_samples": 8,
        "search": {"seed": 0},
    }
    return ExpertConfig(**(settings | changes))


class MadeUpSearch:
    """Eight roll-outs a theorem; a theorem that is in the folder already is not searched again."""

    def __init__(self, after_record: Callable[[Path], None] = lambda _: None) -> None:
        self.after_record = after_record

    def open_lean(self) -> LeanPool:
        return LeanPool()

    def __call__(self, model: Path, theorems: Path, output: Path, num_samples: int) -> None:
        assert (model / "model.safetensors").exists()
        if (output / "results.json").exists():
            return
        iteration = int(output.parent.name.removeprefix("iteration-"))
        present = {record.theorem for record in read_records(output / "records")}
        files = RecordFiles(output / "records", "all")
        for goal in theorems_of(load_problems(theorems)):
            if goal.name in present:
                continue
            proofs = UNPROVED[goal.name][1] if FOUND_AT.get(goal.name, 9) <= iteration and goal.name in UNPROVED else []
            found = tuple(FoundProof(tuple(tactics), 1, -float(len(tactics)), True) for tactics in proofs)
            files.append(
                SearchRecord(
                    theorem=goal.name,
                    statement=goal.goal.statement,
                    method="rollouts",
                    num_samples=num_samples,
                    num_correct=len(found),
                    proofs=found,
                )
            )
            self.after_record(output)
        records = merge(read_records(output / "records"))
        Results.from_problems({"name": "s"}, problem_results(records), [1, 8]).save(output / "results.json")


def kill_at(place: str) -> Any:
    """ "search": after the first record of iteration 0; "tactics": before iteration 1's tactics are written whole;
    "train": before step 3 of iteration 1. The made-up search, changed where that is the place."""

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if place == "tactics":
        write = expert_iteration.write_atomically

        def killed(path: Path, data: bytes) -> Path:
            if str(path).endswith("iteration-1/tactics.jsonl"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.with_name(".tactics.jsonl.half.tmp").write_bytes(data[: len(data) // 2])
                die()
            return write(path, data)

        expert_iteration.write_atomically = killed  # type: ignore[assignment]
    return MadeUpSearch(die) if place == "search" else MadeUpSearch()


class KillInIteration1(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        if "iteration-1" in args.output_dir and state.global_step == 2:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    folder, place = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    search = kill_at(place)
    with quiet_libraries():
        make_bar = KillInIteration1 if place == "train" else None
        run_expert(make_config(folder), folder / "expert", search, print, make_bar=make_bar)
