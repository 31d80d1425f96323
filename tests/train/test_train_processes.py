"""Two processes under torchrun train what one process trains with the same global batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ddp_run import run

SCRIPT = Path(__file__).with_name("ddp_run.py")
REPLACING = {"n_passes": 3000, "min_confidence_weight": 0.6, "min_active_fraction": 0.0}
CASES = {
    "replacement": REPLACING,
    "replacement by tokens": REPLACING | {"loss_normalization": "token"},
    "weights only": {"n_passes": 300, "min_confidence_weight": 0.0, "train_sampling_strategy": "sequential"},
}


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


@pytest.mark.parametrize(
    "name", ["replacement", *(pytest.param(name, marks=pytest.mark.slow) for name in list(CASES)[1:])]
)
def test_two_processes_train_what_one_does(name, tmp_path):
    settings = CASES[name]
    ranks = torchrun(tmp_path, settings | {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2})
    alone = run(tmp_path / "alone", settings | {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2})
    losses = [entry["loss"] for entry in alone.state.log_history if "loss" in entry]
    assert len(losses) == 8
    assert ranks[0]["losses"] == pytest.approx(losses, rel=1e-4)
    for parameter, value in alone.model.named_parameters():
        assert torch.equal(ranks[0]["weights"][parameter], ranks[1]["weights"][parameter])
        assert torch.allclose(ranks[0]["weights"][parameter], value, atol=1e-5), parameter
    assert ranks[0]["state"] == ranks[1]["state"]
    # What was weighed, accepted, replaced and put back does not depend on how it was split over processes.
    assert ranks[0]["state"] == alone.coverage_state()
    if "replacement" in name:
        assert ranks[0]["state"]["stream"]["num_replaced"] > 5
