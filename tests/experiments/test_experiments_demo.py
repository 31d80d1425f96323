"""The whole demo at a tiny size: files, resumption, what the page says, and the page in a browser."""

import json

import pytest

from browser import probe_page
from passatn.experiments import demo
from passatn.experiments.config import ConfigError
from passatn.experiments.mini_math import Settings

TINY = Settings(pretrain_steps=6, pretrain_batch=16, epochs=2, num_train=64, num_eval=30, batch_size=16)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "QUICK", TINY)
        demo.run_demo(folder, quick=True)
    return folder


def test_the_demo_writes_results_page_and_picture(finished):
    record = json.loads((finished / "results.json").read_text())
    assert [run["name"] for run in record["runs"]] == ["CE", "DCO-256"]
    for run in record["runs"]:
        assert len(run["log_p_test"]) == len(run["greedy_correct"]) == 30
        assert all(log_p <= 0 for log_p in run["log_p_test"])
    assert (finished / "demo.png").read_bytes().startswith(b"\x89PNG")
    page = (finished / "report.html").read_text()
    assert "It is no evidence that DCO beats well-tuned cross-entropy" in page


def test_every_number_of_the_table_follows_from_the_raw_scores(finished):
    import numpy as np

    from passatn.coverage import coverage

    record = json.loads((finished / "results.json").read_text())
    scores = {run["name"]: np.array(run["log_p_test"]) for run in record["runs"]}
    for row, run in (("CE, last epoch", "CE"), ("DCO-256", "DCO-256")):
        curve = next(r for r in record["rows"] if r["name"] == row)["curves"][0]
        for n, estimate in zip(curve["ns"], curve["estimate"], strict=True):
            assert estimate == pytest.approx(float(coverage(scores[run], n).mean()), abs=1e-5)


def test_a_finished_demo_is_shown_again_not_run(finished, monkeypatch, capsys):
    monkeypatch.setattr(demo, "_run", lambda *args: pytest.fail("ran again"))
    demo.run_demo(finished, quick=True)
    assert "CE, last epoch" in capsys.readouterr().out


def test_other_options_or_a_foreign_folder_are_refused(finished, tmp_path):
    with pytest.raises(ConfigError, match="holds a demo with"):
        demo.run_demo(finished, quick=False)
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="is not a demo"):
        demo.run_demo(tmp_path, quick=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_comparison_that_dco_loses_is_said_with_its_sign():
    from passatn.experiments.demo_findings import _points

    assert _points(-0.012) == "−1.2"
    assert _points(0.3) == "+30.0"


def test_the_page_opens_offline_without_errors(finished, tmp_path):
    probe = probe_page(finished / "report.html", tmp_path, hover_at=256)
    assert probe["problems"] == []
    assert probe["requests"] == []
    assert len(probe["curves"]) == 3
    assert all(width > 50 for width, height in probe["curves"])
    assert probe["hover"].startswith("N = 256")
    assert "DCO-256 : " in probe["hover"]
