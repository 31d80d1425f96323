"""SIGKILL at a step or in the middle of a save: the resumed run ends with the same weights to the bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_run import make_trainer

SCRIPT = Path(__file__).with_name("training_run.py")
REPLACING = {"n_passes": 3000, "min_confidence_weight": 0.6, "min_active_fraction": 0.0}
CASES = {
    "replacement": (REPLACING, "11"),
    "replacement, in a save": (REPLACING, "save:3"),
    "weights only": ({"n_passes": 300, "min_confidence_weight": 0.0}, "11"),
    "cross-entropy": ({"n_passes": 1, "loss_normalization": "token"}, "5"),
}


@pytest.mark.parametrize(
    "name", ["replacement", *(pytest.param(name, marks=pytest.mark.slow) for name in list(CASES)[1:])]
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
    checkpoints = sorted(path.name for path in (tmp_path / "killed").glob("checkpoint-*"))
    assert checkpoints
    assert len(checkpoints) < len(list((tmp_path / "reference").glob("checkpoint-*")))
    resumed = make_trainer(tmp_path / "killed", settings)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == reference.state.global_step
    assert 0 < resumed._initial_global_step < reference.state.global_step
    for ours, theirs in zip(resumed.model.parameters(), reference.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    if "replacement" in name:
        assert resumed.coverage_state() == reference.coverage_state()
        assert reference.coverage_state()["stream"]["num_replaced"] > 5


def test_a_save_that_was_killed_is_not_picked_up(tmp_path):
    """The case of the slow test above, without a second process: the staging folder never has a checkpoint's name."""
    from transformers.trainer_utils import get_last_checkpoint

    trainer = make_trainer(tmp_path, REPLACING)
    seen = []
    write = trainer._save_optimizer_and_scheduler

    def spy(output_dir):
        write(output_dir)
        seen.append((Path(output_dir).parent.name, get_last_checkpoint(str(tmp_path))))

    trainer._save_optimizer_and_scheduler = spy
    trainer.train()
    assert seen[0] == ("_incomplete", None)
    assert seen[1] == ("_incomplete", str(tmp_path / "checkpoint-3"))
    assert not (tmp_path / "_incomplete").exists()
