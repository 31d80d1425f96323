"""SIGKILL in reinforcement learning: the resumed run draws the problems and roll-outs, and ends as it would have."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from grpo_run import make_trainer

from grpo_helpers import Spy
from train_helpers import assert_same_weights, weights_of

SCRIPT = Path(__file__).with_name("grpo_run.py")
PKPO = {"advantage": "pkpo", "advantage_options": {"k": 2}}
NOT_REPEATED = {"step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss"}
"""Times, and what the Trainer computes of the resumed part alone."""
CASES: dict[str, tuple[dict[str, Any], str, int]] = {
    "before a step": ({}, "6", 4),
    "in a save": ({}, "save:2", 2),
    "while roll-outs are judged": (PKPO, "rewards:7", 4),
    "without refilling": ({"refill_groups": False}, "6", 4),
    "Adam in the middle of a pass": (PKPO | {"weight_decay": 0.1, "save_steps": 3}, "5", 3),
}
"""Settings, where the run is killed, and the step that it can be resumed from."""


def random_states() -> list[Any]:
    name, keys, *rest = np.random.get_state()
    return [torch.get_rng_state().tolist(), random.getstate(), name, np.asarray(keys).tolist(), rest]


def logged(trainer: Any) -> list[dict[str, float]]:
    return [{key: entry[key] for key in entry if key not in NOT_REPEATED} for entry in trainer.state.log_history]


def kill_a_run(folder: Path, settings: dict[str, Any], kill: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), json.dumps(settings), kill],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@pytest.mark.parametrize(
    "name", ["in a save", *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name != "in a save")]
)
def test_killed_and_resumed_is_the_uninterrupted_run_to_the_bit(name: str, tmp_path: Path) -> None:
    settings, kill, saved = CASES[name]
    reference = make_trainer(tmp_path / "reference", settings)
    spy = Spy(reference)
    reference.train()
    reference_states = random_states()
    kill_a_run(tmp_path / "killed", settings, kill)
    resumed = make_trainer(tmp_path / "killed", settings)
    resumed_spy = Spy(resumed)
    resumed.train(resume_from_checkpoint=True)

    assert resumed._initial_global_step == saved
    assert resumed.state.global_step == reference.state.global_step == 7
    assert_same_weights(resumed.model, weights_of(reference.model))
    assert resumed.coverage_state() == reference.coverage_state()
    assert random_states() == reference_states
    assert 0 < len(resumed_spy.rounds) < len(spy.rounds)
    assert resumed_spy.rounds == spy.rounds[-len(resumed_spy.rounds) :]
    assert resumed_spy.rollouts == spy.rollouts[-len(resumed_spy.rollouts) :]
    assert logged(resumed) == logged(reference)
    # What is restored was not trivial: rewards differ, and the problems were gone through more than once.
    assert len({entry["reward"] for entry in logged(reference) if "reward" in entry}) > 3
    stream = reference.coverage_state()["stream"]
    if stream is None:
        assert reference.state.epoch > 2
    else:
        assert stream["position"] > 2 * 10
        assert stream["num_replaced"] > 2
