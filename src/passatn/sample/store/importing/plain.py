"""Plain JSON Lines: one sample, or one unique completion with its count, per line.

    {"problem_id": "p1", "completion": "…", "count": 3, "log_prob": -1.5, "answer": "42", "verdict": "correct"}

`id` may stand for `problem_id`, and `correct` (true, false, 1, 0) for `verdict`; only the id and the completion are
required. Other fields are left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from passatn.sample.store.importing.sample import ImportedSample, RowError, dotted, identifier, verdict_of

_OPTIONAL = ("count", "answer", "log_prob", "num_tokens", "finished", "verdict")


def read_plain(row: Any, id_field: str | None) -> Iterator[ImportedSample]:
    """The one sample of a row."""
    if not isinstance(row, Mapping):
        raise RowError("expected an object with problem_id and completion")
    name = id_field or ("problem_id" if "problem_id" in row else "id")
    values: dict[str, Any] = {key: row[key] for key in _OPTIONAL if row.get(key) is not None}
    if row.get("correct") is not None:
        verdict = verdict_of(row["correct"])
        if verdict is None:
            raise RowError(f"correct: expected true or false, got {row['correct']!r:.40}")
        if values.setdefault("verdict", verdict) != verdict and "correct" in (verdict, values["verdict"]):
            raise RowError(f"correct is {row['correct']!r} but verdict is {values['verdict']!r}")
    yield ImportedSample(identifier(dotted(row, name), name), row.get("completion"), **values)  # type: ignore[arg-type]
