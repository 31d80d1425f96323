"""lm-evaluation-harness, `samples_<task>_<time>.jsonl` as `--log_samples` writes it.

A line is one document under one filter: doc_id, resps (per request the generated texts, several with `repeats`),
filtered_resps (what the filter made of them), filter, metrics (names), and one field per metric. A task with several
filters writes every document once per filter, with the same resps: only one filter's lines may be counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from passatn.sample.store.importing.sample import ImportedSample, RowError, dotted, identifier, per_text, verdict_of

_NO_ANSWER = "[invalid]"
_USUAL_METRIC = "exact_match"


class LmEvalReader:
    """Reads the lines of one file.

    Args:
        id_field: dotted path of the problem's id, such as "doc.unique_id"; None takes doc_id.
        metric: the field that says whether a text is correct; None takes the only one that `metrics` names, or
            exact_match. It gives verdicts where it is 0 or 1 for a single text, or a list with one value per text.
        filter_name: whose lines to take, where there are several.
    """

    def __init__(self, id_field: str | None, metric: str | None, filter_name: str | None) -> None:
        self._id_field = id_field or "doc_id"
        self._metric = metric
        self._filter = filter_name
        self._found_filter: str | None = None
        self._seen: set[str] = set()

    def __call__(self, row: Any) -> Iterator[ImportedSample]:
        """The samples of a line; none if it is another filter's."""
        if not isinstance(row, Mapping) or "resps" not in row:
            raise RowError("expected an object with doc_id and resps, as --log_samples writes it")
        if not self._is_chosen(row.get("filter")):
            return
        problem_id = identifier(dotted(row, self._id_field), self._id_field)
        if problem_id in self._seen:
            raise RowError(
                f"{self._id_field} {problem_id!r} occurs twice: the file has several filters or tasks; import lines of "
                "one only"
            )
        texts = _texts(row["resps"])
        answers = per_text(_flat(row.get("filtered_resps")), len(texts))
        scores = per_text(row.get(self._metric_of(row)), len(texts))
        self._seen.add(problem_id)
        for text, answer, score in zip(texts, answers, scores, strict=True):
            kept = answer if isinstance(answer, str) and answer != _NO_ANSWER else None
            yield ImportedSample(problem_id, text, answer=kept, verdict=verdict_of(score))

    def _is_chosen(self, name: str | None) -> bool:
        if self._filter is not None:
            return name == self._filter
        if name is not None and self._found_filter not in (None, name):
            raise RowError(f"the file has the filters {self._found_filter!r} and {name!r}: choose one (filter_name=…)")
        self._found_filter = name
        return True

    def _metric_of(self, row: Mapping[str, Any]) -> str:
        if self._metric is not None:
            if self._metric not in row:
                raise RowError(f"the metric {self._metric!r} is missing")
            return self._metric
        names = row.get("metrics")
        return names[0] if isinstance(names, list) and len(names) == 1 else _USUAL_METRIC


def _texts(resps: Any) -> list[str]:
    """The texts of a document: resps has one list per request, with one text per repeat."""
    texts = _flat(resps)
    if not isinstance(texts, Sequence) or isinstance(texts, str) or not texts:
        raise RowError(f"resps: expected lists of generated texts, got {resps!r:.40}")
    if any(not isinstance(text, str) for text in texts):
        raise RowError("resps: not generated texts (a multiple-choice task?): only generate_until tasks have samples")
    return list(texts)


def _flat(value: Any) -> Any:
    """[["a", "b"], ["c"]] as ["a", "b", "c"]; anything else as it is."""
    if isinstance(value, list) and value and all(isinstance(item, list) for item in value):
        return [text for item in value for text in item]
    return value
