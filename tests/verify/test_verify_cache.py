"""Each distinct key is judged once; the oldest go; errors are not kept."""

import threading

import pytest

from passatn.tasks import Problem
from passatn.verify.cache import VerdictCache
from passatn.verify.math import MathVerifier
from passatn.verify.verdict import Outcome, Submission, Verdict

CORRECT = Verdict(Outcome.CORRECT)


def test_within_and_across_calls():
    cache, judged = VerdictCache(10), []

    def judge(keys):
        judged.append(list(keys))
        return [Verdict(Outcome.CORRECT, key) for key in keys]

    assert cache.resolve(["a", "b", "a"], judge) == {
        "a": Verdict(Outcome.CORRECT, "a"),
        "b": Verdict(Outcome.CORRECT, "b"),
    }
    assert cache.resolve(iter(["b", "c"]), judge)["c"].extracted == "c"
    assert cache.resolve(["a"], judge).keys() == {"a"}
    assert judged == [["a", "b"], ["c"]]


def test_the_least_recently_used_go_first():
    cache, judged = VerdictCache(2), []

    def judge(keys):
        judged.extend(keys)
        return [CORRECT] * len(keys)

    for keys in (["a"], ["b"], ["a"], ["c"], ["a"], ["b"]):
        cache.resolve(keys, judge)
    assert judged == ["a", "b", "c", "b"]
    assert len(cache) == 2


def test_errors_are_judged_again_and_timeouts_are_not():
    cache, judged = VerdictCache(10), []

    def judge(keys):
        judged.extend(keys)
        return [Verdict(Outcome(key)) for key in keys]

    for _ in range(2):
        cache.resolve(["error", "timeout", "incorrect"], judge)
    assert judged == ["error", "timeout", "incorrect", "error"]


def test_a_call_may_hold_more_than_the_cache():
    assert len(VerdictCache(2).resolve(range(10), lambda keys: [CORRECT] * len(keys))) == 10
    assert len(VerdictCache(0).resolve(range(10), lambda keys: [CORRECT] * len(keys))) == 10
    with pytest.raises(ValueError, match="-1"):
        VerdictCache(-1)


def test_threads_agree():
    cache, results = VerdictCache(50), []

    def work():
        for start in range(100):
            keys = range(start, start + 20)
            results.append(cache.resolve(keys, lambda keys: [Verdict(Outcome.CORRECT, str(key)) for key in keys]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 400
    assert all(verdict.extracted == str(key) for result in results for key, verdict in result.items())


def test_different_completions_with_one_answer_are_one_task(monkeypatch):
    verifier = MathVerifier(num_workers=1)
    tasks = []
    monkeypatch.setattr(verifier, "_pool", type("Pool", (), {"map": lambda self, items: tasks.extend(items) or []})())
    problem = Problem("p", "q", ("5",))
    with pytest.raises(StopIteration):
        verifier.verify([Submission(problem, rf"By {reason}, \boxed{{x=5}}") for reason in ("a", "b", "c")])
    assert tasks == [["x=5", None, ("5",)]]
