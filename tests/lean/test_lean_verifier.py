"""The verifier "lean": which verdict for which completion, and how it is called."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lean_proofs import ATTACKS, HONEST, require_lean

from passatn.lean import embedded
from passatn.lean.errors import LeanUnavailableError
from passatn.tasks import Problem
from passatn.verify.lean import LeanVerifier
from passatn.verify.verdict import Outcome, Submission, Verdict

HANGS = "repeat (have : 1 = 1 := rfl)"


@pytest.fixture(scope="module")
def verifier() -> Iterator[LeanVerifier]:
    require_lean()
    with LeanVerifier(timeout_seconds=20, num_workers=2) as made:
        yield made


def submission(completion: str, **metadata: Any) -> Submission:
    return Submission(
        Problem("t", "Prove it.", (), None, {"statement": "theorem t (n : Nat) : n = n", **metadata}), completion
    )


def judge(verifier: LeanVerifier, completion: str, **metadata: Any) -> Verdict:
    return verifier.verify([submission(completion, **metadata)])[0]


@pytest.mark.parametrize(
    "completion",
    [
        "rfl",
        "by rfl",
        ":= by\n  rfl\n",
        "Here is the proof:\n```lean\nrfl\n```\nThat is all.",
        "```lean4\n:= by\n  cases n\n  · rfl\n  · rfl\n```",
        "  intro_is_not_needed_here\n```\nby\n  exact rfl\n```",
    ],
)
def test_forms_of_a_correct_completion(verifier: LeanVerifier, completion: str) -> None:
    verdict = judge(verifier, completion)
    assert verdict.outcome is Outcome.CORRECT, verdict.detail
    assert verdict.detail == ""


def test_a_wrong_proof_is_incorrect(verifier: LeanVerifier) -> None:
    verdict = judge(verifier, "by\n  cases n\n  · rfl")
    assert verdict == Verdict(Outcome.INCORRECT, "by\n  cases n\n  · rfl", verdict.detail)
    assert "unsolved goals" in verdict.detail
    assert judge(verifier, "sorry").detail == "refused: 'sorry' is no proof"
    assert judge(verifier, "").outcome is Outcome.INCORRECT


def test_limits_hold() -> None:
    require_lean()
    with LeanVerifier(timeout_seconds=2, num_workers=1) as verifier:
        assert judge(verifier, HANGS).outcome is Outcome.TIMEOUT
    with LeanVerifier(timeout_seconds=60, memory_mb=200, num_workers=1) as verifier:
        verdict = judge(verifier, HANGS)
        assert (verdict.outcome, verdict.detail) == (Outcome.ERROR, "Lean needed more than 200 MiB")
        assert judge(verifier, "rfl").outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"statement": None}, "needs 'statement'"),
        ({"statement": 5}, "needs 'statement'"),
        ({"statement": "theorem t : foo"}, "Lean does not accept the statement"),
        ({"statement": "theorem t : 1 = 1 := by"}, "must end before ':='"),
        ({"header": ["def n := 1"]}, "'header' must be Lean text"),
        ({"header": "def n := foo"}, "Lean does not accept the statement"),
    ],
)
def test_a_bad_problem_is_an_error(verifier: LeanVerifier, metadata: dict[str, Any], reason: str) -> None:
    verdict = judge(verifier, "rfl", **metadata)
    assert verdict.outcome is Outcome.ERROR
    assert reason in verdict.detail


def test_the_header_comes_before_the_statement(verifier: LeanVerifier) -> None:
    metadata = {"header": "def two := 2", "statement": "theorem t : two = 2"}
    assert judge(verifier, "rfl", **metadata).outcome is Outcome.CORRECT
    assert judge(verifier, "unfold two; rfl", **metadata).outcome is Outcome.CORRECT


@pytest.mark.slow
def test_all_proofs_and_all_attacks_at_once(verifier: LeanVerifier) -> None:
    """In one batch, mixed, and again in another order from several threads: each gets its own verdict."""
    honest = [submission(proof, statement=statement) for statement, proof in HONEST]
    attacks = [submission(proof, statement=statement) for statement, proof in ATTACKS.values()]
    verdicts = verifier.verify([*honest, *attacks])
    assert {verdict.outcome for verdict in verdicts[: len(honest)]} == {Outcome.CORRECT}
    assert {verdict.outcome for verdict in verdicts[len(honest) :]} == {Outcome.INCORRECT}
    with ThreadPoolExecutor(4) as threads:
        again = list(threads.map(lambda one: verifier.verify([one])[0], reversed([*honest, *attacks])))
    assert again == verdicts[::-1]


def test_no_submissions_no_verdicts(verifier: LeanVerifier) -> None:
    assert verifier.verify([]) == []


def test_the_version_names_what_a_verdict_depends_on(verifier: LeanVerifier) -> None:
    assert verifier.name == "lean"
    assert "timeout=20;memory=2048" in verifier.version
    assert "prelude-" in verifier.version


def test_limits_are_positive_and_lean_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="timeout_seconds must be positive"):
        LeanVerifier(timeout_seconds=0)
    embedded.embedded_lean.cache_clear()
    monkeypatch.setattr(embedded, "WHEEL", "a-wheel-that-is-not-there")
    with pytest.raises(LeanUnavailableError, match=r"pip install 'passatn\[lean\]'"):
        LeanVerifier()
    embedded.embedded_lean.cache_clear()
