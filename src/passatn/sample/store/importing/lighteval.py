"""lighteval, `details_<task>_<time>.parquet` as `--save-details` writes it.

A row is one document: doc (with its id), model_response (text and output_tokens, a list per sample) and metric; some
releases call the columns __doc__, __model_response__, __metric__, and older ones have predictions and metrics instead.
Log-probabilities are left out: which of the samples and of the choices they belong to differs between releases.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

from passatn.sample.store.importing.sample import ImportedSample, RowError, dotted, identifier, per_text, verdict_of


class LightevalReader:
    """Reads the rows of one file.

    Args:
        id_field: dotted path of the problem's id, such as "doc.specific.id"; None takes doc.id where it tells the rows
            apart by being there, and the row's number from 0 where it is not.
        metric: the metric that says whether a text is correct; None takes the only one. It gives verdicts where it is
            0 or 1 for a single text, or a list with one value per text; an average over several texts gives none.
    """

    def __init__(self, id_field: str | None, metric: str | None) -> None:
        self._id_field = id_field
        self._metric = metric
        self._seen: set[str] = set()
        self._next = 0

    def __call__(self, row: Any) -> Iterator[ImportedSample]:
        """The samples of a row."""
        number, self._next = self._next, self._next + 1
        named = {name.strip("_"): _opened(value) for name, value in row.items()}
        problem_id = self._problem_id(named, number)
        response = named.get("model_response")
        source = response.get("text") if isinstance(response, Mapping) else named.get("predictions")
        if isinstance(source, str):
            source = [source]
        if not isinstance(source, list) or not source or any(not isinstance(text, str) for text in source):
            raise RowError("no generated texts in model_response.text or predictions")
        tokens = response.get("output_tokens") if isinstance(response, Mapping) else None
        lengths = per_text([len(ids) if ids else None for ids in tokens] if tokens else None, len(source))
        scores = per_text(self._score(named.get("metric") or named.get("metrics")), len(source))
        for text, length, score in zip(source, lengths, scores, strict=True):
            yield ImportedSample(problem_id, text, num_tokens=length, verdict=verdict_of(score))

    def _problem_id(self, row: Mapping[str, Any], number: int) -> str:
        path = self._id_field or "doc.id"
        value = dotted(row, path)
        if value in (None, "") and self._id_field is None:
            value = number
        problem_id = identifier(value, path)
        if problem_id in self._seen:
            raise RowError(f"{path} {problem_id!r} occurs twice: name a field that tells the rows apart (id_field=…)")
        self._seen.add(problem_id)
        return problem_id

    def _score(self, metrics: Any) -> Any:
        scores = {name: value for name, value in metrics.items() if value is not None} if metrics else {}
        if self._metric is None:
            return next(iter(scores.values())) if len(scores) == 1 else None
        if self._metric not in scores:
            raise RowError(f"the metric {self._metric!r} is missing (found: {', '.join(scores) or 'none'})")
        return scores[self._metric]


def _opened(value: Any) -> Any:
    """Some releases store lists and objects as text, in JSON or as Python prints them."""
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return value
