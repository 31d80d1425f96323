"""Engines behind Ray: the same samples, whatever dies; new weights everywhere, also in workers that are restarted."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'passatn[ray]'")

from ray import cloudpickle

from passatn.sample import HFEngine, SampleRequest, SamplingParams
from passatn.sample.parity import WeightParityError, update_weights
from passatn.sample.ray import RayEngine, _split
from passatn.sample.spec import EngineSpec
from passatn.sample.store import Manifest, SampleStore, sample_into_store
from passatn.sample.vllm import CHUNK
from passatn.tasks.encoding import EncodedExample
from store_samples import files_of
from tiny import build_model, build_tokenizer

# Workers cannot import this file, so what they need of it travels with the call.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

REQUESTS = [SampleRequest(f"p{i}", tuple(range(3, 5 + i))) for i in range(5)]
PARAMS = SamplingParams(n=130, max_new_tokens=6, seed=4)
PROBES = [EncodedExample((3, 4, 5), (6, 1)), EncodedExample((7,), (8, 9, 1))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    build_model().save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def engine(folder, local_ray):
    with RayEngine(EngineSpec("hf", str(folder)), num_workers=2) as engine:
        yield engine


@pytest.fixture
def restored(engine):
    """The engine, given its first weights back afterwards."""
    yield engine
    update_weights(engine, build_model(), PROBES)


class Slow(EngineSpec):
    """Each call takes a while, so that it can be killed in the middle."""

    def build(self):
        engine = super().build()
        sample = engine.sample
        engine.sample = lambda *job: (time.sleep(0.2), sample(*job))[1]
        return engine


class Deadly(EngineSpec):
    """An engine whose process dies as soon as it samples."""

    def build(self):
        engine = super().build()
        engine.sample = lambda *job: os.kill(os.getpid(), signal.SIGKILL)
        return engine


class Deaf(EngineSpec):
    """An engine that ignores new weights, in a process that was started after `path` came to be."""

    def build(self):
        engine = super().build()
        if os.path.exists(os.path.join(self.model, "deaf")):
            engine.update_weights = lambda weights: None
        return engine


def wait_for_death(process_id: int) -> None:
    while os.path.exists(f"/proc/{process_id}"):
        time.sleep(0.01)


@pytest.mark.slow
def test_samples_and_scores_are_those_of_the_engine_itself(engine):
    itself = HFEngine(build_model(), build_tokenizer())
    ours, theirs = engine.sample(REQUESTS, PARAMS), itself.sample(REQUESTS, PARAMS)
    assert [(c.problem_id, c.index, c.token_ids, c.text) for c in ours] == [
        (c.problem_id, c.index, c.token_ids, c.text) for c in theirs
    ]
    assert [c.log_prob for c in ours] == pytest.approx([c.log_prob for c in theirs], abs=1e-4)
    assert [c.token_ids for c in engine.greedy(REQUESTS, 6)] == [c.token_ids for c in itself.greedy(REQUESTS, 6)]
    examples = [EncodedExample(r.prompt_ids, (k, 1)) for r in REQUESTS for k in range(2, 9)]
    assert engine.score(examples) == pytest.approx(itself.score(examples), abs=1e-4)
    assert engine.score_replicas(PROBES) == pytest.approx(np.tile(itself.score(PROBES)[:, 0], (2, 1)), abs=1e-4)


def test_jobs_cover_every_sample_once_and_cut_chunks_only_at_their_borders():
    for num_requests, n, first, num_jobs in [(1, 1000, 0, 8), (5, 130, 70, 8), (40, 3, 0, 8), (1, 10, 60, 2)]:
        requests = [SampleRequest(f"p{i}", (3,)) for i in range(num_requests)]
        jobs = _split(requests, SamplingParams(n=n, first_index=first, max_new_tokens=1, seed=0), num_jobs)
        covered = [(r.problem_id, i) for rs, p in jobs for r in rs for i in range(p.first_index, p.first_index + p.n)]
        assert len(covered) == len(set(covered)) == num_requests * n
        assert {p.first_index for _, p in jobs} - {first} <= set(range(0, 2000, CHUNK))
        assert len(jobs) <= 2 * num_jobs


@pytest.mark.slow
def test_a_store_filled_while_workers_are_killed_is_the_undisturbed_one(folder, local_ray, tmp_path):
    manifest = Manifest.for_run("model", REQUESTS, PARAMS, model_hash="abc")
    undisturbed = SampleStore.create(tmp_path / "one", manifest)
    chunks = {"problems_per_chunk": 2, "samples_per_chunk": 32}
    sample_into_store(HFEngine(build_model(), build_tokenizer()), REQUESTS, PARAMS, undisturbed, **chunks)
    disturbed = SampleStore.create(tmp_path / "two", manifest)
    killed = []

    with RayEngine(Slow("hf", str(folder)), num_workers=2) as engine:

        def kill_each_worker_once() -> None:
            for process_id in first_ones:
                time.sleep(0.35)
                os.kill(process_id, signal.SIGKILL)
                killed.append(process_id)

        first_ones = engine.process_ids
        killer = threading.Thread(target=kill_each_worker_once)
        killer.start()
        report = sample_into_store(engine, REQUESTS, PARAMS, disturbed, **chunks)
        killer.join()
        assert not set(engine.process_ids) & set(killed)
    assert len(killed) == 2
    assert report.num_drawn == len(REQUESTS) * PARAMS.n
    rows = [store.table().drop_columns("log_prob").to_pylist() for store in (undisturbed, disturbed)]
    assert rows[0] == rows[1]
    assert files_of(tmp_path / "one").keys() == files_of(tmp_path / "two").keys()
    assert disturbed.verify_integrity().is_sound


@pytest.mark.slow
def test_new_weights_reach_all_workers_and_those_that_are_restarted(restored, tmp_path):
    new = build_model(seed=1)
    assert update_weights(restored, new, PROBES) < 1e-4
    expected = HFEngine(new, build_tokenizer()).sample(REQUESTS, PARAMS)
    assert [c.token_ids for c in restored.sample(REQUESTS, PARAMS)] == [c.token_ids for c in expected]
    victim = restored.process_ids[0]
    os.kill(victim, signal.SIGKILL)
    wait_for_death(victim)
    assert [c.token_ids for c in restored.sample(REQUESTS, PARAMS)] == [c.token_ids for c in expected]
    newest = build_model(seed=2)
    newest.save_pretrained(tmp_path)
    restored.update_weights(tmp_path)
    assert restored.score_replicas(PROBES) == pytest.approx(
        np.tile(HFEngine(newest, build_tokenizer()).score(PROBES)[:, 0], (2, 1)), abs=1e-4
    )


@pytest.mark.slow
def test_a_restarted_worker_that_does_not_serve_the_new_weights_is_caught(folder, local_ray, tmp_path):
    build_model().save_pretrained(tmp_path)
    build_tokenizer().save_pretrained(tmp_path)
    with RayEngine(Deaf("hf", str(tmp_path)), num_workers=1) as engine:
        update_weights(engine, build_model(seed=1), PROBES)
        (tmp_path / "deaf").touch()
        victim = engine.process_ids[0]
        os.kill(victim, signal.SIGKILL)
        wait_for_death(victim)
        with pytest.raises(WeightParityError, match="does not serve the new weights"):
            engine.sample(REQUESTS, PARAMS)


@pytest.mark.slow
def test_errors_are_those_of_the_engine_and_one_line(engine, folder, local_ray):
    with pytest.raises(ValueError, match="'p0' occurs twice"):
        engine.sample([REQUESTS[0], REQUESTS[0]], PARAMS)
    with pytest.raises(ValueError, match="weights do not fit the model"):
        engine.update_weights(build_model(hidden_size=32).state_dict())
    itself = HFEngine(build_model(), build_tokenizer())
    assert engine.score(PROBES) == pytest.approx(itself.score(PROBES), abs=1e-4), "and the old weights are served"
    with pytest.raises(ValueError, match="cannot load the model '/nowhere'"):
        RayEngine(EngineSpec("hf", "/nowhere"), num_workers=1)
    with pytest.raises(RuntimeError, match=r"2 workers with 1000 CPU each need 2000, the Ray cluster has \d+: ask"):
        RayEngine(EngineSpec("hf", str(folder)), num_workers=2, resources={"num_cpus": 1000})
    with pytest.raises(ValueError, match="num_workers must be at least 1, got 0"):
        RayEngine(EngineSpec("hf", str(folder)), num_workers=0)
    with pytest.raises(ValueError, match="engine 'tgi': there are hf, vllm, server"):
        EngineSpec("tgi", "model")


@pytest.mark.slow
def test_a_model_that_kills_its_workers_each_time_ends_the_run(folder, local_ray, monkeypatch):
    monkeypatch.setattr("passatn.sample.ray.MAX_RETRIES", 1)
    monkeypatch.setattr("passatn.sample.ray.MAX_RESTARTS", 1)
    with (
        RayEngine(Deadly("hf", str(folder)), num_workers=1) as engine,
        pytest.raises(RuntimeError, match="a Ray worker died, after up to 1 restarts"),
    ):
        engine.sample(REQUESTS[:1], PARAMS)
