r"""The verifier of mathematical answers: extract, look up, and let a worker decide what is not plain.

    verifier = MathVerifier(timeout_seconds=5)
    verifier.verify([Submission(problem, r"so \boxed{\frac12}")])

Plain numbers are compared here; everything else goes to the pool, whose limits hold, once per (answer, accepted ones).
A number and the same number with a percent sign are different answers, except to a problem that asks for a percentage.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from passatn.verify.cache import VerdictCache
from passatn.verify.math.clean import clean
from passatn.verify.math.extract import MAX_ANSWER_LENGTH, extract
from passatn.verify.math.literals import is_number_like, parse_literal
from passatn.verify.pool import TaskResult, WorkerPool
from passatn.verify.verdict import Outcome, Submission, Verdict

RULES_VERSION = "1"
_ASKS_PERCENT = re.compile(
    r"\b(?:what|which|how many|find the|determine the|compute the|express\w*|as an?|nearest|by what)\b"
    r"[^.?!,;]{0,60}?\bpercent(?:age)?s?\b",
    re.IGNORECASE,
)
_MAX_WORDS = 12
"""A completion of more words than this is no mathematics; its last number then stands for it at once."""
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}")
_Task = tuple[str, str | None, tuple[str, ...]]


class MathVerifier:
    """Judges the answer of each completion by value; see docs/verify-math.md for what equals what.

    Limits hold per answer; `cache_size` is the number of verdicts that are kept between calls.
    """

    name = "math"

    def __init__(
        self,
        *,
        timeout_seconds: float = 5.0,
        memory_mb: int = 2048,
        num_workers: int | None = None,
        cache_size: int = 2**16,
    ) -> None:
        self._options = {"timeout_seconds": timeout_seconds, "memory_mb": memory_mb, "num_workers": num_workers}
        self._cache_size = cache_size
        packages = ("math-verify", "latex2sympy2_extended", "sympy")
        rules = [f"rules {RULES_VERSION}", *(f"{name} {version(name)}" for name in packages)]
        # The limits decide what is a timeout or an error, so a verdict holds for its limits only.
        self.version = "; ".join([*rules, f"timeout={timeout_seconds:g}", f"memory={memory_mb}"])
        self._cache = VerdictCache(cache_size)
        self._pool = WorkerPool("passatn.verify.math.judge:load", **self._options)  # type: ignore[arg-type]

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """One verdict per submission, in order. Raises PoolError after `close`."""
        texts: dict[Any, _Task | None] = {}
        keys = [(submission.completion, submission.problem.answers, _asks_percent(submission.problem.prompt))
                for submission in submissions]  # fmt: skip
        for key in keys:
            if key not in texts:
                texts[key] = _task(*key)
        tasks = [texts[key] for key in keys]
        judged = self._cache.resolve((task for task in tasks if task is not None), self._judge)
        return [_UNCHECKABLE if task is None else judged[task] for task in tasks]

    def equal_answers(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """For each pair of extracted answers whether they are equal by value; False where that cannot be decided."""
        tasks: list[_Task] = [(first[: MAX_ANSWER_LENGTH + 1], None, (second,)) for first, second in pairs]
        judged = self._cache.resolve(tasks, self._judge)
        return [judged[task].outcome is Outcome.CORRECT for task in tasks]

    def close(self) -> None:
        """Release the worker processes; safe to call twice."""
        self._pool.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy in another process starts its own workers."""
        return _rebuild, (self._options | {"cache_size": self._cache_size},)

    def _judge(self, tasks: Sequence[_Task]) -> list[Verdict]:
        plain = [_judge_plainly(task) for task in tasks]
        hard = [task for task, verdict in zip(tasks, plain, strict=True) if verdict is None]
        results = iter(self._pool.map([list(task) for task in hard]))
        return [
            verdict if verdict is not None else _verdict(task, next(results))
            for task, verdict in zip(tasks, plain, strict=True)
        ]


def answer_key(answer: str) -> Fraction | str:
    """Equal for extracted answers that are the same beyond doubt: the value of a plain number, else the normal form."""
    number = parse_literal(answer)
    return clean(answer[:MAX_ANSWER_LENGTH]) if number is None else number


_UNCHECKABLE = Verdict(Outcome.ERROR, None, "the problem has no accepted answer to compare with")


def _rebuild(options: dict[str, Any]) -> MathVerifier:
    return MathVerifier(**options)


def _task(completion: str, answers: tuple[str, ...], asks_percent: bool) -> _Task | None:
    if not answers:
        return None
    extraction = extract(completion)
    golds = dict.fromkeys(form for answer in answers for form in _accepted(answer, asks_percent))
    is_prose = not extraction.is_marked and len(_WORD.findall(extraction.text)) > _MAX_WORDS
    if is_prose and all(map(is_number_like, golds)):
        return extraction.last_number or "", None, tuple(golds)
    return extraction.text[: MAX_ANSWER_LENGTH + 1], extraction.last_number, tuple(golds)


def _accepted(answer: str, asks_percent: bool) -> tuple[str, ...]:
    bare = re.sub(r"\s*\\?%\s*$", "", answer)
    if not asks_percent or parse_literal(bare.strip("$ ")) is None:
        return (answer,)
    return (answer, bare if bare != answer else rf"{bare.strip('$ ')}\%")


@lru_cache(maxsize=4096)
def _asks_percent(prompt: str) -> bool:
    return "percent" in prompt and _ASKS_PERCENT.search(prompt) is not None


def _judge_plainly(task: _Task) -> Verdict | None:
    """The verdict on an empty, an overlong and a plainly numeric answer; None for the rest."""
    text, _, golds = task
    if not text:
        return Verdict(Outcome.INCORRECT, None, "no answer found")
    if text in golds:
        return Verdict(Outcome.CORRECT, text)
    if len(text) > MAX_ANSWER_LENGTH:
        return Verdict(Outcome.INCORRECT, None, f"the answer is longer than {MAX_ANSWER_LENGTH} characters")
    number = parse_literal(text)
    if number is None:
        return None
    accepted = [parse_literal(gold) for gold in golds]
    if number in accepted:
        return Verdict(Outcome.CORRECT, text)
    return None if None in accepted else Verdict(Outcome.INCORRECT, text)


def _verdict(task: _Task, result: TaskResult) -> Verdict:
    if result.failure is not None:
        return Verdict(result.failure, task[0], result.detail)
    is_correct, taken = result.value
    return Verdict(Outcome.CORRECT if is_correct else Outcome.INCORRECT, taken)
