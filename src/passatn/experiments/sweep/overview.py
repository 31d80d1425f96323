"""Several sweeps on one page: what each arm gains over tuned cross-entropy, and what training too long costs each.

python -m passatn.experiments.sweep.overview "MATH=sweeps/math" "mini-MATH=sweeps/mini" --output overview.png

Left, each arm minus the baseline on test at the sweep's target_n, with 95 % intervals, and the confirmation with new
seeds. Right, pass@target_n on validation after each epoch at temperature 1, the mean over the trials whose settings
were drawn at random, the same for every arm: an epoch and a rate that nobody chose.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from passatn.experiments.config import ConfigError
from passatn.experiments.mistakes import on_one_line
from passatn.experiments.seed_tables import markdown
from passatn.experiments.sweep.summary import read_results
from passatn.experiments.sweep.training import Array
from passatn.report.plots import save_png, themed_figure
from passatn.report.theme import INK, MUTED, RAMP, WARM

ALONE = "DCO-256"
"""The arm drawn beside the baseline on the right."""


def gains(results: dict[str, Any]) -> list[tuple[str, float, float, float]]:
    """(arm, difference, low, high) in points at target_n; the confirmation is an arm of its own."""
    n = _target_n(results)
    found = [
        (arm["name"], *_at(arm["difference"], results["ns"].index(n)))
        for arm in results["arms"]
        if arm["difference"] is not None
    ]
    if confirmed := results.get("confirmation"):
        found.append((f"{confirmed['finalist']}, new seeds", *_at(confirmed["difference"], 0)))
    return found


def _target_n(results: dict[str, Any]) -> int:
    """That of the sweep file, which may leave it to be the last N."""
    return int(results["sweep"].get("target_n", results["ns"][-1]))


def _at(difference: dict[str, Any], column: int) -> tuple[float, float, float]:
    value, low, high = (100 * difference[key][column] for key in ("difference", "low", "high"))
    return value, low, high


def over_epochs(results: dict[str, Any], arm: str) -> Array:
    """Percent of pass@target_n after each epoch, the mean over the random trials; a short one keeps its last score."""
    column = results["ns"].index(_target_n(results))
    of = next(one for one in results["arms"] if one["name"] == arm)
    trials = of["trials"][: of["robustness"]["num_trials"]]
    epochs = max(len(trial["values"]) for trial in trials)
    curves = [[values[0][column] for values in trial["values"]] for trial in trials]
    return 100 * np.mean([curve + curve[-1:] * (epochs - len(curve)) for curve in curves], axis=0)


STYLES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 4)), (0, (1, 4)))
"""Of the lines of a sweep."""


def draw(sweeps: dict[str, dict[str, Any]], path: Path) -> None:
    """Write the picture."""
    rows = sum(len(gains(results)) for results in sweeps.values()) + 1.6 * len(sweeps)
    with themed_figure(width=11.0, height=max(4.0, 0.3 * rows)) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        y, ticks = 0.0, []
        for name, results in sweeps.items():
            place = {"xycoords": ("axes fraction", "data"), "xytext": (3, 0), "textcoords": "offset points"}
            left.annotate(name, (0, y), fontweight="bold", va="center", **place)
            y += 1
            for arm, value, low, high in gains(results):
                is_new = arm.endswith("new seeds")
                left.plot([low, high], [y, y], color=RAMP[3 if is_new else 2], lw=2)
                left.plot([value], [y], "D" if is_new else "o", color=RAMP[3 if is_new else 2], ms=5)
                ticks.append((y, arm))
                y += 1
            y += 0.6
        left.axvline(0, color=INK, lw=1)
        left.set_yticks([at for at, _ in ticks], [arm for _, arm in ticks])
        left.set_ylim(y - 0.6, -0.8)
        left.set_title("Minus tuned cross-entropy, on test")
        left.set_xlabel("points of pass@N at the sweep's N, 95 % interval")
        _draw_epochs(right, sweeps)
        save_png(figure, path)


def _draw_epochs(axes: Any, sweeps: dict[str, dict[str, Any]]) -> None:
    for number, (name, results) in enumerate(sweeps.items()):
        known = [arm["name"] for arm in results["arms"]]
        shown = [(known[0], WARM[0])] + [(ALONE, RAMP[3])] * (ALONE in known)
        for arm, colour in shown:
            values = over_epochs(results, arm)
            along = np.linspace(0, 1, len(values) + 1)[1:]
            axes.plot(along, values, color=colour, ls=STYLES[number % len(STYLES)], label=f"{name}, {arm}")
    axes.set_title("Nothing tuned, on validation")
    axes.set_xlabel("share of the training")
    axes.set_ylabel("% pass@N, mean over random settings", color=MUTED)
    axes.legend(fontsize=8, handlelength=3.5)


def overview_table(sweeps: dict[str, dict[str, Any]]) -> str:
    """Markdown: by sweep and arm the difference on test, and the untuned area."""
    rows = [["sweep", "arm", "minus baseline", "untuned, mean"]]
    for name, results in sweeps.items():
        column = results["ns"].index(_target_n(results))
        found = {arm: f"{value:+.1f} [{low:+.1f}, {high:+.1f}]" for arm, value, low, high in gains(results)}
        for arm in results["arms"]:
            area = f"{100 * arm['robustness']['mean'][column]:.1f}"
            rows.append([name, arm["name"], found.pop(arm["name"], ""), area])
        rows += [[name, arm, text, ""] for arm, text in found.items()]
    return markdown(rows)


def _results_at(place: Path) -> Path:
    path = place / "results.json" if place.is_dir() else place
    if not path.is_file():
        raise ConfigError(f"{path}: no such file: expected NAME=FOLDER of a finished sweep")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="+", help="NAME=FOLDER, or NAME=RESULTS.json")
    parser.add_argument("--output", type=Path, required=True, help="the picture, a .png")
    args = parser.parse_args()
    places = {}
    for given in args.sweeps:
        name, _, place = given.partition("=")
        if not (name and place):
            parser.error(f"{given}: expected NAME=FOLDER of a finished sweep")
        places[name] = Path(place)
    with on_one_line():
        sweeps = {name: read_results(_results_at(place)) for name, place in places.items()}
        draw(sweeps, args.output)
        print(overview_table(sweeps), end="")


if __name__ == "__main__":
    main()
