"""Temperature and top-p, chosen on validation problems for each N and reported on the test problems.

    passatn evaluate --model M --data test.jsonl --validation val.jsonl --temperatures 0.8,1,1.25 --top-ps 0.9,1 …
    passatn evaluate --samples samples/test --validation-samples samples/val …

The first scores the accepted answers at every setting, exactly and without sampling. The second takes folders of sample
stores with one setting each, as `passatn sample --temperature 0.8,1,1.25 --top-p 0.9,1` fills them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from passatn.evaluate import MetricCurve, ProblemResult, TunedPassAtN, tuned_pass_at_n, tuned_pass_at_n_from_counts
from passatn.experiments.config import ConfigError
from passatn.sample import score_problems
from passatn.sample.store import SampleStore
from passatn.tasks import EncodedExample

TUNED = "pass@N, tuned decoding"
Setting = tuple[float, float]
"""(temperature, top-p)."""


def label_of(setting: Setting) -> str:
    return f"T = {setting[0]:g}, top-p = {setting[1]:g}"


def setting_of(label: str) -> Setting:
    """The inverse of `label_of`; ConfigError for another text."""
    parts = re.fullmatch(r"T = (\S+), top-p = (\S+)", label)
    try:
        return float(parts[1]), float(parts[2])  # type: ignore[index]
    except (TypeError, ValueError):
        raise ConfigError(f"{label!r} is no setting: expected one such as {label_of((0.8, 1.0))!r}") from None


def folder_of(setting: Setting) -> str:
    return f"temperature-{setting[0]:g}-top-p-{setting[1]:g}"


def grid(temperatures: Sequence[float], top_ps: Sequence[float]) -> list[Setting]:
    return list(product(temperatures, top_ps))


def score_settings(model: Any, encoded: Sequence[Sequence[EncodedExample]], settings: Sequence[Setting]) -> np.ndarray:
    """[settings, problems] log p of the accepted answers at each setting."""
    temperatures, top_ps = zip(*settings, strict=True)
    return score_problems(model, encoded, temperatures=temperatures, top_ps=top_ps, progress=True).T


def with_settings(
    problems: Sequence[ProblemResult], settings: Sequence[Setting], log_p: np.ndarray
) -> tuple[ProblemResult, ...]:
    """The records with `log_p` `[settings, problems]` as their `log_p_by_setting`."""
    labels = [label_of(setting) for setting in settings]
    return tuple(
        replace(problem, log_p_by_setting=dict(zip(labels, column, strict=True)))
        for problem, column in zip(problems, log_p.T.tolist(), strict=True)
    )


def tune_exactly(
    chosen_on: np.ndarray, reported_on: np.ndarray, settings: Sequence[Setting], ns: Sequence[int]
) -> MetricCurve:
    """By the probability of the accepted answers at each setting; a lower bound where they are not all.

    Args:
        chosen_on, reported_on: `[settings, problems]` of validation and of test problems, as from `score_settings`.
    """
    labels = [label_of(setting) for setting in settings]
    tuned = tuned_pass_at_n(chosen_on, reported_on, ns, labels, axes=_axes(settings), is_exact=False)
    return _curve(tuned, settings, chosen_on.shape[1])


def tune_stores(validation: str, test: str, ns: Sequence[int], *, verifier: str | None = None) -> MetricCurve:
    """By the counts of samples in two folders of stores, for the N that all of them have samples for.

    Raises:
        ConfigError: the folders do not hold the same settings, or too few samples.
    """
    chosen_on, reported_on = stores_of(validation), stores_of(test)
    if odd := chosen_on.keys() ^ reported_on.keys():
        raise ConfigError(f"{validation} and {test} hold different settings: only one has {label_of(min(odd))}")
    ids = [_problems_of(folder, side) for folder, side in ((validation, chosen_on), (test, reported_on))]
    if shared := ids[0] & ids[1]:
        raise ConfigError(
            f"{validation} and {test} share problem {min(shared)!r} ({len(shared)} in all): a setting must be chosen "
            "on other problems than it is reported on"
        )
    settings = sorted(chosen_on)
    before, after = ([_counts(side[setting], verifier) for setting in settings] for side in (chosen_on, reported_on))
    fewest = min(int(samples.min()) for samples, _ in [*before, *after])
    enough = [n for n in ns if n <= fewest]
    if not enough:
        raise ConfigError(f"some problem has only {fewest} samples: none of N = {', '.join(map(str, ns))} is possible")
    labels = [label_of(setting) for setting in settings]
    tuned = tuned_pass_at_n_from_counts(before, after, enough, labels, axes=_axes(settings))
    return _curve(tuned, settings, len(before[0][0]))


def stores_of(folder: str) -> Mapping[Setting, SampleStore]:
    """The stores directly in a folder, by the setting that their manifests name; ConfigError if there are none."""
    paths = sorted(path.parent for path in Path(folder).glob("*/manifest.json"))
    if not paths:
        raise ConfigError(f"{folder}: no sample stores in it (passatn sample --temperature 0.8,1 makes such a folder)")
    found: dict[Setting, SampleStore] = {}
    for path in paths:
        store = SampleStore.open(path)
        sampling = store.manifest.sampling
        setting = float(sampling.get("temperature", 1.0)), float(sampling.get("top_p", 1.0))
        if setting in found:
            raise ConfigError(f"{path}: has {label_of(setting)}, as {found[setting].folder.name} has")
        found[setting] = store
    return found


def _problems_of(folder: str, stores: Mapping[Setting, SampleStore]) -> set[str]:
    """The problems that all settings have samples of; they must be the same."""
    by_setting = {setting: set(store.contents().problem_ids) for setting, store in stores.items()}
    first, *others = by_setting.items()
    for setting, ids in others:
        if different := ids ^ first[1]:
            raise ConfigError(
                f"{folder}: {label_of(first[0])} and {label_of(setting)} differ in problem {min(different)!r}: sample "
                "the same problems at all settings"
            )
    return first[1]


def default_of(settings: Sequence[Setting]) -> Setting:
    """The setting to show beside the tuned one: the model's own distribution, or what is closest to it."""
    return min(settings, key=lambda setting: (abs(np.log(max(setting[0], 1e-9))) + abs(np.log(setting[1])), setting))


def _counts(store: SampleStore, verifier: str | None) -> tuple[np.ndarray, np.ndarray]:
    counts = store.counts(verifier=verifier)
    if counts.num_unverified.any():
        raise ConfigError(f"{store.folder.name}: completions have no verdict yet: sample with --verifier")
    return counts.num_samples, counts.num_correct


def _axes(settings: Sequence[Setting]) -> dict[str, list[float]]:
    return {"temperature": [t for t, _ in settings], "top-p": [p for _, p in settings]}


def _curve(tuned: TunedPassAtN, settings: Sequence[Setting], num_validation: int) -> MetricCurve:
    curve = tuned.curve
    # Nothing lies beyond top-p = 1.
    whole = [settings[index][1] == 1 for index in tuned.chosen]
    edges = [
        [axis for axis in axes if axis != "top-p" or not is_whole]
        for axes, is_whole in zip(tuned.edges, whole, strict=True)
    ]
    detail = {
        "chosen": list(tuned.labels),
        "at_the_edge_of": edges,
        "num_validation_problems": num_validation,
        "validation": {label: list(values) for label, values in tuned.validation.items()},
    }
    return MetricCurve(
        metric=TUNED,
        ns=curve.ns,
        estimate=curve.estimate,
        low=curve.low,
        high=curve.high,
        num_problems=curve.num_problems,
        confidence=curve.confidence,
        detail=detail,
    )
