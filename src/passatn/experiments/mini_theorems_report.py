"""What the runs of `mini_theorems` came to: tables, a picture, and the raw counts in one file.

    python -m passatn.experiments.mini_theorems_report runs/mini-theorems docs/results/mini-theorems

Numbers are means over seeds of pass@N on the test theorems, unbiased from counts of roll-outs that ended in a checked
proof. "Best epoch" is chosen per seed on the validation theorems, the same way for every arm. The ensemble takes N
samples from each of the five models, and is held against one model with 5N (arXiv 2502.07154, table 2).
"""

import argparse
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passatn.coverage import BudgetSplit, pass_at_n, split_budget
from passatn.evaluate import write_atomically
from passatn.experiments.mini_theorems import ARMS, NS
from passatn.experiments.seed_tables import difference_cells, markdown, spread_cells
from passatn.prove.analysis import FoundBy, by_known_length, cost, ends, found_by
from passatn.prove.ensemble import Ensemble
from passatn.prove.record_files import read_records
from passatn.prove.records import SearchRecord, merge
from passatn.prove.width import Interval, width
from passatn.report import Curve
from passatn.report.plots import draw_pass_at_n, save_png, themed_figure

Array = NDArray[np.float64]
Records = Sequence[SearchRecord]
STEPWISE = tuple(arm.name for arm in ARMS if arm.options.get("confidence") != "proof")
"""The models of the ensemble."""
_SHOWN = 12
"""Theorems that are named for each arm."""


@dataclass(frozen=True)
class ArmRuns:
    """One arm, its seeds side by side: merged records of the test theorems after the last and the best epoch."""

    name: str
    seeds: tuple[int, ...]
    last: tuple[Records, ...]
    best: tuple[Records, ...]
    last_epochs: tuple[int, ...]
    best_epochs: tuple[int, ...]
    last_validation: tuple[Records, ...] = ()
    """Of the validation theorems, by the same models; empty where a seed was not searched there."""
    best_validation: tuple[Records, ...] = ()


Chosen = Callable[[ArmRuns], Mapping[int, Records]]
"""Merged records by seed: those after the last epoch, or the best."""


def read_runs(folder: Path) -> list[ArmRuns]:
    """Every arm that is finished, in the order of `ARMS`."""
    stored = [(path.parent, json.loads(path.read_text())) for path in sorted(folder.glob("arms/*/arm.json"))]
    runs = []
    for arm in ARMS:
        found = sorted(((of["seed"], path, of) for path, of in stored if of["arm"] == arm.name), key=lambda x: x[0])
        if found:
            runs.append(
                ArmRuns(
                    arm.name,
                    tuple(seed for seed, _, _ in found),
                    tuple(_records(path / f"test-{of['last']}") for _, path, of in found),
                    tuple(_records(path / f"test-{of['best']}") for _, path, of in found),
                    tuple(of["last"] for _, _, of in found),
                    tuple(of["best"] for _, _, of in found),
                    tuple(_records(path / f"validation-{of['last']}") for _, path, of in found),
                    tuple(_records(path / f"validation-{of['best']}") for _, path, of in found),
                )
            )
    return runs


def values(records: Records, ns: Sequence[int]) -> Array:
    """`[theorems, len(ns)]` unbiased pass@N."""
    samples = np.array([record.num_samples for record in records])[:, None]
    correct = np.array([record.num_correct for record in records])[:, None]
    return np.asarray(pass_at_n(samples, correct, np.array(ns)[None, :]))


def main_table(runs: Sequence[ArmRuns], ns: Sequence[int]) -> str:
    """pass@N after the last epoch and after the best one; then the ensembles of equal seeds."""
    rows = [["arm", "seeds", "epoch", *(f"pass@{n}" for n in ns)]]
    for run in runs:
        rows.append([run.name, str(len(run.seeds)), f"last ({_span(run.last_epochs)})", *_cells(run.last, ns)])
        rows.append(["", "", f"best ({_span(run.best_epochs)})", *_cells(run.best, ns)])
    for label, chosen in (("last", _last), ("best", _best)):
        together = _ensembles(runs, chosen)
        known = [n for n in ns if together and n <= _fewest_of(together)]
        if known:
            even = [np.column_stack([one.covered([n] * len(one.names)) for n in known]) for one in together]
            blank = [""] * (len(ns) - len(known))
            rows.append(
                [
                    "ensemble, N from each",
                    str(len(even)),
                    label,
                    *spread_cells([of.mean(axis=0) for of in even]),
                    *blank,
                ]
            )
    return markdown(rows)


def large_table(runs: Sequence[ArmRuns], ns: Sequence[int]) -> str:
    """Of the seeds that were searched further: each model, and the ensemble beside 5N of one model."""
    rows = [["more samples", "seed", "epoch", *(f"pass@{n}" for n in ns)]]
    for seed in sorted({seed for run in runs for seed in run.seeds}):
        there = [_of_seed(run, seed) for run in runs if seed in run.seeds]
        for label, chosen in (("last", _last), ("best", _best)):
            searched = [run for run in there if _fewest(chosen(run)[seed]) >= max(ns)]
            for run in searched:
                epoch = (run.last_epochs if label == "last" else run.best_epochs)[0]
                rows.append([run.name, str(seed), f"{label} ({epoch})", *_cells([chosen(run)[seed]], ns)])
            if searched:
                rows += _equal_budget(there, seed, label, chosen, ns)
    return markdown(rows) if len(rows) > 1 else ""


def _equal_budget(runs: Sequence[ArmRuns], seed: int, label: str, chosen: Chosen, ns: Sequence[int]) -> list[list[str]]:
    """N samples from each model of the ensemble, then each of them alone with as many in all, where it has them."""
    rows, size = [], len(STEPWISE)
    for together in _ensembles(runs, chosen):
        known = [n for n in ns if n <= together.num_samples.min()]
        found = {"ensemble, N from each": [together.covered([n] * size) for n in known]}
        for name, samples, correct in zip(together.names, together.num_samples, together.num_correct, strict=True):
            enough = [n for n in known if size * n <= samples.min()]
            found[f"{name}, 5N samples"] = [np.asarray(pass_at_n(samples, correct, size * n)) for n in enough]
        for name, by_n in found.items():
            cells = [f"{100 * of.mean():.1f}" for of in by_n]
            rows.append([name, str(seed), label, *cells, *[""] * (len(ns) - len(cells))])
    return rows


def plot(runs: Sequence[ArmRuns], ns: Sequence[int], path: Path) -> Path:
    """pass@N after the last epoch and after the best one, means over seeds; the ensemble with N from each."""
    with themed_figure(width=11.0, height=4.4) as figure:
        for axes, (title, chosen) in zip(
            figure.subplots(1, 2, sharey=True), {"last epoch": _last, "best epoch on validation": _best}.items(),
            strict=True,
        ):  # fmt: skip
            curves = [_curve(run, chosen(run).values(), ns) for run in runs]
            if together := _ensembles(runs, chosen):
                even = np.mean([[one.covered([n] * len(one.names)).mean() for n in ns] for one in together], axis=0)
                curves.append(Curve("ensemble, N from each, 5N in all", ns, even.tolist(), kind="baseline"))
            draw_pass_at_n(axes, curves, title=title)
        return save_png(figure, path)


def _curve(run: ArmRuns, by_seed: Iterable[Records], ns: Sequence[int]) -> Curve:
    mean = np.mean([values(records, ns).mean(axis=0) for records in by_seed], axis=0).tolist()
    if run.name == "CE":
        return Curve(run.name, ns, mean, kind="ce", n_passes=1)
    if run.name in STEPWISE:
        return Curve(run.name, ns, mean, kind="dco", n_passes=float(run.name.split("= ")[1]))
    return Curve(run.name, ns, mean, kind="other")


def splits(runs: Sequence[ArmRuns], ns: Sequence[int]) -> str:
    """5N samples in all: N from each model, the split that is best on validation, or the one model that is best there.

    Choices rest on the rates of success among the few roll-outs of the validation theorems; numbers are of the test
    theorems, means over seeds. A cell is empty where a model has fewer roll-outs than its share.
    """
    rows, notes = [["5N samples in all", "epoch", *(f"N = {n}" for n in ns)]], []
    for label, chosen, validation in (("last", _last, _last_validation), ("best", _best, _best_validation)):
        test, known = _ensembles(runs, chosen), _ensembles(runs, validation)
        if not test or len(test) != len(known):
            continue
        by_total = [[split_budget(one.num_correct / one.num_samples, len(STEPWISE) * n) for one in known] for n in ns]
        for name, split_of in _SPLITS.items():
            by_n = [[_covered(one, split_of(by)) for one, by in zip(test, of, strict=True)] for of in by_total]
            cells = [spread_cells(np.array(by_seed)[:, None])[0] if None not in by_seed else "" for by_seed in by_n]
            rows.append([name, label, *cells])
        for by in (
            of for n, of in zip(ns, by_total, strict=True) if n <= _fewest_of(known)
        ):  # for more, most splits look perfect
            shares = np.mean([one.whole / one.whole.sum() for one in by], axis=0)
            parts = ", ".join(f"{name} {100 * share:.0f} %" for name, share in zip(test[0].names, shares, strict=True))
            notes.append(f"- split of {by[0].whole.sum():,} samples, {label} epoch, mean over seeds: {parts}\n")
    return markdown(rows) + "\n" + "".join(notes) if notes else ""


_SPLITS: dict[str, Callable[[BudgetSplit], NDArray[np.int64]]] = {
    "N from each": lambda by: np.full(len(by.whole), by.whole.sum() // len(by.whole)),
    "split chosen on validation": lambda by: by.whole,
    "one model chosen on validation": lambda by: by.whole.sum() * np.eye(len(by.whole), dtype=np.int64)[by.best_single],
}


def _covered(ensemble: Ensemble, split: NDArray[np.int64]) -> float | None:
    """None where a model has fewer roll-outs of a theorem than its share."""
    if (split > ensemble.num_samples.min(axis=1)).any():
        return None
    return float(ensemble.covered(split.tolist()).mean())


def _of_seed(run: ArmRuns, seed: int) -> ArmRuns:
    last, best = (_last(run)[seed],), (_best(run)[seed],)
    at = run.seeds.index(seed)
    return ArmRuns(run.name, (seed,), last, best, (run.last_epochs[at],), (run.best_epochs[at],))


def _fewest(records: Records) -> int:
    return min(record.num_samples for record in records)


def differences(runs: Sequence[ArmRuns], ns: Sequence[int]) -> str:
    """Each arm minus the first, paired over theorems, mean over seeds."""
    base, rows = runs[0], [[f"minus {runs[0].name}", "epoch", *(f"pass@{n}" for n in ns)]]
    for run in runs[1:]:
        for label, chosen in (("last", _last), ("best", _best)):
            pairs = [(chosen(run)[seed], chosen(base)[seed]) for seed in chosen(run) if seed in chosen(base)]
            rows.append([run.name, label, *difference_cells([values(a, ns) - values(b, ns) for a, b in pairs])])
    return markdown(rows)


def ensemble_differences(runs: Sequence[ArmRuns], ns: Sequence[int]) -> str:
    """The ensemble with N samples of each model, minus 5N samples of one model or of the seeds of one arm."""
    rows = [["ensemble, N from each, minus", "epoch", *(f"N = {n}" for n in ns)]]
    for label, chosen in (("last", _last), ("best", _best)):
        for name in STEPWISE:
            rows += _against_single(runs, name, label, chosen, ns)
        for run in runs:
            rows += _against_seeds(runs, run, label, chosen, ns)
    return markdown(rows) if len(rows) > 1 else ""


def widths(runs: Sequence[ArmRuns]) -> str:
    """Does N_eff predict the width of the search? Means over seeds, and the first seed's interval over theorems.

    Seeds are not pooled for the interval: a theorem's records of several seeds are no theorems of their own.
    """
    rows = [
        [
            "arm (last epoch)",
            "equivalent width of first states",
            "first seed alone [95 % over theorems]",
            "tactics per step of found proofs",
            "valid draws",
        ]
    ]
    for run in runs:
        by_seed = [width(records) for records in run.last]
        found = [one for one in by_seed if one is not None]
        valid = [_share_valid(records) for records in run.last]
        first = [one.equivalent.estimate for one in found]
        steps = [one.tactics_per_step.estimate for one in found if one.tactics_per_step is not None]
        alone = "–" if by_seed[0] is None else _interval(by_seed[0].equivalent)
        rows.append([run.name, _mean(first), alone, _mean(steps), f"{100 * np.mean(valid):.0f} %"])
    return markdown(rows)


def _share_valid(records: Records) -> float:
    """Of the tactics drawn."""
    counts = [counts for record in records for counts in record.depths]
    return sum(one.num_valid_drawn for one in counts) / max(1, sum(one.num_drawn for one in counts))


def lengths(runs: Sequence[ArmRuns], n: int) -> str:
    """pass@n by the length of the known proof, last epoch, mean over seeds."""
    groups = by_known_length(runs[0].last[0], [n])
    rows = [[f"pass@{n}, known proof", "theorems", *(run.name for run in runs)]]
    for number, group in enumerate(groups):
        cells = []
        for run in runs:
            covered = [by_known_length(records, [n])[number].coverage[0] for records in run.last]
            cells.append(f"{100 * np.mean(covered):.0f}")
        rows.append([f"{group.label} tactics", str(group.num_theorems), *cells])
    return markdown(rows)


def families(runs: Sequence[ArmRuns], n: int) -> str:
    """pass@n by family of theorems, last epoch, mean over seeds."""
    of = [record.theorem.rsplit("_", 1)[0] for record in runs[0].last[0]]
    rows = [[f"pass@{n}, family", "theorems", *(run.name for run in runs)]]
    for family in sorted(set(of)):
        chosen = np.array([name == family for name in of])
        covered = [np.mean([values(records, [n])[chosen, 0] for records in run.last]) for run in runs]
        rows.append([family, str(chosen.sum()), *(f"{100 * mean:.0f}" for mean in covered)])
    return markdown(rows)


def who_finds(runs: Sequence[ArmRuns]) -> str:
    """Theorems found by each arm (first seed, last epoch), those that no other arm found, and all together.

    Below the table the names of those that one arm alone found.
    """
    found = found_by([run.last[0] for run in runs])
    rows = [["arm", "theorems found", "found by it alone", "distinct of the tactics drawn", "why roll-outs end"]]
    for run, number, alone in zip(runs, found.num_found, found.num_alone, strict=True):
        total = sum(ends(run.last[0]).values())
        shares = sorted(ends(run.last[0]).items(), key=lambda item: -item[1])[:4]
        why = ", ".join(f"{name} {100 * count / total:.0f} %" for name, count in shares)
        rows.append([run.name, str(number), str(alone), _distinct(run.last[0]), why])
    rows.append(["all together", str(found.num_union), "", "", ""])
    return markdown(rows) + _found_alone(runs, found)


def _found_alone(runs: Sequence[ArmRuns], found: FoundBy) -> str:
    """A list of arms with names of theorems; nothing where each theorem was found by several arms or by none."""
    is_found = found.num_correct > 0
    lines = []
    for run, row in zip(runs, is_found & (is_found.sum(axis=0) == 1), strict=True):
        names = [name for name, is_alone in zip(found.theorems, row, strict=True) if is_alone]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines.append(f"- found by {run.name} alone: {', '.join(names[:_SHOWN])}{more}\n")
    return "\n" + "".join(lines) if lines else ""


def expert_table(folder: Path, ns: Sequence[int]) -> str:
    """Test pass@N before and after the proofs that were found are added; then of the ensemble, N from each."""
    rows = [["expert iteration", "iteration", "examples", "of them found", *(f"pass@{n}" for n in ns)]]
    order = [arm.name for arm in ARMS]
    found: list[tuple[int, int, Path]] = []
    for path in folder.glob("experts/*/iterations.json"):
        name, _, of = path.parent.name.partition(", seed ")
        found.append((int(of), order.index(name), path))
    searched: dict[tuple[int, int], dict[str, Records]] = {}
    for seed, rank, path in sorted(found):
        for entry in json.loads(path.read_text()):
            number = entry["iteration"]
            measured = {int(n): value for n, value in (entry["test_pass_at_n"] or {}).items()}
            cells = [f"{100 * measured[n]:.1f}" if n in measured else "" for n in ns]
            numbers = [str(number), str(entry["num_examples"]), str(entry["num_found_examples"])]
            rows.append([path.parent.name, *numbers, *cells])
            searched.setdefault((int(number), seed), {})[order[rank]] = _records(
                path.parent / f"iteration-{number}" / "test"
            )
    for (number, seed), models in sorted(searched.items()):
        if all(models.get(name) for name in STEPWISE):
            together = Ensemble.of({name: models[name] for name in STEPWISE})
            known = [n for n in ns if n <= together.num_samples.min()]
            cells = [f"{100 * together.covered([n] * len(STEPWISE)).mean():.1f}" for n in known]
            blank = [""] * (len(ns) - len(known))
            rows.append([f"ensemble, N from each, seed {seed}", str(number), "", "", *cells, *blank])
    return markdown(rows) if len(rows) > 1 else ""


def raw_counts(runs: Sequence[ArmRuns]) -> dict[str, object]:
    """Per arm and seed: the theorems' roll-outs that ended in a checked proof, of how many.

    After the last epoch some seeds were searched further than after the best one.
    """
    return {
        run.name: [
            {
                "seed": seed,
                "last_epoch": last_epoch,
                "best_epoch": best_epoch,
                "num_samples": last[0].num_samples,
                "best_num_samples": best[0].num_samples,
                "last": {record.theorem: record.num_correct for record in last},
                "best": {record.theorem: record.num_correct for record in best},
            }
            for seed, last, best, last_epoch, best_epoch in zip(
                run.seeds, run.last, run.best, run.last_epochs, run.best_epochs, strict=True
            )
        ]
        for run in runs
    }


def _records(folder: Path) -> Records:
    return merge(read_records(folder / "records"))


def _last(run: ArmRuns) -> Mapping[int, Records]:
    return dict(zip(run.seeds, run.last, strict=True))


def _best(run: ArmRuns) -> Mapping[int, Records]:
    return dict(zip(run.seeds, run.best, strict=True))


def _last_validation(run: ArmRuns) -> Mapping[int, Records]:
    return {seed: records for seed, records in zip(run.seeds, run.last_validation, strict=False) if records}


def _best_validation(run: ArmRuns) -> Mapping[int, Records]:
    return {seed: records for seed, records in zip(run.seeds, run.best_validation, strict=False) if records}


def _ensembles(runs: Sequence[ArmRuns], chosen: Chosen) -> list[Ensemble]:
    """One per seed that all models of the ensemble have."""
    models = [run for run in runs if run.name in STEPWISE]
    if len(models) < len(STEPWISE):
        return []
    seeds = set.intersection(*(set(chosen(run)) for run in models))
    return [Ensemble.of({run.name: chosen(run)[seed] for run in models}) for seed in sorted(seeds)]


def _fewest_of(ensembles: Sequence[Ensemble]) -> int:
    """The roll-outs that every theorem has of every model, in every ensemble."""
    return min(int(one.num_samples.min()) for one in ensembles)


def _against_single(
    runs: Sequence[ArmRuns], name: str, label: str, chosen: Chosen, ns: Sequence[int]
) -> list[list[str]]:
    together = _ensembles(runs, chosen)
    if not together:
        return []
    number, size = together[0].names.index(name), len(STEPWISE)
    known = [n for n in ns if n * size <= _fewest_of(together)]
    if not known:
        return []
    by_seed = [
        np.column_stack(
            [one.covered([n] * size) - pass_at_n(one.num_samples[number], one.num_correct[number], n * size)
             for n in known]
        )
        for one in together
    ]  # fmt: skip
    blank = [""] * (len(ns) - len(known))
    return [[f"{name} with {size}N", label, *difference_cells(by_seed), *blank]]


def _against_seeds(
    runs: Sequence[ArmRuns], run: ArmRuns, label: str, chosen: Chosen, ns: Sequence[int]
) -> list[list[str]]:
    """Is it the N_eff, or only that there are several models? 5N samples of the same arm, over its seeds."""
    together = _ensembles(runs, chosen)
    if not together or run.name not in STEPWISE or len(run.seeds) < 2:
        return []
    alike = Ensemble.of({str(seed): records for seed, records in chosen(run).items()})
    splits = [_even(len(STEPWISE) * n, len(alike.names)) for n in ns]
    known = [n for n, split in zip(ns, splits, strict=True) if (split <= alike.num_samples.min(axis=1)).all()]
    known = [n for n in known if n <= _fewest_of(together)]
    if not known:
        return []
    over_seeds = np.column_stack([alike.covered(split.tolist()) for split in splits[: len(known)]])
    by_seed = [np.column_stack([one.covered([n] * len(STEPWISE)) for n in known]) - over_seeds for one in together]
    blank = [""] * (len(ns) - len(known))
    return [[f"{len(alike.names)} seeds of {run.name} with 5N in all", label, *difference_cells(by_seed), *blank]]


def _even(total: int, parts: int) -> NDArray[np.int64]:
    """Whole numbers as equal as can be; the first ones are the larger ones."""
    return total // parts + (np.arange(parts) < total % parts)


def _cells(by_seed: Sequence[Records], ns: Sequence[int]) -> list[str]:
    return spread_cells([values(records, ns).mean(axis=0) for records in by_seed])


def _span(epochs: Sequence[int]) -> str:
    return str(epochs[0]) if len(set(epochs)) == 1 else ", ".join(map(str, epochs))


def _mean(numbers: Sequence[float]) -> str:
    return _number(float(np.mean(numbers))) if numbers else "–"


def _interval(interval: Interval) -> str:
    return f"{_number(interval.estimate)} [{_number(interval.low)}, {_number(interval.high)}]"


def _number(value: float) -> str:
    """∞ where all draws were distinct, so that nothing bounds the width."""
    return f"{value:.1f}" if math.isfinite(value) else "∞"


def _distinct(records: Records) -> str:
    spent = cost(records)
    return f"{spent.num_tried / max(1, spent.num_tactics):.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the folder of mini_theorems")
    parser.add_argument("output", type=Path, help="where to write: OUTPUT.json, OUTPUT.png; the tables go to stdout")
    args = parser.parse_args()
    runs = read_runs(args.runs)
    if not runs:
        parser.error(f"{args.runs}: no finished arm there")
    write_atomically(args.output.with_suffix(".json"), json.dumps(raw_counts(runs), separators=(",", ":")).encode())
    known = [n for n in NS if n <= min(record.num_samples for run in runs for of in run.last for record in of)]
    plot(runs, known, args.output.with_suffix(".png"))
    parts = [main_table(runs, known), differences(runs, known), lengths(runs, known[-1]), families(runs, known[-1])]
    parts += [
        ensemble_differences(runs, NS),
        widths(runs),
        who_finds(runs),
        splits(runs, NS),
        large_table(runs, NS),
        expert_table(args.runs, known),
    ]
    print("\n".join(filter(None, parts)))


if __name__ == "__main__":
    main()
