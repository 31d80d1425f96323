"""Table 6: theorems proved by N_eff and number of roll-outs, before and after a round of expert iteration."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passatn.evaluate import PassAtN
from passatn.experiments.mini_theorems_report import values
from passatn.experiments.reproduce import proofs
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.plans import Plan
from passatn.experiments.reproduce.proof_ensemble import cell, csv
from passatn.experiments.reproduce.proofs import Proofs
from passatn.experiments.reproduce.section import Section, Table
from passatn.experiments.seed_tables import difference_cells
from passatn.prove.ensemble import Ensemble, summary
from passatn.prove.record_files import read_records
from passatn.prove.records import SearchRecord, merge
from passatn.report.reproduce_plots import Line, plot_lines

Array = NDArray[np.float64]
NS = (16, 64, 256, 1024, 4096)
Records = Sequence[SearchRecord]


def recipe(context: Context) -> dict[str, Any]:
    return Proofs(context).recipe | {"iterations": 1}


def plan(context: Context) -> Plan:
    return proofs.plan(context)


def section(context: Context) -> Section:
    stages = Proofs(context)
    folders = stages.experts()
    searched = {0: {name: _records(folder, 0) for name, folder in folders.items()}}
    # A model that proves nothing is not trained again: it stays what it was.
    searched[1] = {name: _records(folder, 1) or searched[0][name] for name, folder in folders.items()}
    fewest = min(record.num_samples for of in searched.values() for records in of.values() for record in records)
    ns = [n for n in NS if n <= fewest]
    rows = {iteration: proved(of, ns) for iteration, of in searched.items()}
    added = {name: _summary(folder / "iterations.json") for name, folder in folders.items()}
    return Section(
        setting=proofs.describe(context),
        findings=_findings(rows, added, ns),
        tables=[_table(rows, ns)],
        csv={"table6.csv": csv(_curves(rows, ns))},
        pictures={"table6.png": lambda path: _plot(path, rows, ns)},
        numbers={
            "ns": list(ns),
            "iterations": added,
            "num_correct": {
                f"iteration {iteration}": {
                    name: {r.theorem: [r.num_correct, r.num_samples] for r in records} for name, records in of.items()
                }
                for iteration, of in searched.items()
            },
        },
        sources=[
            file for folder in folders.values() for file in sorted(folder.glob("iteration-*/test/records/*.jsonl"))
        ],
    )


def proved(searched: Mapping[str, Records], ns: Sequence[int]) -> dict[str, Array]:
    """By the name of the arm, then of the ensemble with N samples from each: estimates by theorem, `[T, len(ns)]`."""
    found = {name: values(records, ns) for name, records in searched.items()}
    return {**found, "ensemble": Ensemble.of(dict(searched)).columns(ns)}


def _records(folder: Path, iteration: int) -> Records:
    return merge(read_records(folder / f"iteration-{iteration}" / "test" / "records"))


def _summary(file: Path) -> list[dict[str, Any]]:
    keys = ("iteration", "num_examples", "num_found_examples", "num_to_prove", "num_proved")
    return [{key: entry[key] for key in keys} for entry in json.loads(file.read_text(encoding="utf-8"))]


def _table(rows: Mapping[int, Mapping[str, Array]], ns: Sequence[int]) -> Table:
    lines: list[Any] = [
        (label, *(cell(curve, column) for column, _ in enumerate(ns))) for label, curve in _curves(rows, ns).items()
    ]
    caption = (
        "Theorems proved by N roll-outs (the ensemble: N of each model), unbiased from counts, percent "
        "[95 % interval over theorems], one seed."
    )
    return Table(caption, ("", *(f"pass@{n}" for n in ns)), tuple(lines))


def _findings(
    rows: Mapping[int, Mapping[str, Array]], added: Mapping[str, list[dict[str, Any]]], ns: Sequence[int]
) -> list[str]:
    before, after = rows[0], rows[1]
    gains = ", ".join(f"{name} {difference_cells((after[name] - of)[None, :, -1:])[0]}" for name, of in before.items())
    found = ", ".join(f"{name} {of[0]['num_proved']} of {of[0]['num_to_prove']}" for name, of in added.items())
    singles = {name: of.mean(axis=0) for name, of in before.items() if name != "ensemble"}
    leaders = ", ".join(f"{max(singles, key=lambda name: singles[name][i])} at N = {n}" for i, n in enumerate(ns))
    return [
        f"Most theorems of the single models, iteration 0: {leaders}.",
        f"Unproved theorems that the models proved for the next iteration: {found} (without one it stays as it was).",
        f"Points of pass@{ns[-1]} from iteration 0 to 1: {gains}.",
    ]


def _curves(rows: Mapping[int, Mapping[str, Array]], ns: Sequence[int]) -> dict[str, PassAtN]:
    return {
        f"{name}, iteration {iteration}": summary(of, ns)
        for iteration, found in rows.items()
        for name, of in found.items()
    }


def _plot(path: Path, rows: Mapping[int, Mapping[str, Array]], ns: Sequence[int]) -> Any:
    panels = {
        f"iteration {iteration}": [
            Line(
                name,
                ns,
                (100 * of.mean(axis=0)).tolist(),
                n_passes=float(name.split("= ")[1]) if "= " in name else 1.0,
                color="#1F2328" if name == "ensemble" else None,
            )
            for name, of in found.items()
        ]
        for iteration, found in rows.items()
    }
    return plot_lines(path, panels, xlabel="roll-outs N", ylabel="theorems proved", over_n=True)
