"""Figure 13: the weight F(N, p) by level of difficulty, for the problems that the model is tested on."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from passatn.evaluate import Results
from passatn.evaluate.by_level import QUANTILES, LevelWeights, weights_by_level
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.direct import Direct, quarters
from passatn.experiments.reproduce.plans import Plan, direct_plan
from passatn.experiments.reproduce.recipes import direct_recipe
from passatn.experiments.reproduce.section import Section, Table
from passatn.experiments.reproduce.words import setting_of
from passatn.report.reproduce_frontier import plot_levels

THRESHOLD = 0.3


def recipe(context: Context) -> dict[str, Any]:
    found = direct_recipe(context.scale, quick=context.quick)
    return Direct(context, found).inputs() | {"threshold": THRESHOLD}


def plan(context: Context) -> Plan:
    found = direct_recipe(context.scale, quick=context.quick)
    return direct_plan(context, found, (1, found.compared_n))


def section(context: Context) -> Section:
    found = direct_recipe(context.scale, quick=context.quick)
    stages, n = Direct(context, found), found.compared_n
    panels: dict[str, list[LevelWeights]] = {}
    sources: list[Path] = []
    for objective in (1, n):
        run = stages.run(objective)
        moments = quarters(run.moments)
        for moment in (moments[0], moments[-1]):
            results = stages.evaluate(run, moment)
            sources.append(stages.evaluation_file(run, moment))
            panels[f"{run.name}, {moment.label}"] = _weights(results, n)
    return Section(
        setting=setting_of(stages, ["cross-entropy", f"DCO-{n}"])
        + f" F({n}, p) of the test problems by level, 1 the easiest."
        + (" Levels: the functions by the pre-trained model's own success." if found.mini else ""),
        findings=[_finding(name, levels, n) for name, levels in panels.items()],
        tables=[_table(panels, n)],
        csv={"fig13.csv": _csv(panels)},
        pictures={"fig13.png": lambda path: plot_levels(path, panels, n, THRESHOLD)},
        numbers={name: [vars(level) for level in levels] for name, levels in panels.items()},
        sources=sources,
    )


def _weights(results: Results, n: int) -> list[LevelWeights]:
    log_p = results.column("log_p")
    assert log_p is not None
    levels = [problem.metadata.get("level") for problem in results.problems]
    return weights_by_level(log_p, levels, n, threshold=THRESHOLD)


def _finding(name: str, levels: list[LevelWeights], n: int) -> str:
    means = [level.mean for level in levels]
    rises = all(a <= b for a, b in pairwise(means))
    ends = f"{means[0]:.2f} on level {levels[0].level}, {means[-1]:.2f} on level {levels[-1].level}"
    verdict = "rises with difficulty throughout" if rises else "does not rise with difficulty at every level"
    return f"{name}: mean F({n}, p) is {ends}; it {verdict}."


def _table(panels: dict[str, list[LevelWeights]], n: int) -> Table:
    columns = ("", *(f"level {level.level}" for level in next(iter(panels.values()))))
    rows = tuple((name, *(f"{level.mean:.2f}" for level in levels)) for name, levels in panels.items())
    return Table(f"Mean F({n}, p).", columns, rows)


def _csv(panels: dict[str, list[LevelWeights]]) -> Table:
    columns = ("run", "level", "problems", "mean F", *(f"q{100 * q:g}" for q in QUANTILES), "share active")
    rows: tuple[tuple[Any, ...], ...] = tuple(
        (name, level.level, level.num_problems, level.mean, *level.quantiles, level.active)
        for name, levels in panels.items()
        for level in levels
    )
    return Table("", columns, rows)
