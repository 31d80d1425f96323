"""Where a difference of a sweep comes from: test pass@N by a field of the problems' metadata.

python -m passatn.experiments.sweep.by_group sweeps/mini/results.json testbeds/mini/test.jsonl --field function
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from passatn.coverage import coverage
from passatn.experiments.config import ConfigError
from passatn.experiments.mistakes import about, from_one, on_one_line
from passatn.experiments.seed_tables import markdown
from passatn.experiments.sweep.summary import read_results


def by_group(results: dict[str, Any], fields: dict[str, str], n: int) -> str:
    """Markdown: percent of pass@n by group and arm, means over all final and confirming trainings of an arm.

    Args:
        results: what the sweep wrote as results.json.
        fields: the group of each test problem, by its id.

    Raises:
        ValueError: a problem without a group, or an N that was not tested.
    """
    finals = [*results["finals"], *(results.get("confirmation") or {}).get("finals", [])]
    found: dict[tuple[str, str], list[float]] = {}
    for final in finals:
        for tested in final["tested"]:
            if tested["n"] != n:
                continue
            for problem, value in zip(final["ids"], coverage(np.array(tested["log_p"]), n), strict=True):
                if problem not in fields:
                    raise ValueError(f"problem {problem!r} of the results is not among the problems given")
                found.setdefault((fields[problem], final["arm"]), []).append(float(value))
    if not found:
        raise ValueError(f"nothing was tested at N = {n}")
    arms = list(dict.fromkeys(final["arm"] for final in finals))
    groups = sorted({group for group, _ in found})
    sizes = {group: sum(of == group for of in fields.values()) for group in groups}
    rows = [["group", "problems", *(f"{arm}, pass@{n}" for arm in arms)]]
    for group in groups:
        cells = [f"{100 * np.mean(found[group, arm]):.1f}" if (group, arm) in found else "" for arm in arms]
        rows.append([group, str(sizes[group]), *cells])
    return markdown(rows)


def read_fields(path: Path, name: str) -> dict[str, str]:
    """A field of the problems' metadata by the problem's id; raises ConfigError with the file and the line."""
    with about(path):
        lines = path.read_text(encoding="utf-8").split("\n")
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found[str(row["id"])] = str(row["metadata"][name])
        except ValueError:
            raise ConfigError(f"{path}, line {number}: not JSON") from None
        except (KeyError, TypeError):
            raise ConfigError(f"{path}, line {number}: expected an id, and {name!r} in metadata") from None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("problems", type=Path, help="the test problems, JSON Lines")
    parser.add_argument("--field", required=True)
    parser.add_argument("--n", type=from_one, default=256)
    args = parser.parse_args()
    with on_one_line():
        results = read_results(args.results)
        fields = read_fields(args.problems, args.field)
        with about(args.results):
            print(by_group(results, fields, args.n), end="")


if __name__ == "__main__":
    main()
