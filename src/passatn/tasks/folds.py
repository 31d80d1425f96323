"""Folds of a set of problems by a hash of their ids: the same in every file, order and process.

    fold = Fold.parse("0/2")
    rest = [problem for problem in problems if problem not in fold]

For cross-fitting, in which a model scores the problems that it was not trained on. The steps of a proof, which share
metadata `group_id`, are in one fold.
"""

import hashlib
from dataclasses import dataclass
from typing import Self

from passatn.tasks.problem import Problem


@dataclass(frozen=True)
class Fold:
    """Fold `index`, from 0, of `count`; `problem in fold` tells."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "0/2". Raises ValueError with what was expected."""
        parts = text.split("/")
        try:
            index, count = map(int, parts)
        except ValueError:
            index, count = 0, 0
        if not 0 <= index < count or count < 2:
            raise ValueError(f"fold {text!r}: expected INDEX/COUNT with 0 <= INDEX < COUNT, such as 0/2")
        return cls(index, count)

    def __contains__(self, problem: Problem) -> bool:
        key = problem.metadata.get("group_id") or problem.id
        digest = hashlib.sha256(str(key).encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index
