"""One way to configure a run: a YAML recipe, and `--key value` over it.

A recipe is flat: keys of `RunConfig` (what to train on what) and keys of `CoverageConfig` (how), side by side.
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import yaml

from passatn.train import CoverageConfig

# Set by the run directory, not by a recipe.
RESERVED = frozenset({"output_dir", "logging_dir", "resume_from_checkpoint"})


class ConfigError(ValueError):
    """A recipe or an option that cannot be used; the message is one line that says what to do."""


@dataclass(frozen=True)
class RunConfig:
    """What is trained, on which problems, and what is measured meanwhile.

    Args:
        model: folder, Hub id or .gguf file.
        train_data: a source of problems (`passatn.tasks.load_problems`): file, Hub id, reasoning-gym family, preset.
        eval_data: held-out problems; exact pass@N on them is logged after each epoch and stored at the end.
        preset: how to read both (math, gsm8k, aime); `columns` maps the fields of other files.
        template: prompt template (raw, direct, alpaca, chat, r1, tactic).
        limit, eval_limit: number of problems to keep after filtering, the first ones.
        max_prompt_tokens, max_answer_tokens: keep only problems no longer than this (end-of-sequence not counted).
        eval_ns: the N of pass@N; `stop_at_n` ends training when pass@N at that N fails to improve `patience` times.
        lora: arguments of peft.LoraConfig, to train an adapter instead of all weights.
        num_threads: CPU threads of this process (None: torch's default).
    """

    model: str = ""
    train_data: str = ""
    eval_data: str | None = None
    preset: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    train_split: str | None = None
    eval_split: str | None = None
    template: str = "direct"
    limit: int | None = None
    eval_limit: int | None = None
    max_prompt_tokens: int | None = None
    max_answer_tokens: int | None = None
    skip_bad_rows: bool = False
    eval_ns: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 4096)
    stop_at_n: int | None = None
    patience: int = 1
    lora: dict[str, Any] | None = None
    dtype: str = "auto"
    trust_remote_code: bool = False
    num_threads: int | None = None
    training: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Sort flat keys into this class's fields and `training`.

        Raises:
            ConfigError: an unknown key (with the closest known ones) or a missing required one.
        """
        own = {item.name for item in fields(cls)} - {"training"}
        trainer = {item.name: item for item in fields(CoverageConfig) if item.init} | {}
        values: dict[str, Any] = {}
        training: dict[str, Any] = {}
        for key, value in settings.items():
            if key in own:
                values[key] = tuple(value) if key == "eval_ns" else value
            elif key in trainer and key not in RESERVED:
                training[key] = _as_number(value, trainer[key])
            else:
                close = difflib.get_close_matches(key, own | set(trainer) - RESERVED, n=3)
                hint = f"; did you mean {' or '.join(close)}?" if close else ""
                raise ConfigError(f"unknown setting {key!r}{hint}")
        for key in ("model", "train_data"):
            if not values.get(key):
                raise ConfigError(f"{key} is not set: give it in the recipe or as --{key}")
        return cls(**values, training=training)

    def to_mapping(self) -> dict[str, Any]:
        """The flat form, as written to config.yaml; reading it back gives an equal RunConfig."""
        values = {k: v for k, v in dataclasses.asdict(self).items() if k != "training" and v not in (None, {})}
        return values | {"eval_ns": list(self.eval_ns)} | self.training


def read_settings(recipe: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Settings of a YAML recipe with `--key value` (or `--key=value`) options over them; values are read as YAML.

    Raises:
        ConfigError: no such file, not a mapping, or options that do not come in pairs.
    """
    settings: dict[str, Any] = {}
    if recipe is not None:
        if not recipe.is_file():
            raise ConfigError(f"{recipe}: no such recipe")
        try:
            settings = yaml.safe_load(recipe.read_text()) or {}
        except yaml.YAMLError as error:
            raise ConfigError(f"{recipe}: not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(settings, dict):
            raise ConfigError(f"{recipe}: expected `key: value` lines, found a {type(settings).__name__}")
    return settings | _pairs(overrides)


def _pairs(options: Sequence[str]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    rest = list(options)
    while rest:
        option = rest.pop(0)
        if not option.startswith("--") or len(option) < 3:
            raise ConfigError(f"unexpected argument {option!r}: settings are given as --key value")
        key, equals, value = option[2:].partition("=")
        if not equals:
            if not rest:
                raise ConfigError(f"--{key} needs a value")
            value = rest.pop(0)
        try:
            pairs[key.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            pairs[key.replace("-", "_")] = value
    return pairs


def _as_number(value: Any, target: dataclasses.Field[Any]) -> Any:
    """YAML reads 1e-4 as text; where the setting's default is a number, it is one."""
    if isinstance(value, str) and isinstance(target.default, (int, float)) and not isinstance(target.default, bool):
        try:
            return float(value)
        except ValueError:
            raise ConfigError(f"{target.name} must be a number, got {value!r}") from None
    return value
