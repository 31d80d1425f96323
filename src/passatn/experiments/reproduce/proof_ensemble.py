"""Table 2: theorems proved by N_eff, by their ensemble, and by cross-entropy with as many samples as the ensemble."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from passatn.evaluate import PassAtN
from passatn.experiments.mini_theorems_report import STEPWISE, ArmRuns, values
from passatn.experiments.reproduce import proofs
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.plans import Plan
from passatn.experiments.reproduce.proofs import Proofs
from passatn.experiments.reproduce.section import Section, Table
from passatn.prove.ensemble import Ensemble, Gain, summary
from passatn.report import Curve
from passatn.report.plots import plot_pass_at_n

NS = (1, 4, 16, 64, 256, 1024)
WIDER = f"CE, {len(STEPWISE)}N samples"
TOGETHER = "ensemble, N from each"


def recipe(context: Context) -> dict[str, Any]:
    return Proofs(context).recipe


def plan(context: Context) -> Plan:
    return proofs.plan(context)


def section(context: Context) -> Section:
    stages = Proofs(context)
    runs = stages.arms()
    together = Ensemble.of({run.name: run.last[0] for run in runs if run.name in STEPWISE})
    columns = curves(runs, together)
    return Section(
        setting=proofs.describe(context),
        findings=_findings(columns, together),
        tables=[_table(columns)],
        csv={"table2.csv": csv(columns)},
        pictures={"table2.png": lambda path: plot_pass_at_n([_drawn(name, of) for name, of in columns.items()], path)},
        numbers={"ns": list(next(iter(columns.values())).ns), "num_correct": counts(runs)},
        sources=stages.sources,
    )


def curves(runs: Sequence[ArmRuns], together: Ensemble) -> Mapping[str, PassAtN]:
    """By name: each arm, the ensemble, and cross-entropy with as many samples as all of the ensemble."""
    size, fewest = len(STEPWISE), int(together.num_samples.min())
    ns = [n for n in NS if size * n <= fewest]
    found = {run.name: summary(values(run.last[0], ns), ns) for run in runs}
    wider = values(runs[0].last[0], [size * n for n in ns])
    return {**found, TOGETHER: summary(together.columns(ns), ns), WIDER: summary(wider, ns)}


def counts(runs: Sequence[ArmRuns]) -> dict[str, Any]:
    """Per arm and theorem: [roll-outs that ended in a checked proof, roll-outs]."""
    return {
        run.name: {record.theorem: [record.num_correct, record.num_samples] for record in run.last[0]} for run in runs
    }


def _table(columns: Mapping[str, PassAtN]) -> Table:
    ns = next(iter(columns.values())).ns
    rows = [(name, *(cell(of, i) for i, _ in enumerate(ns))) for name, of in columns.items()]
    caption = "Theorems proved by N roll-outs, unbiased from counts, percent [95 % interval over theorems], one seed."
    return Table(caption, ("", *(f"N = {n}" for n in ns)), tuple(rows))


def cell(curve: PassAtN, column: int) -> str:
    """Percent, with the interval."""
    estimate, low, high = (100 * of[column] for of in (curve.estimate, curve.low, curve.high))
    return f"{estimate:.1f} [{low:.1f}, {high:.1f}]"


def _findings(columns: Mapping[str, PassAtN], together: Ensemble) -> list[str]:
    n = columns["CE"].ns[-1]
    at = {name: 100 * of.estimate[-1] for name, of in columns.items()}
    singles = {name: value for name, value in at.items() if name not in (TOGETHER, WIDER)}
    best = max(singles, key=lambda name: singles[name])
    gains = ", ".join(f"{gain.name} {_points(gain)}" for gain in together.gains([n]))
    return [
        f"With {n} roll-outs {best} proves most of the single models, {singles[best]:.1f} % (CE {at['CE']:.1f} %).",
        f"The ensemble with {n} from each proves {at[TOGETHER]:.1f} %, CE with as many in all {at[WIDER]:.1f} %.",
        f"Points of the ensemble over one model with as many roll-outs in all: {gains}.",
    ]


def _points(gain: Gain) -> str:
    value, low, high = (100 * of[0] for of in (gain.difference.estimate, gain.difference.low, gain.difference.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def csv(columns: Mapping[str, PassAtN]) -> Table:
    rows = tuple(
        (name, n, of.estimate[i], of.low[i], of.high[i]) for name, of in columns.items() for i, n in enumerate(of.ns)
    )
    return Table("", ("models", "N", "pass@N", "low", "high"), rows)


def _drawn(name: str, curve: PassAtN) -> Curve:
    """Bands for the ensemble and what it is compared with: eight of them hide each other."""
    drawn = _line(name, curve)
    return drawn if name in (TOGETHER, WIDER) else replace(drawn, low=None, high=None)


def _line(name: str, curve: PassAtN) -> Curve:
    if name in ("CE", WIDER):
        return Curve.from_pass_at_n(name, curve, kind="ce", n_passes=1, dash="dash" if name == WIDER else None)
    if name.startswith("N_eff"):
        return Curve.from_pass_at_n(name, curve, kind="dco", n_passes=float(name.split("= ")[1]))
    return Curve.from_pass_at_n(name, curve, kind="other", dash="dash" if name == "whole proof" else None)
