r"""Known data sets: how a row, in each layout it is found in, becomes a problem's record.

    preset   default on the Hub                  layouts
    math     nlile/hendrycks-MATH-benchmark      problem, answer, solution, subject, level, unique_id (also MATH-500);
                                                 the original: problem, solution, type, level "Level 5"
    gsm8k    openai/gsm8k:main                   question, answer with "#### 72" at its end; or with the steps in
                                                 `solution` and the number in `answer`
    aime     HuggingFaceH4/aime_2024             problem, answer, solution (any capitals), answers as 25 or 025
    mbpp     google-research-datasets/mbpp       text (or prompt), code, test_list, test_setup_code, task_id
    humaneval openai/openai_humaneval            prompt, entry_point, test, task_id; its solutions are not read
    leandojo  none: a file of the benchmark      full_name, traced_tactics: proofs, step by step (`tasks.tactics`)
    tactics   none: a file of one's own          state, tactic, theorem, step: one step of a proof a row
    minif2f   none: a file                       formal_statement, name, header: theorems to prove (`tasks.theorems`)
    theorems  none: a file of one's own          the same

The default of `math` has the splits train (12,000) and test (500, the problems of HuggingFaceH4/MATH-500).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from passatn.tasks.columns import Row, required
from passatn.tasks.problem import ProblemError
from passatn.tasks.prompts import balanced_end
from passatn.tasks.tactics import LeanDojoReader, TacticReader
from passatn.tasks.theorems import theorem_record

RowReader = Callable[[Row], list[dict[str, Any]]]
"""From a row to records: usually one, several where a row holds a whole proof, none where it holds nothing to learn."""


@dataclass(frozen=True)
class Preset:
    """A data set by name: `hub_id` is loaded when no file is given, `new_reader` begins to read one of its files."""

    name: str
    hub_id: str | None
    new_reader: Callable[[], RowReader]


def get_preset(name: str) -> Preset:
    """The preset of that name; ProblemError lists the names there are."""
    if name not in PRESETS:
        raise ProblemError(f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def last_boxed(text: str) -> str | None:
    r"""The content of the last \boxed{…} (or \fbox{…}) in `text` whose braces balance, None if there is none.

    Braces that LaTeX prints, \{ and \}, do not count; \boxed 2 without braces, which MATH has twice, gives 2.
    """
    for match in reversed(list(re.finditer(r"\\(?:boxed|fbox)(\s*\{|\s+(?=[^\s{]))", text))):
        rest = text[match.end() :]
        if not match[0].endswith("{"):
            return re.split(r"[\s$]", rest)[0].rstrip(".,")
        if (end := balanced_end(rest)) >= 0:
            return rest[:end].strip()
    return None


def _one_by_one(to_record: Callable[[Row], dict[str, Any]]) -> Callable[[], RowReader]:
    return lambda: lambda row: [to_record(row)]


def _math_record(row: Row) -> dict[str, Any]:
    answer = row.get("answer")
    if answer is None and isinstance(row.get("solution"), str):
        answer = last_boxed(row["solution"])
        if answer is None:
            raise ProblemError("no `answer`, and no \\boxed{…} in `solution` to take it from")
    metadata = {"level": _level(row.get("level")), "subject": row.get("subject", row.get("type"))}
    return {
        "id": row.get("unique_id", row.get("id")),
        "prompt": required(row, "problem"),
        "answer": answer,
        "reasoning": row.get("solution"),
        "metadata": metadata,
    }


def _gsm8k_record(row: Row) -> dict[str, Any]:
    answer, solution = required(row, "answer"), row.get("solution")
    marked = next((text for text in (answer, solution) if isinstance(text, str) and "####" in text), None)
    if marked is not None:
        steps, _, final = marked.rpartition("####")
        solution, answer = steps.strip(), final if marked is answer else answer
    return {
        "id": row.get("id"),
        "prompt": required(row, "question"),
        "answer": answer.replace(",", "") if isinstance(answer, str) else answer,
        "reasoning": solution,
    }


def _aime_record(row: Row) -> dict[str, Any]:
    row = {str(key).lower(): value for key, value in row.items()}
    answer = str(required(row, "answer")).strip()
    metadata = {key: row[key] for key in ("url", "year") if row.get(key) is not None}
    return {
        "id": row.get("id"),
        "prompt": required(row, "problem"),
        "answer": str(int(answer)) if answer.isdecimal() else answer,
        "reasoning": row.get("solution"),
        "metadata": metadata,
    }


def _mbpp_record(row: Row) -> dict[str, Any]:
    """The task and its assertions, which name the function, are the prompt; the solution is what is trained on."""
    task = row.get("text") if row.get("text") is not None else required(row, "prompt")
    tests = [str(test).replace("\r\n", "\n") for test in required(row, "test_list")]
    code = required(row, "code")
    metadata = {key: row[key] for key in ("test_setup_code", "test_imports") if row.get(key)}
    return {
        "id": f"mbpp/{required(row, 'task_id')}",
        "prompt": "\n".join([str(task).strip(), "It must pass these tests:", *tests]),
        "answer": str(code).replace("\r\n", "\n"),
        "metadata": metadata | {"test_list": tests},
    }


def _humaneval_record(row: Row) -> dict[str, Any]:
    metadata = {key: required(row, key) for key in ("entry_point", "test")}
    return {"id": required(row, "task_id"), "prompt": required(row, "prompt"), "metadata": metadata}


def _level(value: Any) -> int | None:
    """5, "5" and "Level 5" as 5; null and the original's "Level ?" as None."""
    digits = re.search(r"\d+", str(value))
    return int(digits[0]) if digits else None


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset("math", "nlile/hendrycks-MATH-benchmark", _one_by_one(_math_record)),
            Preset("gsm8k", "openai/gsm8k:main", _one_by_one(_gsm8k_record)),
            Preset("aime", "HuggingFaceH4/aime_2024", _one_by_one(_aime_record)),
            Preset("mbpp", "google-research-datasets/mbpp", _one_by_one(_mbpp_record)),
            Preset("humaneval", "openai/openai_humaneval", _one_by_one(_humaneval_record)),
            Preset("leandojo", None, LeanDojoReader),
            Preset("tactics", None, TacticReader),
            Preset("minif2f", None, _one_by_one(theorem_record)),
            Preset("theorems", None, _one_by_one(theorem_record)),
        )
    }
)
