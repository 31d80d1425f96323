"""What the runs of `mini_reasoning` came to: a table, one picture, and the raw counts in one file.

    python -m passatn.experiments.mini_reasoning_report runs/mini-reasoning docs/results/mini-reasoning

Numbers are means over seeds of pass@N on the test chains, unbiased from samples. "Best epoch" is chosen per N and seed
on the validation chains, the same way for every arm.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passatn.coverage import pass_at_n
from passatn.evaluate import write_atomically
from passatn.experiments.mini_reasoning import RATE_MARK
from passatn.experiments.seed_tables import difference_cells, markdown, spread_cells
from passatn.report.curve import Kind, TrainingHistory
from passatn.report.plots import draw_over_training, save_png, themed_figure
from passatn.report.theme import line_styles

NS = (1, 16, 64, 128)
KINDS: Mapping[str, Kind] = {"ce": "ce", "dcoa": "dco", "grpo": "other"}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ArmResults:
    """One arm over its seeds."""

    name: str
    kind: str
    n_passes: float
    records: tuple[Mapping[str, Any], ...]
    """The stored files, one per seed."""

    @property
    def epochs(self) -> list[int]:
        return [evaluation["epoch"] for evaluation in self.records[0]["evaluations"]]

    def pass_at_n(self, split: str) -> Array:
        """`[seeds, epochs, len(NS)]`."""
        return np.array(
            [
                [
                    _curve(evaluation[f"{split}_num_correct"], _num_samples(record))
                    for evaluation in record["evaluations"]
                ]
                for record in self.records
            ]
        )

    @property
    def last(self) -> Array:
        """`[seeds, len(NS)]` on test after the last epoch."""
        return np.asarray(self.pass_at_n("test")[:, -1])

    @property
    def best(self) -> Array:
        """`[seeds, len(NS)]` on test at the epoch that is best on validation, per seed and N."""
        chosen = self.pass_at_n("validation").argmax(axis=1)
        return np.asarray(np.take_along_axis(self.pass_at_n("test"), chosen[:, None], axis=1)[:, 0])

    @property
    def max_confidence(self) -> Array:
        """`[seeds · problems]` share of the most frequent final answer, on test after the last epoch."""
        return np.concatenate(
            [
                np.array(record["evaluations"][-1]["test_most_frequent"]) / _num_samples(record)
                for record in self.records
            ]
        )

    def logged(self, key: str) -> float | None:
        """The sum of a logged number over all steps, mean over seeds; None where it was not logged."""
        sums = []
        for record in self.records:
            every = record["log"][0].get("step", 1) if record["log"] else 1
            values = [entry[key] for entry in record["log"] if key in entry]
            if not values:
                return None
            sums.append(every * sum(values))
        return float(np.mean(sums))


def read_arms(folder: Path) -> list[ArmResults]:
    """Every arm that has results in the folder, cross-entropy first."""
    records = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*-seed*.json"))]
    by_name: dict[str, list[Any]] = {}
    for record in records:
        by_name.setdefault(record["arm"]["name"], []).append(record)
    arms = [
        ArmResults(name, of[0]["arm"]["kind"], of[0]["arm"]["options"].get("n_passes", 1.0), tuple(of))
        for name, of in by_name.items()
    ]
    return sorted(arms, key=lambda arm: (list(KINDS).index(arm.kind), len(arm.name), arm.name))


def tuned_arms(arms: Sequence[ArmResults]) -> list[ArmResults]:
    """Each arm that was run at several learning rates, with the epochs of all of them to choose from."""
    tuned = []
    for arm in arms:
        others = [other for other in arms if other.name.startswith(arm.name + RATE_MARK)]
        if others:
            seeds = min(len(other.records) for other in [arm, *others])
            records = tuple(
                {**arm.records[k], "evaluations": [e for one in [arm, *others] for e in one.records[k]["evaluations"]]}
                for k in range(seeds)
            )
            tuned.append(ArmResults(f"{arm.name}, rate and epoch", arm.kind, arm.n_passes, records))
    return tuned


def table(arms: Sequence[ArmResults]) -> str:
    """Markdown: pass@N after the last epoch and at the best one, mean ± standard deviation over seeds."""
    head = ["arm", "seeds", "epoch", *(f"pass@{n}" for n in NS), "max. confidence", "roll-outs", "minutes"]
    rows = [head]
    for arm in arms:
        drawn = arm.logged("rollouts_drawn")
        rollouts = "–" if drawn is None else f"{drawn / 1000:,.0f} k"
        minutes = f"{np.mean([record['seconds'] for record in arm.records]) / 60:.1f}"
        confidence = f"{100 * arm.max_confidence.mean():.0f} %"
        seeds = str(len(arm.records))
        rows.append(
            [arm.name, seeds, f"last ({arm.epochs[-1]})", *spread_cells(arm.last), confidence, rollouts, minutes]
        )
        rows.append(["", "", "best on validation", *spread_cells(arm.best), "", "", ""])
    for arm in tuned_arms(arms):
        rows.append([arm.name, str(len(arm.records)), "best on validation", *spread_cells(arm.best), "", "", ""])
    return markdown(rows)


def differences(arms: Sequence[ArmResults]) -> str:
    """Markdown: each arm minus the first, paired over problems (means over the seeds both have), 95 % intervals."""
    base, rows = arms[0], [["minus " + arms[0].name, "epoch", *(f"pass@{n}" for n in NS)]]
    for arm in arms[1:]:
        for label, of in (("last", _last_values), ("best on validation", _best_values)):
            rows.append([arm.name, label, *_difference(of(arm), of(base))])
    for base, *others in [tuned_arms(arms)] if tuned_arms(arms) else []:
        for arm in others:
            rows.append([f"{arm.name} (minus {base.name})", "best on validation"])
            rows[-1] += _difference(_best_values(arm), _best_values(base))
    return markdown(rows)


def _difference(values: Array, base: Array) -> list[str]:
    """`[seeds, problems, len(NS)]` each, over the seeds both have."""
    seeds = min(len(values), len(base))
    return difference_cells(values[:seeds] - base[:seeds])


def _last_values(arm: ArmResults) -> Array:
    """`[seeds, problems, len(NS)]` on test after the last epoch."""
    return np.stack([_values(record["evaluations"][-1], record) for record in arm.records])


def _best_values(arm: ArmResults) -> Array:
    """`[seeds, problems, len(NS)]` on test at the epoch that is best on validation, per seed and N."""
    chosen = arm.pass_at_n("validation").argmax(axis=1)
    by_seed = [
        np.stack([_values(record["evaluations"][e], record)[:, k] for k, e in enumerate(epochs)], axis=1)
        for record, epochs in zip(arm.records, chosen, strict=True)
    ]
    return np.stack(by_seed)


def _values(evaluation: Mapping[str, Any], record: Mapping[str, Any]) -> Array:
    """`[problems, len(NS)]` on test."""
    correct = np.asarray(evaluation["test_num_correct"])
    return np.asarray(pass_at_n(_num_samples(record), correct[:, None], np.array(NS)))


def plot(arms: Sequence[ArmResults], path: Path) -> Path:
    """pass@1, pass@16 and pass@128 over training, and the maximum confidence at the end (the paper's figure 3)."""
    shown = [arm for arm in arms if "," not in arm.name]
    histories = [
        TrainingHistory(
            arm.name, arm.epochs, NS, arm.pass_at_n("test").mean(axis=0).tolist(), KINDS[arm.kind], arm.n_passes
        )
        for arm in shown
    ]
    with themed_figure(width=11.5, height=3.6) as figure:
        panels = figure.subplots(1, 4)
        for axes, n in zip(panels, (1, 16, 128), strict=False):
            draw_over_training(axes, histories, n, unit="epoch", legend=False)
        edges = np.linspace(0, 1, 11)
        for arm, style in zip(shown, line_styles(histories), strict=True):
            shares = 100 * np.histogram(arm.max_confidence, edges)[0] / len(arm.max_confidence)
            panels[3].stairs(shares, 100 * edges, color=style.color, linewidth=1.8, label=arm.name)
        panels[3].set_xlabel("max. confidence (%)")
        panels[3].set_ylabel("share of problems (%)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), handlelength=2.6)
        return save_png(figure, path)


def _curve(num_correct: Sequence[int], num_samples: int) -> Array:
    return np.asarray(pass_at_n(num_samples, np.asarray(num_correct)[:, None], np.array(NS)).mean(axis=0))


def _num_samples(record: Mapping[str, Any]) -> int:
    return int(record["settings"]["num_samples"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the folder of mini_reasoning")
    parser.add_argument("output", type=Path, help="where to write: OUTPUT.json and OUTPUT.png; the tables go to stdout")
    args = parser.parse_args()
    arms = read_arms(args.runs)
    if not arms:
        parser.error(f"{args.runs}: no results there")
    raw = {arm.name: [{k: v for k, v in r.items() if k != "log"} for r in arm.records] for arm in arms}
    write_atomically(args.output.with_suffix(".json"), json.dumps(raw, separators=(",", ":")).encode())
    plot(arms, args.output.with_suffix(".png"))
    print(table(arms))
    print(differences(arms))


if __name__ == "__main__":
    main()
