"""DCOa with a real `vllm serve` that draws the roll-outs: new weights through a folder, at every step, checked.

The server runs in development mode, on the loopback interface.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: it goes into an environment of its own, see CONTRIBUTING.md")
pytest.importorskip("openai", reason="the openai client is not installed: pip install 'passatn[server]'")

import torch

from passatn.sample import SampleRequest, SamplingParams, score_completions
from passatn.sample.parity import WeightParityError, check_parity, update_weights
from passatn.sample.server import ServerEngine, ServerError
from passatn.tasks import Problem, PromptTemplate, encode_example
from passatn.tasks.encoding import EncodedExample
from passatn.train import CoverageConfig, CoverageTrainer, reasoning_dataset
from passatn.verify.exact import ExactVerifier
from passatn.verify.stated import StatedAnswer
from tiny import build_model, build_tokenizer

TEMPLATE = PromptTemplate("steps", "{prompt}", "{reasoning}={answer}")
PROBLEMS = [Problem(f"p{n}", f"{n}+1=", (str(n + 1),), reasoning=f"{n}1") for n in range(8)]
PROBES = [encode_example(build_tokenizer(), TEMPLATE, problem) for problem in PROBLEMS[:2]]
REQUESTS = [SampleRequest("a", (3, 4, 5)), SampleRequest("b", tuple(2 + place % 18 for place in range(45)))]
"""The second one is long enough for vLLM to keep a block of it in the prefix cache."""
PARAMS = SamplingParams(n=20, max_new_tokens=8, seed=1)


def make_model(seed: int = 0, **config: Any) -> Any:
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2}
    return build_model(seed=seed, **(sizes | config)).eval()


class LiveServer:
    """`vllm serve` of a folder on a free port, which can be restarted."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._folder = folder
        self.start()

    def start(self, *, dev_mode: bool = True) -> None:
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self._folder)]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--served-model-name", "tiny"]
        command += ["--dtype", "float32", "--max-model-len", "64", "--generation-config", "vllm", "--block-size", "32"]
        environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_SERVER_DEV_MODE": str(int(dev_mode))}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, env=environment, **quiet)
        for _ in range(480):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                return
            except OSError:
                assert self._process.poll() is None, "the server ended by itself"
                time.sleep(0.5)
        raise AssertionError("the server does not answer")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("model")
    make_model().save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    server = LiveServer(folder)
    yield server
    server.stop()


@pytest.fixture
def engine(server: LiveServer, tmp_path: Path) -> Iterator[ServerEngine]:
    options = {"tokenizer": build_tokenizer(), "weights_folder": tmp_path / "exchange"}
    options["extra_body"] = {"return_token_ids": True}
    with ServerEngine(server.url, "tiny", **options) as engine:
        yield engine


def make_trainer(engine: ServerEngine, folder: Path) -> CoverageTrainer:
    args = CoverageConfig(
        str(folder), n_passes=8, confidence="rollouts", num_rollouts=16, rollout_max_new_tokens=6, max_steps=3,
        per_device_train_batch_size=4, learning_rate=1e-2, lr_scheduler_type="constant", use_cpu=True, bf16=False,
        gradient_checkpointing=False, report_to="none", save_strategy="no", logging_steps=1, max_length=None,
        disable_tqdm=True,
    )  # fmt: skip
    return CoverageTrainer(
        make_model(seed=5),
        args=args,
        train_dataset=reasoning_dataset(PROBLEMS, TEMPLATE),
        processing_class=build_tokenizer(),
        verifier=StatedAnswer(ExactVerifier(), TEMPLATE),
        rollout_engine=engine,
    )


def assert_drawn_from(engine: ServerEngine, model: Any) -> None:
    """The log-probabilities with which tokens were drawn, prompts in the cache or not, are the model's."""
    prompts = {request.problem_id: request.prompt_ids for request in REQUESTS}
    drawn = engine.sample(REQUESTS, PARAMS)
    expected = score_completions(model, [EncodedExample(prompts[c.problem_id], c.token_ids) for c in drawn])[:, 0]
    assert [c.log_prob for c in drawn] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("tied", [False, True])
def test_new_weights_are_served_and_checked(engine: ServerEngine, tied: bool) -> None:
    engine.sample(REQUESTS, PARAMS)
    for seed in (1, 2):
        model = make_model(seed)
        if tied:
            # Of a model whose embeddings are tied, the server's is not: both names are sent.
            model.lm_head.weight = model.model.embed_tokens.weight
        with pytest.raises(WeightParityError):
            check_parity(engine, model, PROBES)
        assert update_weights(engine, model, PROBES) < 1e-4
        assert_drawn_from(engine, model)


def test_roll_outs_come_from_the_weights_of_each_step(engine: ServerEngine, tmp_path: Path) -> None:
    trainer = make_trainer(engine, tmp_path)
    seen, sample_jobs = [], engine.sample_jobs

    def spy(jobs: Any) -> Any:
        # At the moment of sampling, the server has the trainer's weights of now.
        seen.append((trainer.state.global_step, check_parity(engine, trainer.model, PROBES)))
        return sample_jobs(jobs)

    engine.sample_jobs = spy
    trainer.train()
    assert {step for step, _ in seen} == {0, 1, 2}
    assert max(difference for _, difference in seen) < 1e-4
    entries = [entry for entry in trainer.state.log_history if "surrogate_loss" in entry]
    assert [entry["rollouts_drawn"] >= 4 * 16 for entry in entries] == [True] * 3
    print("seconds of transfer", [entry["seconds_transfer"] for entry in entries])
    with pytest.raises(WeightParityError):
        check_parity(engine, trainer.model, PROBES)


def test_a_folder_that_the_server_does_not_see_does_it_no_harm(
    engine: ServerEngine, server: LiveServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A real reload from there would leave the server without weights, and its next request would end it."""
    model = make_model(3)
    update_weights(engine, model, PROBES)
    with ServerEngine(server.url, "tiny", weights_folder=tmp_path / "unseen") as other:
        call, nowhere = other._weights._call, {"weights_path": "/nowhere"}
        monkeypatch.setattr(other._weights, "_call", lambda arguments, *rest: call(arguments | nowhere, *rest))
        with pytest.raises(ServerError, match=r"new weights: HTTP 500: .*does it see .*/unseen under this path\?"):
            other.update_weights(make_model(4).state_dict())
    assert_drawn_from(engine, model)
    assert update_weights(engine, make_model(4), PROBES) < 1e-4


def test_a_restarted_server_gets_the_weights_again_and_a_dead_one_is_named(
    engine: ServerEngine, server: LiveServer
) -> None:
    model = make_model(6)
    update_weights(engine, model, PROBES)
    server.stop()
    with (
        ServerEngine(server.url, "tiny", max_retries=0, check=False) as impatient,
        pytest.raises(ServerError, match=rf"^{server.url}: problem '[ab]': the connection failed"),
    ):
        impatient.sample(REQUESTS, PARAMS)
    server.start()
    assert_drawn_from(engine, model)
    assert check_parity(engine, model, PROBES) < 1e-4
    server.stop()
    server.start(dev_mode=False)
    with pytest.raises(ServerError, match=r"new weights: HTTP 404: .*VLLM_SERVER_DEV_MODE=1"):
        engine.sample(REQUESTS, PARAMS)
    assert torch.isfinite(torch.tensor(engine.score(PROBES))).all()
