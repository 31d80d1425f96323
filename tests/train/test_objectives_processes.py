"""Two processes under torchrun train, by another objective, what one trains with the same global batch."""

import pytest
import torch

from ddp_run import run
from test_train_processes import torchrun
from train_helpers import training_logs

CASES = {
    "gem": {"objective": "gem", "loss_normalization": "token"},
    "majority vote with replacement": {
        "objective": "majority_vote", "n_passes": 3000, "majority_threshold": 2, "min_confidence_weight": 0.6,
        "min_active_fraction": 0.0,
    },
    "confidence penalty": {"objective": "confidence_penalty"},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_what_one_does(name, tmp_path):
    settings = CASES[name] | {"train_sampling_strategy": "sequential", "gradient_accumulation_steps": 2}
    ranks = torchrun(tmp_path, settings | {"per_device_train_batch_size": 2})
    alone = run(tmp_path / "alone", settings | {"per_device_train_batch_size": 4})
    losses = [entry["loss"] for entry in training_logs(alone)]
    assert len(losses) == 8
    assert ranks[0]["losses"] == pytest.approx(losses, rel=1e-4)
    for parameter, value in alone.model.named_parameters():
        assert torch.equal(ranks[0]["weights"][parameter], ranks[1]["weights"][parameter])
        assert torch.allclose(ranks[0]["weights"][parameter], value, atol=1e-5), parameter
    assert ranks[0]["state"] == ranks[1]["state"] == alone.coverage_state()
    if "replacement" in name:
        assert ranks[0]["state"]["stream"]["num_replaced"] > 5
