"""Theorems of several families in the numbers asked for, no two the same but for names, with proofs that Lean follows.

    splits = generate({"train": 2000, "validation": 100, "test": 100}, seed=0)
    with LeanPool() as lean:
        traces = [trace_proof(lean, theorem.goal, theorem.tactics) for theorem in splits["train"]]

A family and a length are drawn for each theorem, and the family makes theorems until one has that length; what has
another length is kept for later. Theorems are told apart by `canonical_form`, so that no split holds a renaming of a
theorem of another. Everything follows from the seed.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from passatn.lean import Goal
from passatn.prove.generator.derive import divisibility, order
from passatn.prove.generator.induct import induction
from passatn.prove.generator.logic import propositional, quantifiers
from passatn.prove.generator.rewrite import equations, lists
from passatn.prove.generator.sequent import LONGEST_TACTIC, Draft
from passatn.prove.generator.statement import canonical_form

Maker = Callable[[Random], Draft | None]

FAMILIES: Mapping[str, tuple[Maker, float]] = {
    "propositional": (propositional, 0.30),
    "quantifiers": (quantifiers, 0.16),
    "equations": (equations, 0.18),
    "order": (order, 0.18),
    "induction": (induction, 0.08),
    "lists": (lists, 0.06),
    "divisibility": (divisibility, 0.04),
}
"""Each with its share of the theorems."""
LENGTH_WEIGHTS = (14, 17, 16, 13, 10, 8, 6, 5, 4, 3, 2.5, 2)
"""Of 1, 2, … tactics: falling as in human proofs, with less weight on one-liners, for a mean near four."""
_TRIES = 8
"""New theorems that a family makes in search of one length, before another length must do."""
_DRAWS = 20_000
"""Draws without a new theorem, after which a family is taken to be exhausted."""


class GeneratorError(ValueError):
    """A family that does not have so many theorems, or does not exist; the message is one line."""


@dataclass(frozen=True)
class NewTheorem:
    """`form` is that of `canonical_form`."""

    name: str
    statement: str
    tactics: tuple[str, ...]
    family: str
    form: str

    @property
    def goal(self) -> Goal:
        return Goal(self.statement)


def generate(
    counts: Mapping[str, int],
    *,
    seed: int,
    families: Sequence[str] = tuple(FAMILIES),
    advance: Callable[[int], None] = lambda count: None,
) -> dict[str, list[NewTheorem]]:
    """So many theorems for each split, each split drawn from all. Raises GeneratorError."""
    if not families or (unknown := [name for name in families if name not in FAMILIES]):
        raise GeneratorError(f"unknown family {', '.join(unknown) or '(none)'}; there are {', '.join(FAMILIES)}")
    # A seed that is a text does not depend on the process, as the hash of a tuple might.
    rng = Random(f"theorems {seed}")
    stocks = {name: _Stock(name, Random(f"{name} {seed}")) for name in dict.fromkeys(families)}
    weights = [FAMILIES[name][1] for name in stocks]
    lengths = range(1, len(LENGTH_WEIGHTS) + 1)
    drawn = []
    for _ in range(sum(counts.values())):
        family = rng.choices([*stocks], weights)[0]
        drawn.append(stocks[family].take(rng.choices(lengths, LENGTH_WEIGHTS)[0]))
        advance(1)
    theorems = iter(drawn)
    return {split: [next(theorems) for _ in range(count)] for split, count in counts.items()}


class _Stock:
    """The theorems that a family has made and nobody has taken yet, by length."""

    def __init__(self, family: str, rng: Random) -> None:
        self._family, self._rng = family, rng
        self._make = FAMILIES[family][0]
        self._by_length: defaultdict[int, list[tuple[Draft, str]]] = defaultdict(list)
        self._forms: set[str] = set()
        self._num_taken = 0
        self._is_exhausted = False

    def take(self, length: int) -> NewTheorem:
        """One of that length, or of the closest length there is."""
        for _ in range(_TRIES):
            if self._by_length[length] or self._is_exhausted:
                break
            self._add_one()
        there = [number for number, stock in self._by_length.items() if stock]
        if not there:
            raise GeneratorError(f"family {self._family!r} has no more than {self._num_taken} theorems: ask for fewer")
        closest = min(there, key=lambda number: (abs(number - length), number))
        draft, form = self._by_length[closest].pop(0)
        self._num_taken += 1
        name = f"{self._family}_{self._num_taken}"
        return NewTheorem(name, draft.statement.text(name), draft.tactics, self._family, form)

    def _add_one(self) -> None:
        for _ in range(_DRAWS):
            draft = self._make(self._rng)
            if draft is None or not _is_presentable(draft):
                continue
            form = canonical_form(draft.statement)
            if form not in self._forms:
                self._forms.add(form)
                self._by_length[len(draft.tactics)].append((draft, form))
                return
        self._is_exhausted = True


def _is_presentable(draft: Draft) -> bool:
    is_short = len(draft.tactics) <= len(LENGTH_WEIGHTS) and all(len(line) <= LONGEST_TACTIC for line in draft.tactics)
    return is_short and draft.statement.conclusion not in {term for _, term in draft.statement.hypotheses}
