"""Verifiers inside Ray's workers, in tasks and in an actor with threads: the same verdicts as outside."""

import sys

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'passatn[ray]'")

import ray
from ray import cloudpickle

from passatn.tasks import Problem
from passatn.verify.registry import get_verifier
from passatn.verify.verdict import Submission

cloudpickle.register_pickle_by_value(sys.modules[__name__])

TEST = "def check(add):\n    assert add(1, 2) == 3\n"
SUM = Problem("sum", "def add(a, b):\n", (), metadata={"entry_point": "add", "test": TEST})
ANSWERS = [("0.5", r"\boxed{\frac12}"), ("1/3", r"\boxed{0.33}"), ("7", "the answer is 7"), ("(1,2)", r"\boxed{(2,1)}")]
PROGRAMS = ["    return a + b\n", "    return a - b\n", "    while True: pass\n", "    import os\n    os._exit(0)\n"]


def answers() -> list[Submission]:
    return [Submission(Problem(f"p{i}", "?", (gold,)), text) for i, (gold, text) in enumerate(ANSWERS)]


def outcomes(name: str, submissions: list[Submission], **limits: object) -> list[str]:
    verifier = get_verifier(name, workers=1, **limits)
    try:
        return [str(verdict.outcome) for verdict in verifier.verify(submissions)]
    finally:
        verifier.close()


class Threaded:
    """Signals are delivered to main threads only, and this actor's calls run in others."""

    def __init__(self) -> None:
        self._verifier = get_verifier("math", workers=1)

    def outcomes(self, submissions: list[Submission]) -> list[str]:
        return [str(verdict.outcome) for verdict in self._verifier.verify(submissions)]


def test_answers_in_tasks_and_in_a_threaded_actor(local_ray):
    expected = ["correct", "incorrect", "correct", "incorrect"]
    task = ray.remote(outcomes).remote("math", answers())
    actor = ray.remote(max_concurrency=3)(Threaded).remote()
    assert ray.get(task) == expected
    assert ray.get([actor.outcomes.remote(answers()[k:]) for k in range(3)]) == [expected[k:] for k in range(3)]
    ray.kill(actor)


def test_programs_in_a_task(local_ray):
    submissions = [Submission(SUM, program) for program in PROGRAMS]
    assert ray.get(ray.remote(outcomes).remote("code", submissions, timeout=2.0)) == [
        "correct",
        "incorrect",
        "timeout",
        "incorrect",
    ]
