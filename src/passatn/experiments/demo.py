"""`passatn demo`: cross-entropy against DCO on mini-MATH, from pre-training to a report, on two CPU cores.

One small model is pre-trained, then fine-tuned by cross-entropy and by DCO at N = 16, 64, 256, 1024 at the same
settings; pass@N is exact. Tuned baselines stand beside: cross-entropy stopped early, at a tuned temperature, and at
tuned learning rates. DIR gets results.json, report.html and demo.png.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from passatn.evaluate import write_atomically
from passatn.experiments.config import ConfigError
from passatn.experiments.demo_analysis import SHOWN_NS, ArmRun, Row, arm_record, confidence, final_row, tuned_row
from passatn.experiments.demo_arms import arm_file, run_arms
from passatn.experiments.demo_findings import findings, warning
from passatn.experiments.demo_report import write_page, write_picture
from passatn.experiments.mini_math import Arm, Settings
from passatn.experiments.run_directory import environment

FULL = Settings()
QUICK = Settings(pretrain_steps=250, epochs=6)
TUNED_RATES = Arm("CE, tuned rates", learning_rate=3e-5, embedding_rate=3e-2, reset_rows_only=True, ema=0.98)


def demo_arms(*, quick: bool) -> list[Arm]:
    """The runs of one seed, the longest first."""
    if quick:
        return [Arm("CE"), Arm("DCO-256", n_passes=256)]
    coverage_arms = [Arm(f"DCO-{n}", n_passes=n) for n in (16, 64, 256, 1024)]
    return [*coverage_arms[:2], Arm("CE"), TUNED_RATES, *coverage_arms[2:]]


def run_demo(output: Path, *, num_seeds: int = 1, quick: bool = False) -> None:
    """Run the demo, or show it again when `output` holds a finished one; an interrupted one goes on.

    Raises:
        ConfigError: `output` holds something else, or a demo with other options.
    """
    settings = QUICK if quick else FULL
    options = {"seeds": num_seeds, "quick": quick}
    if _is_finished(output, options):
        Console(stderr=True).print(f"{output} holds a finished demo; another --output runs it again")
    else:
        _run(output, options, settings)
    _show(output)


def _is_finished(output: Path, options: dict[str, Any]) -> bool:
    marker = output / "demo.json"
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is a file: choose another --output")
    if not output.exists() or not any(output.iterdir()):
        return False
    if not marker.exists():
        raise ConfigError(f"{output} exists and is not a demo: choose another --output")
    before = json.loads(marker.read_text())
    if before != options:
        raise ConfigError(f"{output} holds a demo with {before}, not {options}: choose another --output")
    return (output / "results.json").exists()


def _run(output: Path, options: dict[str, Any], settings: Settings) -> None:
    started = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(output / "demo.json", (json.dumps(options) + "\n").encode())
    arms = [
        dataclasses.replace(arm, seed=seed)
        for seed in range(options["seeds"])
        for arm in demo_arms(quick=options["quick"])
    ]
    folder = output / "runs"
    run_arms(arms, settings, folder)
    runs = _group([ArmRun.load(arm, arm_file(folder, arm, settings)) for arm in arms])
    rows = _rows(runs)
    histograms = {name: confidence(group) for name, group in runs.items()}
    sentences = findings(rows, runs, histograms)
    caution = warning(rows)
    picture = write_picture(output / "demo.png", rows, runs, histograms)
    seconds = time.monotonic() - started
    write_page(output / "report.html", rows, runs, histograms, sentences, caution, picture, settings, options)
    record = {
        "schema_version": 1,
        "kind": "demo",
        "options": options,
        "settings": dataclasses.asdict(settings),
        "seconds": round(seconds, 1),
        "environment": environment(),
        "findings": sentences,
        "warning": caution,
        "rows": [_row_record(row) for row in rows.values()],
        "runs": [arm_record(run) for group in runs.values() for run in group],
    }
    write_atomically(output / "results.json", (json.dumps(record, indent=1) + "\n").encode())


def _group(runs: Sequence[ArmRun]) -> dict[str, list[ArmRun]]:
    """Runs by arm, cross-entropy first, then by N; seeds together."""
    ordered = sorted(runs, key=lambda run: (run.arm.ema is not None, run.arm.n_passes, run.arm.seed))
    groups: dict[str, list[ArmRun]] = {}
    for run in ordered:
        groups.setdefault(run.arm.name, []).append(run)
    return groups


def _rows(runs: dict[str, list[ArmRun]]) -> dict[str, Row]:
    ce = runs["CE"]
    rows = [
        final_row("CE, last epoch", ce),
        tuned_row("CE, last epoch, temperature per N", ce, epochs=False, temperatures=True),
        tuned_row("CE, best epoch per N", ce, epochs=True, temperatures=False),
        tuned_row("CE, best epoch and temperature per N", ce, epochs=True, temperatures=True),
        *(final_row(name, group) for name, group in runs.items() if name != "CE"),
    ]
    return {row.name: row for row in rows}


def _row_record(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "n_passes": row.n_passes,
        "note": row.note,
        "curves": [curve.to_dict() for curve in row.curves],
    }


def _show(output: Path) -> None:
    record = json.loads((output / "results.json").read_text())
    table = Table(title="Exact test pass@N in percent", box=None)
    table.add_column("")
    for n in SHOWN_NS:
        table.add_column(f"N = {n:,}", justify="right")
    for row in record["rows"]:
        curves = row["curves"]
        means = [sum(curve["estimate"][curve["ns"].index(n)] for curve in curves) / len(curves) for n in SHOWN_NS]
        table.add_row(row["name"], *(f"{100 * mean:.1f}" for mean in means))
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    console.print()
    for sentence in record["findings"]:
        console.print(f"• {sentence}", markup=False, highlight=False)
    console.print(f"! {record['warning']}", markup=False, highlight=False)
    console.print(f"\nreport: {output / 'report.html'}   picture: {output / 'demo.png'}", markup=False, soft_wrap=True)
