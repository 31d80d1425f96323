"""Figure 2: (a) pass@N by training N, with the frontier; (b) the weight F(N, p); (c) trees of proof searches.

At scale `paper` (c) has commands only, as table 2 has: (a) and (b) come without it.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from passatn.coverage import confidence_weight
from passatn.evaluate import Frontier, Results, frontier
from passatn.experiments.reproduce import proofs, search_trees
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.direct import Direct
from passatn.experiments.reproduce.plans import Plan, direct_plan
from passatn.experiments.reproduce.proofs import Proofs
from passatn.experiments.reproduce.recipes import direct_recipe
from passatn.experiments.reproduce.section import Section, Table
from passatn.experiments.reproduce.words import setting_of
from passatn.report import Curve
from passatn.report.reproduce_frontier import plot_frontier

NS = tuple(2**k for k in range(13))
SHOWN_NS = (1, 16, 64, 256, 1024, 4096)
MISSING = "(c), the trees of proof searches: at scale paper these have commands, which --dry-run prints, and no reader."
CONFIDENCES = tuple(float(p) for p in np.logspace(-5, 0, 201))


def recipe(context: Context) -> dict[str, Any]:
    found = direct_recipe(context.scale, quick=context.quick)
    searched = {} if context.scale == "paper" else {"proofs": Proofs(context).recipe}
    return Direct(context, found).inputs() | {"ns": list(NS)} | searched


def plan(context: Context) -> Plan:
    found = direct_recipe(context.scale, quick=context.quick)
    answers, searched = direct_plan(context, found, found.train_ns), proofs.plan(context)
    runs = [*answers.runs, *(replace(run, name=f"(c) proofs, {run.name}") for run in searched.runs)]
    # The call itself comes last, and once.
    afterwards = dict.fromkeys([*searched.afterwards, *answers.afterwards])
    return Plan(runs, list(afterwards), [*answers.notes, *(f"(c): {note}" for note in searched.notes)])


def section(context: Context) -> Section:
    found = direct_recipe(context.scale, quick=context.quick)
    stages = Direct(context, found)
    runs = {n: stages.run(n) for n in found.train_ns}
    files = {n: run.directory.results for n, run in runs.items()}
    curves = {runs[n].name: _curve(files[n], n, runs[n].name) for n in runs}
    best = frontier({name: curve.estimate for name, curve in curves.items()})
    train_ns = {run.name: n for n, run in runs.items()}
    weights = {n: np.asarray(confidence_weight(np.log(CONFIDENCES), n)).tolist() for n in found.train_ns}
    answers = Section(
        setting=setting_of(stages, list(curves)) + " Models at the end of training, none of them tuned or stopped.",
        findings=_findings(best, train_ns),
        tables=[_table(curves)],
        csv={"fig2a.csv": _csv(curves, best), "fig2b.csv": _csv_weights(weights)},
        pictures={"fig2.png": lambda path: plot_frontier(path, list(curves.values()), best, CONFIDENCES, weights)},
        numbers={
            "ns": list(NS),
            "pass_at_n": {name: list(curve.estimate) for name, curve in curves.items()},
            "frontier": {"best": list(best.best), "winner": list(best.winner)},
        },
        sources=list(files.values()),
    )
    return replace(answers, missing=[MISSING]) if context.scale == "paper" else _with_trees(answers, Proofs(context))


def _with_trees(answers: Section, stages: Proofs) -> Section:
    searched = stages.arms()
    return replace(
        answers,
        setting=f"{answers.setting} (c): {proofs.describe(stages.context)}",
        findings=[*answers.findings, search_trees.finding(searched)],
        tables=[*answers.tables, search_trees.table(searched)],
        csv={**answers.csv, "fig2c.csv": search_trees.csv(searched)},
        pictures={**answers.pictures, "fig2c.png": lambda path: search_trees.plot(path, searched)},
        sources=[*answers.sources, *stages.sources],
    )


def _curve(file: Path, n: int, name: str) -> Curve:
    """From the raw log-probabilities of the last evaluation, at every power of two."""
    results = Results.from_problems({"name": name}, Results.load(file).problems, NS)
    kind: Any = "ce" if n == 1 else "dco"
    return Curve.from_pass_at_n(name, results.pass_at_n[0], kind=kind, n_passes=n if n > 1 else None)


def _findings(best: Frontier, train_ns: Mapping[str, int]) -> list[str]:
    winners = [train_ns[name] for name in best.winner]
    rises = all(a <= b for a, b in pairwise(winners)) and winners[0] < winners[-1]
    parts = ", ".join(f"{best.winner[NS.index(n)]} at N = {n}" for n in SHOWN_NS)
    verdict = "rises with the test N" if rises else "does not rise steadily with the test N"
    return [f"The best training N {verdict}: {parts}."]


def _table(curves: Mapping[str, Curve]) -> Table:
    rows = tuple(
        (name, *(f"{100 * curve.estimate[NS.index(n)]:.1f}" for n in SHOWN_NS)) for name, curve in curves.items()
    )
    return Table("Exact test pass@N in percent, one seed.", ("", *(f"pass@{n}" for n in SHOWN_NS)), rows)


def _csv(curves: Mapping[str, Curve], best: Frontier) -> Table:
    rows: list[Any] = [
        (name, n, curve.estimate[i], (curve.low or ())[i], (curve.high or ())[i])
        for name, curve in curves.items()
        for i, n in enumerate(NS)
    ]
    rows += [
        (f"frontier ({winner})", n, value, None, None)
        for n, value, winner in zip(NS, best.best, best.winner, strict=True)
    ]
    return Table("", ("run", "N", "pass@N", "low", "high"), tuple(rows))


def _csv_weights(weights: Mapping[int, list[float]]) -> Table:
    rows = tuple((n, p, f) for n, values in weights.items() for p, f in zip(CONFIDENCES, values, strict=True))
    return Table("", ("N", "p", "F(N, p)"), rows)
