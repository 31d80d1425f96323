"""Table 3: pass@N with reasoning, of cross-entropy, GRPO and DCOa at three times of training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from passatn.evaluate import pass_at_n_from_counts
from passatn.experiments.reproduce import reasoning, reasoning_plan
from passatn.experiments.reproduce.arm_record import ArmRecord
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.plans import Plan
from passatn.experiments.reproduce.reasoning_arms import NS
from passatn.experiments.reproduce.section import Section, Table
from passatn.report.reproduce_plots import Line, plot_lines
from passatn.report.theme import OTHERS

ORDER = ("ce", "grpo", "dcoa")


def recipe(context: Context) -> dict[str, Any]:
    return reasoning.recipe(context)


def plan(context: Context) -> Plan:
    return reasoning_plan.plan(context)


def section(context: Context) -> Section:
    arms = reasoning.trained_arms(context)
    epochs = shown_epochs(arms)
    return Section(
        setting=reasoning.setting(context, arms),
        findings=_findings(arms),
        tables=[_table(arms, epochs)],
        csv={"table3.csv": _csv(arms)},
        pictures={"table3.png": lambda path: _plot(path, arms)},
        numbers={
            arm.name: [
                {"epoch": of["epoch"], "num_samples": arm.num_samples, "num_correct": of["test_num_correct"]}
                for of in arm.evaluations
            ]
            for arm in arms.values()
        },
        sources=[arm.file for arm in arms.values()],
        missing=[line for kind in ORDER for line in _missing(arms[kind], epochs)],
    )


def shown_epochs(arms: Mapping[str, ArmRecord]) -> list[int]:
    """The first, the middle and the last evaluation, as the paper shows epochs 1, 3 and 5."""
    epochs = [evaluation["epoch"] for evaluation in arms["ce"].evaluations]
    return list(dict.fromkeys([epochs[0], epochs[len(epochs) // 2], epochs[-1]]))


def _own_epochs(arms: Mapping[str, ArmRecord]) -> list[float]:
    """Epochs at which an arm was evaluated and cross-entropy was not: GRPO's passes over the data are not whole."""
    whole = {of["epoch"] for of in arms["ce"].evaluations}
    return [of["epoch"] for arm in arms.values() for of in arm.evaluations if of["epoch"] not in whole]


def _table(arms: Mapping[str, ArmRecord], epochs: list[int]) -> Table:
    rows: list[Any] = []
    for epoch in sorted({*epochs, *_own_epochs(arms)}):
        for kind in ORDER:
            found = [of for of in arms[kind].evaluations if of["epoch"] == epoch]
            if not found:
                continue
            counts, samples = np.array(found[0]["test_num_correct"]), arms[kind].num_samples
            curve = pass_at_n_from_counts(np.full(len(counts), samples), counts, NS)
            cells = [
                f"{100 * e:.1f} [{100 * a:.1f}, {100 * b:.1f}]"
                for e, a, b in zip(curve.estimate, curve.low, curve.high, strict=True)
            ]
            rows.append((f"{arms[kind].name}, epoch {epoch}", *cells))
    caption = "Unbiased pass@N from samples, percent [95 % interval over problems], one seed."
    return Table(caption, ("", *(f"pass@{n}" for n in NS)), tuple(rows))


def _missing(arm: ArmRecord, epochs: list[int]) -> list[str]:
    """A line if the arm was not evaluated at some of the epochs."""
    there = [of["epoch"] for of in arm.evaluations]
    lacking = [epoch for epoch in epochs if epoch not in there]
    if not lacking:
        return []
    if arm.kind == "grpo" and lacking[0] == arm.record["settings"]["warm_epochs"]:
        return [f"{arm.name} at epoch {lacking[0]}: that is where it starts here."]
    where, instead = (", ".join(map(str, numbers)) for numbers in (lacking, there))
    return [f"{arm.name} at epoch {where}: it was evaluated at epoch {instead}."]


def _findings(arms: Mapping[str, ArmRecord]) -> list[str]:
    lines = []
    last = arms["ce"].evaluations[-1]["epoch"]
    for n in NS:
        values = {}
        for arm in (arms[kind] for kind in ORDER):
            epoch = arm.evaluations[-1]["epoch"]
            name = arm.name if epoch == last else f"{arm.name} (epoch {epoch})"
            values[name] = arm.pass_at_n(arm.evaluations[-1], n)
        ordered = sorted(values, key=lambda name: -values[name])
        parts = ", ".join(f"{name} {100 * values[name]:.1f} %" for name in ordered)
        lines.append(f"pass@{n} after epoch {last}, the highest first: {parts}.")
    return lines


def _csv(arms: Mapping[str, ArmRecord]) -> Table:
    rows = tuple(
        (arm.name, of["epoch"], of["step"], n, arm.pass_at_n(of, n))
        for arm in arms.values()
        for of in arm.evaluations
        for n in NS
    )
    return Table("", ("run", "epoch", "step", "N", "pass@N"), rows)


def _plot(path: Any, arms: Mapping[str, ArmRecord]) -> Any:
    panels = {
        f"pass@{n}": [
            Line(
                arm.name,
                [of["epoch"] for of in arm.evaluations],
                [100 * arm.pass_at_n(of, n) for of in arm.evaluations],
                n_passes=arm.n_passes or 1.0,
                color=OTHERS[0] if arm.n_passes is None else None,
            )
            for arm in arms.values()
        ]
        for n in NS
    }
    return plot_lines(path, panels, xlabel="epoch", ylabel="", share_y=False)
