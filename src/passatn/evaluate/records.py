"""One problem's raw numbers in results.json, checked on the way in and on the way out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from passatn.evaluate.plain import read_fields

MINUS_INFINITY = "-inf"
"""How results.json writes a log-probability of −∞: JSON has no infinity, and null already means "not measured"."""

LOG_FIELDS = ("log_p", "greedy_log_p")
COUNT_FIELDS = ("num_samples", "num_correct", "num_truncated", "num_timeouts", "num_errors")
FLAG_FIELDS = ("is_exact", "greedy_correct")


@dataclass(frozen=True)
class ProblemResult:
    """What was measured on one problem; None = not measured. Logs are natural."""

    id: str
    log_p: float | None = None
    """Log-probability that one sample is correct, summed over the accepted answers that were scored; −inf allowed."""
    is_exact: bool | None = None
    """Whether those are all the correct answers; where False, log_p is a lower bound."""
    greedy_log_p: float | None = None
    greedy_correct: bool | None = None
    num_samples: int | None = None
    num_correct: int | None = None
    num_truncated: int | None = None
    """Samples that hit the length limit; like timeouts and errors they count as not correct."""
    num_timeouts: int | None = None
    num_errors: int | None = None
    log_p_by_setting: Mapping[str, float] = field(default_factory=dict)
    """`log_p` at other ways of decoding, by their labels, such as "T = 0.8, top-p = 1"."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ValueError(f"id: expected a string that is not empty, found {self.id!r}")
        for name in LOG_FIELDS:
            _set(self, name, _as_log(name, getattr(self, name)))
        _set(self, "log_p_by_setting", _as_logs("log_p_by_setting", self.log_p_by_setting))
        for name in COUNT_FIELDS:
            _set(self, name, _as_count(name, getattr(self, name)))
        for name in FLAG_FIELDS:
            _set(self, name, _as_flag(name, getattr(self, name)))
        if not isinstance(self.metadata, Mapping):
            raise ValueError(f"metadata: expected an object, found {self.metadata!r}")
        if (self.num_samples is None) != (self.num_correct is None):
            raise ValueError("num_correct: num_samples and num_correct come together")
        for name in COUNT_FIELDS[1:]:
            count = getattr(self, name)
            if count is not None and self.num_samples is not None and count > self.num_samples:
                raise ValueError(f"{name}: {count} is more than the {self.num_samples} samples")

    def to_dict(self) -> dict[str, Any]:
        """Only what was measured; −∞ becomes the string "-inf"."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in LOG_FIELDS:
            record[name] = _plain(record[name])
        record["log_p_by_setting"] = {label: _plain(value) for label, value in self.log_p_by_setting.items()}
        return {name: value for name, value in record.items() if value is not None and value != {}}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "ProblemResult":
        """The inverse of `to_dict`; raises ValueError that begins with the name of the field."""
        values = read_fields(cls, record, hint=" (data of your own goes under metadata)")
        for name in LOG_FIELDS:
            values[name] = _from_plain(values.get(name))
        by_setting = values.get("log_p_by_setting")
        if isinstance(by_setting, Mapping):
            values["log_p_by_setting"] = {label: _from_plain(value) for label, value in by_setting.items()}
        return cls(**values)


def problems_from_arrays(
    ids: Sequence[str], *, metadata: Sequence[Mapping[str, Any]] | None = None, **columns: Any
) -> list[ProblemResult]:
    """Records from columns of length P named as the fields of ProblemResult; a column may also be one value for all.

    >>> problems_from_arrays(["a", "b"], log_p=[-1.0, -2.0], is_exact=True)[1].log_p
    -2.0
    """
    full: dict[str, Sequence[Any]] = {}
    for name, column in columns.items():
        values = column.tolist() if hasattr(column, "tolist") else column
        full[name] = list(values) if isinstance(values, (list, tuple)) else [values] * len(ids)
    if metadata is not None:
        full["metadata"] = metadata
    for name, values in full.items():
        if len(values) != len(ids):
            raise ValueError(f"{name} has {len(values)} entries for {len(ids)} ids")
    return [ProblemResult(id=key, **{name: full[name][row] for name in full}) for row, key in enumerate(ids)]


def _set(record: ProblemResult, name: str, value: object) -> None:
    object.__setattr__(record, name, value)


def _plain(value: float | None) -> float | str | None:
    return MINUS_INFINITY if value == -math.inf else value


def _from_plain(value: Any) -> Any:
    return -math.inf if value == MINUS_INFINITY else value


def _as_logs(name: str, values: Any) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ValueError(f"{name}: expected an object, found {values!r:.60}")
    logs = {label: _as_log(f"{name}[{label!r}]", value) for label, value in values.items()}
    if missing := [label for label, value in logs.items() if value is None]:
        raise ValueError(f"{name}[{missing[0]!r}]: leave out what was not measured, instead of null")
    return {label: value for label, value in logs.items() if value is not None}


def _as_log(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, (bool, str)) or not _is_number(value) or math.isnan(value) or value > 0:
        raise ValueError(f'{name}: expected a number ≤ 0, "{MINUS_INFINITY}" or null, found {value!r}')
    return float(value)


def _as_count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, (bool, str)) or not _is_number(value) or value < 0 or value != int(value):
        raise ValueError(f"{name}: expected a whole number ≥ 0 or null, found {value!r}")
    return int(value)


def _as_flag(name: str, value: Any) -> bool | None:
    if value is None:
        return None
    if value not in (True, False):
        raise ValueError(f"{name}: expected true, false or null, found {value!r}")
    return bool(value)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
