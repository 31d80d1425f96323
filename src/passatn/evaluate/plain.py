"""Between dataclasses and what JSON can hold; every error begins with the name of the field."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any


def to_plain(value: Any, where: str) -> Any:
    """Numbers, strings, lists and objects as JSON has them; raises ValueError naming the field for anything else."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, f"{where}.{key}") for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [to_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: {value} cannot be stored in JSON")
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise ValueError(f"{where}: a {type(value).__name__} cannot be stored in JSON")


def fields_to_dict(record: Any) -> dict[str, Any]:
    """The fields of a dataclass, tuples as lists."""
    values = {item.name: getattr(record, item.name) for item in fields(record)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def read_fields(cls: Any, data: Any, hint: str = "") -> dict[str, Any]:
    """Arguments for a dataclass from a JSON object: lists become tuples, unknown and missing fields are errors."""
    if not isinstance(data, Mapping):
        raise ValueError(f"expected an object, found {data!r:.60}")
    known = {item.name: item for item in fields(cls)}
    for name in data:
        if name not in known:
            raise ValueError(f"{name}: unknown field{hint}")
    for name, item in known.items():
        if name not in data and item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{name}: missing")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
