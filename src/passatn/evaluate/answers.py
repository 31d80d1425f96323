"""Which samples of a problem say the same: the groups that a majority vote counts.

Spellings of one value must vote together, wrong ones as well as right ones, or the vote would favour the right answer,
whose spellings the verifier has already recognised. Equality of mathematical answers is no equivalence relation to the
letter (a missing unit fits any), so groups are formed greedily: the most frequent answer founds a group, what equals it
joins, the next one left founds the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Same = Callable[[list[tuple[str, str]]], list[bool]]
"""For each pair of answers whether they are equal."""

MAX_COMPARED = 32
"""Groups per problem that others are compared with; answers rarer than these only join by an equal spelling."""


@dataclass(frozen=True)
class AnswerCounts:
    """The distinct answers of one problem, the most frequent first."""

    answers: tuple[str, ...]
    """The most frequent spelling of each."""
    counts: NDArray[np.int64]
    correct: NDArray[np.float64]
    """The share of a group's samples that is correct: 0 or 1 unless the verifier contradicts the grouping."""
    num_silent: int
    """Samples without an answer: truncated ones, and those in which none was found."""

    @property
    def num_samples(self) -> int:
        return int(self.counts.sum()) + self.num_silent


def count_answers(
    answers: Sequence[str | None], counts: Sequence[int], correct: Sequence[bool], key: Callable[[str], object] = str
) -> AnswerCounts:
    """Group the samples of one problem by key.

    Args:
        answers, counts, correct: of each unique completion; None where there is no answer.
        key: equal for answers that are the same beyond doubt, such as the value of a number.
    """
    groups: dict[object, list[tuple[str, int, bool]]] = {}
    num_silent = 0
    for answer, count, is_correct in zip(answers, counts, correct, strict=True):
        if answer is None:
            num_silent += count
        else:
            groups.setdefault(key(answer), []).append((answer, count, is_correct))
    merged = [_merge(members) for members in groups.values()]
    return _sorted(merged, num_silent)


def join_equal(problems: Sequence[AnswerCounts], same: Same) -> list[AnswerCounts]:
    """Join the groups of each problem that are equal. All problems go in step, so that `same` gets many pairs at once.

    `same` should answer at once where both are plain numbers, which differ if their keys do.
    """
    open_groups = [
        [(a, int(c), float(r)) for a, c, r in zip(p.answers, p.counts, p.correct, strict=True)] for p in problems
    ]
    done: list[list[tuple[str, int, float]]] = [[] for _ in problems]
    for _ in range(MAX_COMPARED):
        active = [number for number, groups in enumerate(open_groups) if len(groups) > 1]
        if not active:
            break
        pairs = [(open_groups[n][0][0], other[0]) for n in active for other in open_groups[n][1:]]
        answers = iter(same(pairs))
        for number in active:
            first, *rest = open_groups[number]
            joins = [next(answers) for _ in rest]
            members = [first, *(group for group, joining in zip(rest, joins, strict=True) if joining)]
            done[number].append(_merge(members))
            open_groups[number] = [group for group, joining in zip(rest, joins, strict=True) if not joining]
    return [
        _sorted([*finished, *left], problem.num_silent)
        for finished, left, problem in zip(done, open_groups, problems, strict=True)
    ]


def _merge(members: Sequence[tuple[str, int, float]]) -> tuple[str, int, float]:
    total = sum(count for _, count, _ in members)
    spelling = max(members, key=lambda member: member[1])[0]
    return spelling, total, sum(count * float(right) for _, count, right in members) / total


def _sorted(groups: list[tuple[str, int, float]], num_silent: int) -> AnswerCounts:
    ordered = sorted(groups, key=lambda group: -group[1])
    return AnswerCounts(
        answers=tuple(answer for answer, _, _ in ordered),
        counts=np.array([count for _, count, _ in ordered], dtype=np.int64),
        correct=np.array([right for _, _, right in ordered], dtype=np.float64),
        num_silent=num_silent,
    )
