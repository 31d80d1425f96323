"""Direct answers at a tiny size: every number from raw files, stages used again, restarts, changed recipes."""

import csv
import json
import shutil

import numpy as np
import pytest

from passatn.coverage import coverage
from passatn.evaluate import ProblemResult, Results
from passatn.experiments import finetune
from passatn.experiments.reproduce import easy_data, over_training
from passatn.experiments.reproduce.command import reproduce
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.direct import Direct
from passatn.experiments.reproduce.mini_data import BORDER
from passatn.experiments.reproduce.proofs import Proofs
from passatn.experiments.reproduce.recipes import direct_recipe
from passatn.experiments.reproduce.workspace import Workspace
from passatn.experiments.run_directory import RunDirectory
from search_runs import CORRECT, runs

NAMES = ("table1", "table5", "fig1", "fig2", "fig5", "fig12", "fig13")


def context_of(output, name, said=None):
    return Context(name, "demo", Workspace(output, (said if said is not None else []).append), quick=True)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduction") / "out"
    with pytest.MonkeyPatch.context() as patch:
        # Figure 2 (c) is of proof searches; test_reproduce_proofs.py runs them.
        patch.setattr(Proofs, "arms", lambda self: runs())
        for name in NAMES:
            reproduce(context_of(folder, name))
    return folder


def record_of(output, name):
    return json.loads((output / name / "results.json").read_text())


def rows_of(output, name, file):
    with (output / name / file).open() as lines:
        return list(csv.DictReader(lines))


def test_table_1_follows_from_the_raw_scores(output):
    record = record_of(output, "table1")
    for source, epoch, at in zip(record["sources"], record["ours"]["epochs"], range(99), strict=False):
        results = Results.load(output / source)
        assert results.run["epoch"] == epoch
        for n, values in record["ours"]["pass_at_n"].items():
            expected = coverage(results.column("log_p"), int(n)).mean()
            assert values[at] == pytest.approx(float(expected), abs=1e-12)
    assert record["paper"]["rows"][3] == ["epoch 4", 7.4, 22.9, 44.5, 63.0]
    assert len(record["tables"][0]["rows"]) == 4
    assert "44.5" not in json.dumps(record["ours"])


def test_table_5_is_on_problems_of_another_kind(output):
    first = Results.load(output / record_of(output, "table5")["sources"][0])
    assert record_of(output, "table5")["ours"]["epochs"] == [1.0, 2.0, 3.0, 4.0]
    for problem in first.problems:
        digits = problem.id.rpartition("-")[2]
        assert min(int(digits[:2]), int(digits[2:4])) >= BORDER
    trained = [json.loads(line) for line in next(output.glob("shared/data-*/train.jsonl")).open()]
    assert all(max(int(r["id"][-6:-4]), int(r["id"][-4:-2])) < BORDER for r in trained)
    probes = {json.loads(line)["id"] for line in next(output.glob("shared/data-*/probe.jsonl")).open()}
    assert not probes & {row["id"] for row in trained}


def test_fig_1_is_of_greedy_answers(output):
    rows = rows_of(output, "fig1", "fig1.csv")
    last = [row for row in rows if row["run"] == "CE" and row["epoch"] == "4.0"]
    stored = [Results.load(output / source) for source in record_of(output, "fig1")["sources"]]
    results = next(r for r in stored if r.name == "CE, epoch 4")
    assert [float(row["confidence"]) for row in last] == pytest.approx(np.exp(results.column("greedy_log_p")).tolist())
    assert [bool(int(row["correct"])) for row in last] == results.column("greedy_correct").tolist()


def test_fig_2_frontier_is_the_best_curve_at_each_n(output):
    ours = record_of(output, "fig2")["ours"]
    stacked = np.array(list(ours["pass_at_n"].values()))
    assert ours["frontier"]["best"] == stacked.max(axis=0).tolist()
    assert {row["model"] for row in rows_of(output, "fig2", "fig2c.csv")} == set(CORRECT)
    weights = {(row["N"], row["p"]): float(row["F(N, p)"]) for row in rows_of(output, "fig2", "fig2b.csv")}
    p = next(p for n, p in weights if n == "256" and 0.004 < float(p) < 0.005)
    by_hand = 256 * float(p) * (1 - float(p)) ** 255 / (1 - (1 - float(p)) ** 256)
    assert weights["256", p] == pytest.approx(by_hand, rel=1e-9)


def test_fig_12_ranks_hold_what_was_sampled(output):
    record = record_of(output, "fig12")
    for source in record["sources"]:
        for problem in json.loads((output / source).read_text()):
            assert problem["log_q"] == sorted(problem["log_q"], reverse=True)
            assert len(set(problem["correct"])) <= 2
            assert sum(problem["correct"]) <= 1, "mini-MATH has one right answer"
            assert np.exp(problem["log_q"]).sum() <= problem["seen"] + 1e-9 <= 1 + 1e-6


def test_fig_5_and_13_have_all_levels(output):
    levels = {row["level"] for row in rows_of(output, "fig5", "fig5.csv")}
    assert levels == {f"level {i}" for i in range(1, 6)}
    assert {row["level"] for row in rows_of(output, "fig13", "fig13.csv")} == set("12345")
    epochs = [row["epoch"] for row in rows_of(output, "fig5", "fig5.csv")]
    assert epochs[0] == "0.0"
    assert epochs[-1] == "4.0"


def test_every_picture_and_one_page(output):
    page = (output / "report.html").read_text()
    assert "QUICK" in page
    for name in NAMES:
        record = record_of(output, name)
        assert all((output / name / file).read_bytes().startswith(b"\x89PNG") for file in record["pictures"])
        assert f"{name}: " in page
        assert all((output / source).is_file() for source in record["sources"])


def test_what_is_finished_is_not_run_again(output, monkeypatch):
    said = []
    monkeypatch.setattr(over_training, "section", lambda context: pytest.fail("ran again"))
    reproduce(context_of(output, "table1", said))
    assert "table1 is finished already" in said[0]


def test_a_changed_recipe_is_done_again_from_the_same_runs(output, monkeypatch):
    said = []
    before = record_of(output, "table1")
    monkeypatch.setattr(over_training, "SHOWN_NS", (1, 16))
    monkeypatch.setattr(over_training, "_plot", lambda path, *rest: path.write_bytes(b"\x89PNG"))
    monkeypatch.setattr(finetune, "train", lambda *rest, **options: pytest.fail("trained again"))
    record = reproduce(context_of(output, "table1", said))
    assert said[0] == "table1: its recipe has changed (shown): done again"
    assert list(record["ours"]["pass_at_n"]) == ["1", "16"]
    assert record["ours"]["pass_at_n"]["16"] == before["ours"]["pass_at_n"]["16"]
    monkeypatch.undo()
    assert reproduce(context_of(output, "table1"))["ours"] == before["ours"]


def test_an_interruption_keeps_the_stages_that_are_done(output, monkeypatch):
    for file in [*output.glob("shared/influence-*-epoch3-*.json"), output / "fig5" / "results.json"]:
        file.unlink()
    ours = [path.name for path in output.glob("shared/influence-*")]
    real = easy_data.influences
    monkeypatch.setattr(easy_data, "influences", lambda *rest, **options: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        reproduce(context_of(output, "fig5"))
    assert not (output / "fig5" / "results.json").exists()
    assert [path.name for path in output.glob("shared/influence-*")] == ours
    calls = []
    monkeypatch.setattr(easy_data, "influences", lambda *rest, **options: calls.append(1) or real(*rest, **options))
    reproduce(context_of(output, "fig5"))
    assert len(calls) == 1


def test_a_killed_training_is_resumed(output, monkeypatch):
    """The run's folder as a kill leaves it: no model/, results.json or later checkpoints."""
    run = next(path for path in output.glob("shared/run-CE-*"))
    last = Results.load(run / "results.json").column("log_p")
    shutil.rmtree(output / "table1")
    shutil.rmtree(run)
    real = finetune.train

    def stops(config, directory, say, **options):
        monkeypatch.setattr(finetune, "_finish", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
        return real(config, directory, say, **options)

    monkeypatch.setattr(finetune, "train", stops)
    with pytest.raises(KeyboardInterrupt):
        reproduce(context_of(output, "table1"))
    assert not (run / "model").exists()
    shutil.rmtree(run / "checkpoints" / "checkpoint-8")
    monkeypatch.undo()
    said = []
    reproduce(context_of(output, "table1", said))
    assert any(line.startswith("resuming from") and line.endswith("checkpoint-6") for line in said)
    assert np.array_equal(Results.load(run / "results.json").column("log_p"), last)
    assert not list(run.glob("checkpoints/*/optimizer.pt"))


def test_fig_2_at_the_papers_scale_comes_without_its_trees(tmp_path, monkeypatch):
    context = Context("fig2", "paper", Workspace(tmp_path / "out", print))
    for n in direct_recipe("paper").train_ns:
        folder = Direct(context, direct_recipe("paper")).run_folder(n)
        folder.mkdir(parents=True)
        problems = [ProblemResult(id=str(i), log_p=-float(i + 1)) for i in range(3)]
        Results.from_problems({"name": folder.name}, problems, [1]).save(folder / "results.json")
    monkeypatch.setattr(RunDirectory, "is_finished", True)
    record = reproduce(context)
    assert sorted(record["pictures"]) == ["fig2.png"]
    assert len(record["missing"]) == 1
    assert "(c), the trees of proof searches" in record["missing"][0]
    assert "(c)" in (tmp_path / "out" / "report.html").read_text()
    assert len(record["sources"]) == 4
