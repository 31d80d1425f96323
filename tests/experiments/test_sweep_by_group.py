"""Means by group from the raw log p of a sweep."""

import gzip
import json
import math

import pytest

from passatn.experiments.config import ConfigError
from passatn.experiments.sweep.by_group import by_group
from passatn.experiments.sweep.summary import read_results


def final(arm, *probabilities):
    tested = [{"n": 2, "log_p": [math.log(p) for p in probabilities]}]
    return {"arm": arm, "ids": ["a", "b", "c"], "tested": tested}


RESULTS = {
    "finals": [final("CE", 0.5, 1.0, 0.1)],
    "confirmation": {"finals": [final("CE", 0.1, 1.0, 0.1), final("DCO", 0.2, 0.2, 0.2)]},
}
FIELDS = {"a": "easy", "b": "hard", "c": "hard"}


def test_means_are_over_problems_and_trainings():
    table = by_group(RESULTS, FIELDS, 2)
    assert "| group | problems | CE, pass@2 | DCO, pass@2 |" in table
    assert f"| easy | 1 | {50 * (0.75 + 0.19):.1f} | 36.0 |" in table
    assert f"| hard | 2 | {50 * (1 + 0.19):.1f} | 36.0 |" in table


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="problem 'c' of the results"):
        by_group(RESULTS, {"a": "easy", "b": "hard"}, 2)
    with pytest.raises(ValueError, match="nothing was tested at N = 3"):
        by_group(RESULTS, FIELDS, 3)


def test_results_may_be_packed(tmp_path):
    data = json.dumps({**RESULTS, "schema": "passatn sweep 1"}).encode()
    for path, written in ((tmp_path / "r.json", data), (tmp_path / "r.json.gz", gzip.compress(data))):
        path.write_bytes(written)
        assert read_results(path)["finals"] == RESULTS["finals"]
    (tmp_path / "bad.json.gz").write_bytes(data)
    with pytest.raises(ConfigError, match=r"bad.json.gz: cannot be read \(Not a gzipped file"):
        read_results(tmp_path / "bad.json.gz")
