"""Roll-outs by a server (a stand-in): it gets the weights of each step, also when it is restarted or dies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

pytest.importorskip("openai", reason="the openai client is not installed: pip install 'passatn[server]'")

from fake_server import FakeServer
from passatn.sample.server import ServerEngine, ServerError
from rollout_ddp_run import run
from rollout_helpers import make_rollout_trainer, surrogate_logs
from test_rollouts_processes import torchrun
from train_helpers import assert_same_weights, weights_of

SETTINGS = {"max_steps": 5, "learning_rate": 1e-2, "save_strategy": "steps", "save_steps": 2}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def make_trainer(server: FakeServer, folder: Path, callbacks: list[Any] | None = None, **settings: Any) -> Any:
    engine = ServerEngine(server.url, "tiny", max_retries=1, weights_folder=folder / "exchange")
    arguments = {"rollout_engine": engine, "callbacks": callbacks or []}
    return make_rollout_trainer(folder, arguments=arguments, **(SETTINGS | settings))


class AtStep(TrainerCallback):
    """Does something after a step."""

    def __init__(self, step: int, action: Any) -> None:
        self.step, self.action = step, action

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            self.action()


def test_roll_outs_come_from_the_weights_of_each_step(server: FakeServer, tmp_path: Path) -> None:
    trainer = make_trainer(server, tmp_path)
    engine, seen = trainer._rollout_engine, []
    sample_jobs = engine.sample_jobs

    def spy(jobs: Any) -> Any:
        theirs = server.model.state_dict()
        seen.append(
            (trainer.state.global_step, [n for n, p in weights_of(trainer.model).items() if (p != theirs[n]).any()])
        )
        return sample_jobs(jobs)

    engine.sample_jobs = spy
    trainer.train()
    engine.close()
    assert {step for step, _ in seen} == set(range(5))
    assert [names for _, names in seen if names] == []
    assert server.num_loads == 5
    logs = surrogate_logs(trainer)
    assert all(log["seconds_transfer"] > 0 and log["rollouts_drawn"] >= 4 * 16 for log in logs)
    assert len({log["p_hat_mean"] for log in logs}) > 2


def test_a_restarted_server_changes_nothing(server: FakeServer, tmp_path: Path) -> None:
    whole = make_trainer(server, tmp_path / "whole")
    whole.train()
    loads = server.num_loads

    def in_the_middle() -> None:
        """Of the next step: after its weights were sent and checked by 4 probes."""
        server.faults.extend([lambda answer: None] * 6)
        server.faults.append(lambda answer: server.restart())

    callbacks = [AtStep(1, server.restart), AtStep(3, in_the_middle)]
    disturbed = make_trainer(server, tmp_path / "disturbed", callbacks)
    disturbed.train()
    assert not server.faults
    assert server.num_loads == 2 * loads + 1
    assert_same_weights(disturbed.model, weights_of(whole.model))
    assert disturbed.coverage_state() == whole.coverage_state()


@pytest.mark.slow
def test_a_dead_server_ends_the_run_by_name_and_the_resumed_one_ends_like_the_whole(tmp_path: Path) -> None:
    with FakeServer() as server:
        whole = make_trainer(server, tmp_path / "whole")
        whole.train()
    server = FakeServer(server.port).__enter__()
    trainer = make_trainer(server, tmp_path / "run", [AtStep(3, lambda: server.__exit__())])
    with pytest.raises(ServerError, match=rf"^{server.url}: new weights: the connection failed: "):
        trainer.train()
    assert trainer.state.global_step == 3
    with FakeServer(server.port) as server:
        resumed = make_trainer(server, tmp_path / "run")
        resumed.train(resume_from_checkpoint=True)
        assert server.num_loads == 3
    assert_same_weights(resumed.model, weights_of(whole.model))
    assert resumed.coverage_state() == whole.coverage_state()


@pytest.mark.slow
def test_of_two_processes_the_main_one_works_with_the_server(tmp_path: Path) -> None:
    """Both would load weights while the other one draws."""
    outcomes = []
    for world_size in (1, 2):
        with FakeServer() as server:
            settings = {"server": {"base_url": server.url, "weights_folder": str(tmp_path / f"exchange-{world_size}")}}
            settings["per_device_train_batch_size"] = 4 // world_size
            if world_size == 1:
                trainer, _ = run(tmp_path / "one", dict(settings))
                weights = weights_of(trainer.model)
                outcomes.append((trainer.coverage_state(), server.num_loads, len(server.asked)))
            else:
                ranks = torchrun(tmp_path, settings)
                outcomes.append((ranks[0]["state"], server.num_loads, len(server.asked)))
    assert outcomes[0] == outcomes[1]
    assert ranks[0]["state"] == ranks[1]["state"]
    assert ranks[0]["asked"]
    assert not ranks[1]["asked"]
    for name, weight in weights.items():
        assert torch.allclose(ranks[1]["weights"][name], weight, atol=1e-6)
