"""Proof steps as problems: the state is the prompt, the tactic the answer (arXiv 2502.07154, section 5.2).

    load_problems("random/train.json", preset="leandojo")
    load_problems("tactics.jsonl", preset="tactics")

With the template `tactic` they render as `STATE:::TACTIC`. Every step's metadata holds `theorem`, `step`, where known
`num_steps`, and `group_id`, which the steps of one proof share: whole-proof DCO multiplies their probabilities.
States and tactics stay as Lean and its users wrote them (`a✝`, `⊢`, lines), but for white space at their ends.

`leandojo` reads the files of LeanDojo Benchmark 4: one theorem a row, with `traced_tactics`, which is empty where the
proof is a term; such rows are counted as without example. `annotated_tactic` is not used. The rows have no statement.

`tactics` reads one step a row: columns state (or state_before, goal, prompt), tactic (or answer), and where there are
such columns theorem (or full_name, name), step, num_steps (or n_steps), group_id. The steps of a proof stand together,
in order: a row of another theorem, another num_steps or a step that is not the next one begins another proof.
"""

from collections import Counter
from typing import Any

from passatn.tasks.columns import Row, given, required, required_text
from passatn.tasks.problem import ProblemError

_STATE = ("state", "state_before", "goal", "prompt")
_TACTIC = ("tactic", "answer")
_THEOREM = ("theorem", "full_name", "name")
_NUM_STEPS = ("num_steps", "n_steps")
_KNOWN = frozenset({*_STATE, *_TACTIC, *_THEOREM, *_NUM_STEPS, "id", "step", "group_id", "state_after", "metadata"})


class LeanDojoReader:
    """Rows of LeanDojo Benchmark 4, one theorem each, as records of their steps."""

    def __init__(self) -> None:
        self._groups: Counter[str] = Counter()

    def __call__(self, row: Row) -> list[dict[str, Any]]:
        name, steps = required_text(row, "full_name"), required(row, "traced_tactics")
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise ProblemError("the column 'traced_tactics' must be a list of objects")
        if not steps:
            return []
        metadata = {
            "group_id": self._new_group(name, row.get("file_path")),
            "theorem": name,
            "file_path": row.get("file_path"),
            "num_steps": len(steps),
        }
        return [_step_record(step, number, metadata) for number, step in enumerate(steps, start=1)]

    def _new_group(self, name: str, file_path: Any) -> str:
        """The theorem's name; if another had it, as private ones may, with its file, and then with a number."""
        for group in (name, f"{name} ({file_path})"):
            self._groups[group] += 1
            if self._groups[group] == 1:
                return group
        return f"{group} {self._groups[group]}"


class TacticReader:
    """Rows of one step each."""

    def __init__(self) -> None:
        self._proofs: Counter[str] = Counter()
        self._last: tuple[str, Any, int] | None = None
        self._group = ""

    def __call__(self, row: Row) -> list[dict[str, Any]]:
        prompt, tactic = required_text(row, *_STATE).rstrip(), required_text(row, *_TACTIC)
        extra = {key: value for key, value in row.items() if key not in _KNOWN} | (row.get("metadata") or {})
        theorem = given(row, *_THEOREM)
        if theorem is None:
            more = {key: row[key] for key in ("step", "group_id") if row.get(key) is not None}
            return [{"id": row.get("id"), "prompt": prompt, "answer": tactic, "metadata": extra | more}]
        num_steps, step = given(row, *_NUM_STEPS), self._step(str(theorem), row)
        metadata = extra | {"group_id": given(row, "group_id") or self._group, "theorem": str(theorem), "step": step}
        if num_steps is not None:
            metadata["num_steps"] = num_steps
        return [
            {
                "id": given(row, "id") or f"{self._group}#{step}",
                "prompt": prompt,
                "answer": tactic,
                "metadata": metadata,
            }
        ]

    def _step(self, theorem: str, row: Row) -> int:
        """The row's number within its proof; `_group` is then the proof's name, `NAME`, `NAME@2` and so on."""
        num_steps, step = given(row, *_NUM_STEPS), row.get("step")
        if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
            raise ProblemError(f"the column 'step' must be a whole number, got {step!r:.60}")
        is_same = self._last is not None and self._last[:2] == (theorem, num_steps)
        next_step = self._last[2] + 1 if self._last is not None and is_same else 1
        if not is_same or step not in (None, next_step):
            self._proofs[theorem] += 1
            count = self._proofs[theorem]
            self._group = theorem if count == 1 else f"{theorem}@{count}"
        step = next_step if step is None else step
        self._last = (theorem, num_steps, step)
        return step


def _step_record(step: Row, number: int, metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        state, tactic = required_text(step, "state_before").rstrip(), required_text(step, "tactic")
        if not state or not tactic.strip():
            raise ProblemError(f"the {'tactic' if state else 'state'} is empty")
    except ProblemError as error:
        raise ProblemError(f"step {number} of {metadata['theorem']}: {error}") from None
    identifier = f"{metadata['group_id']}#{number}"
    return {"id": identifier, "prompt": state, "answer": tactic, "metadata": metadata | {"step": number}}
