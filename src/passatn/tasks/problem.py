"""What a problem is: a prompt, the answers that are accepted, and whatever else is known about it.

One problem is one JSON Lines record::

    {"id": "p1", "prompt": "What is 1/2 + 1/4?", "answer": ["3/4", "0.75"], "metadata": {"level": 2}}

`answer` is a string, a number (read as its string) or a list of accepted strings. It may be missing only where the
metadata says how else to check a completion: `test`, `test_list` (programs) or `statement` (theorems). Top-level
fields with other names join the metadata.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ANSWERLESS_KEYS = ("test", "test_list", "statement")
"""Metadata that makes a problem checkable without an accepted answer."""

_FIELDS = ("id", "prompt", "answer", "reasoning", "metadata")


class ProblemError(ValueError):
    """A record, or a source of records, that cannot be read as problems; the message is one line."""


@dataclass(frozen=True)
class Problem:
    """One prompt with its accepted answers; `reasoning` is a worked solution that leads to the first of them."""

    id: str
    prompt: str
    answers: tuple[str, ...]
    reasoning: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, default_id: str | None = None) -> "Problem":
        """Read one record; `default_id` stands in for a missing id. Raises ProblemError with the reason."""
        if not isinstance(record, Mapping):
            raise ProblemError(f"expected an object with the fields {', '.join(_FIELDS)}, got {_type_name(record)}")
        metadata = _metadata(record)
        return cls(
            id=_identifier(record.get("id"), default_id),
            prompt=_prompt(record),
            answers=_answers(record.get("answer"), metadata),
            reasoning=_reasoning(record.get("reasoning")),
            metadata=metadata,
        )

    def to_record(self) -> dict[str, Any]:
        """The JSON Lines record that `from_record` reads back as an equal problem."""
        record: dict[str, Any] = {"id": self.id, "prompt": self.prompt}
        if self.answers:
            record["answer"] = self.answers[0] if len(self.answers) == 1 else list(self.answers)
        if self.reasoning is not None:
            record["reasoning"] = self.reasoning
        if self.metadata:
            record["metadata"] = dict(self.metadata)
        return record


def _identifier(value: Any, default_id: str | None) -> str:
    if value is None or value == "":
        if default_id is None:
            raise ProblemError("the field 'id' is missing")
        return default_id
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ProblemError(f"the field 'id' must be a string, got {_type_name(value)}")
    return str(value)


def _prompt(record: Mapping[str, Any]) -> str:
    if record.get("prompt") is None:
        found = ", ".join(map(str, record)) or "none"
        raise ProblemError(f"the field 'prompt' is missing (fields found: {found})")
    prompt = record["prompt"]
    if not isinstance(prompt, str):
        raise ProblemError(f"the field 'prompt' must be a string, got {_type_name(prompt)}")
    if not prompt.strip():
        raise ProblemError("the prompt is empty")
    return _checked_text("prompt", prompt)


def _reasoning(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ProblemError(f"the field 'reasoning' must be a string, got {_type_name(value)}")
    return None if value is None else _checked_text("reasoning", value)


def _metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    given = record.get("metadata")
    if given is not None and not isinstance(given, Mapping):
        raise ProblemError(f"the field 'metadata' must be an object, got {_type_name(given)}")
    extras = {key: value for key, value in record.items() if key not in _FIELDS}
    return {**extras, **(given or {})}


def _answers(value: Any, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    if value is None:
        if any(metadata.get(key) for key in ANSWERLESS_KEYS):
            return ()
        raise ProblemError(f"the field 'answer' is missing and the metadata has none of {', '.join(ANSWERLESS_KEYS)}")
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise ProblemError("the list of answers is empty")
    return tuple(dict.fromkeys(_answer(item) for item in values))


def _answer(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ProblemError(f"an answer must be a string or a number, got {_type_name(value)}")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ProblemError(f"an answer must be finite, got {value}")
        value = int(value) if value.is_integer() and abs(value) < 2**53 else value
    text = str(value).strip()
    if not text:
        raise ProblemError("the answer is empty")
    return _checked_text("answer", text)


def _checked_text(field_name: str, text: str) -> str:
    """JSON can spell half of a surrogate pair, which no tokenizer and no file takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ProblemError(f"the {field_name} holds half a surrogate pair at character {error.start + 1}") from None
    return text


def _type_name(value: Any) -> str:
    """The JSON name of a value's type, as a person who wrote the file knows it."""
    names = {"NoneType": "null", "bool": "a boolean", "int": "a number", "float": "a number", "str": "a string"}
    names |= {"list": "a list", "dict": "an object"}
    return names.get(type(value).__name__, type(value).__name__)
