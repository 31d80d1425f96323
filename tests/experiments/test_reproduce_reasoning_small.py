"""Table 3, figures 3 and 4 at scale small, with a tiny model and a few problems in the layout of MATH."""

import json
import random
import shutil
from collections import Counter

import pytest

from passatn.experiments import finetune, sampling
from passatn.experiments.config import RunConfig, read_settings
from passatn.experiments.reproduce import reasoning, reasoning_plan, reasoning_table
from passatn.experiments.reproduce.arm_record import ArmRecord
from passatn.experiments.reproduce.command import reproduce
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.reasoning_runs import Reasoning
from passatn.experiments.reproduce.workspace import Workspace
from passatn.sample import Completion
from tiny_files import save_tiny_model, write_jsonl


def problems(count, seed):
    rng = random.Random(seed)
    for number in range(count):
        a, b = rng.randrange(10), rng.randrange(10)
        record = {"problem": f"{a}+{b}", "answer": str(a + b), "solution": "We add.", "subject": "x", "level": 1}
        yield record | {"unique_id": f"{seed}/{number}"}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reasoning")
    (folder / "data").mkdir()
    write_jsonl(folder / "data" / "math_train_12.jsonl", list(problems(12, 1)))
    halves = [{"problem": f"Half of {n}?", "answer": f"{n}/2", "unique_id": f"half/{n}"} for n in (1, 3, 5)]
    write_jsonl(folder / "data" / "math_test_3.jsonl", halves)
    return save_tiny_model(folder / "model"), folder / "data"


def context_of(places, output, name="table3", said=None):
    model, data = places
    workspace = Workspace(output, print if said is None else said.append)
    return Context(name, "small", workspace, data_dir=data, model=str(model), quick=True)


class HandMade:
    """An engine whose samples are right as a fraction, right as a decimal number, or wrong, by problem."""

    texts = {  # noqa: RUF012
        "half/1": ["1/2"] * 20 + ["0.5"] * 20 + ["3"] * 24,
        "half/3": ["3/2"] * 16 + ["7"] * 40 + [None] * 8,
        "half/5": [None] * 64,
    }
    calls = 0

    def sample(self, requests, params, *, progress=False):
        HandMade.calls += 1
        found = []
        for request in requests:
            for index in params.indices_of(request):
                answer = self.texts[request.problem_id][index]
                text = "Hm" if answer is None else f" <think> So. </think> <answer> {answer} </answer>"
                found.append(Completion(request.problem_id, index, (), text, -1.0, 5, answer is not None))
        return found

    def close(self):
        pass


def test_test_problems_that_cannot_be_used_are_noticed_before_the_training(places, tmp_path):
    shutil.copytree(places[1], tmp_path / "data")
    (tmp_path / "data" / "math_test_3.jsonl").write_text("")
    said = []
    with pytest.raises(ValueError, match=r"math_test_3\.jsonl"):
        reproduce(context_of((places[0], tmp_path / "data"), tmp_path / "out", said=said))
    assert said == []


def test_what_is_refused_leaves_nothing(places, tmp_path):
    refused = Context("table3", "paper", Workspace(tmp_path / "out", print))
    with pytest.raises(ValueError, match="at scale paper has commands"):
        reproduce(refused)
    assert not (tmp_path / "out").exists()


def test_an_arm_is_made_of_a_store_and_of_logged_steps(places, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "open_engine", lambda options, spec: HandMade())
    stages = Reasoning(context_of(places, tmp_path))
    folder = stages.run_folder("GRPO")
    for step, epoch in ((4, 1.0), (7, 1.75)):
        checkpoint = shutil.copytree(places[0], folder / "checkpoints" / f"checkpoint-{step}")
        state = {"global_step": step, "epoch": epoch, "max_steps": 12}
        (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    (folder / "model").mkdir()
    entries = [{"step": step, "data_passes": 0.7 * step + 0.1, "kl": "nan"} for step in range(1, 8)]
    write_jsonl(folder / "metrics.jsonl", [*entries, {"step": 7, "train_runtime": 1.0}])
    arm = stages.arm("GRPO")
    assert (arm.name, arm.kind, arm.n_passes, arm.num_samples) == ("GRPO", "grpo", None, 64)
    assert arm.record["settings"]["batch_size"] == 4
    assert arm.record["ended_early"] == "ended at step 7 of 12"
    assert arm.record["log"][0]["kl"] is None
    assert [(of["epoch"], of["step"]) for of in arm.evaluations] == [(2.9, 4), (5, 7)]
    assert arm.evaluations[0]["test_num_correct"] == [40, 16, 0]
    assert arm.confidence(arm.evaluations[0]).tolist() == [40 / 64, 40 / 64, 0]
    assert arm.is_correct(arm.evaluations[0]).tolist() == [True, False, False]
    assert HandMade.calls == 2
    monkeypatch.setattr(sampling, "open_engine", lambda *rest: pytest.fail("sampled again"))
    arm.file.unlink()
    assert stages.arm("GRPO") == arm, "counted again, from the same stores"


def test_the_plan_trains_and_then_calls_itself(places, tmp_path):
    context = context_of(places, tmp_path)
    plan = reasoning_plan.plan(context)
    for run in plan.runs:
        words = run.command.split()
        assert words[:4] == ["passatn", "train", "--output", str(Reasoning(context).run_folder(run.name))]
        RunConfig.from_mapping(read_settings(None, words[4:]))
    assert plan.afterwards[0].startswith("passatn reproduce table3 --scale small --output")
    assert "without --dry-run trains what is missing by itself" in plan.notes[-1]


def test_grpo_stands_at_its_own_epochs_and_the_table_says_what_is_missing(tmp_path, monkeypatch, places):
    def arm(name, kind, epochs):
        evaluations = [{"epoch": epoch, "step": 1, "test_num_correct": [3, 0]} for epoch in epochs]
        record = {"arm": {"name": name, "kind": kind, "options": {}}, "settings": {"num_samples": 64, "warm_epochs": 0}}
        return ArmRecord(tmp_path / "x.json", record | {"evaluations": evaluations})

    arms = {
        "ce": arm("CE", "ce", (1, 3, 5)),
        "grpo": arm("GRPO", "grpo", (2.9, 4.98)),
        "dcoa": arm("DCOa", "dcoa", (1, 2.4)),
    }
    monkeypatch.setattr(reasoning, "trained_arms", lambda context: arms)
    section = reasoning_table.section(context_of(places, tmp_path))
    rows = [row[0] for row in section.tables[0].rows]
    assert rows[:3] == ["CE, epoch 1", "DCOa, epoch 1", "DCOa, epoch 2.4"]
    assert rows[3:] == ["GRPO, epoch 2.9", "CE, epoch 3", "GRPO, epoch 4.98", "CE, epoch 5"]
    assert section.missing == [
        "GRPO at epoch 1, 3, 5: it was evaluated at epoch 2.9, 4.98.",
        "DCOa at epoch 3, 5: it was evaluated at epoch 1, 2.4.",
    ]
    assert "GRPO (epoch 4.98) 2.3 %" in section.findings[0]
    assert "2 test problems of MATH" in section.setting


@pytest.mark.slow
def test_all_three_from_training_on_and_nothing_twice(places, tmp_path, monkeypatch):
    records = {name: reproduce(context_of(places, tmp_path / "out", name)) for name in ("table3", "fig3", "fig4")}
    shared = tmp_path / "out" / "shared"
    assert len(list(shared.glob("run-reasoning-*"))) == 3
    assert not list(shared.glob("run-*/checkpoints/*/optimizer.pt"))
    measured = records["table3"]["ours"]
    assert [of["epoch"] for of in measured["CE"]] == [of["epoch"] for of in measured["DCOa-64"]] == [1, 3]
    assert all(len(of["num_correct"]) == 3 for of in measured["GRPO"])
    stores = Counter(path.name.split("-step")[0] for path in shared.glob("samples-*"))
    assert stores == {f"samples-{name}": len(found) for name, found in measured.items()}
    assert records["fig4"]["ours"]["steps"] == list(range(1, 10))
    assert str(places[0]) in records["fig3"]["setting"]
    assert all((tmp_path / "out" / source).is_file() for source in records["fig3"]["sources"])
    monkeypatch.setattr(finetune, "train", lambda *rest, **options: pytest.fail("trained again"))
    monkeypatch.setattr(sampling, "open_engine", lambda *rest: pytest.fail("sampled again"))
    for name, record in records.items():
        said = []
        (tmp_path / "out" / name / "results.json").unlink()
        again = reproduce(context_of(places, tmp_path / "out", name, said))
        assert again["ours"] == record["ours"]
        assert "DCOa-64: trained already" in said
