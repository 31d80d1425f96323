"""Chunks: which samples of which problems one shard holds, and which are still to be drawn.

A chunk is a rectangle: some problems times a range of sample indices. Its name follows from its content, so that
drawing it again gives the same file, and what is done follows from the names alone, without a list that could disagree.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Chunk:
    """Samples first_index … first_index + num_samples − 1 of each of the problems."""

    problem_ids: tuple[str, ...]
    first_index: int
    num_samples: int
    """Per problem."""

    def __post_init__(self) -> None:
        if not self.problem_ids or len(set(self.problem_ids)) < len(self.problem_ids):
            raise ValueError("problem_ids must be at least one id, none of them twice")
        if self.first_index < 0 or self.num_samples < 1:
            raise ValueError(f"first_index ≥ 0 and num_samples ≥ 1, got {self.first_index} and {self.num_samples}")

    @property
    def stop(self) -> int:
        return self.first_index + self.num_samples

    @property
    def name(self) -> str:
        """The same for the same samples, in whatever order the problems are given."""
        ids = json.dumps(sorted(self.problem_ids)).encode()
        return f"{self.first_index:08d}-{self.stop:08d}-{hashlib.sha256(ids).hexdigest()[:16]}"


def missing_chunks(
    problem_ids: Sequence[str],
    num_samples: int,
    done: Iterable[Chunk],
    *,
    problems_per_chunk: int,
    samples_per_chunk: int,
) -> list[Chunk]:
    """What is still to be drawn until every problem has samples 0 … num_samples − 1, without drawing any twice.

    Problems are taken in groups of consecutive ones and indices are cut at multiples of `samples_per_chunk`, whatever
    is done already: after an interruption the chunks that remain are the same as before. Low indices come first.
    """
    for name, value in (("problems_per_chunk", problems_per_chunk), ("samples_per_chunk", samples_per_chunk)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    covered: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for chunk in done:
        for problem_id in chunk.problem_ids:
            covered[problem_id].append((chunk.first_index, chunk.stop))
    chunks = []
    for start in range(0, len(problem_ids), problems_per_chunk):
        pieces: dict[tuple[int, int], list[str]] = defaultdict(list)
        for problem_id in problem_ids[start : start + problems_per_chunk]:
            for piece in _missing_ranges(covered[problem_id], num_samples, samples_per_chunk):
                pieces[piece].append(problem_id)
        chunks += [Chunk(tuple(ids), first, stop - first) for (first, stop), ids in pieces.items()]
    return sorted(chunks, key=lambda chunk: chunk.first_index)


def find_overlap(chunks: Iterable[Chunk]) -> tuple[Chunk, Chunk] | None:
    """Two different chunks that share a sample, if there are any."""
    ranges: dict[str, list[tuple[int, int, Chunk]]] = defaultdict(list)
    for number, chunk in enumerate(chunks):
        for problem_id in chunk.problem_ids:
            ranges[problem_id].append((chunk.first_index, number, chunk))
    for entries in ranges.values():
        entries.sort(key=lambda entry: entry[:2])
        for (_, _, one), (first, _, two) in pairwise(entries):
            if first < one.stop:
                return one, two
    return None


def _missing_ranges(covered: list[tuple[int, int]], stop: int, step: int) -> list[tuple[int, int]]:
    """The parts of 0 … stop outside the covered ranges, cut at multiples of `step`."""
    ranges, position = [], 0
    for first, last in [*sorted(covered), (stop, stop)]:
        end = min(first, stop)
        while position < end:
            border = min(end, (position // step + 1) * step)
            ranges.append((position, border))
            position = border
        position = max(position, last)
    return ranges
