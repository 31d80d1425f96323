"""One way to configure a run: a YAML recipe, and `--key value` over it.

A recipe is flat: keys of `RunConfig` (what to train on what) and keys of the trainer's configuration (how), side by
side. `trainer` says which trainer: coverage (`CoverageConfig`) or grpo (`CoverageGRPOConfig`).
"""

import dataclasses
import difflib
import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

import yaml

from passatn.train import CoverageConfig, CoverageGRPOConfig

TRAINERS = types.MappingProxyType({"coverage": CoverageConfig, "grpo": CoverageGRPOConfig})
# RunConfig's fields that only one of them has a use for; `trainer` itself is left out of what coverage writes down.
_OF_COVERAGE = frozenset({"given_log_p", "without_fold", "stop_at_n", "patience", "eval_temperatures"})
_OF_GRPO = frozenset({"trainer", "strict_format", "eval_samples"})
# Set by the run directory, not by a recipe.
RESERVED = frozenset({"output_dir", "logging_dir", "resume_from_checkpoint"})


class ConfigError(ValueError):
    """A recipe or an option that cannot be used; the message is one line that says what to do."""


@dataclass(frozen=True)
class RunConfig:
    """What is trained, on which problems, and what is measured meanwhile.

    Args:
        trainer: coverage (cross-entropy, DCO and the objectives to compare with) or grpo (reinforcement learning).
        model: folder, Hub id or .gguf file.
        train_data: a source of problems (`passatn.tasks.load_problems`): file, Hub id, reasoning-gym family, preset.
        eval_data: held-out problems; pass@N on them is logged after each epoch and stored at the end. It is exact, of
            the written answers; with `trainer: grpo` it is estimated from samples.
        preset: how to read both (math, gsm8k, aime, mbpp, humaneval, leandojo, tactics, minif2f, theorems); `columns`
            maps the fields of other files.
        template: prompt template (raw, direct, alpaca, chat, r1, code, tactic).
        given_log_p: log p of the training problems for `confidence: given`: a file that `passatn score` wrote, or
            several, separated by commas.
        without_fold: leave out of the training problems a fold by id, such as 0/2 (`passatn score --fold` scores it).
        limit, eval_limit: number of problems to keep after filtering, the first ones.
        max_prompt_tokens, max_answer_tokens: keep only problems no longer than this (end-of-sequence not counted).
        skip_bad_rows: leave out, and count, rows that cannot be read or encoded.
        eval_ns: the N of pass@N; `stop_at_n` ends training when pass@N at that N fails to improve `patience` times.
        eval_temperatures: sampling temperatures other than 1 at which the held-out problems are scored as well, for
            `passatn recommend`.
        verifier: judges the roll-outs of `trainer: grpo` and of `confidence: rollouts` (math, code, exact, python:…;
            default: math). `exact` compares the answer that a completion states in the template's form.
        strict_format: with `trainer: grpo`, reward only what states its answer in the template's form.
        eval_samples: with `trainer: grpo`, completions of each held-out problem that are sampled and verified; pass@N
            is estimated for those N of `eval_ns` that are no larger.
        lora: arguments of peft.LoraConfig, to train an adapter instead of all weights.
        dtype: of the weights; "auto" is float32, or with `lora` as stored.
        num_threads: CPU threads of this process (None: torch's default).
        training: keys of the trainer's configuration.
    """

    trainer: str = "coverage"
    model: str = ""
    train_data: str = ""
    eval_data: str | None = None
    preset: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    train_split: str | None = None
    eval_split: str | None = None
    template: str = "direct"
    given_log_p: str | None = None
    without_fold: str | None = None
    limit: int | None = None
    eval_limit: int | None = None
    max_prompt_tokens: int | None = None
    max_answer_tokens: int | None = None
    skip_bad_rows: bool = False
    eval_ns: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 4096)
    stop_at_n: int | None = None
    patience: int = 1
    eval_temperatures: list[float] = field(default_factory=list)
    verifier: str | None = None
    strict_format: bool = True
    eval_samples: int = 16
    lora: dict[str, Any] | None = None
    dtype: str = "auto"
    trust_remote_code: bool = False
    num_threads: int | None = None
    training: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Sort flat keys into this class's fields and `training`.

        Raises:
            ConfigError: an unknown key (with the closest known ones), a value of the wrong kind, or a missing
                required one.
        """
        own = {name: hint for name, hint in get_type_hints(cls).items() if name != "training"}
        chosen, other = _trainers(settings.get("trainer"))
        trainer = _trainer_fields(chosen)
        own_of_other = _OF_COVERAGE if chosen == "grpo" else _OF_GRPO - {"trainer"}
        values: dict[str, Any] = {}
        training: dict[str, Any] = {}
        for key, value in settings.items():
            if key in own and value is None:
                continue  # as if it were not there
            if key in own_of_other:
                raise ConfigError(f"{key} goes with trainer: {other}, and this is trainer: {chosen}")
            if key in own:
                parse = {"eval_ns": parse_ns, "eval_temperatures": parse_temperatures}.get(key)
                values[key] = parse(value, key) if parse else _as_own(key, value, own[key])
            elif key in trainer:
                training[key] = _as_training(value, trainer[key])
            elif key in _trainer_fields(other):
                raise ConfigError(f"{key} is a setting of trainer: {other}, and this is trainer: {chosen}")
            else:
                close = difflib.get_close_matches(str(key), [*own, *trainer], n=3)
                hint = f"did you mean {' or '.join(close)}?" if close else "docs/guide.md lists them"
                raise ConfigError(f"unknown setting {key!r}; {hint}")
        for key in ("model", "train_data"):
            if not values.get(key):
                raise ConfigError(f"{key} is not set: give it in the recipe or as --{key}")
        config = cls(**values, training=training)
        config._check_samples() if chosen == "grpo" else config._check_coverage()
        return config

    def _check_samples(self) -> None:
        if self.eval_data is not None and min(self.eval_ns) > self.eval_samples:
            raise ConfigError(
                f"eval_ns begins at {min(self.eval_ns)}, and eval_samples {self.eval_samples} give pass@N up to that "
                "N: raise eval_samples"
            )

    def _check_coverage(self) -> None:
        self._check_stopping()
        if self.verifier is not None and self.training.get("confidence") != "rollouts":
            raise ConfigError("verifier judges roll-outs: it goes with confidence: rollouts, or trainer: grpo")
        if (self.given_log_p is None) == (self.training.get("confidence") == "given"):
            raise ConfigError("given_log_p and confidence: given go together: set both (passatn score writes the file)")

    def _check_stopping(self) -> None:
        if self.stop_at_n is None:
            return
        if self.eval_data is None:
            raise ConfigError("stop_at_n needs held-out problems: set eval_data")
        if self.stop_at_n not in self.eval_ns:
            raise ConfigError(f"stop_at_n {self.stop_at_n} is not among eval_ns {', '.join(map(str, self.eval_ns))}")

    def to_mapping(self) -> dict[str, Any]:
        """The flat form, as written to config.yaml; reading it back gives an equal RunConfig."""
        left_out = {"training"} | (_OF_COVERAGE if self.trainer == "grpo" else _OF_GRPO)
        values = {k: v for k, v in dataclasses.asdict(self).items() if k not in left_out and v not in (None, {}, [])}
        return values | {"eval_ns": list(self.eval_ns)} | self.training


def objective_of(settings: Mapping[str, Any]) -> tuple[str, float | None]:
    """What a run with these settings minimises, in a word or two, and its N of training where it has one."""
    if settings.get("trainer") == "grpo":
        return "grpo", None
    objective, schedule = settings.get("objective", "dco"), settings.get("n_passes_schedule", "constant")
    named = objective if schedule == "constant" else f"{objective}, N by {schedule}"
    return named, settings.get("n_passes", 1)


def read_settings(recipe: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Settings of a YAML recipe with `--key value` (or `--key=value`) options over them; values are read as YAML.

    Raises:
        ConfigError: no such file, not a mapping, or an argument that is no option.
    """
    settings: dict[str, Any] = {}
    if recipe is not None:
        if not recipe.is_file():
            raise ConfigError(f"{recipe}: no such recipe")
        try:
            settings = yaml.safe_load(recipe.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{recipe}: not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(settings, dict):
            raise ConfigError(f"{recipe}: expected `key: value` lines, found a {type(settings).__name__}")
    return settings | _pairs(overrides)


def parse_ns(value: Any, name: str) -> tuple[int, ...]:
    """The N of pass@N, in increasing order, from `1,16,256`, a list or one number."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    try:
        numbers = sorted({int(part) for part in parts})
    except (ValueError, TypeError):
        numbers = []
    if not numbers or numbers[0] < 1 or any(isinstance(part, bool | float) for part in parts):
        raise ConfigError(f"{name} {value!r}: expected whole numbers from 1, separated by commas, such as 1,16,256")
    return tuple(numbers)


def parse_temperatures(value: Any, name: str) -> list[float]:
    """Sampling temperatures from `0.8,1.25`, a list or one number; each once, in the order given."""
    parts = value if isinstance(value, list | tuple) else [value]
    numbers = parse_numbers(",".join(map(str, parts)), name)
    if not all(0 < number < math.inf for number in numbers):
        raise ConfigError(f"{name} {value!r}: temperatures are positive numbers")
    return numbers


def parse_numbers(text: str, name: str, *, unique: bool = True) -> list[float]:
    """Numbers separated by commas, such as 0.7,1,1.3, in the order given; each once if they are to be unique."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{name} {text!r}: expected numbers separated by commas, such as 0.7,1,1.3") from None
    return list(dict.fromkeys(numbers)) if unique else numbers


def unescape(text: str) -> str:
    r"""A text in which \n, \t and \\ stand for what they do in Python; a shell has no simple way to write them."""
    return re.sub(r"\\([nt\\])", lambda match: {"n": "\n", "t": "\t", "\\": "\\"}[match[1]], text)


def parse_columns(pairs: Sequence[str], name: str) -> dict[str, str]:
    """FIELD=COLUMN texts as a mapping."""
    columns = {}
    for pair in pairs:
        key, equals, column = (part.strip() for part in pair.partition("="))
        if not (key and equals and column):
            raise ConfigError(f"{name} {pair}: expected FIELD=COLUMN, such as prompt=question")
        columns[key] = column
    return columns


def _pairs(options: Sequence[str]) -> dict[str, Any]:
    """Options by name; one without a value, as in `--skip_bad_rows --limit 5`, is true."""
    pairs: dict[str, Any] = {}
    rest = list(options)
    while rest:
        option = rest.pop(0)
        if not option.startswith("--") or len(option) < 3:
            raise ConfigError(f"unexpected argument {option!r}: settings are given as --key value")
        key, equals, value = option[2:].partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        try:
            pairs[key.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            pairs[key.replace("-", "_")] = value
    return pairs


def _trainers(name: Any) -> tuple[str, str]:
    """The trainer that settings name, and the other one."""
    chosen = "coverage" if name is None else name
    if chosen not in TRAINERS:
        raise ConfigError(f"trainer must be {' or '.join(TRAINERS)}, got {name!r}")
    return chosen, next(other for other in TRAINERS if other != chosen)


def _trainer_fields(trainer: str) -> dict[str, dataclasses.Field[Any]]:
    """The keys of a recipe that a trainer's configuration has, by name."""
    return {item.name: item for item in fields(TRAINERS[trainer]) if item.init and item.name not in RESERVED}


def _as_own(key: str, value: Any, hint: Any) -> Any:
    """The value of one of RunConfig's fields, checked against the field's type."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kind = next(get_origin(kind) or kind for kind in kinds if kind is not type(None))
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if key == "columns" and isinstance(value, str):
        return parse_columns(value.split(","), "columns")
    if kind is int and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"{key} must be a whole number from 1, got {value!r}")
    if not isinstance(value, kind):
        examples = {bool: "true or false", str: "a text", dict: "a mapping such as {r: 8} (in a shell: with quotes)"}
        raise ConfigError(f"{key} must be {examples[kind]}, got {value!r}")
    return value


def _as_training(value: Any, target: dataclasses.Field[Any]) -> Any:
    """The value of a trainer's field; YAML reads 1e-4 as text, but where a number is expected it is one."""
    kind = str(target.type)
    expects_text = "str" in kind or isinstance(target.default, str)
    if value is False and expects_text and "bool" not in kind:
        return "no"  # YAML 1.1 reads a bare `no` as false: save_strategy: no
    if isinstance(target.default, bool) or ("bool" in kind and not expects_text):
        if not isinstance(value, bool):
            raise ConfigError(f"{target.name} must be true or false, got {value!r}")
    elif "list[float]" in kind and value is not None:
        parts = value if isinstance(value, list | tuple) else [value]
        return parse_numbers(",".join(map(str, parts)), target.name, unique=False)
    elif isinstance(value, str) and not expects_text and ("int" in kind or "float" in kind):
        try:
            number = float(value)
        except ValueError:
            raise ConfigError(f"{target.name} must be a number, got {value!r}") from None
        return int(number) if "float" not in kind and number.is_integer() else number
    return value
