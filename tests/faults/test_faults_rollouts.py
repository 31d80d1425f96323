"""SIGKILL in chain-of-thought training: the resumed run draws the roll-outs and ends with the weights it would have."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rollouts_run import make_trainer

SCRIPT = Path(__file__).with_name("rollouts_run.py")
USED_AGAIN = {
    "max_estimate_age": 2,
    "sequential_error": 0.1,
    "sequential_stops": "both",
    "rollout_estimate": "posterior",
}
CASES = {
    "estimates used again, at a step": (USED_AGAIN, "6"),
    "fresh estimates, at a step": ({}, "4"),
    "in the middle of roll-outs": ({}, "rollouts:9"),
}


@pytest.mark.parametrize(
    "name", [next(iter(CASES)), *(pytest.param(n, marks=pytest.mark.slow) for n in list(CASES)[1:])]
)
def test_killed_and_resumed_is_the_uninterrupted_run_to_the_bit(name, tmp_path):
    settings, kill = CASES[name]
    reference = make_trainer(tmp_path / "reference", settings)
    reference.train()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "killed"), json.dumps(settings), kill],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert list((tmp_path / "killed").glob("checkpoint-*"))
    resumed = make_trainer(tmp_path / "killed", settings)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == reference.state.global_step == 7
    assert 0 < resumed._initial_global_step < 7
    for ours, theirs in zip(resumed.model.parameters(), reference.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    state = reference.coverage_state()
    assert resumed.coverage_state() == state
    assert state["stream"]["num_replaced"] > 5
