"""Figure 12: is the answer of confidence rank i right less often the larger i is?

Distinct answers of a problem come from samples; each one's confidence is its exact probability under the model. An
answer of probability q is missing, because it was never sampled, with probability (1 − q)^samples.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passatn.evaluate.by_rank import RankCalibration, calibration_by_rank
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.direct import Direct, TrainedRun, quarters
from passatn.experiments.reproduce.plans import Plan, direct_plan
from passatn.experiments.reproduce.recipes import direct_recipe
from passatn.experiments.reproduce.runs import Moment
from passatn.experiments.reproduce.section import Section, Table
from passatn.experiments.reproduce.words import setting_of
from passatn.report.reproduce_plots import Line, plot_lines

MAX_PROBLEMS = 500


def recipe(context: Context) -> dict[str, Any]:
    found = direct_recipe(context.scale, quick=context.quick)
    return Direct(context, found).inputs() | {"max_problems": MAX_PROBLEMS}


def plan(context: Context) -> Plan:
    found = direct_recipe(context.scale, quick=context.quick)
    return direct_plan(context, found, (1, found.compared_n))


def section(context: Context) -> Section:
    found = direct_recipe(context.scale, quick=context.quick)
    stages = Direct(context, found)
    sources: list[Path] = []
    measured: dict[str, RankCalibration] = {}
    seen: dict[str, float] = {}
    for n in (1, found.compared_n):
        run = stages.run(n)
        moments = quarters(run.moments)
        for moment in [moments[0], moments[-1]] if n == 1 else moments[-1:]:
            file = rank_file(stages, run, moment)
            sources.append(file)
            name = f"{run.name}, {moment.label}"
            measured[name], seen[name] = _calibration(file, found.num_ranks)
    return Section(
        setting=setting_of(stages, ["cross-entropy", f"DCO-{found.compared_n}"])
        + f" {found.rank_samples} samples of each of at most {MAX_PROBLEMS} test problems; the distinct answers among "
        "them, and the greedy one, are ranked by their exact probability.",
        findings=[_finding(name, of, seen[name]) for name, of in measured.items()],
        tables=[_table(measured, found.num_ranks)],
        csv={"fig12.csv": _csv(measured)},
        pictures={"fig12.png": lambda path: _plot(path, measured)},
        numbers={name: of.to_dict() for name, of in measured.items()},
        sources=sources,
    )


def rank_file(stages: Direct, run: TrainedRun, moment: Moment) -> Path:
    """The ranked answers of one checkpoint: for each problem log-confidences, marks, and the probability seen."""
    settings = {"samples": stages.recipe.rank_samples, "max_problems": MAX_PROBLEMS, "seed": 0}

    def make(model: Any, tokenizer: Any) -> list[dict[str, Any]]:
        from passatn.experiments.reproduce.answers import ranked_answers

        problems = stages.problems("test", tokenizer)
        template = stages.recipe.settings["template"]
        return ranked_answers(model, tokenizer, problems, template, stages.recipe.rank_samples, limit=MAX_PROBLEMS)

    return stages.measure("ranks", run, moment, ["test"], settings, make)


def _calibration(file: Path, num_ranks: int) -> tuple[RankCalibration, float]:
    records = json.loads(file.read_text(encoding="utf-8"))
    found = calibration_by_rank([r["log_q"] for r in records], [r["correct"] for r in records], num_ranks)
    return found, sum(r["seen"] for r in records) / len(records)


def _finding(name: str, of: RankCalibration, seen: float) -> str:
    third = max(1, len(of.confidence) // 3)
    parts = []
    for which in (range(third), range(len(of.confidence) - third, len(of.confidence))):
        correct, asked = sum(of.num_correct[i] for i in which), sum(of.num_problems[i] for i in which)
        ranks = f"ranks {which[0] + 1} to {which[-1] + 1}" if third > 1 else f"rank {which[0] + 1}"
        parts.append(f"{ranks} {100 * correct / asked:.1f} % ({correct} of {asked})")
    return (
        f"{name}: right at {parts[0]}, at {parts[1]}. Rank 1 has a mean confidence of {100 * of.confidence[0]:.1f} % "
        f"and is right in {100 * of.accuracy[0]:.1f} %. The samples hold {100 * seen:.0f} % of the probability."
    )


def _table(measured: Mapping[str, RankCalibration], num_ranks: int) -> Table:
    rows: list[Any] = []
    for name, of in measured.items():
        padding = (None,) * (num_ranks - len(of.confidence))
        rows.append((f"{name}: confidence", *(f"{100 * q:.1f}" for q in of.confidence), *padding))
        rows.append((f"{name}: accuracy", *(f"{100 * a:.1f}" for a in of.accuracy), *padding))
    return Table("By confidence rank, percent.", ("", *(f"rank {i}" for i in range(1, num_ranks + 1))), tuple(rows))


def _csv(measured: Mapping[str, RankCalibration]) -> Table:
    rows = tuple(
        (name, i + 1, of.num_problems[i], of.num_correct[i], of.confidence[i], of.accuracy[i], *of.interval[i])
        for name, of in measured.items()
        for i in range(len(of.confidence))
    )
    return Table("", ("run", "rank", "problems", "correct", "confidence", "accuracy", "low", "high"), rows)


def _plot(path: Path, measured: Mapping[str, RankCalibration]) -> Path:
    panels = {}
    for name, of in measured.items():
        ranks = list(range(1, len(of.confidence) + 1))
        half = [50 * (high - low) for low, high in of.interval]
        panels[name] = [
            Line("accuracy, 95 % interval", ranks, [100 * a for a in of.accuracy], n_passes=256, error=half),
            Line("mean confidence", ranks, [100 * q for q in of.confidence], dash="--", marker="s"),
        ]
    return plot_lines(path, panels, xlabel="confidence rank of the answer", ylabel="")
