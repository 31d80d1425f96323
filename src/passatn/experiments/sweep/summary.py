"""From trials and final trainings to results.json: choices, test scores, paired differences, robustness.

Raw numbers are the test problems' log p of each final training, and validation pass@N of each trial after each epoch;
everything else follows from them.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passatn.evaluate import PairedDifference
from passatn.evaluate.pass_at_n import coverage_values
from passatn.evaluate.repeats import compare_repeats
from passatn.experiments.config import ConfigError
from passatn.experiments.sweep.choose import Choice, choose
from passatn.experiments.sweep.finals import Final, Sweep
from passatn.experiments.sweep.robustness import Robustness, robustness
from passatn.experiments.sweep.spec import Arm, SweepSpec
from passatn.experiments.sweep.training import Array, Record

SCHEMA = "passatn sweep 1"


@dataclass(frozen=True)
class ArmSummary:
    """One arm, one entry for each N where a field is a list."""

    arm: Arm
    trials: tuple[Record, ...]
    choices: tuple[Choice, ...]
    finals: tuple[tuple[Final, ...], ...]
    """For each N, one for each seed."""
    robustness: Robustness

    def test(self, ns: Sequence[int]) -> Array:
        """pass@N of each test problem, at its own N each: `[S, P, len(ns)]`."""
        columns = [test_values(finals, n) for finals, n in zip(self.finals, ns, strict=True)]
        return np.stack(columns, axis=-1)


@dataclass(frozen=True)
class Confirmation:
    """The finalist against the baseline, with seeds that had no part in choosing it."""

    finalist: str
    baseline: str
    values_baseline: Array
    """[S, P] pass@target_n of each test problem."""
    values_finalist: Array
    difference: PairedDifference
    finals: tuple[Final, ...]


@dataclass(frozen=True)
class Outcome:
    """What tables, picture and results.json show."""

    spec: SweepSpec
    arms: tuple[ArmSummary, ...]
    """The baseline first."""
    compared: Mapping[str, PairedDifference]
    """Each other arm minus the baseline, by name: paired over problems and seeds."""
    confirmation: Confirmation | None


def test_values(finals: Sequence[Final], n: int) -> Array:
    """pass@n of each test problem under final trainings of several seeds: `[S, P]`."""
    if any(final.ids != finals[0].ids for final in finals):
        raise ConfigError(f"the test problems changed between final trainings of {finals[0].arm}: start a new sweep")
    return np.stack([coverage_values(np.array(final.at(n).log_p), [n])[:, 0] for final in finals])


def same_settings(choices: Sequence[Choice]) -> dict[int, tuple[Choice, list[int]]]:
    """Trial → its choice and the N that chose its settings; equal settings of different trials are one training."""
    found: dict[int, tuple[Choice, list[int]]] = {}
    for choice in choices:
        same = next((trial for trial, (other, _) in found.items() if other.params == choice.params), choice.trial)
        found.setdefault(same, (choice, []))[1].append(choice.n)
    return found


def summarize_arm(sweep: Sweep, arm: Arm, num_epochs: int) -> ArmSummary:
    """Read what the stages left; all of it has to be there."""
    spec, records = sweep.spec, sweep.trials(arm)
    choices = choose(spec, arm, records)
    by_n = {n: trial for trial, (_, ns) in same_settings(choices).items() for n in ns}
    finals = tuple(tuple(_final(sweep, arm, by_n[n], seed) for seed in spec.seeds) for n in spec.ns)
    return ArmSummary(arm, tuple(records), tuple(choices), finals, robustness(spec, records, num_epochs))


def finalist(sweep: Sweep) -> Arm:
    """The arm, other than the baseline, with the best mean over seeds on validation at target_n."""
    spec = sweep.spec

    def validation(arm: Arm) -> float:
        trial, _ = target_training(sweep, arm)
        scores = [_final(sweep, arm, trial, seed).at(spec.target_n).validation for seed in spec.seeds]
        return float(np.mean(scores))

    return max(spec.arms[1:], key=validation)


def target_training(sweep: Sweep, arm: Arm) -> tuple[int, dict[str, Any]]:
    """The trial whose settings the arm has at target_n, and these settings."""
    grouped = same_settings(choose(sweep.spec, arm, sweep.trials(arm)))
    return next((trial, choice.params) for trial, (choice, ns) in grouped.items() if sweep.spec.target_n in ns)


def confirm(sweep: Sweep, arm: Arm) -> Confirmation:
    """From the trainings with the confirming seeds."""
    spec = sweep.spec
    sides = []
    for side in (spec.baseline, arm):
        trial, _ = target_training(sweep, side)
        sides.append([_final(sweep, side, trial, seed) for seed in spec.confirm_seeds])
    a, b = (test_values(side, spec.target_n) for side in sides)
    difference = compare_repeats(a[:, :, None], b[:, :, None], [spec.target_n])
    return Confirmation(arm.name, spec.baseline.name, a, b, difference, (*sides[0], *sides[1]))


def _final(sweep: Sweep, arm: Arm, trial: int, seed: int) -> Final:
    found = Final.load(sweep.final_folder(arm, trial, seed))
    if found is None:
        raise ConfigError(f"{sweep.final_folder(arm, trial, seed)}: this final training is missing: use --resume")
    return found


def summarize(sweep: Sweep) -> Outcome:
    """Everything that follows from the records of all stages."""
    spec = sweep.spec
    num_epochs = max(len(record.steps) for arm in spec.arms for record in sweep.trials(arm))
    arms = tuple(summarize_arm(sweep, arm, num_epochs) for arm in spec.arms)
    baseline = arms[0].test(spec.ns)
    compared = {one.arm.name: compare_repeats(baseline, one.test(spec.ns), spec.ns) for one in arms[1:]}
    confirmation = confirm(sweep, finalist(sweep)) if spec.confirm_seeds else None
    return Outcome(spec, arms, compared, confirmation)


def to_results(given: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """What results.json holds."""
    arms, confirmed = outcome.arms, outcome.confirmation
    return {
        "schema": SCHEMA,
        "sweep": dict(given),
        "ns": list(outcome.spec.ns),
        "arms": [
            {
                "name": one.arm.name,
                "choices": [asdict(choice) for choice in one.choices],
                "robustness": asdict(one.robustness),
                "trials": [asdict(record) for record in one.trials],
                "difference": asdict(outcome.compared[one.arm.name]) if one.arm.name in outcome.compared else None,
            }
            for one in arms
        ],
        "finals": [asdict(final) for final in _distinct([f for one in arms for fs in one.finals for f in fs])],
        "confirmation": None
        if confirmed is None
        else {
            "finalist": confirmed.finalist,
            "baseline": confirmed.baseline,
            "difference": asdict(confirmed.difference),
            "finals": [asdict(final) for final in confirmed.finals],
        },
    }


def read_results(path: Path) -> dict[str, Any]:
    """What a sweep wrote, packed by gzip or not; raises ConfigError, one line, for a file that is not that."""
    try:
        data = path.read_bytes()
        found = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ConfigError(f"{path}: not the results.json of a finished sweep")
    return found


def _distinct(finals: Sequence[Final]) -> list[Final]:
    return list({(final.arm, final.trial, final.seed): final for final in finals}.values())
