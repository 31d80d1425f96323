"""`passatn recommend` on folders of train and evaluate: what it reads as one run, what it says, what it refuses."""

import json

import numpy as np
import pytest

from passatn.evaluate import ProblemResult, Results, problems_from_arrays
from passatn.experiments.candidates import pool_of, read_pool
from passatn.experiments.config import RunConfig
from passatn.experiments.decoding import label_of, with_settings
from passatn.experiments.finetune import train
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.recommend import recommend
from passatn.experiments.run_directory import RunDirectory
from passatn.sample import score_problems
from passatn.sample.models import load_model
from passatn.tasks import Problem, encode_answers, get_template
from tiny_files import additions

P = 40


def results(name, log_p, ids=None, **described):
    """An evaluation; a matrix of log p is one row per setting of the keys of `settings`."""
    settings = described.pop("settings", [])
    rows = np.atleast_2d(log_p)
    keys = ids or [f"p{i}" for i in range(rows.shape[1])]
    records = with_settings(problems_from_arrays(keys, log_p=rows[0]), settings, rows[1:])
    return Results.from_problems({"name": name} | described, records, ns=[1, 4])


def train_folder(path, config, epochs, settings=(), *, finished=True):
    """What `passatn train` leaves behind; `epochs` has `[1 + settings, P]` log p after each epoch."""
    run = RunDirectory(path)
    run.begin({"model": "base", "train_data": "t.jsonl"} | config)
    for epoch, rows in enumerate(epochs, start=1):
        described = {"step": 10 * epoch, "epoch": float(epoch), "model": "base", "settings": list(settings)}
        results(path.name, rows, **described).save(run.evaluations / f"step-{10 * epoch:06d}.json")
    if finished:
        run.model.mkdir()
    return path


@pytest.fixture
def runs(tmp_path):
    """Cross-entropy is best after its first epoch at T = 1.2, and DCO after its second at T = 1."""
    spread = np.random.default_rng(0).normal(0, 1, P)
    grid = [(0.8, 1.0), (1.2, 1.0)]
    levels = {
        "ce": ({"n_passes": 1}, [[-5, -5.2, -4.8], [-6, -6.5, -5.5]]),
        "dco-16": ({"n_passes": 16}, [[-4, -4.2, -4.1], [-3, -3.3, -3.2], [-3.5, -3.6, -3.4]]),
    }
    return [
        train_folder(
            tmp_path / name,
            config,
            [np.minimum(spread + np.array(rows)[:, None], -1e-3) for rows in epochs],
            grid,
        )
        for name, (config, epochs) in levels.items()
    ]


def test_every_epoch_and_temperature_of_a_run_is_a_candidate(runs):
    pool = read_pool(runs)
    assert [candidate.label for candidate in pool.candidates[:4]] == [
        "ce (cross-entropy), epoch 1 (step 10)",
        "ce (cross-entropy), epoch 1 (step 10), T = 0.8",
        "ce (cross-entropy), epoch 1 (step 10), T = 1.2",
        "ce (cross-entropy), epoch 2 (step 20)",
    ]
    assert len(pool.candidates) == 15
    dco = [candidate for candidate in pool.candidates if candidate.run == "dco-16"]
    falling = {"n_passes": 1, "n_passes_schedule": "anneal", "n_passes_start": 64}
    annealed = read_pool([train_folder(runs[0].parent / "annealed", falling, [np.full((1, P), -1.0)])]).candidates[0]
    assert (annealed.is_cross_entropy, annealed.training) == (False, "dco, N by anneal")
    assert {(c.objective, c.n_passes, c.training) for c in dco} == {("dco", 16.0, "DCO, N_train = 16")}
    assert [c.is_last for c in dco] == [False] * 6 + [True] * 3
    assert [c.is_default for c in dco] == [True, False, False] * 3
    assert pool.notices == ()
    for row, candidate in enumerate(pool.candidates[:6]):
        stored = Results.load(runs[0] / "evaluations" / f"step-{candidate.step:06d}.json")
        label = label_of(candidate.setting)
        wanted = [p.log_p if candidate.is_default else p.log_p_by_setting[label] for p in stored.problems]
        assert pool.log_p[row].tolist() == wanted


def test_the_command_says_what_to_use_and_why(passatn, runs):
    outcome = passatn("recommend", *runs, "--n", 16, "--json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    pool = read_pool(runs)
    chosen = [said["candidates"][choice["split"][0]["candidate"]] for choice in said["choices"][:6]]
    assert [(c["run"], c["epoch"], c["temperature"]) for c in chosen] == [
        ("ce", 2.0, 1.0),
        ("ce", 1.0, 1.0),
        ("ce", 1.0, 1.2),
        ("dco-16", 3.0, 1.0),
        ("dco-16", 2.0, 1.0),
        ("dco-16", 2.0, 1.0),
    ]
    # No problem prefers another candidate, so every fold chooses the same, and the gains are plain differences.
    means = (1 - (1 - np.exp(pool.log_p)) ** 16).mean(axis=1)
    rows = [3, 0, 2, 12, 9, 9]
    for choice, row, over in zip(said["choices"], rows, (None, 3, 0, 3, 12, 9), strict=False):
        assert choice["share_of_folds_that_agree"] == 1
        assert choice["pass_at_n"]["estimate"] == pytest.approx(means[row])
        if over is not None:
            assert choice["gain"]["estimate"] == pytest.approx(means[row] - means[over])
            assert choice["gain"]["low"] <= choice["gain"]["estimate"] <= choice["gain"]["high"]
    assert said["recommended"] == said["best_single"] == 5
    best = 100 * (means[9] - means[2])
    assert said["recommendation"].startswith(
        "Recommendation: use dco-16 (DCO, N_train = 16), epoch 2 (step 20); pass@16"
    )
    assert f"gains {best:+.1f} points (" in said["recommendation"]
    assert "over cross-entropy with the best epoch and temperature" in said["recommendation"]
    assert [c["validation_pass_at_n"] for c in said["candidates"]] == pytest.approx(means.tolist())
    shown = passatn("recommend", *runs, "--n", 16)
    assert said["recommendation"] in shown.out
    for warning in said["warnings"]:
        assert f"Note: {warning}." in shown.out
    assert any("ce (cross-entropy), epoch 1 (step 10), T = 1.2: the largest temperature" in w for w in said["warnings"])
    assert any("do not tell 8 (the best split) from 6" in w for w in said["warnings"])


def test_evaluations_of_a_runs_models_belong_to_the_run(runs, tmp_path):
    """model/ is its last step; a checkpoint is its own; counts or scores at another temperature do not matter here."""
    log_p = np.full(P, -1.0)
    warm = results("e1", log_p, model=str(runs[0] / "model"), temperature=1.5)
    early = results("e2", log_p, model=str(runs[0] / "checkpoints" / "checkpoint-10"), temperature=1.5, top_p=0.9)
    files = [found.save(tmp_path / f"{found.name}.json") for found in (warm, early)]
    pool = read_pool([*runs, *files])
    assert [candidate.label for candidate in pool.candidates[-2:]] == [
        "ce (cross-entropy), epoch 2 (step 20), T = 1.5",
        "ce (cross-entropy), epoch 1 (step 10), T = 1.5, top-p = 0.9",
    ]
    assert [candidate.is_last for candidate in pool.candidates[-2:]] == [True, False]
    # One evaluation of a run, named as a file.
    (alone, *_) = read_pool([runs[1] / "evaluations" / "step-000020.json"]).candidates
    assert alone.label == "dco-16 (DCO, N_train = 16), epoch 2 (step 20)"


def test_other_evaluations_are_one_run_if_they_differ_in_decoding_alone(tmp_path):
    log_p = np.full(P, -1.0)
    found = [
        results("a", log_p, model="hub/model", n_passes=1),
        results("b", log_p, model="hub/model", n_passes=1, temperature=0.7),
        results("b", log_p, model="hub/model", n_passes=1, temperature=0.7),
        results("b", log_p, model="hub/other", n_passes=4, objective="gem"),
        results("c", log_p, kind="ce"),
        results("d", log_p),
    ]
    files = [one.save(tmp_path / f"{number}.json") for number, one in enumerate(found)]
    assert [candidate.label for candidate in read_pool(files).candidates] == [
        "a (cross-entropy)",
        "a (cross-entropy), T = 0.7",
        "b (cross-entropy), T = 0.7",
        "b (2) (gem)",
        "c (cross-entropy)",
        "d",
    ]
    assert [c.run for c in pool_of(found).candidates] == ["a", "b", "b (2)", "b (3)", "c", "d"]


def test_test_runs_judge_what_validation_chose(passatn, tmp_path):
    """On test the choice is wrong, and the numbers are those of test, matched by setting whatever their order."""
    grid = [(0.5, 1.0), (1.5, 1.0)]
    validation = results("a", np.log(np.full((3, P), [[0.1], [0.2], [0.3]])), settings=grid)
    ids = [f"t{i}" for i in range(10)]
    test = results("x", np.log(np.full((3, 10), [[0.2], [0.05], [0.1]])), ids, settings=grid[::-1])
    files = [one.save(tmp_path / f"{one.name}.json") for one in (validation, test)]
    said = json.loads(passatn("recommend", files[0], "--n", 4, "--test", files[1], "--json").out)
    (plain, tuned, *_) = said["choices"]
    assert plain["pass_at_n"]["estimate"] == pytest.approx(1 - 0.8**4)
    assert said["candidates"][tuned["split"][0]["candidate"]]["temperature"] == 1.5
    assert tuned["gain"]["estimate"] == pytest.approx((1 - 0.95**4) - (1 - 0.8**4))
    assert tuned["share_of_folds_that_agree"] is None
    assert said["evaluated_on"] == "10 test problems"
    fewer = results("y", np.log(np.full((2, 10), 0.1)), ids, settings=grid[:1]).save(tmp_path / "y.json")
    error = passatn("recommend", files[0], "--n", 4, "--test", fewer).error
    assert error == "the test runs have no numbers for a, T = 1.5: evaluate it there too"
    leaking = results("z", np.full((3, P), -1.0), settings=grid).save(tmp_path / "z.json")
    error = passatn("recommend", files[0], "--n", 4, "--test", leaking).error
    assert error.startswith(f"problem 'p0' is among the validation and the test problems ({P} in all)")


def test_test_runs_in_another_order_are_refused(passatn, tmp_path):
    ids = [f"t{i}" for i in range(10)]
    files = {
        (n, side): results(f"{side}{n}", np.full(10, -1.0), names, n_passes=n).save(tmp_path / f"{side}{n}.json")
        for side, names in (("validation", None), ("test", ids))
        for n in (1, 16)
    }
    runs = [files[n, "validation"] for n in (1, 16)]
    assert passatn("recommend", *runs, "--n", 4, "--test", files[1, "test"], "--test", files[16, "test"]).code == 0
    error = passatn("recommend", *runs, "--n", 4, "--test", files[16, "test"], "--test", files[1, "test"]).error
    assert error.startswith("--test run 1 is of DCO, N_train = 16, the validation run in its place of cross-entropy")


def test_what_cannot_be_read_is_one_line(passatn, runs, tmp_path):
    empty = train_folder(tmp_path / "empty", {}, [])
    assert f"{empty}: no evaluation on held-out problems" in passatn("recommend", empty, "--n", 4).error
    assert f"{tmp_path / 'no'}: no results there" in passatn("recommend", tmp_path / "no", "--n", 4).error
    other = train_folder(tmp_path / "other", {}, [np.full((1, P + 1), -1.0)])
    assert "other and ce differ in problem 'p40'" in passatn("recommend", *runs, other, "--n", 4).error
    alone = results("alone", np.full(P, -1.0)).save(tmp_path / "alone.json")
    assert "one candidate leaves nothing to choose" in passatn("recommend", alone, "--n", 4).error
    one = results("one", np.full((2, 1), -1.0), settings=[(0.5, 1.0)]).save(tmp_path / "one.json")
    assert "one problem cannot both choose and judge" in passatn("recommend", one, "--n", 4).error
    half = json.loads(one.read_text())
    half["problems"].append({"id": "q", "log_p": -1})
    one.write_text(json.dumps(half))
    assert "problem 'q' has no log_p_by_setting['T = 0.5, top-p = 1']" in passatn("recommend", one, "--n", 4).error
    half["problems"] = [{"id": "q", "log_p": -1, "log_p_by_setting": {"warm": -1}}]
    one.write_text(json.dumps(half))
    assert "'warm' is no setting: expected one such as 'T = 0.8, top-p = 1'" in passatn(
        "recommend", one, "--n", 4
    ).error  # fmt: skip


def test_an_unfinished_run_is_used_and_named(passatn, runs, tmp_path):
    young = train_folder(tmp_path / "young", {"n_passes": 4}, [np.full((1, P), -2.0)], finished=False)
    said = json.loads(passatn("recommend", runs[0], young, "--n", 4, "--json").out)
    assert said["warnings"][0] == f"{young} is not finished: its last epoch here is not the end of its training"


def test_final_trainings_of_a_sweep_are_finished_and_named_by_their_arms(passatn, tmp_path):
    finals = []
    for arm, n_passes in (("01-ce", 1), ("02-dco-16", 16)):
        folder = tmp_path / arm / "trial-000-seed-0"
        level = np.linspace(-4, -1, P)[None] + np.log(n_passes) / 8
        train_folder(folder, {"n_passes": n_passes}, [level, level - 0.1], finished=False)
        RunDirectory(folder).results.write_text("{}")
        (folder / "final.json").write_text("{}")
        finals.append(folder)
    said = json.loads(passatn("recommend", *finals, "--n", 4, "--json").out)
    assert not any("not finished" in line for line in said["warnings"])
    assert {one["run"] for one in said["candidates"]} == {"01-ce/trial-000-seed-0", "02-dco-16/trial-000-seed-0"}


def test_records_keep_log_p_by_setting(tmp_path):
    record = ProblemResult("a", log_p=-1.0, log_p_by_setting={"T = 0.5, top-p = 1": -np.inf, "T = 2, top-p = 1": -3})
    assert record.to_dict()["log_p_by_setting"] == {"T = 0.5, top-p = 1": "-inf", "T = 2, top-p = 1": -3.0}
    assert ProblemResult.from_dict(record.to_dict()) == record
    assert "log_p_by_setting" not in ProblemResult("a", log_p=-1.0).to_dict()
    for bad, message in [
        ([1], "log_p_by_setting: expected an object"),
        ({"x": 1.0}, r"log_p_by_setting\['x'\]: expected a number ≤ 0"),
        ({"x": None}, r"log_p_by_setting\['x'\]: leave out what was not measured"),
    ]:
        with pytest.raises(ValueError, match=message):
            ProblemResult.from_dict({"id": "a", "log_p_by_setting": bad})


def encoded(tokenizer, records):
    problems = [Problem(str(i), r["prompt"], (r["answer"],)) for i, r in enumerate(records)]
    return [encode_answers(tokenizer, get_template("direct"), problem) for problem in problems]


def test_training_and_evaluation_store_other_temperatures(passatn, settings, tmp_path):
    """Both equal scoring by hand, and are read together as one run."""
    run = RunDirectory(tmp_path / "run")
    asked = RunConfig.from_mapping(settings | {"eval_temperatures": "0.5,2"})
    assert RunConfig.from_mapping(asked.to_mapping()) == asked
    with quiet_libraries():
        train(asked, run, print)
    model, tokenizer = load_model(str(run.model))
    answers = encoded(tokenizer, additions(12, seed=1))
    wanted = score_problems(model, answers, temperatures=(1.0, 0.5, 2.0))
    stored = Results.load(run.results)
    found = [[p.log_p, *p.log_p_by_setting.values()] for p in stored.problems]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert list(stored.problems[0].log_p_by_setting) == ["T = 0.5, top-p = 1", "T = 2, top-p = 1"]
    outcome = passatn(
        "evaluate", "--model", run.model, "--data", settings["eval_data"], "--ns", "1,4", "--temperatures", "1.5,1",
        "--top-ps", "0.9", "--output", tmp_path / "eval",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    again = Results.load(tmp_path / "eval" / "results.json")
    assert again.metrics == ()
    wanted = score_problems(model, answers, temperatures=(1.5, 1.0), top_ps=(0.9, 0.9))
    np.testing.assert_allclose([list(p.log_p_by_setting.values()) for p in again.problems], wanted, rtol=1e-5)
    pool = read_pool([run.path, tmp_path / "eval"])
    assert [(c.epoch, c.setting) for c in pool.candidates if c.run == "run"] == [
        *((epoch, (t, 1.0)) for epoch in (1.0, 2.0) for t in (1.0, 0.5, 2.0)),
        (2.0, (1.5, 0.9)),
        (2.0, (1.0, 0.9)),
    ]
    assert recommend(pool, 4).n == 4


def test_temperatures_that_cannot_be_are_refused(settings):
    for bad in ("0,1", "warm", [-1.0], "inf"):
        with pytest.raises(ValueError, match="eval_temperatures"):
            RunConfig.from_mapping(settings | {"eval_temperatures": bad})
