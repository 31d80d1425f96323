"""Resumed runs in corners of the Trainer: a finished run, an evaluation between save and kill, leftover folders."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from passatn.train.checkpoint import STAGING_FOLDER
from tiny import build_model
from train_helpers import assert_same_weights, make_rows, make_trainer, weights_of

REPLACING = {"n_passes": 30000, "min_confidence_weight": 0.6, "min_active_fraction": 0.0}
CASES = {
    "replacement": REPLACING,
    "weights only": {"n_passes": 300, "min_confidence_weight": 0.0},
    "cross-entropy": {"n_passes": 1, "loss_normalization": "token"},
}


def trainer_with_dropout(folder: Path, **settings: Any) -> Any:
    """12 rows in batches of 4: 3 steps in an epoch."""
    defaults = {"per_device_train_batch_size": 4, "learning_rate": 1e-2, "save_strategy": "steps", "save_steps": 1}
    return make_trainer(
        folder,
        make_rows(12),
        model=build_model(attention_dropout=0.2),
        arguments={"eval_dataset": Dataset.from_list(make_rows(3))},
        **(defaults | settings),
    )


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("max_steps", [5, 6])
def test_a_finished_run_that_is_resumed_takes_no_further_step(name, max_steps, tmp_path):
    settings = CASES[name] | {"max_steps": max_steps, "save_steps": 5}
    finished = trainer_with_dropout(tmp_path, **settings)
    finished.train()
    resumed = trainer_with_dropout(tmp_path, **settings)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == max_steps
    assert_same_weights(resumed.model, weights_of(finished.model))


@pytest.mark.parametrize("name", ["replacement", "weights only"])
@pytest.mark.parametrize("step", [3, 4])
def test_an_evaluation_after_the_save_does_not_change_the_resumed_run(name, step, tmp_path):
    """At step 3 the epoch ends: saved by steps, then evaluated. The run resumed from this save does not evaluate."""
    settings = CASES[name] | {"num_train_epochs": 3, "eval_strategy": "epoch"}
    whole = trainer_with_dropout(tmp_path, **settings)
    whole.train()
    resumed = trainer_with_dropout(tmp_path, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
    assert resumed.state.global_step == 9
    assert_same_weights(resumed.model, weights_of(whole.model))
    assert resumed.coverage_state() == whole.coverage_state()


def test_leftovers_of_a_killed_save_and_of_an_older_run_are_replaced(tmp_path):
    settings = REPLACING | {"max_steps": 1}
    leftover = tmp_path / STAGING_FOLDER / "checkpoint-1"
    older = tmp_path / "checkpoint-1"
    for folder in (leftover, older):
        folder.mkdir(parents=True)
        (folder / "from_an_older_run.txt").write_text("")
    trainer = trainer_with_dropout(tmp_path, **settings)
    trainer.train()
    assert (older / "coverage_state.json").exists()
    assert not (older / "from_an_older_run.txt").exists()
    assert not leftover.parent.exists()


def test_state_files_hold_no_code(tmp_path):
    """All state but TRL's `training_args.bin`, which nobody reads, loads with `weights_only=True`."""
    trainer_with_dropout(tmp_path, max_steps=1, **REPLACING).train()
    files = [*(tmp_path / "checkpoint-1").glob("*.pt"), *(tmp_path / "checkpoint-1").glob("*.pth")]
    assert {path.name for path in files} >= {"optimizer.pt", "scheduler.pt"}
    for path in files:
        if path.name != "rng_state.pth":  # numpy's state, which the Trainer allows by name
            torch.load(path, weights_only=True)
