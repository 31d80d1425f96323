"""Several models instead of one, from a sweep's raw numbers: seeds of one arm, and arms of one seed.

python -m passatn.experiments.sweep.ensembles sweeps/mini/results.json --together "CE;DCO-256;DCO-4096"

A budget of N samples goes evenly to M models, which miss a problem with probability Π_m (1 − p_m)^(N/M). A gain over a
single model is no evidence for mixing objectives: M seeds of one objective gain too. So each ensemble is also held
against as many seeds of the baseline, the mean over all choices of them. Every model is stopped, and sampled at a
temperature, as the sweep chose it for N alone. For the best split in place of the even one: the folders of final
trainings are runs that `passatn recommend` takes.
"""

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from passatn.coverage import coverage
from passatn.evaluate.repeats import compare_repeats
from passatn.experiments.mistakes import about, from_one, on_one_line
from passatn.experiments.seed_tables import markdown, paired_cell
from passatn.experiments.sweep.summary import read_results
from passatn.experiments.sweep.training import Array


def ensemble_table(results: dict[str, Any], n: int, together: Sequence[str] = ()) -> str:
    """Markdown: percent of pass@n of one model of each arm, of its seeds together, and of arms together.

    Args:
        results: what the sweep wrote as results.json.
        together: arms of which one model each makes up an ensemble; the mean over seeds is shown.

    Raises:
        ValueError: an arm that the sweep does not have, arms with different seeds, or an N that was not tested.
    """
    models = _models(results, n)
    if unknown := [name for name in together if name not in models]:
        raise ValueError(f"there is no arm {unknown[0]!r} tested at N = {n}; there are: {', '.join(models)}")
    baseline = next(iter(models))
    rows = [["models", "of them", f"pass@{n}", f"minus one of {baseline}", f"minus as many of {baseline}"]]

    def row(name: str, size: int, values: Array) -> list[str]:
        return _row(name, size, values, *(_of_size(models[baseline], count, n) for count in (1, size)))

    for name, log_p in models.items():
        rows += [row(f"{name}, one", 1, _of_size(log_p, 1, n))]
        if len(log_p) > 1:
            rows += [row(f"{name}, seeds", len(log_p), _of_size(log_p, len(log_p), n))]
    if together:
        chosen = [models[name] for name in together]
        if len({len(log_p) for log_p in chosen}) > 1:
            raise ValueError(f"{', '.join(together)} have different numbers of seeds")
        mixed = np.stack([_together(np.stack(members), n) for members in zip(*chosen, strict=True)])
        rows += [row(" + ".join(together), len(together), mixed.mean(axis=0))]
    return markdown(rows)


def _models(results: dict[str, Any], n: int) -> dict[str, Array]:
    """Arm → log p `[S, P]` of its final trainings for n, in the order of seeds; confirming ones are left out."""
    found: dict[str, dict[int, Array]] = {}
    for final in results["finals"]:
        for tested in final["tested"]:
            if tested["n"] == n:
                found.setdefault(final["arm"], {})[final["seed"]] = np.array(tested["log_p"])
    if not found:
        raise ValueError(f"nothing was tested at N = {n}")
    return {arm: np.stack([by_seed[seed] for seed in sorted(by_seed)]) for arm, by_seed in found.items()}


def _together(log_p: Array, n: int) -> Array:
    """pass@n of each problem `[P]` with n samples dealt out evenly to M models `[M, P]`, the rest to the first."""
    each, rest = divmod(n, len(log_p))
    missed = [1 - coverage(row, each + (number < rest)) for number, row in enumerate(log_p) if each + (number < rest)]
    return np.asarray(1 - np.prod(missed, axis=0), dtype=np.float64)


def _of_size(log_p: Array, size: int, n: int) -> Array:
    """pass@n of each problem `[P]`, the mean over all ways to take so many of the models `[S, P]`.

    Raises:
        ValueError: there are not so many.
    """
    if size > len(log_p):
        raise ValueError(f"an ensemble of {size} has no counterpart of as many seeds: the baseline has {len(log_p)}")
    chosen = [_together(log_p[list(members)], n) for members in combinations(range(len(log_p)), size)]
    return np.asarray(np.mean(chosen, axis=0), dtype=np.float64)


def _row(name: str, size: int, values: Array, *others: Array) -> list[str]:
    """Differences to other models' pass@n `[P]`, with intervals over problems."""
    differences = [paired_cell(compare_repeats(other[None, :, None], values[None, :, None], [1])) for other in others]
    return [name, str(size), f"{100 * values.mean():.1f}", *differences]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--together", default="", help="arms of an ensemble, separated by semicolons")
    parser.add_argument("--n", type=from_one, default=256)
    args = parser.parse_args()
    together = [name.strip() for name in args.together.split(";") if name.strip()]
    with on_one_line():
        results = read_results(args.results)
        with about(args.results):
            print(ensemble_table(results, args.n, together), end="")


if __name__ == "__main__":
    main()
