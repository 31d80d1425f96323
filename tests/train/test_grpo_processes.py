"""Two processes under torchrun train on the same groups, with the same gradient, as one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from grpo_ddp_run import run

SCRIPT = Path(__file__).with_name("grpo_ddp_run.py")
CASES = {
    "refilling": {"reward": "even", "advantage": "pkpo", "advantage_options": {"k": 2}},
    "refilling, a short batch": {"reward": "even", "max_generation_rounds": 1},
    "unlikeliness": {"reward": "even", "advantage": "unlikeliness", "seed": 4},
    "without refilling": {"reward": "digits", "refill_groups": False},
}
NAMES = ("groups_in_batch", "groups_discarded", "groups_all_wrong", "groups_all_correct", "generation_rounds")


def torchrun(folder: Path, settings: dict) -> list[dict]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port)]
    done = subprocess.run(
        [*command, str(SCRIPT), str(folder), json.dumps(settings)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_two_processes_train_what_one_does(name, tmp_path):
    settings = CASES[name]
    ranks = torchrun(tmp_path, settings | {"per_device_train_batch_size": 4})
    alone, spy = run(tmp_path / "alone", settings | {"per_device_train_batch_size": 8})
    logs = [entry for entry in alone.state.log_history if "loss" in entry]
    if name == "refilling, a short batch":
        assert min(log["groups_in_batch"] for log in logs) in (1, 2, 3)
    elif name == "refilling":
        assert max(log["generation_rounds"] for log in logs) > 1
    shared = sorted(tuple(rollout) for rank in ranks for rollout in rank["rollouts"])
    single = sorted((r["prompt"], r["text"], r["advantage"]) for r in spy.rollouts)
    assert [rollout[:2] for rollout in shared] == [rollout[:2] for rollout in single]
    assert [rollout[2] for rollout in shared] == pytest.approx([rollout[2] for rollout in single], abs=1e-6)
    assert all(rank["rollouts"] for rank in ranks)
    for ours, theirs in zip(ranks[0]["logs"], logs, strict=True):
        assert [ours[metric] for metric in NAMES] == pytest.approx([theirs[metric] for metric in NAMES])
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
    for parameter, value in alone.model.named_parameters():
        assert torch.equal(ranks[0]["weights"][parameter], ranks[1]["weights"][parameter])
        assert torch.allclose(ranks[0]["weights"][parameter], value, atol=1e-5), parameter
    assert ranks[0]["state"] == ranks[1]["state"]
    assert ranks[0]["state"]["stream"] == alone.coverage_state()["stream"]
