"""Requests that ask for different numbers of samples: each gets its own, and the same ones as when asked for alike."""

from dataclasses import replace

import numpy as np
import pytest

from passatn.sample import Completion, HFEngine, SampleRequest, SamplingParams
from passatn.sample.ray import _split
from passatn.sample.server_protocol import pieces_of
from passatn.sample.vllm import CHUNK, _parts
from tiny import build_model, build_tokenizer

REQUESTS = [SampleRequest("a", (3, 4, 5)), SampleRequest("b", (6, 7, 8, 9)), SampleRequest("c", (10,))]
WANTED = {"a": range(2, 9), "b": range(1), "c": range(8)}
PARAMS = SamplingParams(n=8, max_new_tokens=6, seed=5)
UNEVEN = [
    replace(request, indices=None if request.problem_id == "c" else WANTED[request.problem_id]) for request in REQUESTS
]


def drawn(completions: list[Completion]) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(c.problem_id, c.index, c.token_ids) for c in completions]


def test_each_request_gets_its_own_samples_and_no_others() -> None:
    engine = HFEngine(build_model(), build_tokenizer())
    even = {(c.problem_id, c.index): c for c in engine.sample(REQUESTS, replace(PARAMS, n=9))}
    uneven = engine.sample(UNEVEN, PARAMS)
    assert [(c.problem_id, c.index) for c in uneven] == [(p, k) for p, wanted in WANTED.items() for k in wanted]
    assert drawn(uneven) == [(p, k, even[p, k].token_ids) for p, wanted in WANTED.items() for k in wanted]
    small = HFEngine(build_model(), build_tokenizer(), max_batch_size=3)
    assert drawn(small.sample(UNEVEN, PARAMS)) == drawn(uneven)


@pytest.mark.parametrize("indices", [range(0), range(0, 4, 2), range(-1, 3), range(3, 1)])
def test_indices_are_a_plain_range(indices: range) -> None:
    with pytest.raises(ValueError, match=r"problem 'a': indices must be a range"):
        SampleRequest("a", (3,), indices=indices)


def test_at_temperature_zero_there_is_one_sample() -> None:
    engine = HFEngine(build_model(), build_tokenizer())
    greedy = SamplingParams(n=1, temperature=0.0, max_new_tokens=4, seed=0)
    assert [c.index for c in engine.sample([replace(REQUESTS[0], indices=range(5, 6))], greedy)] == [5]
    with pytest.raises(ValueError, match="problem 'a': at temperature 0 all samples are equal, 7 were asked for"):
        engine.sample(UNEVEN, greedy)


def test_servers_and_vllm_are_asked_for_the_pieces_of_each_request() -> None:
    requests = [SampleRequest("a", (3,), indices=range(60, 130)), SampleRequest("b", (4,))]
    pieces = [(p.request.problem_id, p.start, p.count) for p in pieces_of(requests, replace(PARAMS, n=3), CHUNK)]
    assert pieces == [("a", 60, 4), ("a", 64, 64), ("a", 128, 2), ("b", 0, 3)]
    assert [("a", *part) for part in _parts(range(60, 130))] == pieces[:3]


def test_rays_jobs_cover_every_sample_once_evenly_and_cut_only_at_the_borders_of_chunks() -> None:
    rng = np.random.default_rng(0)
    sizes = [1, 1000, *rng.integers(1, 200, 30).tolist(), *[1] * 500]
    starts = [0, 30, *rng.integers(0, 100, 530).tolist()]
    requests = [
        SampleRequest(f"p{i}", (3,), indices=range(a, a + n))
        for i, (a, n) in enumerate(zip(starts, sizes, strict=True))
    ]
    for num_jobs in (1, 8, 40):
        jobs = _split(requests, PARAMS, num_jobs)
        asked = [(r, PARAMS.indices_of(r)) for group, _ in jobs for r in group]
        covered = [(r.problem_id, k) for r, indices in asked for k in indices]
        assert sorted(covered) == sorted((r.problem_id, k) for r in requests for k in PARAMS.indices_of(r))
        assert all(len({r.problem_id for r in group}) == len(group) for group, _ in jobs)
        whole = {r.problem_id: PARAMS.indices_of(r) for r in requests}
        assert all(i.start % CHUNK == 0 or i.start == whole[r.problem_id].start for r, i in asked)
        assert num_jobs / 2 <= len(jobs) <= 2 * num_jobs
        assert max(params.count(group) for group, params in jobs) <= 2 * sum(sizes) / num_jobs + CHUNK
