"""results.json: what is written is what is read, −∞ included; errors are one line with the file and the field."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passatn.evaluate import ProblemResult, Results, problems_from_arrays

NS = [1, 4, 64]


@pytest.fixture
def results() -> Results:
    problems = problems_from_arrays(
        ["a", "b", "c"],
        log_p=np.array([-0.5, -np.inf, -7.0]),
        is_exact=np.array([True, True, True]),
        greedy_log_p=np.array([-0.1, -2.0, -1.0], dtype=np.float32),
        greedy_correct=np.array([True, False, False]),
        num_samples=16,
        num_correct=np.array([9, 0, 1]),
        num_truncated=[0, 3, 0],
        metadata=[{"level": 1}, {"level": 5, "subject": "Algèbre"}, {}],
    )
    return Results.from_problems({"name": "CE", "n_passes": np.int64(1)}, problems, NS)


def test_tables_follow_from_the_records(results: Results) -> None:
    exact, sampled = results.pass_at_n
    assert (exact.source, exact.ns) == ("exact", (1, 4, 64))
    assert (sampled.source, sampled.ns) == ("samples", (1, 4))
    assert results.confidence is not None
    assert results.confidence.accuracy == pytest.approx(1 / 3)


def test_one_bound_makes_the_curve_a_bound() -> None:
    problems = problems_from_arrays(["a", "b"], log_p=-1.0, is_exact=[True, False])
    assert Results.from_problems({"name": "r"}, problems, NS).pass_at_n[0].source == "lower bound"
    problems = problems_from_arrays(["a", "b"], log_p=-1.0)
    assert Results.from_problems({"name": "r"}, problems, NS).pass_at_n[0].source == "lower bound"


def test_round_trip(results: Results, tmp_path: Path) -> None:
    path = results.save(tmp_path / "run" / "results.json")
    loaded = Results.load(path)
    assert loaded.problems == results.problems
    assert loaded.pass_at_n == results.pass_at_n
    assert loaded.confidence == results.confidence
    assert loaded.problems[1].log_p == -math.inf
    assert loaded.run == {"name": "CE", "n_passes": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["results.json"]


def test_file_is_strict_json(results: Results, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = results.save(tmp_path / "results.json").read_text(encoding="utf-8")
    data = json.loads(text, parse_constant=refuse)
    assert data["schema_version"] == 1
    assert data["problems"][1]["log_p"] == "-inf"
    assert data["problems"][1]["metadata"]["subject"] == "Algèbre"
    assert "num_timeouts" not in data["problems"][0]


def test_nan_is_refused_and_the_old_file_stays(results: Results, tmp_path: Path) -> None:
    path = results.save(tmp_path / "results.json")
    before = path.read_bytes()
    bad = Results(run={"name": "CE", "train": {"loss": [1.0, math.nan]}}, problems=results.problems, pass_at_n=())
    with pytest.raises(ValueError, match=r"results\.run\.train\.loss\[1\]: nan cannot be stored"):
        bad.save(path)
    with pytest.raises(ValueError, match=r"results\.run\.model: a object cannot be stored"):
        Results(run={"name": "CE", "model": object()}, problems=results.problems, pass_at_n=()).save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"problems": [{"id": "a", "log_p": "often"}]},
            r"problems\[0\]\.log_p: expected a number ≤ 0, \"-inf\" or null",
        ),
        ({"problems": [{"id": "a", "log_p": 0.5}]}, r"problems\[0\]\.log_p: .* found 0.5"),
        ({"problems": [{"id": "a", "num_samples": 2, "num_correct": 3}]}, r"problems\[0\]\.num_correct: 3 is more"),
        ({"problems": [{"id": "a", "num_samples": 2}]}, r"problems\[0\]\.num_correct: .* come together"),
        ({"problems": [{"id": "a", "num_samples": 1.5, "num_correct": 1}]}, r"num_samples: expected a whole number"),
        ({"problems": [{"id": "a", "greedy_correct": "yes"}]}, r"greedy_correct: expected true, false or null"),
        ({"problems": [{"id": "a", "logp": -1}]}, r"problems\[0\]\.logp: unknown field"),
        ({"problems": [{"log_p": -1}]}, r"problems\[0\]\.id: missing"),
        ({"problems": [{"id": ""}]}, r"problems\[0\]\.id: expected a string"),
        ({"problems": [3]}, r"problems\[0\]: expected an object, found 3"),
        ({"problems": [{"id": "a"}, {"id": "a"}]}, "problems: id 'a' occurs twice"),
        ({"problems": []}, "problems: empty"),
        ({"problems": None}, "problems: expected a list, found None"),
        ({"run": {"name": 3}}, "run.name: expected a string"),
        ({"run": []}, "run: expected an object"),
        ({"schema_version": 2}, "schema_version: this passatn reads 1, found 2"),
        ({"pass_at_n": [{"ns": [1]}]}, r"pass_at_n\[0\]\.estimate: missing"),
        ({"confidence": {"edges": [0, 1]}}, r"confidence\.counts: missing"),
        ({"confidence": 1}, "confidence: expected an object, found 1"),
    ],
)
def test_load_errors_name_file_and_field(
    results: Results, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = results.save(tmp_path / "results.json")
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        Results.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_not_json(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"schema_version": 1', encoding="utf-8")
    with pytest.raises(ValueError, match=r"results\.json: not JSON"):
        Results.load(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"results\.json: expected an object, found a list"):
        Results.load(path)


def test_columns(results: Results) -> None:
    num_truncated = results.column("num_truncated")
    assert num_truncated is not None
    assert num_truncated.tolist() == [0, 3, 0]
    assert results.column("num_errors") is None
    with pytest.raises(ValueError, match="log_p has 1 entries for 2 ids"):
        problems_from_arrays(["a", "b"], log_p=[-1.0])


def test_record_checks_what_it_is_given() -> None:
    assert ProblemResult("a", log_p=np.float32(-1.5)).log_p == -1.5  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"log_p: .* found nan"):
        ProblemResult("a", log_p=math.nan)
