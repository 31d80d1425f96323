"""`passatn compare`: the paired difference of two runs, and what cannot be compared."""

import numpy as np
import pytest

from passatn.evaluate import Results, problems_from_arrays


@pytest.fixture
def runs(tmp_path):
    generator = np.random.default_rng(0)
    ids = [f"p{row}" for row in range(60)]
    log_p = np.log(generator.uniform(0.01, 0.2, size=60))
    for name, shift, kept in (("ce", 0.0, 60), ("dco", 1.0, 60), ("other", 0.0, 59)):
        records = problems_from_arrays(ids[:kept], log_p=log_p[:kept] - shift, is_exact=True)
        Results.from_problems({"name": name}, records, ns=[1, 64]).save(tmp_path / name / "results.json")
    return tmp_path


def test_the_second_run_is_compared_with_the_first(passatn, runs):
    outcome = passatn("compare", runs / "ce", runs / "dco")
    assert outcome.code == 0
    assert "pass@N of dco minus ce, in points" in outcome.out
    assert "0 : 60" in outcome.out
    assert "Verdict: ce is better than dco at N = 1, 64" in " ".join(outcome.out.split())


def test_runs_over_other_problems_are_refused(passatn, runs):
    error = passatn("compare", runs / "ce", runs / "other").error
    assert "other has no problem 'p59': a paired comparison needs the same problems" in error


def test_a_missing_run_is_named(passatn, runs):
    assert "no results there" in passatn("compare", runs / "ce", runs / "nothing").error
