"""Problems that only count together: the steps of a proof, which share the metadata `group_id`.

The probability of a proof is the product over its steps. A proof of which a step is missing has a larger one, so it is
better left out altogether.
"""

from collections import Counter
from collections.abc import Sequence

from passatn.tasks.load import ProblemSet
from passatn.tasks.problem import Problem


def keep_whole_groups(loaded: ProblemSet, kept: Sequence[Problem]) -> list[Problem]:
    """Of the problems that were kept, those whose group is whole; a problem without `group_id` is one by itself.

    A group is whole if it has as many problems as its metadata `num_steps` says; where nothing is said, if nothing of
    it was dropped between `loaded` and `kept`, and no row that may have been its own was left out before.
    """
    before, now = Counter(map(_group, loaded)), Counter(map(_group, kept))
    return [
        problem
        for problem in kept
        if (group := _group(problem)) is None or now[group] == _full_size(problem, before[group], loaded)
    ]


def _group(problem: Problem) -> str | None:
    group: str | None = problem.metadata.get("group_id")
    return group


def _full_size(problem: Problem, num_loaded: int, loaded: ProblemSet) -> int | None:
    """How many problems the group of this one has; None where that cannot be known."""
    num_steps: int | None = problem.metadata.get("num_steps")
    if num_steps is not None:
        return num_steps
    return None if _group(problem) in loaded.broken_groups else num_loaded
