"""Roll-outs by workers behind Ray: they get the present weights at every step, also one that died in between."""

import os
import signal

import pytest
import torch
from transformers import TrainerCallback

pytest.importorskip("ray", reason="Ray is not installed: pip install 'passatn[ray]'")

from passatn.sample.ray import RayEngine
from passatn.sample.spec import EngineSpec
from rollout_helpers import character_tokenizer, make_rollout_trainer, surrogate_logs
from tiny import build_model

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(tmp_path, local_ray):
    """Two workers with weights that the trainer does not have."""
    build_model(seed=9).save_pretrained(tmp_path / "model")
    character_tokenizer().save_pretrained(tmp_path / "model")
    with RayEngine(EngineSpec("hf", str(tmp_path / "model")), num_workers=2) as engine:
        yield engine


def test_workers_draw_what_the_colocated_engine_draws_whatever_dies(engine, tmp_path):
    class KillWorker(TrainerCallback):
        killed: list[int] = []  # noqa: RUF012

        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 2:
                self.killed.append(engine.process_ids[0])
                os.kill(self.killed[0], signal.SIGKILL)

    settings = {"max_steps": 4, "learning_rate": 1e-2, "max_estimate_age": 1}
    reference = make_rollout_trainer(tmp_path / "colocated", **settings)
    reference.train()
    arguments = {"rollout_engine": engine, "callbacks": [KillWorker()]}
    trainer = make_rollout_trainer(tmp_path / "ray", arguments=arguments, **settings)
    trainer.train()
    assert KillWorker.killed
    assert KillWorker.killed[0] not in engine.process_ids
    assert trainer.coverage_state() == reference.coverage_state()
    for ours, theirs in zip(trainer.model.parameters(), reference.model.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    logs = surrogate_logs(trainer)
    assert all((log["seconds_transfer"] > 0) == (log["rollouts_drawn"] > 0) for log in logs)
