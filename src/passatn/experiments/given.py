"""log p of training problems from files that `passatn score` wrote, for `confidence: given`."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from passatn.experiments.config import ConfigError
from passatn.tasks import Problem


def read_given_log_p(paths: str, problems: Sequence[Problem]) -> list[float]:
    """log p of each problem, in nats.

    Args:
        paths: one file of JSON Lines with `id` and `log_p`, or several, separated by commas; ids of other problems do
            not matter.

    Raises:
        ConfigError: a file or line that cannot be read, or a problem that is in none of the files, or in two places.
    """
    found: dict[str, float] = {}
    places: dict[str, str] = {}
    for path in map(str.strip, paths.split(",")):
        for number, line in enumerate(_lines(Path(path)), start=1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            identifier, log_p = _read(line, place)
            if identifier in places:
                raise ConfigError(f"{place}: the problem {identifier!r} has a log p already in {places[identifier]}")
            found[identifier], places[identifier] = log_p, place
    missing = [problem.id for problem in problems if problem.id not in found]
    if missing:
        raise ConfigError(
            f"given_log_p {paths}: {len(missing)} of {len(problems)} training problems have no log p there; first: "
            f"{missing[0]!r}"
        )
    return [found[problem.id] for problem in problems]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"given_log_p {path}: cannot be read ({' '.join(str(error).split())})") from None


def _read(line: str, place: str) -> tuple[str, float]:
    try:
        record = json.loads(line)
        identifier, log_p = str(record["id"]), float(record["log_p"])
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"{place}: expected an object with id and log_p, as passatn score writes them") from None
    if math.isnan(log_p) or log_p > 0:
        raise ConfigError(f"{place}: log_p must be at most 0, got {log_p}")
    return identifier, log_p
