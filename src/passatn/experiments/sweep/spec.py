"""A sweep file: the recipe that all arms share, what differs between them, and what is searched.

passatn sweep sweep.yaml --output sweeps/mini --dry-run
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any, Literal

from passatn.experiments.config import ConfigError, parse_ns, parse_temperatures, read_settings
from passatn.experiments.sweep.space import Dimension
from passatn.train.n_schedule import NScheduleConfig
from passatn.train.objectives.config import ObjectiveConfig
from passatn.train.rollout_config import RolloutConfig

Params = dict[str, Any]
"""A point of an arm's space: setting → value."""

OWN = frozenset(
    (
        "eval_data", "eval_split", "eval_limit", "eval_ns", "eval_temperatures", "stop_at_n", "patience",
        "seed", "data_seed", "save_strategy", "save_steps", "save_total_limit", "save_only_model",
        "logging_steps", "eval_strategy", "load_best_model_at_end", "output_dir",
    )
)  # fmt: skip
"""Settings of `passatn train` that a sweep sets itself."""
SHARED = frozenset(
    (
        "model", "train_data", "train_split", "preset", "columns", "template", "limit", "max_prompt_tokens",
        "max_answer_tokens", "max_length", "without_fold", "skip_bad_rows", "dtype", "num_train_epochs", "max_steps",
        "max_data_passes",
    )
)  # fmt: skip
"""Settings in which no two trainings of a sweep may differ: the same model, data and length."""
OF_OBJECTIVE = frozenset(
    item.name for part in (ObjectiveConfig, NScheduleConfig, RolloutConfig) for item in fields(part)
) | {"n_passes", "min_confidence_weight", "min_active_fraction", "confidence", "given_log_p", "verifier"}
"""Settings that make an arm what it is: it may fix one that the others search."""
BATCH = frozenset({"per_device_train_batch_size", "gradient_accumulation_steps"})


@dataclass(frozen=True)
class Arm:
    """One of the things compared: settings over the recipe, and its space (the shared quantities come first)."""

    name: str
    slug: str
    """Its folder."""
    settings: Params
    space: tuple[Dimension, ...]

    def fixed(self, key: str) -> tuple[Any, ...]:
        """The one value that a quantity has here; nothing if it is searched."""
        if key in self.settings:
            return (self.settings[key],)
        values = next((dimension.values for dimension in self.space if dimension.name == key), ())
        return values if len(values) == 1 else ()

    def grid(self) -> list[Params]:
        return [
            dict(zip([d.name for d in self.space], values, strict=True))
            for values in product(*(dimension.grid() for dimension in self.space))
        ]

    def corners(self) -> list[Params]:
        """Points in which each value of a list, and both ends of each range, occur."""
        values = [dimension.corners() for dimension in self.space]
        longest = max(map(len, values), default=1)
        names = [dimension.name for dimension in self.space]
        return [{n: v[min(i, len(v) - 1)] for n, v in zip(names, values, strict=True)} for i in range(longest)]


@dataclass(frozen=True)
class SweepSpec:
    """A checked sweep file; see docs/protocol.md for its keys."""

    recipe: Params
    validation: str
    test: str
    ns: tuple[int, ...]
    temperatures: tuple[float, ...]
    """1 comes first."""
    trials: int
    """Of each arm."""
    arms: tuple[Arm, ...]
    """The first one is the baseline."""
    target_n: int
    search: Literal["tpe", "grid"] = "tpe"
    pruner: Literal["none", "asha"] = "none"
    match: Literal["steps", "examples"] = "steps"
    seeds: tuple[int, ...] = (0, 1, 2)
    confirm_seeds: tuple[int, ...] = (3, 4, 5)
    search_seed: int = 1000
    """Of all trials, and of the search itself."""
    validation_split: str | None = None
    test_split: str | None = None

    @property
    def target_column(self) -> int:
        return self.ns.index(self.target_n)

    @property
    def baseline(self) -> Arm:
        return self.arms[0]

    @property
    def num_random(self) -> int:
        """The first trials, whose points are drawn at random, the same for every arm; of a grid, all of them."""
        return self.trials if self.search == "grid" else (self.trials + 1) // 2

    @property
    def num_independent(self) -> int:
        """The first trials of an arm, which need no earlier ones; a pruner compares each with those before it."""
        return self.num_random if self.pruner == "none" else 0

    def settings_of(self, arm: Arm, params: Mapping[str, Any], seed: int) -> Params:
        """Settings of `passatn train` for one training."""
        return {
            **self.recipe,
            **arm.settings,
            **params,
            "seed": seed,
            "eval_data": self.validation,
            "eval_split": self.validation_split,
            "eval_ns": list(self.ns),
            "eval_temperatures": list(self.temperatures[1:]) or None,
            "save_strategy": "epoch",
            "save_total_limit": None,
            "logging_steps": 1,
        }


KEYS = (*(item.name for item in fields(SweepSpec)), "space")


def read_spec(path: Path) -> tuple[SweepSpec, Params]:
    """The sweep file, checked, and its contents with the recipe in place of the recipe's name.

    Raises:
        ConfigError: one line with the file, the key, the value and what to do.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such sweep file")
    given = read_settings(path, [])
    try:
        if isinstance(given.get("recipe"), str):
            given["recipe"] = read_settings(Path(given["recipe"]), [])
        return parse_spec(given), given
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_spec(given: Mapping[str, Any]) -> SweepSpec:
    """Raises ConfigError naming the key."""
    for key in given:
        if key not in KEYS:
            raise ConfigError(f"unknown key {key!r}; there are {', '.join(KEYS)}")
    for key in ("recipe", "validation", "test", "arms"):
        if not given.get(key):
            raise ConfigError(f"{key} is missing")
    recipe = _mapping(given["recipe"], "recipe")
    shared = _mapping(given.get("space"), "space")
    arms = tuple(_arm(index, *item, shared) for index, item in enumerate(_mapping(given["arms"], "arms").items()))
    ns = parse_ns(given.get("ns", (1, 16, 256)), "ns")
    search = _one_of(given, "search", ("tpe", "grid"))
    spec = SweepSpec(
        recipe={key: value for key, value in recipe.items() if key not in OWN},
        validation=str(given["validation"]),
        test=str(given["test"]),
        ns=ns,
        temperatures=_temperatures(given.get("temperatures", [1])),
        trials=_trials(given.get("trials"), search, arms),
        arms=arms,
        target_n=_whole(given.get("target_n", ns[-1]), "target_n", least=1),
        search=search,  # type: ignore[arg-type]
        pruner=_one_of(given, "pruner", ("none", "asha")),  # type: ignore[arg-type]
        match=_one_of(given, "match", ("steps", "examples")),  # type: ignore[arg-type]
        seeds=_seeds(given.get("seeds", [0, 1, 2]), "seeds"),
        confirm_seeds=_seeds(given.get("confirm_seeds", [3, 4, 5]), "confirm_seeds"),
        search_seed=_whole(given.get("search_seed", 1000), "search_seed", least=0),
        validation_split=given.get("validation_split"),
        test_split=given.get("test_split"),
    )
    _check(spec, shared)
    return spec


def _check(spec: SweepSpec, shared: Mapping[str, Any]) -> None:
    if spec.target_n not in spec.ns:
        raise ConfigError(f"target_n {spec.target_n} is not among ns {', '.join(map(str, spec.ns))}")
    if len(spec.arms) < 2:
        raise ConfigError("arms: a comparison has at least two, of which the first is the baseline")
    if not spec.seeds:
        raise ConfigError("seeds: at least one is needed")
    if again := sorted({*spec.seeds} & {*spec.confirm_seeds}):
        raise ConfigError(f"confirm_seeds: {again[0]} is among seeds: a confirmation takes new ones")
    if spec.search_seed in {*spec.seeds, *spec.confirm_seeds}:
        raise ConfigError(
            f"search_seed {spec.search_seed} is among seeds or confirm_seeds: the best trial would count as a final "
            "training, with the luck that made it the best"
        )
    if spec.validation == spec.test and spec.validation_split == spec.test_split:
        raise ConfigError(f"validation and test are both {spec.test}: choices are made on other problems than the test")
    if spec.match == "examples" and "max_steps" in spec.recipe:
        raise ConfigError("match: examples counts passes over the data: give num_train_epochs, not max_steps")
    if bad := sorted(SHARED & shared.keys()):
        raise ConfigError(f"space: {bad[0]} is the same for every training of a sweep")
    for key in sorted(shared.keys() - OF_OBJECTIVE):
        _check_fixed(spec.arms, key)


def _check_fixed(arms: Sequence[Arm], key: str) -> None:
    """Raise ConfigError if an arm fixes a quantity of the shared space, and not all of them do so alike."""
    fixed = [arm.fixed(key) for arm in arms]
    for arm, values in zip(arms, fixed, strict=True):
        others = [other.name for other, theirs in zip(arms, fixed, strict=True) if theirs != values]
        if values and others:
            raise ConfigError(
                f"arms: {arm.name}: {key} is fixed at {values[0]}, and not so in {others[0]!r}: leave it out, so that "
                "space holds for every arm, or fix it in all of them"
            )


def _arm(index: int, name: Any, given: Any, shared: Mapping[str, Any]) -> Arm:
    where = f"arms: {name}"
    settings = dict(_mapping(given, where))
    own = _mapping(settings.pop("space", None), f"{where}: space")
    is_proof = settings.get("confidence") == "proof"
    for key in (*settings, *own, *shared):
        if key in OWN:
            raise ConfigError(f"{where}: {key} is set by the sweep: leave it out")
    for key in (*settings, *own):
        if key in SHARED or (key in BATCH and not is_proof):
            raise ConfigError(f"{where}: {key} is the same for every arm: set it in the recipe")
    quantities = {key: value for key, value in {**shared, **own}.items() if key not in settings}
    slug = re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-")
    space = tuple(Dimension.parse(key, value) for key, value in quantities.items())
    return Arm(str(name), f"{index + 1:02d}-{slug}"[:60].rstrip("-"), settings, space)


def _trials(given: Any, search: str, arms: Sequence[Arm]) -> int:
    """The number of trials of each arm; that of a grid follows from its space, and has to be the same for all."""
    if search == "tpe":
        return _whole(12 if given is None else given, "trials", least=1)
    sizes = {arm.name: len(arm.grid()) for arm in arms}
    (first, size), *others = sizes.items()
    for name, other in others:
        if other != size:
            raise ConfigError(
                f"arms: the grid of {name!r} has {other} points, that of {first!r} {size}: every arm gets the same "
                "search budget; make the grids equally large, or take search: tpe"
            )
    if given not in (None, size):
        raise ConfigError(f"trials: the grid has {size} points, not {given}: leave trials out")
    return size


def _temperatures(given: Any) -> tuple[float, ...]:
    temperatures = parse_temperatures(given, "temperatures")
    if 1.0 not in temperatures:
        raise ConfigError(f"temperatures {given!r}: 1 has to be among them, the model's own distribution")
    return (1.0, *sorted(set(temperatures) - {1.0}))


def _mapping(given: Any, name: str) -> dict[str, Any]:
    if given is not None and not isinstance(given, dict):
        raise ConfigError(f"{name}: expected `key: value` lines, found {given!r:.80}")
    return {} if given is None else {str(key): value for key, value in given.items()}


def _one_of(given: Mapping[str, Any], key: str, names: tuple[str, ...]) -> str:
    value = given.get(key) or names[0]
    if value not in names:
        raise ConfigError(f"{key} must be {' or '.join(names)}, got {value!r}")
    return str(value)


def _whole(value: Any, name: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number from {least}, got {value!r}")
    return value


def _seeds(given: Any, name: str) -> tuple[int, ...]:
    if not isinstance(given, list) or len({*map(str, given)}) < len(given):
        raise ConfigError(f"{name} must be a list of different whole numbers, got {given!r}")
    return tuple(_whole(seed, name, least=0) for seed in given)
