"""`passatn sweep` from the file to the tables: numbers against the raw ones, resuming, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from passatn.experiments import finetune
from passatn.experiments.config import ConfigError
from passatn.experiments.sweep import finals as finals_module
from passatn.experiments.sweep.again import find_sources
from passatn.experiments.sweep.command import _begin, _inputs
from passatn.experiments.sweep.spec import read_spec
from passatn.experiments.sweep.transfer import transfer
from passatn.experiments.sweep.wise_ft import interpolate
from passatn.tasks import load_problems
from tiny_files import additions, write_jsonl


@pytest.fixture(scope="session")
def data(workspace):
    """Disjoint training, validation and test problems."""
    folder = workspace / "sweep"
    folder.mkdir()
    rows = list({row["prompt"]: row for row in additions(200)}.values())
    for name, part in {"train": rows[:24], "validation": rows[24:36], "test": rows[36:56]}.items():
        write_jsonl(folder / f"{name}.jsonl", part)
    return folder


@pytest.fixture(scope="session")
def given(workspace, data):
    """Two trials of two epochs for each of two arms, one seed."""
    return {
        "recipe": {
            "model": str(workspace / "tiny"),
            "train_data": str(data / "train.jsonl"),
            "num_train_epochs": 2,
            "per_device_train_batch_size": 8,
            "lr_scheduler_type": "constant",
            "seed": 5,
        },
        "validation": str(data / "validation.jsonl"),
        "test": str(data / "test.jsonl"),
        "ns": [1, 16],
        "temperatures": [1, 1.5],
        "trials": 2,
        "seeds": [0],
        "confirm_seeds": [],
        "space": {"learning_rate": {"log": [1e-3, 3e-2]}},
        "arms": {"CE": {}, "DCO 16": {"n_passes": 16}},
    }


def written(folder, given, **changes):
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({**given, **changes}, sort_keys=False))
    return path


def coverage(log_p, n):
    return 1 - (1 - np.exp(log_p)) ** n


@pytest.mark.slow
def test_every_number_follows_from_raw_ones(passatn, given, tmp_path):
    out = tmp_path / "out"
    call = passatn("sweep", written(tmp_path, given, seeds=[0, 1], confirm_seeds=[2]), "--output", out)
    assert call.code == 0, call.err
    assert "recipe: seed left out, since the sweep sets them itself" in call.err
    results = json.loads((out / "results.json").read_text())
    by_arm = {arm["name"]: arm for arm in results["arms"]}
    # Points are the same for both arms, and choices the best on validation.
    rates = [[trial["params"]["learning_rate"] for trial in arm["trials"]] for arm in results["arms"]]
    assert rates[0] == [rates[0][0], pytest.approx(rates[0][1])]
    assert rates[0][0] == rates[1][0]
    for arm in results["arms"]:
        values = np.array([trial["values"] for trial in arm["trials"]])  # [trials, epochs, temperatures, ns]
        for column, choice in enumerate(arm["choices"]):
            best = np.unravel_index(values[..., column].argmax(), values.shape[:3])
            assert (choice["trial"], choice["epoch"], choice["temperature"]) == best
            assert choice["validation"] == values[..., column].max()
    # Validation numbers of a trial are those of its evaluations.
    trial = out / "trials" / "02-dco-16" / "000"
    evaluations = [json.loads(path.read_text()) for path in sorted((trial / "evaluations").glob("*.json"))]
    assert [one["run"]["step"] for one in evaluations] == by_arm["DCO 16"]["trials"][0]["steps"] == [3, 6]
    hot = [problem["log_p_by_setting"]["T = 1.5, top-p = 1"] for problem in evaluations[1]["problems"]]
    assert by_arm["DCO 16"]["trials"][0]["values"][1][1][1] == pytest.approx(coverage(np.array(hot), 16).mean())
    assert by_arm["CE"]["trials"][0]["examples"] == [24, 48]
    # The paired difference is that of the finals' test scores.
    test = {}
    for final in results["finals"]:
        assert len(final["ids"]) == 20
        for one in final["tested"]:
            test[final["arm"], final["seed"], one["n"]] = coverage(np.array(one["log_p"]), one["n"])
    for column, n in enumerate([1, 16]):
        gain = np.mean([test["DCO 16", seed, n] - test["CE", seed, n] for seed in (0, 1)])
        assert by_arm["DCO 16"]["difference"]["difference"][column] == pytest.approx(gain)
        assert f"{100 * gain:+.1f} [" in call.out
    assert by_arm["CE"]["difference"] is None
    assert {final["seed"] for final in results["confirmation"]["finals"]} == {2}
    assert "Confirmation with new seeds 2: pass@16 of DCO 16 minus CE" in call.out
    # Pictures and tables, no weights.
    assert (out / "results.png").read_bytes().startswith(b"\x89PNG")
    report = (out / "results.md").read_text()
    assert "with 2 trials for every arm" in report
    assert "over 1 points drawn at random and 2 epochs" in report
    assert not list(out.rglob("*.safetensors"))
    again = passatn("sweep", tmp_path / "sweep.yaml", "--output", out)
    assert (again.code, again.out) == (0, call.out)
    assert "is a finished sweep" in again.err


@pytest.mark.slow
def test_a_sweep_that_fails_anywhere_goes_on_to_the_same_results(passatn, given, tmp_path, monkeypatch):
    path = written(tmp_path, given, pruner="asha", match="examples", trials=3)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert passatn("sweep", path, "--output", whole).code == 0
    counted = {"saves": 0, "left": 0}
    original = finetune.HeldOut.on_epoch_end

    def dies(self, *args, **kwargs):
        counted["saves"] += 1
        counted["left"] -= 1
        original(self, *args, **kwargs)
        if counted["left"] == 0:
            raise OSError("no space left")

    monkeypatch.setattr(finetune.HeldOut, "on_epoch_end", dies)
    failures = 0
    for left in range(1, 30):
        counted["left"] = left
        outcome = passatn("sweep", path, "--output", broken, *(["--resume"] if broken.exists() else []))
        if outcome.code == 0:
            break
        assert outcome.error == "no space left"
        failures += 1
    assert failures >= 3
    assert (whole / "results.json").read_bytes() == (broken / "results.json").read_bytes()
    trained = json.loads((whole / "results.json").read_text())
    dco = trained["arms"][1]["trials"]
    assert all(trial["examples"][-1] <= 48 for trial in dco), "not more than cross-entropy sees"
    before = counted["saves"]
    assert passatn("sweep", path, "--output", broken, "--resume").code == 0
    assert counted["saves"] == before


@pytest.mark.slow
def test_a_range_of_whole_numbers_is_searched(passatn, given, tmp_path):
    vote = {"objective": "majority_vote", "n_passes": 16, "space": {"majority_threshold": {"log": [2, 8]}}}
    path = written(tmp_path, given, arms={"CE": {}, "vote": vote}, trials=4, ns=[16], temperatures=[1])
    assert passatn("sweep", path, "--output", tmp_path / "out").code == 0
    trials = json.loads((tmp_path / "out" / "results.json").read_text())["arms"][1]["trials"]
    assert {type(trial["params"]["majority_threshold"]) for trial in trials} == {int}


@pytest.mark.slow
def test_the_test_set_is_scored_once_per_training_after_the_choice(passatn, given, tmp_path, monkeypatch):
    scored = []
    original = finals_module._score_test

    def spy(spec, job, step, temperatures):
        choices = [json.loads(p.read_text()) for p in sorted((job.folder / "evaluations").glob("*.json"))]
        scored.append((job.folder.parent.name, len(choices), step, list(temperatures)))
        return original(spec, job, step, temperatures)

    monkeypatch.setattr(finals_module, "_score_test", spy)
    out = tmp_path / "out"
    assert passatn("sweep", written(tmp_path, given, ns=[16]), "--output", out).code == 0
    assert [(arm, evaluations) for arm, evaluations, _, _ in scored] == [("01-ce", 2), ("02-dco-16", 2)]
    assert all(len(temperatures) == 1 for *_, temperatures in scored)
    assert not [path for path in (out / "trials").rglob("*.json") if "test.jsonl" in path.read_text()]


@pytest.mark.slow
def test_final_trainings_come_out_the_same_when_they_are_repeated(passatn, given, data, tmp_path):
    out = tmp_path / "sweep"
    path = written(tmp_path, given, ns=[16], trials=1, seeds=[0, 1], temperatures=[1, 1.5])
    assert passatn("sweep", path, "--output", out).code == 0
    new = tmp_path / "new.jsonl"
    rows = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    write_jsonl(new, [{"problem": row["prompt"], "answer": row["answer"], "unique_id": f"u{k}", "solution": "",
                       "subject": "", "level": 1} for k, row in enumerate(rows)])  # fmt: skip
    shown = transfer(out, str(new), tmp_path / "other", preset="math", ns=[1, 16])
    finals = [json.loads(p.read_text()) for p in sorted((out / "finals").glob("*/*/final.json"))]
    records = json.loads((tmp_path / "other" / "results.json").read_text())
    assert [(r["arm"], r["seed"]) for r in records] == [(f["arm"], f["seed"]) for f in finals]
    for record, final in zip(records, finals, strict=True):
        at = final["tested"][0]
        assert (record["epoch"], record["temperature"]) == (at["epoch"], at["temperature"])
        np.testing.assert_allclose(record["log_p"], at["log_p"], rtol=1e-4)
    assert f"{len(rows)} problems, 2 seeds" in shown
    assert not list((tmp_path / "other").rglob("*.safetensors"))
    first = tmp_path / "other" / "000" / "log_p.json"
    before = first.stat().st_mtime_ns
    assert transfer(out, str(new), tmp_path / "other", preset="math", ns=[1, 16]) == shown
    assert first.stat().st_mtime_ns == before, "what is done is not run again"
    for other, preset, arms in ((data / "train.jsonl", None, None), (new, "math", ["DCO 16"])):
        with pytest.raises(ConfigError, match="begun with another training or other problems"):
            transfer(out, str(other), tmp_path / "other", preset=preset, ns=[1], arms=arms)
    with pytest.raises(ConfigError, match=r"no arm 'DCO'; its arms: CE; DCO 16"):
        find_sources(out, ["DCO"])
    assert [(source.arm, source.seed) for source in find_sources(out, ["DCO 16"])] == [("DCO 16", 0), ("DCO 16", 1)]
    (out / "results.json").unlink()
    with pytest.raises(ConfigError, match="not a finished sweep"):
        find_sources(out, None)


@pytest.mark.slow
def test_interpolation_with_the_base_starts_from_the_same_finals(passatn, given, tmp_path):
    out = tmp_path / "sweep"
    arms = {"CE": {}, "DCO 16": {"n_passes": 16, "weight_ema": 0.9}}
    path = written(tmp_path, given, arms=arms, ns=[1, 16], trials=1, seeds=[0, 1], temperatures=[1, 1.5])
    assert passatn("sweep", path, "--output", out).code == 0
    shown = interpolate(out, tmp_path / "wise", alphas=[1.0, 0.5, 0.0])
    finals = [json.loads(p.read_text()) for p in sorted((out / "finals").glob("*/*/final.json"))]
    records = json.loads((tmp_path / "wise" / "results.json").read_text())
    assert [(r["arm"], r["seed"]) for r in records] == [(f["arm"], f["seed"]) for f in finals]
    for record, final in zip(records, finals, strict=True):
        for n in (1, 16):
            itself, chosen = (
                next(row for row in record["chosen"] if (row["n"], row["which"]) == (n, which))
                for which in ("α = 1", "α chosen")
            )
            at = next(one for one in final["tested"] if one["n"] == n)
            assert itself["alpha"] == 1
            assert (itself["epoch"], itself["temperature"]) == (at["epoch"], at["temperature"])
            np.testing.assert_allclose(itself["log_p"], at["log_p"], rtol=1e-4)
            assert itself["ids"] == final["ids"]
            assert chosen["validation"] >= itself["validation"]
            assert chosen["alpha"] in (1, 0.5, 0)
            if chosen["alpha"] == 1:
                assert chosen["log_p"] == itself["log_p"]
    assert "2 seeds" in shown.splitlines()[0]
    assert not list((tmp_path / "wise").rglob("*.safetensors"))
    first = tmp_path / "wise" / "000" / "chosen.json"
    before = first.stat().st_mtime_ns
    assert interpolate(out, tmp_path / "wise", alphas=[1.0, 0.5, 0.0]) == shown
    assert first.stat().st_mtime_ns == before, "what is done is not run again"
    with pytest.raises(ConfigError, match="begun with another training or other problems"):
        interpolate(out, tmp_path / "wise", alphas=[1.0, 0.7])
    results = (out / "results.json").read_bytes()
    with pytest.raises(ConfigError, match="holds something else: choose another --output"):
        interpolate(out, out)
    assert (out / "results.json").read_bytes() == results
    # Killed while it trained, and while it averaged: the same again.
    folder = tmp_path / "wise" / "001"
    (folder / "chosen.json").unlink()
    (folder / "average").mkdir()
    (folder / "average" / "half.safetensors").write_bytes(b"")
    (folder / "run" / "config.yaml").unlink()
    assert interpolate(out, tmp_path / "wise", alphas=[1.0, 0.5, 0.0]) == shown
    with pytest.raises(ConfigError, match=r"between 0 and 1, 1 among them, got 0\.5$"):
        interpolate(out, tmp_path / "wise", alphas=[0.5])
    with pytest.raises(ConfigError, match=r"between 0 and 1, 1 among them, got 1, 1\.5$"):
        interpolate(out, tmp_path / "wise", alphas=[1.0, 1.5])


@pytest.mark.slow
def test_averaged_weights_are_tested_as_they_were_chosen(passatn, given, tmp_path, monkeypatch):
    arms = {"CE": {}, "averaged": {"weight_ema": 0.9}}
    path = written(tmp_path, given, arms=arms, ns=[16], trials=1, temperatures=[1])
    assert passatn("sweep", path, "--output", tmp_path / "out").code == 0
    monkeypatch.setattr(finals_module, "_put_average", lambda model, checkpoint: None)
    error = passatn("sweep", path, "--output", tmp_path / "other").error
    assert "these are not the weights that were chosen" in error
    assert not list((tmp_path / "other").rglob("02-averaged/*/final.json"))


def test_a_dry_run_counts_and_writes_nothing(passatn, given, tmp_path):
    path = written(tmp_path, given, seeds=[0, 1, 2], confirm_seeds=[3, 4])
    outcome = passatn("sweep", path, "--output", tmp_path / "out", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "CE: 2 trials of up to 6 steps, 48 examples\n" in outcome.out
    assert "DCO 16: 2 trials of up to 6 steps, 48 examples, more where learnt examples are replaced" in outcome.out
    assert "final trainings: 6 to 12\nconfirming trainings: 4\noptimizer steps: up to 120" in outcome.out
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.yaml"]


def test_a_fold_that_the_recipe_leaves_out_is_left_out_of_all_arms(passatn, given, tmp_path):
    recipe = {**given["recipe"], "without_fold": "0/2", "max_length": 30}
    outcome = passatn("sweep", written(tmp_path, given, recipe=recipe), "--output", tmp_path / "out", "--dry-run")
    assert outcome.code == 0, outcome.err
    found = int(re.search(r"training problems: (\d+)", outcome.out)[1])
    assert f"train data: {found} of 24 problems are outside of fold 0/2" in outcome.err
    assert 0 < found < 24


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {"CE": {}, "x": {"n_pases": 3}}}, "arms: x: unknown setting 'n_pases'; did you mean n_passes"),
        ({"arms": {"CE": {}, "x": {"space": {"n_passes": [4, 0.5]}}}}, "arms: x: training settings: n_passes must be"),
        ({"arms": {"CE": {}, "x": {"objective": "nll"}}}, "objective must be one of dco"),
        (
            {"arms": {"CE": {}, "x": {"weight_ema": 0.9, "lora": {"r": 2}}}},
            "arms: x: weight_ema with lora: a checkpoint",
        ),
        ({"validation": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"trials": -1}, "sweep.yaml: trials must be a whole number from 1, got -1"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(passatn, given, tmp_path, changes, message):
    path = written(tmp_path, given, **changes)
    assert message in passatn("sweep", path, "--output", tmp_path / "out").error
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.yaml"]


def test_validation_and_test_share_no_problem(passatn, given, data, tmp_path):
    rows = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    validation = write_jsonl(tmp_path / "validation.jsonl", [*additions(3, seed=9), rows[4]])
    error = passatn("sweep", written(tmp_path, given, validation=str(validation)), "--output", tmp_path / "out").error
    assert "(1 in all): choices are made on other problems than the test" in error
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused(passatn, given, tmp_path):
    path, out = written(tmp_path, given), tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert "is not a sweep" in passatn("sweep", path, "--output", out).error
    (out / "sweep.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    assert "unfinished sweep: --resume continues it" in passatn("sweep", path, "--output", out).error
    other = written(tmp_path, given, trials=7)
    assert "was begun with another trials" in passatn("sweep", other, "--output", out, "--resume").error
    arms = dict(reversed(given["arms"].items()))
    swapped = written(tmp_path, given, arms=arms)
    assert "was begun with another arms" in passatn("sweep", swapped, "--output", out, "--resume").error
    assert sorted(entry.name for entry in out.iterdir()) == ["notes.txt", "sweep.yaml"]


def test_changed_inputs_are_noticed(passatn, given, data, workspace, tmp_path):
    """A sweep goes on with the data and the model that it was begun with, or not at all."""
    own = tmp_path / "test.jsonl"
    own.write_text((data / "test.jsonl").read_text())
    path, out = written(tmp_path, given, test=str(own)), tmp_path / "out"
    spec, settings = read_spec(path)
    _begin(spec, out, settings, _inputs(spec))
    names = {Path(name).name for name in json.loads((out / "inputs.json").read_text())}
    assert names >= {"train.jsonl", "validation.jsonl", "test.jsonl", "model.safetensors", "tokenizer.json"}
    _begin(spec, out, settings, _inputs(spec))
    own.write_text("".join(line + "\n" for line in own.read_text().splitlines()[:-1]))
    assert f"{own} has changed since {out} was begun" in passatn("sweep", path, "--output", out, "--resume").error


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "chat_template.jinja"])
def test_a_changed_tokenizer_or_configuration_is_noticed(given, workspace, tmp_path, name):
    model = tmp_path / "model"
    shutil.copytree(workspace / "tiny", model)
    path, out = written(tmp_path, given, recipe={**given["recipe"], "model": str(model)}), tmp_path / "out"
    spec, settings = read_spec(path)
    _begin(spec, out, settings, _inputs(spec))
    with (model / name).open("a") as stream:
        stream.write("\n")
    with pytest.raises(ConfigError, match=f"{name} has changed since"):
        _begin(spec, out, settings, _inputs(spec))


def given_arm(data, tmp_path, given, rows=slice(None)):
    """A sweep with an arm whose F comes from two files, and these files."""
    ids = [problem.id for problem in load_problems(str(data / "train.jsonl"))][rows]
    files = [tmp_path / "fold0.jsonl", tmp_path / "fold1.jsonl"]
    for k, file in enumerate(files):
        write_jsonl(file, [{"id": name, "log_p": -1.0} for name in ids[k::2]])
    arm = {"confidence": "given", "given_log_p": f"{files[0]}, {files[1]}", "n_passes": 16}
    return written(tmp_path, given, arms={"CE": {}, "cross-fitted": arm}), files


def test_given_log_p_is_read_before_anything_runs(passatn, given, data, tmp_path):
    path, files = given_arm(data, tmp_path, given)
    call = ("sweep", path, "--output", tmp_path / "out", "--dry-run")
    assert passatn(*call).code == 0
    files[1].unlink()
    assert passatn(*call).error.startswith(f"arms: cross-fitted: given_log_p {files[1]}: cannot be read")
    path, files = given_arm(data, tmp_path, given, rows=slice(1, None))
    error = passatn("sweep", path, "--output", tmp_path / "out").error
    assert "1 of 24 training problems have no log p there" in error
    assert not (tmp_path / "out").exists()


def test_changed_given_log_p_is_noticed(passatn, given, data, tmp_path):
    path, files = given_arm(data, tmp_path, given)
    out = tmp_path / "out"
    spec, settings = read_spec(path)
    _begin(spec, out, settings, _inputs(spec))
    files[0].write_text(files[0].read_text().replace("-1.0", "-2.0"))
    error = passatn("sweep", path, "--output", out, "--resume").error
    assert error == f"{files[0]} has changed since {out} was begun: choose another --output"
