"""The worker's side of the mathematical verifier: one extracted answer against the accepted ones."""

from collections.abc import Callable
from typing import Any

from passatn.verify.math.equality import equal
from passatn.verify.math.literals import is_number_like
from passatn.verify.math.reading import is_mathematical, read


def load() -> Callable[[list[Any]], list[Any]]:
    """The function of one task, for `WorkerPool`."""
    return judge


def judge(task: list[Any]) -> list[Any]:
    """[answer, last number or None, accepted answers] to [is it correct, what was taken for the answer]."""
    answer, last_number, golds = task
    if any(equal(answer, gold) for gold in golds):
        return [True, answer]
    numbers = [gold for gold in golds if is_number_like(gold)]
    if last_number is None or not numbers or is_mathematical(read(answer)):
        return [False, answer]
    return [any(equal(last_number, gold) for gold in numbers), last_number]
