"""One training of a sweep: which checkpoints stay, what is equal between arms, and records that cannot be read."""

from types import SimpleNamespace

import numpy as np
import pytest

from passatn.evaluate import ProblemResult, Results
from passatn.experiments.config import ConfigError
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.sweep.choose import best_steps
from passatn.experiments.sweep.finals import matched
from passatn.experiments.sweep.spec import parse_spec
from passatn.experiments.sweep.training import RECORD, AfterEpoch, Record, Scores

GIVEN = {
    "recipe": {"model": "m", "train_data": "t", "num_train_epochs": 4}, "validation": "v", "test": "e",
    "arms": {"CE": {}, "DCO": {"n_passes": 16}, "weighted": {"n_passes": 16, "min_confidence_weight": 0.0}},
}  # fmt: skip


def test_only_an_arm_that_replaces_examples_is_cut_to_as_many():
    def passes(match):
        spec = parse_spec(GIVEN | {"match": match})
        settings = [matched(spec, spec.settings_of(arm, {}, 0)) for arm in spec.arms]
        return [one.get("max_data_passes") for one in settings]

    assert passes("steps") == [None, None, None]
    assert passes("examples") == [None, 4, None]


def test_checkpoints_of_the_best_epochs_stay_and_older_ones_without_optimizer(tmp_path):
    run = RunDirectory(tmp_path)
    curve = [0.3, 0.5, 0.4, 0.2]
    control = SimpleNamespace(should_training_stop=False)
    kept = []
    for epoch in range(1, 5):
        folder = run.checkpoints / f"checkpoint-{epoch * 10}"
        folder.mkdir(parents=True)
        for name in ("model.safetensors", "optimizer.pt", "scheduler.pt"):
            (folder / name).write_text("")
        steps = tuple(range(10, 10 * epoch + 1, 10))
        scores = Scores(steps, steps, np.array(curve[:epoch])[:, None, None])
        callback = AfterEpoch(run, lambda s=scores: s, lambda s: best_steps(s, [0]), lambda e=epoch: e == 4)
        callback.on_save(None, SimpleNamespace(global_step=10 * epoch), control)
        kept.append(sorted(path.name[-2:] for path in run.checkpoints.iterdir()))
        assert (folder / "optimizer.pt").exists(), "a killed training goes on from the last one"
        assert control.should_training_stop == (epoch == 4)
    assert kept == [["10"], ["20"], ["20", "30"], ["20", "40"]]
    assert [path.name for path in (run.checkpoints / "checkpoint-20").iterdir()] == ["model.safetensors"]


def test_scores_are_read_at_each_temperature(tmp_path):
    run = RunDirectory(tmp_path)
    log_p = np.log([[[0.5, 0.1], [0.2, 0.2]], [[0.6, 0.3], [0.9, 0.1]]])  # [epochs, problems, temperatures]
    for epoch, rows in enumerate(log_p, start=1):
        problems = [
            ProblemResult(str(k), float(row[0]), log_p_by_setting={"T = 1.5, top-p = 1": float(row[1])})
            for k, row in enumerate(rows)
        ]
        run.evaluations.mkdir(exist_ok=True)
        description = {"name": "run", "step": 3 * epoch, "epoch": float(epoch)}
        Results.from_problems(description, problems, [1]).save(run.evaluations / f"step-{3 * epoch:06d}.json")
    scores = Scores.read(run, (1.0, 1.5), (1, 2))
    assert (scores.steps, scores.epochs) == ((3, 6), (1.0, 2.0))
    expected = [[[(0.5 + 0.2) / 2, (0.75 + 0.36) / 2], [0.15, (0.19 + 0.36) / 2]],
                [[0.75, (0.84 + 0.99) / 2], [0.2, (0.51 + 0.19) / 2]]]  # fmt: skip
    assert scores.values == pytest.approx(np.array(expected))
    assert scores.curve(1) == pytest.approx([0.555, 0.915])


def test_a_record_reads_back_and_a_broken_one_names_its_file(tmp_path):
    record = Record({"learning_rate": 1e-3}, 0, (3, 6), (1.0, 2.0), (24, 48), 6, [[[0.1]], [[0.2]]])
    assert Record.load(tmp_path) is None
    record.save(tmp_path)
    assert Record.load(tmp_path) == record
    assert not record.ended_early
    (tmp_path / RECORD).write_text('{"steps": 3')
    with pytest.raises(ConfigError, match=r"record.json: not a record of a training .* delete its folder"):
        Record.load(tmp_path)
