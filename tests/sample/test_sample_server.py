"""The engine for OpenAI-compatible servers: what it asks, what it makes of answers, and what it survives."""

import asyncio
import math
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openai", reason="the openai client is not installed: pip install 'passatn[server]'")

from fake_server import FakeServer
from passatn.sample import Completion, SampleRequest, SamplingParams, score_completions
from passatn.sample.server import READY_JOBS, ServerEngine, ServerError
from passatn.sample.server_protocol import Piece, completions_of, pieces_of
from passatn.sample.spec import EngineSpec
from passatn.sample.store import Manifest, SampleStore, sample_into_store
from passatn.sample.vllm import CHUNK, chunk_seed
from passatn.tasks.encoding import EncodedExample
from tiny import build_tokenizer

REQUESTS = [SampleRequest("a", (3, 4, 5)), SampleRequest("b", (6, 7, 8, 9)), SampleRequest("c", (10,))]
PARAMS = SamplingParams(n=70, max_new_tokens=6, seed=4)
KEY = "sk-very-secret"


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
def engine(server: FakeServer) -> Iterator[ServerEngine]:
    with ServerEngine(server.url, "tiny") as engine:
        yield engine


def child_seed(problem_id: str, index: int, seed: int = PARAMS.seed) -> int:
    return chunk_seed(seed, problem_id, index // CHUNK) + index % CHUNK


def expected(
    server: FakeServer, requests: list[SampleRequest], params: SamplingParams, prompts: dict[str, tuple[int, ...]]
) -> list[Completion]:
    """What the model gives for the seeds of the vLLM engine's children, without a server between."""
    settings = {name: getattr(params, name) for name in ("max_new_tokens", "temperature", "top_p", "top_k")}
    indices = range(params.first_index, params.first_index + params.n)
    drawn = []
    for request in requests:
        seeds = [str(child_seed(request.problem_id, index, params.seed)) for index in indices]
        for index, child in zip(indices, server.children(prompts[request.problem_id], seeds, settings), strict=True):
            drawn.append(replace(child, problem_id=request.problem_id, index=index))
    return drawn


def plain(completions: list[Completion]) -> list[tuple[Any, ...]]:
    return [(c.problem_id, c.index, c.text, c.num_tokens, c.finished) for c in completions]


def seeds_asked(server: FakeServer) -> Counter:
    """Each child's seed, and how often it was asked for."""
    return Counter(body["seed"] + child for body in server.asked for child in range(body["n"]))


@pytest.mark.parametrize("samples_per_request", [CHUNK, 4])
def test_samples_are_those_of_the_child_seeds_in_order(server: FakeServer, samples_per_request: int) -> None:
    theirs = expected(server, REQUESTS, PARAMS, {request.problem_id: request.prompt_ids for request in REQUESTS})
    with ServerEngine(server.url, "tiny", samples_per_request=samples_per_request) as engine:
        ours = engine.sample(REQUESTS, PARAMS)
    assert plain(ours) == plain(theirs)
    assert [c.log_prob for c in ours] == pytest.approx([c.log_prob for c in theirs], abs=1e-4)
    assert len({c.text for c in ours}) > 20
    assert {c.finished for c in ours} == {True, False}
    assert {c.token_ids for c in ours} == {()}
    assert max(body["n"] for body in server.asked) == samples_per_request


def test_what_is_asked_is_what_the_parameters_say(server: FakeServer) -> None:
    params = SamplingParams(n=65, max_new_tokens=5, seed=9, temperature=0.5, top_p=0.9, top_k=7, first_index=60)
    options = {"extra_body": {"min_p": 0.01, "top_p": 0.8}, "tokenizer": build_tokenizer(), "max_concurrency": 1}
    with ServerEngine(server.url, "tiny", **options) as engine:
        engine.sample(REQUESTS[:1], params)
        engine.sample([SampleRequest("c", messages=(("system", "1"), ("user", "2")))], replace(PARAMS, n=1))
        engine.greedy([SampleRequest("t", text="1+2")], 3)
    common = {"model": "tiny", "min_p": 0.01, "top_p": 0.8, "stop_token_ids": [1]}
    ids = common | {"path": "/v1/completions", "prompt": [3, 4, 5], "logprobs": 1}
    ids |= {"max_tokens": 5, "temperature": 0.5, "top_k": 7}
    assert server.asked == [
        ids | {"n": 4, "seed": chunk_seed(9, "a", 0) + 60},
        ids | {"n": 61, "seed": chunk_seed(9, "a", 1)},
        common
        | {"path": "/v1/chat/completions", "n": 1, "seed": chunk_seed(4, "c", 0), "logprobs": True}
        | {"messages": [{"role": "system", "content": "1"}, {"role": "user", "content": "2"}]}
        | {"max_tokens": 6, "temperature": 1.0},
        common
        | {"path": "/v1/completions", "n": 1, "prompt": "1+2", "max_tokens": 3, "temperature": 0.0, "logprobs": 1},
    ]


def test_pieces_cover_each_sample_once_with_the_seed_of_its_place_in_the_chunk() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        first, n, size = int(rng.integers(0, 200)), int(rng.integers(1, 300)), 2 ** int(rng.integers(0, 7))
        pieces = list(pieces_of(REQUESTS[:2], replace(PARAMS, n=n, first_index=first), size))
        covered = [(p.request.problem_id, p.start + child) for p in pieces for child in range(p.count)]
        assert covered == [(problem_id, index) for problem_id in "ab" for index in range(first, first + n)]
        assert all(p.start // CHUNK == (p.start + p.count - 1) // CHUNK and p.count <= size for p in pieces)


def test_a_resumed_run_asks_for_the_samples_of_the_whole(server: FakeServer, engine: ServerEngine) -> None:
    whole = engine.sample(REQUESTS, replace(PARAMS, n=140))
    whole_seeds = seeds_asked(server)
    server.asked.clear()
    parts = engine.sample(REQUESTS, replace(PARAMS, n=50)) + engine.sample(
        REQUESTS, replace(PARAMS, n=90, first_index=50)
    )
    assert seeds_asked(server) == whole_seeds == Counter(child_seed(p, k) for p in "abc" for k in range(140))
    assert sorted(plain(parts)) == sorted(plain(whole))


def test_lost_and_refused_requests_are_repeated_and_nothing_is_lost_or_doubled(server: FakeServer) -> None:
    with ServerEngine(server.url, "tiny", samples_per_request=8) as engine:
        undisturbed = engine.sample(REQUESTS, PARAMS)
        num_requests = len(server.asked)
        faults = [429, 500, "drop", 503, "late", "cut", 408, 429, 502]
        server.faults.extend(faults)
        disturbed = engine.sample(REQUESTS, PARAMS)
    assert not server.faults
    assert plain(disturbed) == plain(undisturbed)
    assert len(server.asked) == 2 * num_requests + len(faults)


def test_when_the_repetitions_are_used_up_the_error_says_so(server: FakeServer) -> None:
    with ServerEngine(server.url, "tiny", max_retries=2) as engine:
        server.faults.extend([500] * 3)
        with pytest.raises(ServerError) as error:
            engine.sample(REQUESTS[:1], replace(PARAMS, n=1))
        assert str(error.value) == f"{server.url}: problem 'a': HTTP 500: not now (3 attempts)"
        assert len(server.asked) == 3
    with ServerEngine(server.url, "tiny", max_retries=0) as engine:
        server.faults.extend(["drop"])
        with pytest.raises(ServerError, match=r"^[^\n]*problem 'a': the connection failed: Server disconnected[^\n]*$"):
            engine.sample(REQUESTS[:1], replace(PARAMS, n=1))


def test_an_answer_that_does_not_come_is_asked_for_again(server: FakeServer) -> None:
    with ServerEngine(server.url, "tiny", timeout=1.5, max_retries=1) as engine:
        server.faults.append("hang")
        assert len(engine.sample(REQUESTS[:1], replace(PARAMS, n=2))) == 2
        assert len(server.asked) == 2
        server.faults.extend(["hang", "hang"])
        with pytest.raises(ServerError, match=r"problem 'a': no answer within 1.5 s \(2 attempts\): raise timeout"):
            engine.sample(REQUESTS[:1], replace(PARAMS, n=2))


def test_requests_in_flight_are_limited_over_all_calls(server: FakeServer) -> None:
    server.delay = 0.02
    with ServerEngine(server.url, "tiny", samples_per_request=8, max_concurrency=3) as engine:
        threads = [threading.Thread(target=engine.sample, args=(REQUESTS, replace(PARAMS, n=40))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.asked) == 2 * 3 * 5
    assert server.most_in_flight == 3


def test_jobs_run_together_and_results_that_are_not_taken_stop_the_asking(server: FakeServer) -> None:
    server.delay = 0.01
    jobs = [([SampleRequest(f"p{number}", (3, 4))], replace(PARAMS, n=4)) for number in range(20)]
    jobs.insert(7, ([], PARAMS))
    with ServerEngine(server.url, "tiny", max_concurrency=2) as engine:
        results = engine.sample_jobs(jobs)
        first = [next(results), next(results)]
        time.sleep(0.3)
        # Taken, waiting to be taken, and finished by each of the two workers.
        assert len(server.asked) <= 2 + READY_JOBS + 2
        rest = list(results)
        assert sorted(number for number, _ in first + rest) == list(range(21))
        for number, completions in first + rest:
            assert plain(completions) == plain(engine.sample(*jobs[number]))
        assert server.most_in_flight == 2

        server.asked.clear()
        results = engine.sample_jobs(jobs)
        next(results)
        results.close()
        # Each worker may have one request on its way.
        most = len(server.asked) + 2
        time.sleep(0.3)
        assert len(server.asked) <= most < len(jobs)


def test_a_refused_request_ends_the_run_in_one_line(server: FakeServer, engine: ServerEngine) -> None:
    server.delay = 0.05
    long = SampleRequest("long", (3,) * 60)
    with pytest.raises(ServerError) as error:
        engine.sample([long, *(SampleRequest(f"p{k}", (3,)) for k in range(200))], PARAMS)
    message = "This model's maximum context length is 64 tokens. Please reduce it."
    assert str(error.value) == f"{server.url}: problem 'long': HTTP 400: {message}"
    assert sum(body["prompt"] == list(long.prompt_ids) for body in server.asked) <= 2
    assert len(server.asked) < 200
    with pytest.raises(ValueError, match="problem id 'a' occurs twice"):
        engine.sample([REQUESTS[0], REQUESTS[0]], PARAMS)


def test_a_missing_server_and_a_missing_model_are_named(server: FakeServer) -> None:
    with pytest.raises(ServerError, match=r"^no server at http://127.0.0.1:1/v1 \(.+\)$"):
        ServerEngine("http://someone:password@127.0.0.1:1/v1?key=secret", "tiny")
    with pytest.raises(ServerError, match=r"^http://127.*/v1 does not have the model 'other': it has base, tiny$"):
        ServerEngine(server.url, "other")
    with (
        ServerEngine(server.url, "other", check=False) as engine,
        pytest.raises(ServerError, match=r"HTTP 404: The model `other` does not exist\.$"),
    ):
        engine.sample(REQUESTS, PARAMS)
    with (
        ServerEngine(server.url.removesuffix("/v1"), "tiny") as engine,
        pytest.raises(ServerError, match=r"HTTP 404: Not Found; should the address end in /v1\?$"),
    ):
        engine.sample(REQUESTS, PARAMS)


@pytest.mark.parametrize("status", [403, 404, 405, 503])
def test_a_server_that_does_not_list_its_models_is_used_all_the_same(server: FakeServer, status: int) -> None:
    server.models_status = status
    with ServerEngine(server.url, "tiny") as engine:
        assert len(engine.sample(REQUESTS, replace(PARAMS, n=1))) == 3


def test_the_key_is_sent_and_never_shown(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.api_key = KEY
    with ServerEngine(server.url, "tiny", api_key=f"{KEY}\n") as engine:
        assert len(engine.sample(REQUESTS, replace(PARAMS, n=1))) == 3
        server.faults.extend([lambda answer: {"note": f"you are {KEY}"}])
        with pytest.raises(ServerError, match=r"no completions: .*you are \*\*\*") as error:
            engine.sample(REQUESTS[:1], replace(PARAMS, n=1))
        assert KEY not in "".join(traceback.format_exception(error.value))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ServerEngine(server.url, "tiny") as engine:
        server.api_key = "another"
        with pytest.raises(ServerError, match=r"problem 'a': HTTP 401: wrong key: Bearer \*\*\*$") as error:
            engine.sample(REQUESTS[:1], replace(PARAMS, n=1))
        assert KEY not in "".join(traceback.format_exception(error.value))
    with pytest.raises(ServerError, match=r"HTTP 401: wrong key: Bearer \*\*\*$") as error:
        ServerEngine(server.url, "tiny")
    assert KEY not in "".join(traceback.format_exception(error.value))
    with pytest.raises(ValueError, match="the API key is empty or holds characters") as refused:
        ServerEngine(server.url, "tiny", api_key=f"{KEY}\nX-Other: 1")
    assert KEY not in str(refused.value)


def test_without_log_probabilities_the_engine_does_not_make_them_up(server: FakeServer) -> None:
    with ServerEngine(server.url, "tiny", logprobs=False) as engine:
        silent = engine.sample(REQUESTS, PARAMS)
        assert all("logprobs" not in body for body in server.asked)
    server.has_logprobs = None
    with ServerEngine(server.url, "tiny") as engine:
        assert plain(engine.sample(REQUESTS, PARAMS)) == plain(silent)
    assert all(math.isnan(c.log_prob) and c.num_tokens is None for c in silent)
    server.has_logprobs = False
    with (
        ServerEngine(server.url, "tiny") as engine,
        pytest.raises(ServerError, match=r"does not support `logprobs`\.; logprobs=False asks for none$"),
    ):
        engine.sample(REQUESTS, PARAMS)


def test_texts_and_chats_are_prompts_too(server: FakeServer, engine: ServerEngine) -> None:
    tokenizer = build_tokenizer()
    prompts = {"text": tuple(tokenizer.encode("12+")), "chat": tuple(tokenizer.encode("1 + 2="))}
    requests = [
        SampleRequest("text", text="12+"),
        SampleRequest("chat", messages=(("system", "1 "), ("user", "+ 2"))),
    ]
    ours, theirs = engine.sample(requests, PARAMS), expected(server, requests, PARAMS, prompts)
    assert plain(ours) == plain(theirs)
    assert [c.log_prob for c in ours] == pytest.approx([c.log_prob for c in theirs], abs=1e-4)


def test_token_ids_are_kept_where_the_server_gives_them(server: FakeServer) -> None:
    with ServerEngine(server.url, "tiny", extra_body={"return_token_ids": True}) as engine:
        completions = engine.sample(REQUESTS, replace(PARAMS, temperature=0.7))
        greedy = engine.greedy(REQUESTS, 6)
    prompts = {request.problem_id: request.prompt_ids for request in REQUESTS}
    for some in (completions, greedy):
        scores = score_completions(server.model, [EncodedExample(prompts[c.problem_id], c.token_ids) for c in some])
        assert np.array([c.log_prob for c in some]) == pytest.approx(scores[:, 0], abs=1e-4)
        assert all(c.num_tokens == len(c.token_ids) and c.finished == (c.token_ids[-1] == 1) for c in some)
    best = server.children((3, 4, 5), ["0"], {"max_new_tokens": 6, "temperature": 0.0})
    assert greedy[0].token_ids == best[0].token_ids
    assert [(c.problem_id, c.index) for c in greedy] == [("a", 0), ("b", 0), ("c", 0)]


def test_a_server_with_one_seed_for_all_completions_is_caught(server: FakeServer) -> None:
    server.seeds_children = False
    params = replace(PARAMS, n=30)
    with (
        ServerEngine(server.url, "tiny") as engine,
        pytest.raises(ServerError, match=r"problem 'a': all 30 completions .* are equal, .* samples_per_request=1"),
    ):
        engine.sample(REQUESTS[:1], params)
    with ServerEngine(server.url, "tiny", samples_per_request=1) as engine:
        completions = engine.sample(REQUESTS[:1], params)
    assert len({c.text for c in completions}) > 10


def answer_of(texts: list[str], log_p: float | None) -> dict[str, Any]:
    logprobs = {"token_logprobs": [log_p]}
    shared = {"finish_reason": "stop", "logprobs": logprobs}
    return {"choices": [{"index": index, "text": text} | shared for index, text in enumerate(texts)]}


def test_equal_completions_are_no_fault_where_chance_explains_them() -> None:
    piece = Piece(REQUESTS[0], replace(PARAMS, n=CHUNK), 0, CHUNK)
    equal = ["1"] * CHUNK
    for some, answer in [
        (piece, answer_of(equal, math.log(0.5))),  # 0.5^63 = 1e-19: rare, yet a run has many requests
        (piece, answer_of([*equal[1:], "2"], -9.0)),
        (piece, answer_of(equal, None)),
        (replace(piece, params=replace(PARAMS, temperature=0.1)), answer_of(equal, -9.0)),
        (replace(piece, params=replace(PARAMS, top_p=0.5)), answer_of(equal, -9.0)),
        (replace(piece, params=replace(PARAMS, top_k=2)), answer_of(equal, -9.0)),
        (replace(piece, count=1), answer_of(["1"], -900.0)),
    ]:
        assert len(completions_of(some, answer)) == some.count
    with pytest.raises(ValueError, match=r"equal, though each has probability 1\.2e-04"):
        completions_of(piece, answer_of(equal, -9.0))


def drop_one(answer: dict[str, Any]) -> None:
    answer["choices"].pop()


def repeat_one(answer: dict[str, Any]) -> None:
    answer["choices"].append(answer["choices"][0])


def give_up(answer: dict[str, Any]) -> None:
    answer["choices"][1]["finish_reason"] = "abort"


def forget_index(answer: dict[str, Any]) -> None:
    del answer["choices"][1]["index"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (drop_one, "asked for 4 completions, got 3: set a smaller samples_per_request"),
        (repeat_one, "asked for 4 completions, got 5"),
        (give_up, r"the server gave up a completion \(finish_reason 'abort'\)"),
        (forget_index, r"a completion in the answer is not as OpenAI defines it \(KeyError\('index'\)\)"),
        (lambda answer: {"error": {"message": "overloaded"}}, "the answer holds no completions: .*overloaded"),
        (lambda answer: [answer], "the answer holds no completions"),
        ("html", "the answer holds no completions: <html> welcome"),
        ("garbage", r"the answer is not JSON"),
    ],
)
def test_answers_that_cannot_be_used_are_errors(
    server: FakeServer, engine: ServerEngine, fault: Any, message: str
) -> None:
    server.faults.append(fault)
    with pytest.raises(ServerError, match=f"^{server.url}: problem 'a': {message}") as error:
        engine.sample(REQUESTS[:1], replace(PARAMS, n=4))
    assert "\n" not in str(error.value)


def test_a_chat_whose_content_is_empty_has_an_empty_text(server: FakeServer, engine: ServerEngine) -> None:
    server.faults.append(lambda answer: answer["choices"][0]["message"].update(content=None))
    [completion] = engine.sample([SampleRequest("c", messages=(("user", "1"),))], replace(PARAMS, n=1))
    assert completion.text == ""


def test_it_works_inside_a_running_loop_and_from_any_thread(engine: ServerEngine) -> None:
    outside = plain(engine.sample(REQUESTS, PARAMS))

    async def inside() -> list[tuple[Any, ...]]:
        return plain(engine.sample(REQUESTS, PARAMS))

    assert asyncio.run(inside()) == outside
    results: dict[int, list[tuple[Any, ...]]] = {}
    threads = [
        threading.Thread(target=lambda k=k: results.update({k: plain(engine.sample(REQUESTS, PARAMS))}))
        for k in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(3), outside)


def test_a_store_is_filled_with_the_samples_of_the_engine(server: FakeServer, engine: ServerEngine, tmp_path) -> None:
    manifest = Manifest.for_run("tiny", REQUESTS, PARAMS, engine="server")
    store = SampleStore.create(tmp_path, manifest)
    chunks = {"problems_per_chunk": 2, "samples_per_chunk": 32}
    sample_into_store(engine, REQUESTS, replace(PARAMS, n=20), store, **chunks)
    server.faults.extend([500, "drop"])
    report = sample_into_store(engine, REQUESTS, PARAMS, store, **chunks)
    assert (report.num_drawn, report.num_present) == (150, 60)
    assert store.verify_integrity().is_sound
    in_memory = engine.sample(REQUESTS, PARAMS)
    counted = Counter()
    for row in store.table().to_pylist():
        counted[row["problem_id"], row["completion"], row["num_tokens"], row["finished"]] += row["count"]
    assert counted == Counter((c.problem_id, c.text, c.num_tokens, c.finished) for c in in_memory)


def test_a_closed_engine_says_so_and_closing_ends_what_waits(server: FakeServer) -> None:
    engine = ServerEngine(server.url, "tiny")
    errors: list[BaseException] = []

    def sample() -> None:
        try:
            engine.sample(REQUESTS, PARAMS)
        except BaseException as error:
            errors.append(error)

    server.faults.extend(["hang"] * 6)
    thread = threading.Thread(target=sample)
    thread.start()
    while not server.asked:
        time.sleep(0.01)
    engine.close()
    thread.join(5)
    assert [str(error) for error in errors] == ["the server engine was closed"]
    engine.close()
    with pytest.raises(RuntimeError, match="the server engine is closed"):
        engine.sample(REQUESTS, PARAMS)


def test_an_interrupt_ends_the_waiting_and_the_engine_goes_on(server: FakeServer, engine: ServerEngine) -> None:
    # A process that was started in the background of a shell may have been told to ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server.faults.extend(["hang"] * 6)
    main_thread = threading.main_thread().ident

    def interrupt() -> None:
        while len(server.asked) < 6:
            time.sleep(0.01)
        signal.pthread_kill(main_thread, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        engine.sample(REQUESTS, PARAMS)
    assert time.monotonic() - begun < 30
    assert len(engine.sample(REQUESTS, replace(PARAMS, n=2))) == 6
    assert len(server.asked) == 6 + 3


def test_options_are_checked_and_the_client_is_an_extra(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, message in [
        ({"samples_per_request": 48}, "samples_per_request must divide 64, got 48"),
        ({"samples_per_request": 128}, "samples_per_request must divide 64, got 128"),
        ({"max_concurrency": 0}, "max_concurrency must be from 1 to 1000, got 0"),
        ({"max_retries": -1}, "max_retries must not be negative, got -1"),
        ({"timeout": 0}, "timeout must be positive, got 0 seconds"),
        ({"base_url": "127.0.0.1:8000/v1"}, "base_url must be like http://127.0.0.1:8000/v1"),
    ]:
        with pytest.raises(ValueError, match=message):
            ServerEngine(**({"base_url": server.url, "model": "tiny"} | options))
    with EngineSpec("server", "tiny", options={"base_url": server.url, "samples_per_request": 2}).build() as engine:
        assert len(engine.sample(REQUESTS[:1], replace(PARAMS, n=3))) == 3
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r"pip install 'passatn\[server\]'"):
        ServerEngine(server.url, "tiny")
