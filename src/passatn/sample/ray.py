"""Any engine behind Ray actors: data parallel over the cores of a machine, or over a cluster.

    with RayEngine(EngineSpec("hf", "runs/dco/model"), num_workers=4) as engine:
        sample_into_store(engine, requests, params, store)

Each worker is an actor with an engine of its own. Ray restarts a worker that dies and asks the new one what it had
asked the old one; since a sample is asked for by (seed, problem, index), nothing is lost and nothing is drawn twice. A
worker takes two jobs at a time, one to work at and one to come, and further ones only as results are taken: so neither
queues nor results pile up. New weights go into Ray's object store once; every call names them, so that a restarted
worker serves them too, and it checks that it does (`expect_scores`).

Ray Data's processor for vLLM has no place for several seeded samples of a prompt, nor for new weights, so what
schedules here is Ray's own `ActorPool`.
"""

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from passatn.sample.engine import (
    Completion,
    Engine,
    EngineError,
    Greedy,
    Job,
    SampleRequest,
    SamplingParams,
    check_requests,
)
from passatn.sample.parity import ExpectedScores, Weights, named_tensors
from passatn.sample.spec import EngineSpec
from passatn.sample.vllm import CHUNK
from passatn.tasks.encoding import EncodedExample

JOBS_PER_WORKER = 4
"""Into how many jobs per worker one call of `sample` is cut, so that no worker waits long for the slowest."""
MAX_RESTARTS = 20
"""Of one worker; a model that kills its process each time ends the run."""
MAX_RETRIES = 5
"""Of one job, on restarted workers."""


class RayEngine(Greedy):
    """Engines on Ray actors, behind the engine protocol.

    Args:
        spec: what each worker builds. The model's path must be readable, and passatn installed, on every machine.
        num_workers: number of actors (None: one per GPU of the cluster for vLLM, else one per CPU).
        address: of a running cluster ("auto" or ray://…); None uses the Ray that this process is connected to, or
            starts one on this machine, which ends with `close`.
        resources: of each actor, such as {"num_gpus": 2} for tensor parallelism (None: one GPU where the cluster has
            any, else one CPU).

    Raises:
        ImportError: Ray is not installed; names the extra.
        EngineError: no cluster at `address`, or it lacks the resources.
    """

    def __init__(
        self,
        spec: EngineSpec,
        *,
        num_workers: int | None = None,
        address: str | None = None,
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        if num_workers is not None and num_workers < 1:
            raise ValueError(f"num_workers must be at least 1, got {num_workers}")
        self._ray, self._started_here = _connect(address, num_workers)
        cluster = self._ray.cluster_resources()
        num_gpus = int(cluster.get("GPU", 0))
        needs = dict(resources) if resources else {"num_gpus": 1} if num_gpus else {"num_cpus": 1}
        count = num_workers or max(1, num_gpus or int(cluster.get("CPU", 1)))
        try:
            _check_resources(cluster, needs, count)
            options = needs | {"max_restarts": MAX_RESTARTS, "max_task_retries": MAX_RETRIES}
            remote = self._ray.remote(**options)(_Worker)
            self._workers = [remote.remote(spec) for _ in range(count)]
            self._weights = _Weights()
            self._get([worker.load.remote(self._weights) for worker in self._workers])
        except BaseException:
            self.close()
            raise

    @property
    def process_ids(self) -> list[int]:
        """Of the workers, each on its machine; starts those again that have died."""
        return list(self._get([worker.process_id.remote() for worker in self._workers]))

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, *, progress: bool = False
    ) -> list[Completion]:
        """`params.n` completions of each prompt, or its `indices`, ordered as the requests are and then by index."""
        check_requests(requests, need_token_ids=False)
        from passatn.sample.progress import progress_bar

        done: dict[tuple[str, int], Completion] = {}
        jobs = _split(requests, params, JOBS_PER_WORKER * len(self._workers))
        with progress_bar("sampling", params.count(requests), show=progress) as advance:
            for _, completions in self.sample_jobs(jobs):
                done.update(((completion.problem_id, completion.index), completion) for completion in completions)
                advance(len(completions))
        return [done[request.problem_id, index] for request in requests for index in params.indices_of(request)]

    def sample_jobs(self, jobs: Sequence[Job]) -> Iterator[tuple[int, list[Completion]]]:
        """(number of the job, its completions) as they are finished, each exactly once.

        Raises:
            ValueError, …: what a worker's engine raises.
            EngineError: a worker has died too often.
        """
        weights = self._weights
        yield from self._map(lambda worker, item: worker.sample.remote(*item, weights), list(enumerate(jobs)))

    def score(
        self, examples: Sequence[EncodedExample], *, temperatures: Sequence[float] = (1.0,), progress: bool = False
    ) -> np.ndarray:
        """Log-probabilities float64 `[num_examples, num_temperatures]`, by the workers together."""
        pieces = np.array_split(np.arange(len(examples)), min(len(examples), JOBS_PER_WORKER * len(self._workers)) or 1)
        items = [(number, [examples[i] for i in piece]) for number, piece in enumerate(pieces)]
        current = (tuple(temperatures), self._weights)
        done = dict(self._map(lambda worker, item: worker.score.remote(*item, *current), items))
        return np.concatenate([done[number] for number in range(len(pieces))])

    def score_replicas(self, examples: Sequence[EncodedExample]) -> np.ndarray:
        """Log-probabilities float64 `[num_workers, num_examples]` of the same examples, by each worker for itself."""
        calls = [worker.score.remote(0, list(examples), (1.0,), self._weights) for worker in self._workers]
        return np.stack([scores[:, 0] for _, scores in self._get(calls)])

    def update_weights(self, weights: Weights | str | Path) -> None:
        """Replace the weights of all workers; follow it with `passatn.sample.parity.check_parity`."""
        tensors = [(name, tensor.detach().cpu()) for name, tensor in named_tensors(weights)]
        before, self._weights = self._weights, _Weights(self._weights.version + 1, self._ray.put(tensors))
        try:
            self._get([worker.load.remote(self._weights) for worker in self._workers])
        except BaseException:
            # Weights that do not fit must not be what later calls are answered with.
            self._weights = before
            raise

    def expect_scores(self, expected: ExpectedScores) -> None:
        """What workers that are restarted with the present weights have to give for fixed probes."""
        self._weights = replace(self._weights, expected=expected)

    def close(self) -> None:
        """End the workers, and Ray if it was started here."""
        for worker in getattr(self, "_workers", []):
            self._ray.kill(worker)
        self._workers = []
        if self._started_here:
            self._ray.shutdown()
            self._started_here = False

    def __enter__(self) -> "RayEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _map(self, call: Callable[[Any, Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """The results of a call for each item, in no order."""
        from ray.util import ActorPool

        # Each worker is in the pool twice: it has its next job while the last one's result is being taken.
        pool = ActorPool([*self._workers, *self._workers])
        for item in items:
            pool.submit(call, item)
        while pool.has_next():
            yield self._plainly(pool.get_next_unordered)

    def _get(self, calls: list[Any]) -> Any:
        return self._plainly(lambda: self._ray.get(calls))

    def _plainly(self, get: Callable[[], Any]) -> Any:
        """What `get` returns; an engine's error as the engine raised it, the end of a worker in one line."""
        errors = self._ray.exceptions
        try:
            return get()
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayActorError as error:
            raise EngineError(
                f"a Ray worker died, after up to {MAX_RESTARTS} restarts ({' '.join(str(error).split()):.300})"
            ) from None


@dataclass(frozen=True)
class _Weights:
    """The weights that a call has to be answered with; version 0 is what the engine was built with."""

    version: int = 0
    tensors: Any = None
    """A reference to (name, tensor) pairs in the object store: inside an object, Ray does not fetch it unasked."""
    expected: ExpectedScores | None = None


class _Worker:
    """One engine in an actor's process."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._version = 0

    @cached_property
    def _engine(self) -> Engine:
        """Not made in __init__, where Ray would keep nothing of an error but its text."""
        return self._spec.build()

    def process_id(self) -> int:
        return os.getpid()

    def load(self, weights: _Weights) -> None:
        """Have the engine ready, with these weights."""
        engine = self._engine
        if weights.version == self._version:
            return
        import ray

        engine.update_weights(ray.get(weights.tensors))
        if weights.expected is not None:
            weights.expected.check(engine)
        self._version = weights.version

    def sample(self, number: int, job: Job, weights: _Weights) -> tuple[int, list[Completion]]:
        self.load(weights)
        return number, self._engine.sample(*job)

    def score(
        self, number: int, examples: list[EncodedExample], temperatures: tuple[float, ...], weights: _Weights
    ) -> tuple[int, np.ndarray]:
        self.load(weights)
        return number, self._engine.score(examples, temperatures=temperatures)


def _split(requests: Sequence[SampleRequest], params: SamplingParams, num_jobs: int) -> list[Job]:
    """About `num_jobs` jobs: by problems where there are enough, else also by indices, at the borders of chunks."""
    if any(request.indices is not None for request in requests):
        return _split_uneven(requests, params, num_jobs)
    size = max(1, math.ceil(len(requests) / num_jobs))
    groups = [requests[start : start + size] for start in range(0, len(requests), size)]
    num_pieces = max(1, num_jobs // max(1, len(groups)))
    step = CHUNK * math.ceil(params.n / num_pieces / CHUNK)
    borders = range(params.first_index // step * step, params.first_index + params.n, step)
    jobs = []
    for start in borders:
        first, stop = max(start, params.first_index), min(start + step, params.first_index + params.n)
        jobs += [(group, replace(params, n=stop - first, first_index=first)) for group in groups]
    return jobs


def _split_uneven(requests: Sequence[SampleRequest], params: SamplingParams, num_jobs: int) -> list[Job]:
    """As `_split`, where problems need different numbers of samples: about `num_jobs` jobs of equally many samples."""
    size = CHUNK * math.ceil(params.count(requests) / num_jobs / CHUNK)
    jobs: list[Job] = []
    group, room = [], size
    for request in requests:
        indices = params.indices_of(request)
        start = indices.start
        while start < indices.stop:
            stop = min(indices.stop, (start + max(room, CHUNK)) // CHUNK * CHUNK)
            group.append(replace(request, indices=range(start, stop)))
            room -= stop - start
            start = stop
            # A request that goes on goes on in another job: one job must not hold two requests with the same id.
            if room <= 0 or start < indices.stop:
                jobs.append((group, params))
                group, room = [], size
    return [*jobs, (group, params)] if group else jobs


def start_local_ray(num_cpus: int | None = None) -> Any:
    """Ray on this machine alone, listening on the loopback interface only; returns the module.

    Raises:
        ImportError: Ray is not installed; names the extra.
    """
    # Despite its name it works on Linux too: without a cluster, Ray takes 127.0.0.1 for its address.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray = _import_ray()
    ray.init(num_cpus=num_cpus, include_dashboard=False, **_QUIET)
    return ray


_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # The first error that a worker raises is raised here; Ray would print those of the others, with their traces.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    try:
        import ray
    except ImportError as error:
        raise ImportError(f"workers on Ray need Ray ({error}): pip install 'passatn[ray]'") from None
    return ray


def _connect(address: str | None, num_workers: int | None) -> tuple[Any, bool]:
    """Ray, connected, and whether it was started here."""
    if address is None and not ("ray" in sys.modules and _import_ray().is_initialized()):
        return start_local_ray(None if num_workers is None else max(num_workers, os.cpu_count() or 1)), True
    ray = _import_ray()
    if not ray.is_initialized():
        try:
            ray.init(address=address, **_QUIET)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise EngineError(f"no Ray cluster at {address!r} ({reason:.200}): `ray start --head` starts one") from None
    return ray, False


def _check_resources(cluster: Mapping[str, float], needs: Mapping[str, Any], count: int) -> None:
    """Ray would wait for ever for what is not there."""
    for name, kind in (("num_gpus", "GPU"), ("num_cpus", "CPU")):
        if needs.get(name, 0) * count > cluster.get(kind, 0):
            raise EngineError(
                f"{count} workers with {needs[name]:g} {kind} each need {needs[name] * count:g}, "
                f"the Ray cluster has {cluster.get(kind, 0):g}: ask for fewer workers"
            )
