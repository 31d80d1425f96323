"""results.json: the raw numbers of one evaluated run, and what follows from them (the schema: docs/results-schema.md).

Every number of a table or a figure can be computed again from the records under `problems`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passatn.evaluate.atomic import write_atomically
from passatn.evaluate.confidence import ConfidenceHistogram, confidence_histogram
from passatn.evaluate.metric import MetricCurve
from passatn.evaluate.pass_at_n import PassAtN, pass_at_n_from_counts, pass_at_n_from_log_p
from passatn.evaluate.plain import to_plain
from passatn.evaluate.records import ProblemResult

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Results:
    """One run: its description, one record per problem, the curves and the confidence."""

    run: Mapping[str, Any]
    """What was evaluated. `name` is required; reports use `kind` ("ce", "dco", "baseline", "other") and `n_passes`."""
    problems: tuple[ProblemResult, ...]
    pass_at_n: tuple[PassAtN, ...]
    """At most one exact (or lower bound) curve, then at most one from samples."""
    confidence: ConfidenceHistogram | None = None
    metrics: tuple[MetricCurve, ...] = ()
    """Other curves over N than pass@N; what they are computed from is in answers.parquet beside the file."""

    def __post_init__(self) -> None:
        if not isinstance(self.run.get("name"), str) or not self.run["name"]:
            raise ValueError(f"run.name: expected a string that is not empty, found {self.run.get('name')!r}")
        if not self.problems:
            raise ValueError("problems: empty, nothing was evaluated")
        seen: set[str] = set()
        for problem in self.problems:
            if problem.id in seen:
                raise ValueError(f"problems: id {problem.id!r} occurs twice")
            seen.add(problem.id)

    @classmethod
    def from_problems(
        cls,
        run: Mapping[str, Any],
        problems: Sequence[ProblemResult],
        ns: Sequence[int],
        *,
        confidence: float = 0.95,
        num_resamples: int = 2000,
        seed: int = 0,
    ) -> "Results":
        """Compute every table that the records allow.

        ns: for the exact curve; the curve from samples takes those N for which every problem has enough samples.
        """
        bare = cls(run=run, problems=tuple(problems), pass_at_n=())
        options: dict[str, Any] = {"confidence": confidence, "num_resamples": num_resamples, "seed": seed}
        curves = []
        log_p = bare.column("log_p")
        if log_p is not None:
            is_exact = all(problem.is_exact is True for problem in problems)
            curves.append(pass_at_n_from_log_p(log_p, ns, is_exact=is_exact, **options))
        num_samples, num_correct = bare.column("num_samples"), bare.column("num_correct")
        if num_samples is not None and num_correct is not None:
            enough = [n for n in ns if n <= num_samples.min()]
            if enough:
                curves.append(pass_at_n_from_counts(num_samples, num_correct, enough, **options))
        greedy_log_p, greedy_correct = bare.column("greedy_log_p"), bare.column("greedy_correct")
        histogram = None
        if greedy_log_p is not None and greedy_correct is not None:
            histogram = confidence_histogram(greedy_log_p, greedy_correct)
        return cls(run=run, problems=bare.problems, pass_at_n=tuple(curves), confidence=histogram)

    @property
    def name(self) -> str:
        return str(self.run["name"])

    @property
    def ids(self) -> list[str]:
        return [problem.id for problem in self.problems]

    def column(self, name: str) -> np.ndarray | None:
        """One field of every problem as an array [P]; None when any problem lacks it."""
        values = [getattr(problem, name) for problem in self.problems]
        return None if any(value is None for value in values) else np.array(values)

    def to_dict(self) -> dict[str, Any]:
        """What `save` writes."""
        return {
            "schema_version": SCHEMA_VERSION,
            "run": dict(self.run),
            "pass_at_n": [curve.to_dict() for curve in self.pass_at_n],
            "confidence": self.confidence.to_dict() if self.confidence else None,
            "metrics": [curve.to_dict() for curve in self.metrics],
            "problems": [problem.to_dict() for problem in self.problems],
        }

    def save(self, path: str | Path) -> Path:
        """Write results.json atomically. Raises ValueError naming the field when a number is NaN or infinite."""
        text = json.dumps(to_plain(self.to_dict(), "results"), allow_nan=False, ensure_ascii=False, indent=1)
        return write_atomically(path, (text + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> "Results":
        """Read results.json. Raises ValueError, one line that names the file and the field."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not JSON: {error}") from None
        try:
            return cls.from_dict(data)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, data: Any) -> "Results":
        """The inverse of `to_dict`; raises ValueError that begins with the name of the field."""
        if not isinstance(data, dict):
            raise ValueError(f"expected an object, found a {type(data).__name__}")
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema_version: this passatn reads {SCHEMA_VERSION}, found {version!r}")
        for name, kind in (("run", dict), ("problems", list), ("pass_at_n", list)):
            if not isinstance(data.get(name), kind):
                raise ValueError(f"{name}: expected {_json_name(kind)}, found {data.get(name)!r:.60}")
        histogram = data.get("confidence")
        return cls(
            run=data["run"],
            problems=tuple(_parse(f"problems[{i}]", ProblemResult, r) for i, r in enumerate(data["problems"])),
            pass_at_n=tuple(_parse(f"pass_at_n[{i}]", PassAtN, r) for i, r in enumerate(data["pass_at_n"])),
            confidence=None if histogram is None else _parse("confidence", ConfidenceHistogram, histogram),
            metrics=tuple(_parse(f"metrics[{i}]", MetricCurve, r) for i, r in enumerate(data.get("metrics", []))),
        )


def _json_name(kind: type) -> str:
    return "an object" if kind is dict else "a list"


def _parse(where: str, kind: Any, record: Any) -> Any:
    """kind.from_dict(record), with the field's place in front of any error."""
    try:
        return kind.from_dict(record)
    except (ValueError, TypeError, AttributeError) as error:
        joint = "." if str(error).split(":")[0].isidentifier() else ": "
        raise ValueError(f"{where}{joint}{error}") from None
