"""The page over several sweeps: its numbers against results.json by hand, and a picture."""

import json
from pathlib import Path

import numpy as np
import pytest

from passatn.experiments.sweep import overview


def arm(name, trials, difference=None, area=0.5):
    made = [{"values": [[[0.0, value / 100], [0.9, 0.9]] for value in curve]} for curve in trials]
    found = None if difference is None else dict(zip(("difference", "low", "high"), difference, strict=True))
    return {"name": name, "trials": made, "difference": found, "robustness": {"num_trials": 2, "mean": [0.1, area]}}


RESULTS = {
    "schema": "passatn sweep 1",
    "sweep": {"target_n": 256},
    "ns": [1, 256],
    "arms": [
        arm("CE", [[10, 20, 30], [30, 40], [90, 90, 90]]),
        arm("DCO-256", [[40, 40, 40], [20, 20, 20]], ([-0.2, 0.03], [-0.3, 0.01], [-0.1, 0.05]), 0.6),
    ],
    "confirmation": {"finalist": "DCO-256", "difference": {"difference": [0.02], "low": [-0.01], "high": [0.05]}},
}


def test_gains_are_those_of_the_target_n():
    found = overview.gains(RESULTS)
    assert [name for name, *_ in found] == ["DCO-256", "DCO-256, new seeds"]
    np.testing.assert_allclose([values for _, *values in found], [[3, 1, 5], [2, -1, 5]])


def test_epochs_are_means_over_random_trials_and_a_short_one_keeps_its_last():
    np.testing.assert_allclose(overview.over_epochs(RESULTS, "CE"), [20, 30, 35])


def test_the_page(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(RESULTS))
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**RESULTS, "confirmation": None}))
    picture = tmp_path / "page.png"
    monkeypatch.setattr("sys.argv", ["overview", f"one={folder}", f"two={other}", "--output", str(picture)])
    overview.main()
    lines = capsys.readouterr().out.splitlines()
    assert "| one | DCO-256 | +3.0 [+1.0, +5.0] | 60.0 |" in lines
    assert "| one | DCO-256, new seeds | +2.0 [-1.0, +5.0] |  |" in lines
    assert lines[-1].startswith("| two | DCO-256 |")
    assert picture.read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr("sys.argv", ["overview", str(folder), "--output", str(picture)])
    with pytest.raises(SystemExit):
        overview.main()
    assert "expected NAME=FOLDER of a finished sweep" in capsys.readouterr().err
    other.write_text("{}")
    monkeypatch.setattr("sys.argv", ["overview", f"two={other}", "--output", str(picture)])
    with pytest.raises(SystemExit):
        overview.main()
    assert "other.json: not the results.json of a finished sweep" in capsys.readouterr().err
    assert not list(Path(tmp_path).glob("*.partial"))
