"""Recipes and --key value: what reads back, and what is refused with which words."""

from pathlib import Path

import pytest
import yaml

from passatn.experiments.config import ConfigError, RunConfig, parse_columns, parse_ns, read_settings

REQUIRED = {"model": "m", "train_data": "t.jsonl"}


def test_settings_are_sorted_into_what_and_how():
    assert RunConfig.from_mapping(REQUIRED | read_settings(None, ["--save_strategy", "no"])).training == {
        "save_strategy": "no"
    }
    config = RunConfig.from_mapping(REQUIRED | {"limit": 5, "n_passes": 64, "learning_rate": "1e-4"})
    assert config.limit == 5
    assert config.training == {"n_passes": 64, "learning_rate": 1e-4}


def test_the_mapping_reads_back_as_an_equal_config(tmp_path):
    config = RunConfig.from_mapping(
        REQUIRED
        | {"eval_data": "e.jsonl", "eval_ns": "16,1,256", "stop_at_n": 16, "patience": 2}
        | {"columns": "prompt=question,answer=final", "lora": {"r": 4, "target_modules": ["q_proj"]}}
        | {"n_passes": 256, "warmup_steps": 3, "min_confidence_weight": "3e-1", "skip_bad_rows": True}
    )
    stored = yaml.safe_load(yaml.safe_dump(config.to_mapping()))
    assert RunConfig.from_mapping(stored) == config
    assert config.eval_ns == (1, 16, 256)
    assert config.columns == {"prompt": "question", "answer": "final"}


def test_the_recipes_of_the_repository_are_valid():
    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    assert recipes
    for recipe in recipes:
        RunConfig.from_mapping(REQUIRED | read_settings(recipe, []))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_pases": 4}, r"unknown setting 'n_pases'; did you mean n_passes"),
        ({"zzz": 4}, r"unknown setting 'zzz'; docs/guide.md lists them"),
        ({"output_dir": "x"}, r"unknown setting 'output_dir'"),
        ({"model": None}, r"model is not set: give it in the recipe or as --model"),
        ({"train_data": ""}, r"train_data is not set"),
        ({"model": True}, r"model must be a text, got True"),
        ({"limit": "abc"}, r"limit must be a whole number from 1, got 'abc'"),
        ({"limit": 0}, r"limit must be a whole number from 1, got 0"),
        ({"limit": True}, r"limit must be a whole number from 1, got True"),
        ({"skip_bad_rows": "perhaps"}, r"skip_bad_rows must be true or false, got 'perhaps'"),
        ({"lora": "r: 4"}, r"lora must be a mapping such as \{r: 8\}"),
        ({"columns": "question"}, r"columns question: expected FIELD=COLUMN"),
        ({"eval_ns": "1,x"}, r"eval_ns '1,x': expected whole numbers from 1"),
        ({"stop_at_n": 16}, r"stop_at_n needs held-out problems: set eval_data"),
        ({"stop_at_n": 5, "eval_data": "e"}, r"stop_at_n 5 is not among eval_ns 1, 4, 16"),
        ({"learning_rate": "fast"}, r"learning_rate must be a number, got 'fast'"),
        ({"bf16": "maybe"}, r"bf16 must be true or false, got 'maybe'"),
    ],
)
def test_a_bad_setting_is_named_with_its_remedy(settings, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig.from_mapping(REQUIRED | settings)


def test_options_go_over_the_recipe(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("n_passes: 4\nlimit: 10\n")
    assert read_settings(recipe, ["--n_passes", "16", "--max-prompt-tokens=8", "--lora", "{r: 4}"]) == {
        "n_passes": 16,
        "limit": 10,
        "max_prompt_tokens": 8,
        "lora": {"r": 4},
    }


def test_an_option_without_a_value_is_true():
    assert read_settings(None, ["--skip-bad-rows", "--limit", "5", "--fp16"]) == {
        "skip_bad_rows": True,
        "limit": 5,
        "fp16": True,
    }


def test_numbers_are_read_from_yaml_text():
    config = RunConfig.from_mapping(REQUIRED | {"max_steps": "1e2", "max_data_passes": "1e0", "optim": "adamw_torch"})
    assert config.training == {"max_steps": 100, "max_data_passes": 1.0, "optim": "adamw_torch"}
    assert isinstance(config.training["max_steps"], int)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a: [1", "not YAML"), (b"- a", "expected `key: value` lines, found a list"), (b"\xff\xfe", "not YAML")],
)
def test_a_bad_recipe_is_named(tmp_path, content, message):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(recipe, [])
    assert str(recipe) in str(caught.value)


def test_a_missing_recipe_and_a_stray_argument_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such recipe"):
        read_settings(tmp_path / "none.yaml", [])
    with pytest.raises(ConfigError, match="unexpected argument 'extra'"):
        read_settings(None, ["extra"])


def test_ns_are_sorted_whole_numbers():
    assert parse_ns("16, 1,4", "--ns") == (1, 4, 16)
    assert parse_ns(8, "--ns") == (8,)
    for bad in ("", "0", "1,-2", "1.5", [1.5], [True], None):
        with pytest.raises(ConfigError, match=r"--ns .*expected whole numbers from 1"):
            parse_ns(bad, "--ns")


def test_columns_need_both_sides():
    assert parse_columns(["prompt = question"], "--column") == {"prompt": "question"}
    for bad in ("prompt", "prompt=", "=question"):
        with pytest.raises(ConfigError, match="expected FIELD=COLUMN, such as prompt=question"):
            parse_columns([bad], "--column")
