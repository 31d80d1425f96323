"""Figure 5: would a step on easy data still lower the test loss? By level of difficulty, over training.

The directional derivative of the test loss, the mean of −log C^N, along the cross-entropy gradient of training examples
of one level, unseen ones where the run leaves any; exact, by dot products of gradients (`evaluate/influence.py`).
Negative: a step helps.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from passatn.evaluate.influence import Influence, influences
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.direct import Direct, TrainedRun
from passatn.experiments.reproduce.plans import Plan, direct_plan
from passatn.experiments.reproduce.recipes import direct_recipe
from passatn.experiments.reproduce.runs import Moment
from passatn.experiments.reproduce.section import Section, Table
from passatn.experiments.reproduce.words import setting_of
from passatn.report.reproduce_plots import Line, plot_lines
from passatn.report.theme import RAMP
from passatn.tasks import EncodedExample

DERIVATIVE = "change of the test loss per unit step"
COSINE = "cosine to the steepest descent"
Levels = Mapping[str, Influence]


def recipe(context: Context) -> dict[str, Any]:
    return Direct(context, direct_recipe(context.scale, quick=context.quick)).inputs()


def plan(context: Context) -> Plan:
    return direct_plan(context, direct_recipe(context.scale, quick=context.quick), (1,))


def section(context: Context) -> Section:
    found = direct_recipe(context.scale, quick=context.quick)
    stages, n = Direct(context, found), found.compared_n
    run = stages.run(1)
    moments = [Moment(0.0, run.base), *run.moments]
    files = [_measure(stages, run, moment, n) for moment in moments]
    stored = [_read(file) for file in files]
    measured = [(moment.epoch, levels) for moment, (levels, _) in zip(moments, stored, strict=True)]
    return Section(
        setting=setting_of(stages, ["cross-entropy"])
        + f" Test loss: the mean of −log C^{n}. Along the gradient of up to {found.probes_per_level} training examples "
        "of each level" + (" that were not trained on." if stored[0][1] else ", which the run has trained on."),
        findings=_findings(measured),
        tables=[_table(measured)],
        csv={"fig5.csv": _csv(measured)},
        pictures={"fig5.png": lambda path: _plot(path, measured, n)},
        numbers={f"epoch {e:g}": {level: vars(of) for level, of in levels.items()} for e, levels in measured},
        sources=files,
    )


def _measure(stages: Direct, run: TrainedRun, moment: Moment, n: int) -> Path:
    settings = {"n": n, "probes_per_level": stages.recipe.probes_per_level}

    def make(model: Any, tokenizer: Any) -> dict[str, Any]:
        test = stages.problems("test", tokenizer).answers
        probes, is_unseen = _probes(stages, tokenizer)
        found = influences(model, test, probes, n)
        return {"is_unseen": is_unseen, "levels": {level: vars(of) for level, of in found.items()}}

    return stages.measure("influence", run, moment, ["test", "probe"], settings, make)


def _probes(stages: Direct, tokenizer: Any) -> tuple[dict[str, list[EncodedExample]], bool]:
    """Training examples by level, easiest first, and whether the run has left them out; it takes the first ones."""
    encoded = stages.problems("probe", tokenizer)
    pairs = list(zip(encoded.problems, encoded.answers, strict=True))
    trained_on = 0 if stages.recipe.mini is not None else stages.recipe.settings.get("limit") or len(pairs)
    rest = pairs[trained_on:]
    by_level: dict[int, list[EncodedExample]] = {}
    for problem, answers in rest or pairs:
        level = problem.metadata.get("level")
        if level is not None and len(by_level.setdefault(level, [])) < stages.recipe.probes_per_level:
            by_level[level].append(answers[0])
    return {f"level {level}": by_level[level] for level in sorted(by_level)}, bool(rest)


def _read(file: Path) -> tuple[dict[str, Influence], bool]:
    stored = json.loads(file.read_text(encoding="utf-8"))
    levels = {
        level: Influence(tuple(of["part_sizes"]), tuple(of["part_dots"]), of["norm"], of["test_norm"])
        for level, of in stored["levels"].items()
    }
    return levels, stored["is_unseen"]


def _findings(measured: Sequence[tuple[float, Levels]]) -> list[str]:
    """Where the derivative is beyond its error, level by level."""
    lines = []
    for level in measured[0][1]:
        signs = {epoch: _sign(levels[level]) for epoch, levels in measured}
        parts = [f"{words} at {_epochs(signs, sign)}" for words, sign in _SIGNS if sign in signs.values()]
        lines.append(f"A step on {level}: {'; '.join(parts)}.")
    return lines


_SIGNS = (("lowers the test loss", -1), ("raises it", 1), ("within two standard errors of nothing", 0))


def _sign(of: Influence) -> int:
    """Of the derivative, 0 where it is within 1.96 standard errors."""
    away = abs(of.derivative) > _error(of)
    return 0 if not away else 1 if of.derivative > 0 else -1


def _error(of: Influence) -> float:
    return 1.96 * (of.standard_error or 0.0)


def _epochs(signs: Mapping[float, int], sign: int) -> str:
    found = [f"{epoch:g}" for epoch, of in signs.items() if of == sign]
    return f"epoch{'s' if len(found) > 1 else ''} {', '.join(found)}"


def _table(measured: Sequence[tuple[float, Levels]]) -> Table:
    rows = tuple(
        (
            f"epoch {epoch:g}",
            *(f"{of.derivative:+.3f} ± {_error(of):.3f}" for of in levels.values()),
        )
        for epoch, levels in measured
    )
    caption = "Derivative of the test loss per unit length of a step down the level's loss, ± 1.96 standard errors."
    return Table(caption, ("", *measured[0][1]), rows)


def _csv(measured: Sequence[tuple[float, Levels]]) -> Table:
    columns = ("epoch", "level", "examples", "derivative", "standard error", "cosine", "norm", "norm of test gradient")
    rows = tuple(
        (epoch, level, sum(of.part_sizes), of.derivative, of.standard_error, of.cosine, of.norm, of.test_norm)
        for epoch, levels in measured
        for level, of in levels.items()
    )
    return Table("", columns, rows)


def _plot(path: Path, measured: Sequence[tuple[float, Levels]], n: int) -> Path:
    """The derivative, and the cosine of the angle between the two gradients, level by level over training."""
    epochs = [epoch for epoch, _ in measured]
    panels: dict[str, list[Line]] = {DERIVATIVE: [], COSINE: []}
    for level, color in zip(measured[0][1], RAMP, strict=False):
        of = [levels[level] for _, levels in measured]
        error = [_error(one) for one in of]
        panels[DERIVATIVE].append(Line(level, epochs, [one.derivative for one in of], color=color, error=error))
        panels[COSINE].append(Line(level, epochs, [one.cosine for one in of], color=color))
    return plot_lines(
        path,
        panels,
        xlabel="epoch",
        ylabel=f"test loss: −log C^{n}",
        percent=False,
        zero_line=True,
        share_y=False,
        symlog=(DERIVATIVE,),
    )
