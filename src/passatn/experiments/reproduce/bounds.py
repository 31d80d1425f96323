"""Figure 11: bounds on the largest confidence of an optimal policy against N, and the optimum between them.

Mathematics alone, the same at every scale. For accuracies a_1 ≥ a_2 ≥ … the optimal policy's largest confidence q_1
is a water-filling in closed form; 1 − (a_2/a_1)^m, m = 1/(N−1), is below it, and 1 / (1 + ((1−ε−a_1) / ((k−1) a_1))^m),
which knows only a_1 and that k answers hold 1 − ε, is above and tends to 1/2 (`coverage/policy.py`; docs/theory.md
derives both: the paper's displayed formulas are not in the text at hand).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from passatn.coverage import max_confidence_bounds, optimal_confidences
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.plans import Plan
from passatn.experiments.reproduce.section import Section, Table
from passatn.report.reproduce_plots import plot_bounds

NS = tuple(float(n) for n in np.unique(np.round(2 ** np.linspace(0, 12, 49), 3)))
SHOWN = (1, 4, 16, 64, 256, 1024, 4096)
MASS = 0.9
"""1 − ε of the weak upper bound; k is the smallest number of answers that hold it."""


def _power_law(exponent: float, count: int = 1000) -> list[float]:
    shares = np.arange(1, count + 1) ** -exponent
    return [float(share) for share in shares / shares.sum()]


INSTANCES: Mapping[str, list[float]] = {
    "five answers (.4, .3, .1, .1, .1)": [0.4, 0.3, 0.1, 0.1, 0.1],
    "1,000 answers, a ∝ rank^−1": _power_law(1.0),
    "1,000 answers, a ∝ rank^−2": _power_law(2.0),
}


def recipe(context: Context) -> dict[str, Any]:
    return {"ns": list(NS), "mass": MASS, "instances": list(INSTANCES)}


def plan(context: Context) -> Plan:
    return Plan([], notes=["mathematics alone: no model and no data, a second on any machine"])


def curves() -> dict[str, dict[str, list[float]]]:
    """For each instance: lower bound, optimum and upper bound of q_1 at NS."""
    n = np.array(NS)
    found = {}
    for name, accuracies in INSTANCES.items():
        a = np.tile(np.array(accuracies), (len(n), 1))
        lower, upper = max_confidence_bounds(a, n, mass=MASS)
        optimum = optimal_confidences(a, n).max(axis=-1)
        found[name] = {"lower": lower.tolist(), "optimum": optimum.tolist(), "upper": upper.tolist()}
    return found


def section(context: Context) -> Section:
    found = curves()
    columns = ("accuracies", "N", "lower bound", "optimum", "upper bound")
    rows: tuple[tuple[Any, ...], ...] = tuple(
        (name, n, *(values[key][i] for key in ("lower", "optimum", "upper")))
        for name, values in found.items()
        for i, n in enumerate(NS)
    )
    shown = tuple((row[0], int(row[1]), *(f"{value:.4f}" for value in row[2:])) for row in rows if row[1] in SHOWN)
    return Section(
        setting=(
            "The largest confidence q_1 of the policy that maximises expected coverage of N samples, for three "
            f"assumed distributions of the correct answer over ranks. The upper bound knows a_1 and that k answers "
            f"hold {MASS:g} of the accuracy, the lower one a_1 and a_2. Real N."
        ),
        findings=[_finding(name, values) for name, values in found.items()],
        tables=[Table("Largest confidence", columns, shown)],
        csv={"fig11.csv": Table("", columns, rows)},
        pictures={"fig11.png": lambda path: _plot(path, found)},
        numbers={"ns": list(NS), "curves": found},
    )


def _finding(name: str, values: Mapping[str, list[float]]) -> str:
    lower, optimum, upper = (np.array(values[key]) for key in ("lower", "optimum", "upper"))
    rounding = 1e-12
    holds = bool(np.all(lower <= optimum + rounding) and np.all(optimum <= upper + rounding))
    falls = all(bool(np.all(np.diff(curve) <= rounding)) for curve in (lower, optimum, upper))
    at = {n: float(optimum[NS.index(n)]) for n in (16.0, 256.0)}
    return (
        f"{name}: lower ≤ optimum ≤ upper at {'every' if holds else 'NOT every'} N, all three "
        f"{'fall' if falls else 'do NOT fall'} with N; q_1 = {at[16.0]:.3f} at N = 16, {at[256.0]:.3f} at N = 256."
    )


def _plot(path: Path, found: Mapping[str, Mapping[str, list[float]]]) -> Path:
    return plot_bounds(path, NS, found)
