"""Sweep files: what they mean, and one line for each mistake."""

import pytest
import yaml

from passatn.experiments.config import ConfigError
from passatn.experiments.sweep.space import Dimension
from passatn.experiments.sweep.spec import parse_spec, read_spec

GIVEN = {
    "recipe": {"model": "m", "train_data": "t.jsonl", "seed": 7, "eval_data": "old.jsonl", "num_train_epochs": 2},
    "validation": "v.jsonl",
    "test": "e.jsonl",
    "ns": [1, 16],
    "temperatures": [1.6, 1, 0.7],
    "trials": 5,
    "space": {"learning_rate": {"log": [1e-5, 1e-3]}, "weight_decay": [0, 0.1, 0.2]},
    "arms": {"CE": {}, "DCO, any N": {"space": {"n_passes": [4, 16, 64]}}, "focal": {"objective": "focal"}},
}


def test_arms_share_a_recipe_and_a_space():
    spec = parse_spec(GIVEN)
    assert [arm.name for arm in spec.arms] == ["CE", "DCO, any N", "focal"]
    assert [arm.slug for arm in spec.arms] == ["01-ce", "02-dco-any-n", "03-focal"]
    assert [[d.name for d in arm.space] for arm in spec.arms] == [
        ["learning_rate", "weight_decay"],
        ["learning_rate", "weight_decay", "n_passes"],
        ["learning_rate", "weight_decay"],
    ]
    assert (spec.target_n, spec.temperatures, spec.seeds, spec.confirm_seeds) == (
        16, (1.0, 0.7, 1.6), (0, 1, 2), (3, 4, 5),
    )  # fmt: skip
    settings = spec.settings_of(spec.arms[2], {"learning_rate": 1e-4}, seed=3)
    assert settings == {
        "model": "m", "train_data": "t.jsonl", "num_train_epochs": 2, "objective": "focal", "learning_rate": 1e-4,
        "seed": 3, "eval_data": "v.jsonl", "eval_split": None, "eval_ns": [1, 16], "eval_temperatures": [0.7, 1.6],
        "save_strategy": "epoch", "save_total_limit": None, "logging_steps": 1,
    }  # fmt: skip


def test_what_all_arms_fix_alike_is_not_searched():
    arms = {"CE": {"weight_decay": 0.0}, "DCO": {"weight_decay": 0, "n_passes": 16}}
    assert [[d.name for d in arm.space] for arm in parse_spec(GIVEN | {"arms": arms}).arms] == [["learning_rate"]] * 2


@pytest.mark.parametrize(
    ("arms", "name", "other"),
    [
        ({"CE": {"weight_decay": 0.1}, "DCO": {"n_passes": 16}}, "CE", "DCO"),
        ({"CE": {}, "no decay": {"weight_decay": 0.1}}, "no decay", "CE"),
        ({"CE": {"weight_decay": 0.1}, "DCO": {"weight_decay": 0.2}}, "CE", "DCO"),
        ({"CE": {"space": {"weight_decay": [0.1]}}, "DCO": {"n_passes": 16}}, "CE", "DCO"),
    ],
)
def test_an_arm_does_not_fix_what_another_searches(arms, name, other):
    with pytest.raises(ConfigError, match=f"^arms: {name}: weight_decay is fixed at 0.1, and not so in '{other}'"):
        parse_spec(GIVEN | {"arms": arms})


def test_an_arm_may_fix_what_makes_its_objective():
    space = {"learning_rate": {"log": [1e-5, 1e-3]}, "n_passes": [4, 16], "smoothing": [0.1, 0.2]}
    arms = {"CE": {"n_passes": 1, "smoothing": 0.0}, "DCO": {}, "given": {"given_log_p": "a", "confidence": "given"}}
    assert [d.name for d in parse_spec(GIVEN | {"space": space, "arms": arms}).baseline.space] == ["learning_rate"]
    assert parse_spec(GIVEN | {"arms": {"CE": {}, "focal": {"objective": "focal", "focal_gamma": 1}}})


def test_a_grid_is_every_combination_and_equally_large_for_all():
    space = {"learning_rate": {"log": [1e-4, 1e-2], "points": 3}, "weight_decay": [0, 0.1]}
    grid = {key: value for key, value in GIVEN.items() if key != "trials"} | {"search": "grid", "space": space}
    spec = parse_spec(grid | {"arms": {"CE": {}, "DCO": {"n_passes": 16}}})
    assert spec.trials == spec.num_random == 6
    rates = [0.0001, 0.001, 0.01]
    assert spec.arms[0].grid() == [{"learning_rate": r, "weight_decay": w} for r in rates for w in (0, 0.1)]
    with pytest.raises(ConfigError, match=r"'DCO' has 12 points, that of 'CE' 6: every arm gets the same"):
        parse_spec(grid | {"arms": {"CE": {}, "DCO": {"space": {"n_passes": [4, 16]}}}})
    with pytest.raises(ConfigError, match="learning_rate: a grid needs to know how many points"):
        parse_spec(grid | {"space": {"learning_rate": {"log": [1e-4, 1e-2]}}, "arms": {"CE": {}, "DCO": {}}})
    with pytest.raises(ConfigError, match="the grid has 6 points, not 5"):
        parse_spec(grid | {"arms": {"CE": {}, "DCO": {}}, "trials": 5})


def test_a_grid_of_whole_numbers_has_as_many_as_it_says():
    dimension = Dimension.parse("majority_threshold", {"log": [2, 64], "points": 6})
    assert [(value, type(value)) for value in dimension.grid()] == [(2**k, int) for k in range(1, 7)]
    with pytest.raises(ConfigError, match=r"of 6 points only 4 are different whole numbers \(2, 3, 4, 5\)"):
        Dimension.parse("gate_top_k", {"linear": [2, 5], "points": 6}).grid()


def test_corners_hold_each_value_and_both_ends():
    corners = parse_spec(GIVEN).arms[1].corners()
    assert [corner["n_passes"] for corner in corners] == [4, 16, 64]
    assert [corner["learning_rate"] for corner in corners] == [1e-5, 1e-3, 1e-3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trails": 3}, "unknown key 'trails'; there are recipe, validation"),
        ({"test": None}, "test is missing"),
        ({"recipe": 3}, "recipe: expected `key: value` lines, found 3"),
        ({"target_n": 4}, "target_n 4 is not among ns 1, 16"),
        ({"ns": [0]}, r"ns \[0\]: expected whole numbers from 1"),
        ({"temperatures": [0.7]}, "1 has to be among them"),
        ({"trials": 0}, "trials must be a whole number from 1, got 0"),
        ({"search": "random"}, "search must be tpe or grid, got 'random'"),
        ({"pruner": "median"}, "pruner must be none or asha"),
        ({"match": "tokens"}, "match must be steps or examples"),
        ({"seeds": [0, 0]}, r"seeds must be a list of different whole numbers, got \[0, 0\]"),
        ({"seeds": []}, "seeds: at least one"),
        ({"confirm_seeds": [2, 3]}, "confirm_seeds: 2 is among seeds"),
        ({"search_seed": 2}, "search_seed 2 is among seeds or confirm_seeds"),
        ({"search_seed": 4}, "search_seed 4 is among seeds or confirm_seeds"),
        ({"test": "v.jsonl"}, "validation and test are both v.jsonl"),
        ({"arms": {"CE": {}}}, "a comparison has at least two"),
        ({"arms": {"CE": {}, "x": {"seed": 3}}}, "arms: x: seed is set by the sweep"),
        ({"arms": {"CE": {}, "x": {"train_data": "other"}}}, "arms: x: train_data is the same for every arm"),
        ({"arms": {"CE": {}, "x": {"without_fold": "0/2"}}}, "arms: x: without_fold is the same for every arm"),
        ({"arms": {"CE": {}, "x": {"max_length": 9}}}, "arms: x: max_length is the same for every arm"),
        ({"space": {"max_length": [9, 99]}}, "space: max_length is the same for every training"),
        ({"arms": {"CE": {}, "x": {"space": {"num_train_epochs": [1, 9]}}}}, "x: num_train_epochs is the same for"),
        ({"arms": {"CE": {}, "x": {"gradient_accumulation_steps": 2}}}, "x: gradient_accumulation_steps is the same"),
        ({"space": {"limit": [10, 20]}}, "space: limit is the same for every training"),
        ({"space": {"eval_ns": [1, 2]}}, "eval_ns is set by the sweep"),
        ({"space": {"learning_rate": 0.1}}, "space: learning_rate: expected a list of values, or a range"),
        ({"space": {"learning_rate": {"log": [0, 1]}}}, "increasing numbers above 0"),
        ({"space": {"learning_rate": {"linear": [2, 1]}}}, "increasing numbers, found"),
        ({"space": {"learning_rate": {"log": [1, 2, 3]}}}, "a range has two numbers"),
        ({"space": {"learning_rate": {"log": [1, 2], "step": 1}}}, "expected a list of values, or a range"),
        ({"space": {"learning_rate": {"log": [1, 2], "points": 1}}}, "points must be a whole number from 2"),
        ({"space": {"majority_threshold": {"log": [2, 8.5]}}}, "of whole numbers are whole numbers, found"),
        ({"space": {"learning_rate": [1, 1]}}, "expected different plain values"),
        ({"space": {"learning_rate": []}}, "expected different plain values"),
    ],
)
def test_a_mistake_is_one_line(change, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_spec(GIVEN | change)
    assert "\n" not in str(caught.value)


def test_passes_over_the_data_need_epochs():
    recipe = GIVEN["recipe"] | {"max_steps": 10}
    with pytest.raises(ConfigError, match="give num_train_epochs, not max_steps"):
        parse_spec(GIVEN | {"match": "examples", "recipe": recipe})


def test_a_proof_objective_may_have_its_own_batch():
    arms = {"CE": {}, "proof": {"confidence": "proof", "n_passes": 64, "per_device_train_batch_size": 2}}
    assert parse_spec(GIVEN | {"arms": arms}).arms[1].settings["per_device_train_batch_size"] == 2


def test_a_recipe_can_be_a_file(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(GIVEN["recipe"]))
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(yaml.safe_dump(GIVEN | {"recipe": str(tmp_path / "recipe.yaml")}))
    spec, given = read_spec(sweep)
    assert spec == parse_spec(yaml.safe_load(yaml.safe_dump(GIVEN)))
    assert given["recipe"] == GIVEN["recipe"]
    with pytest.raises(ConfigError, match=r"nowhere.yaml: no such sweep file"):
        read_spec(tmp_path / "nowhere.yaml")
    sweep.write_text(yaml.safe_dump(GIVEN | {"recipe": "nowhere.yaml"}))
    with pytest.raises(ConfigError, match=r"sweep.yaml: nowhere.yaml: no such recipe"):
        read_spec(sweep)


@pytest.mark.parametrize(
    ("name", "given", "edges"),
    [
        ("learning_rate", [1e-3, 1e-4, 1e-2], {1e-4: "lower", 1e-3: None, 1e-2: "upper"}),
        ("weight_decay", [0, 0.1, 0.2], {0: None, 0.1: None, 0.2: "upper"}),
        ("n_passes", [1, 16, 64], {1: None, 16: None, 64: "upper"}),
        ("n_passes", [4, 16, 64], {4: "lower"}),
        ("weight_ema", [None, 0.98, 0.995], {None: None, 0.98: None, 0.995: "upper"}),
        ("lr_scheduler_type", ["linear", "constant"], {"linear": None, "constant": None}),
        ("bf16", [True, False], {True: None, False: None}),
        ("weight_decay", [0.1], {0.1: None}),
        # 5 % of a factor of 100 are a factor of 1.26.
        ("learning_rate", {"log": [1e-4, 1e-2]}, {1.2e-4: "lower", 1.3e-4: None, 7.7e-3: None, 8e-3: "upper"}),
        ("weight_decay", {"linear": [0, 1]}, {0.0: None, 0.01: None, 0.94: None, 0.96: "upper"}),
    ],
)
def test_an_edge_is_where_more_could_be_tried(name, given, edges):
    dimension = Dimension.parse(name, given)
    assert {value: dimension.edge(value) for value in edges} == edges
