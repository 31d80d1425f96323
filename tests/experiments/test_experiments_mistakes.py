"""The programs beside `passatn sweep`: bad input is one line and exit code 1, a wrong option is exit code 2."""

import importlib
import json
import math

import pytest

RESULTS = {
    "schema": "passatn sweep 1",
    "finals": [{"arm": "CE", "seed": 0, "ids": ["a"], "tested": [{"n": 4, "log_p": [math.log(0.5)]}]}],
}


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run a program in a folder with a few files; returns its exit code and the lines of stderr."""
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "not.jsonl").write_text("hello\n")
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\n")
    (tmp_path / "short.jsonl").write_text('{"id": "a", "metadata": {"level": 1}}\n\n{"id": "b", "metadata": null}\n')
    (tmp_path / "b.jsonl").write_text('{"id": "b", "metadata": {"level": 1}}\n')
    monkeypatch.chdir(tmp_path)

    def run(program, *words):
        monkeypatch.setattr("sys.argv", [program, *words])
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(f"passatn.experiments.sweep.{program}").main()
        said = capsys.readouterr()
        assert said.out == ""
        return stop.value.code, said.err.splitlines()

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("by_group results.json not.jsonl --field level", "not.jsonl, line 1: not JSON"),
        ("by_group results.json latin.jsonl --field level", "latin.jsonl: 'utf-8' codec can't decode"),
        ("by_group results.json short.jsonl --field level", "short.jsonl, line 3: expected an id, and 'level' in meta"),
        ("by_group results.json short.jsonl --field topic", "short.jsonl, line 1: expected an id, and 'topic' in meta"),
        ("by_group results.json none.jsonl --field level", "none.jsonl"),
        ("by_group results.json b.jsonl --field level --n 4", "results.json: problem 'a' of the results is not among"),
        ("by_group results.json b.jsonl --field level --n 5", "results.json: nothing was tested at N = 5"),
        ("by_group not.jsonl b.jsonl --field level", "not.jsonl: cannot be read"),
        ("ensembles results.json --n 5", "results.json: nothing was tested at N = 5"),
        ("ensembles results.json --n 4 --together CE;GEM", "results.json: there is no arm 'GEM' tested at N = 4"),
        ("ensembles other.json", "other.json: not the results.json of a finished sweep"),
        ("overview one=other.json --output page.png", "other.json: not the results.json of a finished sweep"),
        ("overview one=none --output page.png", "none: no such file: expected NAME=FOLDER of a finished sweep"),
        ("transfer none --data b.jsonl --output out", "none/sweep.yaml: no such sweep file"),
        ("wise_ft none --output out", "none/sweep.yaml: no such sweep file"),
    ],
)
def test_bad_input_is_one_line_that_names_the_file(call, words, message):
    code, lines = call(*words.split())
    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("by_group results.json b.jsonl --field level --n 0", "--n: must be a whole number from 1, got '0'"),
        ("ensembles results.json --n x", "--n: must be a whole number from 1, got 'x'"),
        ("overview results.json --output page.png", "results.json: expected NAME=FOLDER of a finished sweep"),
        ("overview one= --output page.png", "one=: expected NAME=FOLDER of a finished sweep"),
        ("transfer none --data b.jsonl --output out --ns 0", "--ns '0': expected whole numbers from 1"),
        ("transfer none --data b.jsonl --output out --workers 0", "--workers: must be a whole number from 1, got '0'"),
        ("wise_ft none --output out --alphas 1,x", "--alphas: expected numbers separated by commas, got '1,x'"),
        ("wise_ft none --output out --alphas 1,2", "alphas lie between 0 and 1, 1 among them, got 1, 2"),
        ("wise_ft none --output out --workers -1", "--workers: must be a whole number from 1, got '-1'"),
    ],
)
def test_a_wrong_option_is_another_exit_code(call, words, message):
    code, lines = call(*words.split())
    assert code == 2
    assert lines[0].startswith("usage: ")
    assert message in lines[-1]


def test_where_a_mistake_comes_from_can_be_seen(call, monkeypatch):
    monkeypatch.setenv("PASSATN_TRACEBACK", "1")
    with pytest.raises(ValueError, match=r"other\.json"):
        call("ensembles", "other.json")
