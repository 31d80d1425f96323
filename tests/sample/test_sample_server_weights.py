"""New weights for a server: sent through a folder, checked, and sent again when the server has lost them."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("openai", reason="the openai client is not installed: pip install 'passatn[server]'")

from fake_server import FakeServer
from passatn.sample import SampleRequest, SamplingParams, score_completions
from passatn.sample.parity import WeightParityError, check_parity, update_weights
from passatn.sample.server import ServerEngine, ServerError
from passatn.sample.server_weights import MAX_RESTORATIONS
from passatn.sample.spec import EngineSpec
from passatn.tasks.encoding import EncodedExample
from tiny import build_model

REQUESTS = [SampleRequest("a", (3, 4, 5)), SampleRequest("b", (6, 7, 8, 9)), SampleRequest("c", (10,))]
PARAMS = SamplingParams(n=24, max_new_tokens=6, seed=4)
PROBES = [EncodedExample((3, 4, 5), (6, 1)), EncodedExample((7,), (8, 9, 1))]


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def engine(server: FakeServer, tmp_path: Path) -> Iterator[ServerEngine]:
    with ServerEngine(
        server.url, "tiny", samples_per_request=8, max_retries=1, weights_folder=tmp_path / "w"
    ) as engine:
        yield engine


def new_model(seed: int = 1, **config: Any) -> Any:
    return build_model(seed=seed, initializer_range=0.5, **config).eval()


def drawn_by(model: Any, params: SamplingParams = PARAMS) -> list[str]:
    """What a server with these weights draws."""
    with FakeServer() as server, ServerEngine(server.url, "tiny") as engine:
        server.model.load_state_dict(model.state_dict())
        return [c.text for c in engine.sample(REQUESTS, params)]


def texts(engine: ServerEngine, params: SamplingParams = PARAMS) -> list[str]:
    return [c.text for c in engine.sample(REQUESTS, params)]


def same_weights(server: FakeServer, model: Any) -> bool:
    theirs = server.model.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


def test_scores_are_those_of_the_model(server: FakeServer, engine: ServerEngine) -> None:
    examples = [*PROBES, EncodedExample((3, 4), tuple(range(2, 18)))]
    scores = engine.score(examples)
    assert scores.shape == (3, 1)
    assert scores == pytest.approx(score_completions(server.model, examples), abs=1e-4)
    assert engine.score([]).shape == (0, 1)
    with pytest.raises(ValueError, match="a server scores at temperature 1 only"):
        engine.score(examples, temperatures=(0.5,))
    server.has_logprobs = False
    with pytest.raises(ServerError, match=r"score of completion \d: the answer lacks .* \(prompt_logprobs, which vLLM"):
        engine.score(examples)


def shift(answer: dict[str, Any]) -> None:
    answer["choices"][0]["prompt_logprobs"].insert(1, {"2": {"logprob": -1.0}})


def cut(answer: dict[str, Any]) -> None:
    answer["choices"][0]["prompt_logprobs"].pop()


@pytest.mark.parametrize("fault", [shift, cut, lambda answer: {"choices": []}])
def test_scores_of_other_tokens_are_no_scores(server: FakeServer, engine: ServerEngine, fault: Any) -> None:
    server.faults.append(fault)
    with pytest.raises(ServerError, match="score of completion 0: the answer lacks log-probabilities"):
        engine.score(PROBES[:1])


@pytest.mark.parametrize("tied", [False, True])
def test_new_weights_are_served_and_checked(server: FakeServer, engine: ServerEngine, tied: bool) -> None:
    model = new_model(tie_word_embeddings=tied)
    old = texts(engine)
    with pytest.raises(WeightParityError):
        check_parity(engine, model, PROBES)
    assert update_weights(engine, model, PROBES) < 1e-5
    assert same_weights(server, model)
    # The stand-in remembers what it has drawn until its cache is dropped.
    assert texts(engine) == drawn_by(model) != old
    assert server.num_loads == 1


def test_weights_of_a_checkpoint_are_sent_too_and_deleted_at_the_end(server: FakeServer, tmp_path: Path) -> None:
    new_model(seed=2).save_pretrained(tmp_path / "checkpoint")
    folder = tmp_path / "exchange"
    with EngineSpec(
        "server", "tiny", options={"base_url": server.url, "weights_folder": str(folder)}
    ).build() as engine:
        assert update_weights(engine, new_model(seed=2), PROBES, checkpoint=tmp_path / "checkpoint") < 1e-5
        [file] = (folder / "passatn-weights").iterdir()
        assert load_file(file).keys() == new_model().state_dict().keys()
        with pytest.raises(ValueError, match=r"no \.safetensors file"):
            engine.update_weights(tmp_path)
    assert list(folder.iterdir()) == []


def test_a_server_that_only_says_so_is_caught(server: FakeServer, engine: ServerEngine) -> None:
    server.is_deaf = True
    with pytest.raises(WeightParityError, match="does not serve the new weights"):
        update_weights(engine, new_model(), PROBES)


def test_what_is_missing_is_said_before_the_server_is_touched(
    server: FakeServer, engine: ServerEngine, tmp_path: Path
) -> None:
    with (
        ServerEngine(server.url, "tiny") as other,
        pytest.raises(ValueError, match="give ServerEngine a weights_folder"),
    ):
        other.update_weights(new_model().state_dict())
    server.hidden_folder = str(tmp_path)
    with pytest.raises(ServerError) as error:
        engine.update_weights(new_model().state_dict())
    assert str(error.value) == (
        f"{server.url}: new weights: HTTP 500: Cannot find any model weights with `<path>`; does it see {tmp_path}/w "
        "under this path? weights_folder must be on its host or on a shared disk"
    )
    server.hidden_folder, server.has_dev_mode = "", False
    with pytest.raises(
        ServerError, match=r"^http://.*/v1: new weights: HTTP 404: Not Found; start it with VLLM_SERVER_DEV"
    ):
        engine.update_weights(new_model().state_dict())
    # A load that fails ends a vLLM server (the stand-in too): nothing of the kind has happened.
    assert len(texts(engine)) == 72


def test_a_folder_that_cannot_be_written_is_named(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match=r"cannot write weights into .*/file \(.*File exists"):
        ServerEngine(server.url, "tiny", weights_folder=tmp_path / "file")
    (tmp_path / "x/passatn-weights/staged").mkdir(parents=True)
    with (
        ServerEngine(server.url, "tiny", weights_folder=tmp_path / "x") as other,
        pytest.raises(ServerError, match=r"cannot write weights into .*/x/passatn-weights \(.*give another weights_f"),
    ):
        other.update_weights(new_model().state_dict())


def test_of_two_engines_with_the_folder_the_one_that_sends_deletes(server: FakeServer, tmp_path: Path) -> None:
    """As two processes of a training have them."""
    with ServerEngine(server.url, "tiny", weights_folder=tmp_path) as main:
        update_weights(main, new_model(), PROBES)
        ServerEngine(server.url, "tiny", weights_folder=tmp_path).close()
        server.restart()
        assert texts(main) == drawn_by(new_model())
    assert list(tmp_path.iterdir()) == []


def test_a_dead_server_is_named(tmp_path: Path) -> None:
    with FakeServer() as server:
        engine = ServerEngine(server.url, "tiny", max_retries=1, weights_folder=tmp_path)
        update_weights(engine, new_model(), PROBES)
    with engine:
        with pytest.raises(ServerError, match=rf"^{server.url}: new weights: the connection failed: "):
            engine.update_weights(new_model().state_dict())
        with pytest.raises(
            ServerError, match=rf"^{server.url}: problem '[abc]': the connection failed: .*\(2 attempts\)"
        ):
            engine.sample(REQUESTS, PARAMS)


def test_a_server_restarted_between_two_calls_gets_the_weights_again(server: FakeServer, engine: ServerEngine) -> None:
    model = new_model()
    update_weights(engine, model, PROBES)
    right = texts(engine)
    server.restart()
    assert texts(engine) == right
    assert same_weights(server, model)
    assert server.num_loads == 2
    assert texts(engine) == right
    assert server.num_loads == 2, "a server that has them is left alone"


@pytest.mark.parametrize("at", [0, 1, 5, 8])
def test_what_was_drawn_before_and_after_a_restart_is_drawn_again(
    at: int, server: FakeServer, engine: ServerEngine
) -> None:
    """9 requests, and before the answer to number `at` the server loses its weights."""
    update_weights(engine, new_model(), PROBES)
    server.delay = 0.01
    server.faults.extend([lambda answer: None] * at)
    server.faults.append(lambda answer: server.restart())
    assert texts(engine) == drawn_by(new_model())


def test_all_jobs_under_way_are_drawn_again(server: FakeServer, tmp_path: Path) -> None:
    update = {"max_concurrency": 3, "weights_folder": tmp_path}
    jobs = [([SampleRequest(f"p{number}", (3, number))], replace(PARAMS, n=32)) for number in range(2, 9)]
    with ServerEngine(server.url, "tiny", samples_per_request=8, **update) as engine:
        update_weights(engine, new_model(), PROBES)
        right = {number: [c.text for c in completions] for number, completions in engine.sample_jobs(jobs)}
        for answers in (3, 15):
            server.faults.extend([lambda answer: None] * answers)
            server.faults.append(lambda answer: server.restart())
            found = {number: [c.text for c in completions] for number, completions in engine.sample_jobs(jobs)}
            assert found == right
            assert not server.faults
    assert server.num_loads >= 3


def test_threads_share_the_restored_weights(server: FakeServer, engine: ServerEngine) -> None:
    update_weights(engine, new_model(), PROBES)
    right, results = texts(engine), {}
    server.restart()
    threads = [threading.Thread(target=lambda k=k: results.update({k: texts(engine)})) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(results.values()) == [right] * 3
    assert server.num_loads == 2


def test_a_server_that_is_restarted_for_ever_ends_the_run(server: FakeServer, engine: ServerEngine) -> None:
    update_weights(engine, new_model(), PROBES)

    def restart_after_samples(answer: dict[str, Any]) -> None:
        if "prompt_logprobs" not in answer["choices"][0]:
            server.restart()

    server.faults.extend([restart_after_samples] * 1000)
    with pytest.raises(ServerError, match=rf"^{server.url} has lost its weights more than {MAX_RESTORATIONS} times: "):
        engine.sample(REQUESTS[:1], replace(PARAMS, n=1))
    assert server.num_loads == MAX_RESTORATIONS + 1


def test_a_server_that_does_not_take_them_again_ends_the_run(server: FakeServer, engine: ServerEngine) -> None:
    update_weights(engine, new_model(), PROBES)
    server.restart()
    server.is_deaf = True
    with pytest.raises(WeightParityError, match="does not serve the new weights"):
        engine.sample(REQUESTS, PARAMS)


def test_without_a_folder_a_check_binds_the_engine_to_nothing(server: FakeServer) -> None:
    with ServerEngine(server.url, "tiny") as engine:
        assert check_parity(engine, server.model, PROBES) < 1e-5
        server.model.load_state_dict(new_model().state_dict())
        assert np.isfinite(engine.score(PROBES)).all()
        assert texts(engine) == drawn_by(new_model())


def test_a_check_before_any_sending_restores_nothing(server: FakeServer, engine: ServerEngine) -> None:
    assert check_parity(engine, server.model, PROBES) < 1e-5
    server.model.load_state_dict(new_model().state_dict())
    texts(engine)
    assert server.num_loads == 0
