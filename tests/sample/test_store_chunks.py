"""Which chunks are missing, and which overlap, against the definitions in terms of single samples."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passatn.sample.store.chunks import Chunk, find_overlap, missing_chunks

IDS = ["a", "b", "c", "d", "e"]

chunks = st.builds(
    Chunk,
    st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True).map(tuple),
    st.integers(0, 20),
    st.integers(1, 12),
)


def samples(chunk: Chunk) -> set[tuple[str, int]]:
    return {(p, k) for p in chunk.problem_ids for k in range(chunk.first_index, chunk.stop)}


@settings(deadline=None)
@given(st.lists(chunks, max_size=5), st.integers(1, 25), st.integers(1, 4), st.integers(1, 9))
def test_missing_chunks_are_what_is_missing_each_sample_once(
    done: list[Chunk], num_samples: int, problems: int, step: int
) -> None:
    missing = missing_chunks(IDS, num_samples, done, problems_per_chunk=problems, samples_per_chunk=step)
    drawn = [sample for chunk in missing for sample in samples(chunk)]
    wanted = {(p, k) for p in IDS for k in range(num_samples)}
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == wanted - set().union(*map(samples, done))
    assert all(len(chunk.problem_ids) <= problems and chunk.num_samples <= step for chunk in missing)


@settings(deadline=None)
@given(st.integers(1, 25), st.integers(1, 4), st.integers(1, 9), st.randoms())
def test_what_remains_after_an_interruption_are_the_same_chunks(n: int, problems: int, step: int, rng: object) -> None:
    shape = {"problems_per_chunk": problems, "samples_per_chunk": step}
    whole = missing_chunks(IDS, n, [], **shape)
    done = [chunk for chunk in whole if rng.random() < 0.5]  # type: ignore[attr-defined]
    assert missing_chunks(IDS, n, done, **shape) == [chunk for chunk in whole if chunk not in done]


@settings(deadline=None)
@given(st.lists(chunks, max_size=4, unique=True))
def test_an_overlap_is_found_if_there_is_one(some: list[Chunk]) -> None:
    pair = find_overlap(some)
    assert (pair is not None) == any(samples(a) & samples(b) for a, b in combinations(some, 2))
    assert pair is None or (samples(pair[0]) & samples(pair[1]) and pair[0] != pair[1])


def test_a_name_tells_chunks_apart_and_not_the_order_of_problems() -> None:
    assert Chunk(("a", "b"), 0, 4).name == Chunk(("b", "a"), 0, 4).name
    others = [Chunk(("a",), 0, 4), Chunk(("ab",), 0, 4), Chunk(("a", "b"), 0, 5), Chunk(("a", "b"), 1, 4)]
    assert len({chunk.name for chunk in [*others, Chunk(("a", "b"), 0, 4)]}) == 5


@pytest.mark.parametrize(("ids", "first", "count"), [((), 0, 1), (("a", "a"), 0, 1), (("a",), -1, 1), (("a",), 0, 0)])
def test_impossible_chunks_are_refused(ids: tuple[str, ...], first: int, count: int) -> None:
    with pytest.raises(ValueError):
        Chunk(ids, first, count)
