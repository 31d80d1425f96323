"""Two processes under torchrun share the roll-outs and train what one process trains with the same global batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rollout_ddp_run import run
from rollout_helpers import surrogate_logs

SCRIPT = Path(__file__).with_name("rollout_ddp_run.py")
CASES = {
    "stopping early, estimates used again, by tokens": {
        "max_estimate_age": 2,
        "sequential_error": 0.1,
        "sequential_stops": "both",
        "loss_normalization": "token",
    },
    "the paper's": {},
}
NAMES = (
    "discarded_candidates",
    "p_hat_mean",
    "p_hat_q90",
    "max_confidence_by_answer",
    "rollouts_drawn",
    "rollouts_saved_by_stopping",
    "rollouts_saved_by_reuse",
    "rollouts_truncated",
    "estimate_age_mean",
    "examples_seen",
)


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
    ranks = torchrun(tmp_path, settings | {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2})
    alone, verifier = run(tmp_path / "alone", settings | {"per_device_train_batch_size": 8})
    logs = surrogate_logs(alone)
    assert sum(log["discarded_candidates"] for log in logs) > 5
    for ours, theirs in zip(ranks[0]["logs"], logs, strict=True):
        assert [ours[metric] for metric in NAMES] == pytest.approx([theirs[metric] for metric in NAMES])
        assert ours["surrogate_loss"] == pytest.approx(theirs["surrogate_loss"], rel=1e-4)
    for parameter, value in alone.model.named_parameters():
        assert torch.equal(ranks[0]["weights"][parameter], ranks[1]["weights"][parameter])
        assert torch.allclose(ranks[0]["weights"][parameter], value, atol=1e-5), parameter
    # What was estimated, weighed, accepted and put back does not depend on how it was split over processes.
    assert ranks[0]["state"] == ranks[1]["state"] == alone.coverage_state()
    halves = [rank["asked"] for rank in ranks]
    assert sorted(halves[0] + halves[1]) == sorted(verifier.asked)
    assert min(map(len, halves)) > 0.3 * len(verifier.asked)
