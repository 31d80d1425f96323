"""A toy proof system with a known model of tactics, so that every number of a search can be computed by enumeration.

A state is a word over a, b, c; it is proved when nothing is left. `TABLE` says, for the first letter of a word, which
tactics the model proposes with which probability, and `apply` what each makes of the word.
"""

import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from passatn.lean import Check, FailureKind, Goal, GoalError, ProofState, Ruling, Step, TacticFailure
from passatn.prove.records import End
from passatn.prove.tactic_model import TacticModel
from passatn.prove.theorem import Theorem
from passatn.sample.draw import sample_uniforms
from passatn.sample.engine import Completion, SampleRequest, SamplingParams

ENDLESS = "endless"
"""A tactic that the model does not end within its limit."""
TABLE: dict[str, tuple[tuple[str, float], ...]] = {
    "a": (("drop", 0.5), ("swap", 0.25), ("bad", 0.125), ("hang", 0.125)),
    "b": (("drop", 0.25), ("swap", 0.25), ("double", 0.25), ("cheat", 0.125), (ENDLESS, 0.125)),
    "c": (("to a", 0.5), ("to b", 0.25), ("drop", 0.25)),
}


def apply(word: str, tactic: str) -> str | FailureKind:
    first, rest = word[0], word[1:]
    if tactic == "drop" and first != "c":
        return rest
    if tactic == "swap" and rest:
        return rest[0] + first + rest[1:]
    if tactic == "double":
        return first + word
    if tactic == "cheat":
        return ""
    if tactic.startswith("to ") and first == "c":
        return tactic[3:] + rest
    return FailureKind.TIMEOUT if tactic == "hang" else FailureKind.ERROR


class ToyLean:
    """`passatn.prove.loop.Lean`; with `latency` it answers from threads, in no order."""

    def __init__(self, latency: float = 0.0, seed: int = 0) -> None:
        self.asked: Counter[tuple[Goal, tuple[str, ...], str]] = Counter()
        self._threads = ThreadPoolExecutor(8) if latency else None
        self._latency, self._random = latency, random.Random(seed)

    def start(self, goal: Goal) -> ProofState:
        word = goal.statement.rpartition(": ")[2]
        if not set(word) <= set("abc"):
            raise GoalError(f"Lean does not accept the statement: unknown letter in {word}")
        return ProofState(goal, (), (word,))

    def submit(self, state: ProofState, tactic: str) -> "Future[Step]":
        self.asked[state.goal, state.tactics, tactic] += 1
        if self._threads is not None:
            return self._threads.submit(self._late, state, tactic, self._random.random() * self._latency)
        future: Future[Step] = Future()
        future.set_result(self.step(state, tactic))
        return future

    def _late(self, state: ProofState, tactic: str, seconds: float) -> Step:
        time.sleep(seconds)
        return self.step(state, tactic)

    def step(self, state: ProofState, tactic: str) -> Step:
        after = apply(state.text, tactic)
        if isinstance(after, FailureKind):
            return TacticFailure(after, "no")
        return ProofState(state.goal, (*state.tactics, tactic), (after,) if after else ())


def check(goal: Goal, proofs: Sequence[tuple[str, ...]]) -> list[Check]:
    """Lean, from scratch: it does not fall for a cheat."""
    return [
        Check(Ruling.FAILED, "cheating") if "cheat" in proof else Check(Ruling.PROVED, text="; ".join(proof))
        for proof in proofs
    ]


class ToyEngine:
    """Draws from `TABLE`, each sample with the random number that is its own."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, *, progress: bool = False
    ) -> list[Completion]:
        self.batches.append(params.count(requests))
        return [
            self._completion(request, index, self.place(request, index, params))
            for request in requests
            for index in params.indices_of(request)
        ]

    def place(self, request: SampleRequest, index: int, params: SamplingParams) -> float:
        return float(sample_uniforms(params.seed, request.problem_id, index, 1)[0])

    def _completion(self, request: SampleRequest, index: int, place: float) -> Completion:
        assert request.text is not None
        word, colons, rest = request.text.partition(":::")
        assert colons
        assert not rest
        table = iter(TABLE[word[0]])
        tactic, p = next(table)
        while place >= p:
            place -= p
            tactic, p = next(table)
        finished = tactic != ENDLESS
        return Completion(request.problem_id, index, (), f" {tactic}\n", math.log(p), 3, finished)


class ProportionalEngine(ToyEngine):
    """Draws every tactic exactly as often as its probability says, where that is a whole number."""

    def place(self, request: SampleRequest, index: int, params: SamplingParams) -> float:
        indices = params.indices_of(request)
        return (index - indices.start + 0.5) / len(indices)


def toy_model(engine: ToyEngine | None = None, seed: int = 0) -> TacticModel:
    params = SamplingParams(n=1, max_new_tokens=8, seed=seed)
    return TacticModel(engine or ToyEngine(), None, params)  # type: ignore[arg-type]


def toy_theorem(word: str, name: str | None = None) -> Theorem:
    return Theorem(name or word, Goal(f"theorem t : {word}"), {"length": len(word)})


Outcome = tuple[End, int]
"""How a roll-out ends, and after how many tactics."""


@cache
def outcomes(word: str, max_depth: int, has_cheated: bool = False, depth: int = 0) -> dict[Outcome, float]:
    """The exact law of one roll-out."""
    law: Counter[Outcome] = Counter()
    for tactic, p in TABLE[word[0]]:
        if tactic == ENDLESS:
            law[End.TOO_LONG, depth + 1] += p
            continue
        after = apply(word, tactic)
        cheats = has_cheated or tactic == "cheat"
        if isinstance(after, FailureKind):
            law[End(after.value), depth + 1] += p
        elif not after:
            law[End.UNCHECKED if cheats else End.PROVED, depth + 1] += p
        elif depth + 1 == max_depth:
            law[End.DEPTH, depth + 1] += p
        else:
            for outcome, q in outcomes(after, max_depth, cheats, depth + 1).items():
                law[outcome] += p * q
    return dict(law)


def probability(word: str, max_depth: int) -> float:
    """That one roll-out finds a proof."""
    return sum(p for (end, _), p in outcomes(word, max_depth).items() if end is End.PROVED)
