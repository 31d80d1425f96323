"""Samples for tests of the store: made up, but each depends on its problem and index alone, as an engine's do."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from passatn.sample.engine import Completion, SampleRequest, SamplingParams
from passatn.sample.store import Chunk, Manifest, SampleStore

IDS = [f"p{number}" for number in range(10)]
PARAMS = SamplingParams(n=40, max_new_tokens=8, seed=3)
REQUESTS = [SampleRequest(problem_id, (1, 2, number + 3)) for number, problem_id in enumerate(IDS)]
MANIFEST = Manifest.for_run("a model", REQUESTS, PARAMS, model_hash="abc", template="plain")


def sample(problem_id: str, index: int) -> Completion:
    rng = random.Random(f"{problem_id} {index}")
    text = str(int(rng.paretovariate(0.7)))
    finished = rng.random() < 0.9
    return Completion(problem_id, index, (), text, -1.25 * len(text), len(text) + finished, finished)


def draw(chunk: Chunk) -> list[Completion]:
    return [sample(problem_id, k) for problem_id in chunk.problem_ids for k in range(chunk.first_index, chunk.stop)]


def fill(store: SampleStore, num_samples: int, ids: Sequence[str] = IDS, problems: int = 3, samples: int = 16) -> int:
    """Add what is missing; the number of chunks."""
    chunks = store.missing_chunks(ids, num_samples, problems_per_chunk=problems, samples_per_chunk=samples)
    for chunk in chunks:
        store.add(chunk, draw(chunk))
    return len(chunks)


def expected_rows(num_samples: int, ids: Sequence[str] = IDS) -> Counter:
    """(problem, text, num_tokens, finished) -> count, by the definition."""
    samples = [sample(problem_id, k) for problem_id in ids for k in range(num_samples)]
    return Counter((c.problem_id, c.text, c.num_tokens, c.finished) for c in samples)


def stored_rows(store: SampleStore) -> Counter:
    rows = store.table().to_pylist()
    counts = {(r["problem_id"], r["completion"], r["num_tokens"], r["finished"]): r["count"] for r in rows}
    assert len(counts) == len(rows)
    return Counter(counts)


def files_of(path: Path) -> dict[str, bytes]:
    """Everything in a store but tmp/ and damaged/."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.relative_to(path).parts[0] not in ("tmp", "damaged")
    }


class FakeEngine:
    """Draws the samples above; raises at call number `fail_at`."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.num_calls = 0
        self.num_drawn = 0
        self._fail_at = fail_at

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, *, progress: bool = False
    ) -> list[Completion]:
        self.num_calls += 1
        if self.num_calls == self._fail_at:
            raise RuntimeError("the engine died")
        chunk = Chunk(tuple(request.problem_id for request in requests), params.first_index, params.n)
        self.num_drawn += params.n * len(requests)
        return draw(chunk)
