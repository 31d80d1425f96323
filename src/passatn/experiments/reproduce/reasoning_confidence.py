"""Figure 3: the probability of the most frequent final answer over training, and how often that answer is right.

(a) cross-entropy, (b) DCOa, (c) GRPO; (d) accuracy where each is surest. The probability sums over reasoning: it is the
share of samples that end in that answer.
"""

from collections.abc import Mapping
from typing import Any

from passatn.evaluate.most_confident import SHARES, MostConfident, most_confident
from passatn.experiments.reproduce import reasoning, reasoning_plan
from passatn.experiments.reproduce.arm_record import ArmRecord
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.plans import Plan
from passatn.experiments.reproduce.section import Section, Table
from passatn.report.reproduce_confidence import Confidences, plot_confidence_panels

PANELS = (("(a)", "ce"), ("(b)", "dcoa"), ("(c)", "grpo"))
TOP_SHARE = 0.2


def recipe(context: Context) -> dict[str, Any]:
    return reasoning.recipe(context) | {"shares": list(SHARES)}


def plan(context: Context) -> Plan:
    return reasoning_plan.plan(context)


def section(context: Context) -> Section:
    arms = reasoning.trained_arms(context)
    return Section(
        setting=reasoning.setting(context, arms)
        + " Confidence is the share of samples that end in the most frequent answer.",
        findings=[_finding(arms[kind]) for _, kind in PANELS],
        tables=[_table(arms)],
        csv={"fig3.csv": _csv(arms)},
        pictures={"fig3.png": lambda path: _plot(path, arms)},
        numbers={
            arm.name: [
                {"epoch": of["epoch"], "most_frequent": of["test_most_frequent"], "correct": of["test_num_correct"]}
                for of in arm.evaluations
            ]
            for arm in arms.values()
        },
        sources=[arm.file for arm in arms.values()],
    )


def _surest(arm: ArmRecord, evaluation: Mapping[str, Any]) -> list[MostConfident]:
    return most_confident(arm.confidence(evaluation), arm.is_correct(evaluation))


def _top(arm: ArmRecord, evaluation: Mapping[str, Any]) -> MostConfident:
    return next(entry for entry in _surest(arm, evaluation) if entry.share == TOP_SHARE)


def _finding(arm: ArmRecord) -> str:
    first, last = arm.evaluations[0], arm.evaluations[-1]
    top = _top(arm, last)
    return (
        f"{arm.name}: mean confidence {_pct(arm.confidence(first).mean())} after epoch {first['epoch']}, "
        f"{_pct(arm.confidence(last).mean())} after epoch {last['epoch']}, accuracy of the most frequent answer "
        f"{_pct(arm.is_correct(last).mean())}. Of the fifth of the problems on which it is surest (confidence "
        f"{_pct(top.mean_confidence)}), {_pct(top.accuracy)} are right ({top.num_correct} of {top.num_problems})."
    )


def _table(arms: Mapping[str, ArmRecord]) -> Table:
    rows = []
    for _, kind in PANELS:
        arm = arms[kind]
        for of in arm.evaluations:
            top = _top(arm, of)
            numbers = (arm.confidence(of).mean(), arm.is_correct(of).mean(), top.mean_confidence, top.accuracy)
            rows.append((f"{arm.name}, epoch {of['epoch']}", *(f"{100 * float(x):.1f}" for x in numbers)))
    columns = ("", "mean confidence", "accuracy", "confidence, surest fifth", "accuracy, surest fifth")
    return Table("Most frequent final answers, percent.", columns, tuple(rows))


def _csv(arms: Mapping[str, ArmRecord]) -> Table:
    rows = tuple(
        (arm.name, of["epoch"], index, float(confidence), int(correct))
        for arm in arms.values()
        for of in arm.evaluations
        for index, (confidence, correct) in enumerate(zip(arm.confidence(of), arm.is_correct(of), strict=True))
    )
    return Table("", ("run", "epoch", "problem", "confidence", "correct"), rows)


def _plot(path: Any, arms: Mapping[str, ArmRecord]) -> Any:
    def drawn(arm: ArmRecord, of: Mapping[str, Any], name: str) -> Confidences:
        return Confidences(name, arm.confidence(of).tolist(), arm.n_passes, _surest(arm, of))

    over_training = {
        f"{label} {arms[kind].name}": [drawn(arms[kind], of, f"epoch {of['epoch']}") for of in arms[kind].evaluations]
        for label, kind in PANELS
    }
    at_end = [drawn(arm, arm.evaluations[-1], arm.name) for arm in arms.values()]
    return plot_confidence_panels(
        path, over_training=over_training, surest=at_end, surest_title="(d) the surest answers"
    )


def _pct(value: Any) -> str:
    return f"{100 * float(value):.1f} %"
