"""Tables 1, 4 and 5: exact test pass@N of cross-entropy as training goes on.

Table 1 is one model on problems like those it is trained on; table 4 a larger model; table 5 the models of table 1 on
problems of another kind.
"""

from collections.abc import Sequence
from typing import Any

from passatn.evaluate import Results
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.direct import Direct, TrainedRun, quarters
from passatn.experiments.reproduce.paper import TABLES
from passatn.experiments.reproduce.plans import Plan, direct_plan
from passatn.experiments.reproduce.recipes import DirectRecipe, direct_recipe
from passatn.experiments.reproduce.section import Section, Table
from passatn.experiments.reproduce.words import setting_of
from passatn.report.reproduce_plots import Line, plot_lines
from passatn.sample.models import load_tokenizer

SHOWN_NS = (1, 16, 256, 4096)


def recipe(context: Context) -> dict[str, Any]:
    stages, which = Direct(context, _recipe(context), large=context.name == "table4"), _problems(context)
    others = () if which == "test" else (which,)
    return stages.inputs(*others) | {"problems": which, "shown": list(SHOWN_NS)}


def plan(context: Context) -> Plan:
    return direct_plan(context, _recipe(context), (1,))


def section(context: Context) -> Section:
    stages = Direct(context, _recipe(context), large=context.name == "table4")
    which = _problems(context)
    if which != "test":  # which the training reads; of others it should not come to light after it
        stages.problems(which, load_tokenizer(str(stages.base)))
    run = stages.run(1)
    history, sources = _history(stages, run, which)
    epochs = [float(results.run["epoch"]) for results in history]
    values = {n: [results.pass_at_n[0].at(n) for results in history] for n in SHOWN_NS}
    shown = [moment.epoch for moment in quarters(run.moments)]
    rows = [(epoch, results) for epoch, results in zip(epochs, history, strict=True) if round(epoch, 2) in shown]
    columns = ("", *(f"pass@{n}" for n in SHOWN_NS))
    table = Table(
        f"Exact pass@N in percent [95 % interval over {len(history[0].problems)} problems], one seed.",
        columns,
        tuple((f"epoch {epoch:g}", *(_cell(results, n) for n in SHOWN_NS)) for epoch, results in rows),
    )
    return Section(
        setting=setting_of(stages, ["cross-entropy"], which),
        findings=[_finding(n, epochs, values[n]) for n in SHOWN_NS],
        tables=[table],
        csv={f"{context.name}.csv": _csv(epochs, history)},
        pictures={f"{context.name}.png": lambda path: _plot(path, context.name, epochs, values)},
        numbers={"epochs": epochs, "pass_at_n": {str(n): values[n] for n in SHOWN_NS}},
        sources=sources,
    )


def _recipe(context: Context) -> DirectRecipe:
    return direct_recipe(context.scale, large=context.name == "table4", quick=context.quick)


def _problems(context: Context) -> str:
    return "other" if context.name == "table5" else "test"


def _history(stages: Direct, run: TrainedRun, which: str) -> tuple[list[Results], Sequence[Any]]:
    """Evaluations in order of epochs: those taken in training, or, of other problems, of the checkpoints."""
    if which == "test":
        return run.history, run.directory.evaluation_files()
    found = [stages.evaluate(run, moment, which) for moment in run.moments]
    return found, [stages.evaluation_file(run, moment, which) for moment in run.moments]


def _cell(results: Results, n: int) -> str:
    curve = results.pass_at_n[0]
    at = curve.ns.index(n)
    return f"{100 * curve.estimate[at]:.1f} [{100 * curve.low[at]:.1f}, {100 * curve.high[at]:.1f}]"


def _finding(n: int, epochs: Sequence[float], values: Sequence[float]) -> str:
    best = max(range(len(values)), key=values.__getitem__)
    last = f"{100 * values[-1]:.1f} % after epoch {epochs[-1]:g}"
    if best == len(values) - 1:
        return f"pass@{n} is highest at the end of training: {last}."
    return f"pass@{n} is highest after epoch {epochs[best]:g}, {100 * values[best]:.1f} %, and {last}."


def _csv(epochs: Sequence[float], history: Sequence[Results]) -> Table:
    rows = [
        (epoch, n, curve.estimate[i], curve.low[i], curve.high[i], curve.source)
        for epoch, results in zip(epochs, history, strict=True)
        for curve in [results.pass_at_n[0]]
        for i, n in enumerate(curve.ns)
    ]
    return Table("", ("epoch", "N", "pass@N", "low", "high", "source"), tuple(rows))


def _plot(path: Any, name: str, epochs: Sequence[float], values: dict[int, list[float]]) -> Any:
    """Ours on the left, the paper's on the right, one line per N."""
    ours = [Line(f"pass@{n}", epochs, [100 * value for value in values[n]], n_passes=n) for n in SHOWN_NS]
    paper = TABLES[name]
    theirs = [
        Line(column, range(1, 5), [paper.at(f"epoch {e}", column) or 0.0 for e in range(1, 5)], n_passes=n)
        for column, n in zip(paper.columns, SHOWN_NS, strict=True)
    ]
    return plot_lines(path, {"ours": ours, f"the paper, {paper.source}": theirs}, xlabel="epoch", ylabel="pass@N")
