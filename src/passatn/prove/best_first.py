"""Best-first search of one theorem: the state with the largest cumulated log p is expanded next.

priority(state after T tactics) = Σ_t log p(tactic_t | state_t) / T^alpha; alpha = 0 is the plain sum, 1 the mean.

An expansion draws `width` tactics from the state, tries the distinct ones in Lean, and puts the new states into the
queue. One expansion at a time, so that the order is the search's and not that of Lean's answers; the loop runs many
theorems side by side. A proof that Lean refuses as a whole does not end the search.

A search is one sample. Another `first_sample` is another search, with other random numbers.
"""

import heapq
import math
from collections import Counter
from collections.abc import Sequence

from passatn.lean import Check, ProofState, Step, TacticFailure
from passatn.prove.records import End, FoundProof, SearchRecord
from passatn.prove.search import Attempt, Node, Proof, Wanted, root
from passatn.prove.tactic_model import Draws
from passatn.prove.tally import DepthTally
from passatn.prove.theorem import Theorem

METHOD = "best_first"


class BestFirstSearch:
    """A `Search` that ends at the first checked proof, when `max_tactics` have been drawn, or with an empty queue.

    Args:
        width: tactics drawn in an expansion, as far as `max_tactics` allows.
        max_expansions: None for no limit but that of tactics.
        alpha: exponent of the length that priorities are divided by.
    """

    def __init__(
        self,
        theorem: Theorem,
        first_sample: int = 0,
        *,
        width: int = 32,
        max_tactics: int = 4096,
        max_expansions: int | None = None,
        alpha: float = 0.0,
        max_depth: int = 50,
    ) -> None:
        for name, value in (("width", width), ("max_tactics", max_tactics), ("max_depth", max_depth)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if max_expansions is not None and max_expansions < 1:
            raise ValueError(f"max_expansions must be at least 1, got {max_expansions}")
        if not math.isfinite(alpha) or alpha < 0:
            raise ValueError(f"alpha must be finite and not negative, got {alpha}")
        self.theorem = theorem
        self._first_sample, self._width, self._alpha, self._max_depth = first_sample, width, alpha, max_depth
        self._max_tactics, self._max_expansions = max_tactics, max_expansions
        self._queue: list[tuple[float, tuple[str, ...], Node]] = []
        self._ends: Counter[End] = Counter()
        self._tally = DepthTally()
        self._num_tactics = self._num_tried = self._num_expansions = 0
        self._under_way: set[Attempt] = set()
        self._arrived: list[tuple[Node, int]] = []
        """Proofs whose last step left no goals, with the number of tactics that had been drawn by then."""
        self._checks: list[Check] = []
        self._problem = ""
        self._is_over = False

    def start(self, first: ProofState) -> Sequence[Wanted]:
        self._push(root(first, self.theorem, self._first_sample))
        return self.more()

    def more(self) -> Sequence[Wanted]:
        """The next expansion."""
        is_proved = any(check.is_proved for check in self._checks)
        is_spent = self._num_tactics >= self._max_tactics or self._num_expansions == self._max_expansions
        if self._is_over or is_proved or is_spent or not self._queue:
            return []
        node = heapq.heappop(self._queue)[-1]
        return [Wanted(node, range(min(self._width, self._max_tactics - self._num_tactics)))]

    def drawn(self, wanted: Wanted, draws: Draws | None) -> Sequence[Attempt]:
        node, count = wanted.node, len(wanted.indices)
        self._num_expansions += 1
        if draws is None:
            self._ends[End.TOO_LONG] += 1
            return []
        self._num_tactics += count
        self._tally.drew(node.depth, node.state.text, count, [tactic.text for tactic in draws.tactics])
        if draws.num_unfinished:
            self._ends[End.TOO_LONG] += draws.num_unfinished
        if any(math.isnan(tactic.log_prob) for tactic in draws.tactics):
            raise ValueError("best-first search needs log-probabilities, which this engine does not give")
        attempts = [Attempt(node, tactic.text, tactic.count, tactic.log_prob) for tactic in draws.tactics]
        self._num_tried += len(attempts)
        self._under_way.update(attempts)
        return attempts

    def tried(self, attempt: Attempt, step: Step) -> Sequence[Wanted]:
        self._under_way.remove(attempt)
        if isinstance(step, TacticFailure):
            self._ends[End(step.kind.value)] += 1
            return []
        node = attempt.node
        self._tally.accepted(node.depth, node.state.text, attempt.tactic, attempt.count)
        child = node.child(step, attempt.tactic, attempt.log_prob)
        if step.is_done:
            self._arrived.append((child, self._num_tactics))
        elif child.depth >= self._max_depth:
            self._ends[End.DEPTH] += 1
        else:
            self._push(child)
        return []

    def candidates(self) -> Sequence[Proof]:
        """Those of the last expansion, the most probable first."""
        known = len(self._checks)
        self._arrived[known:] = sorted(self._arrived[known:], key=lambda a: (-a[0].log_prob, a[0].state.tactics))
        return [node.state.tactics for node, _ in self._arrived[known:]]

    def checked(self, checks: Sequence[Check]) -> None:
        self._checks.extend(checks)
        for check in checks:
            self._ends[End.PROVED if check.is_proved else End.UNCHECKED] += 1

    def out_of_time(self) -> None:
        self._is_over = True
        self._ends[End.TIME] += len(self._under_way)
        self._under_way.clear()

    def refused(self, problem: str) -> None:
        self._problem = problem

    def record(self, seconds: float) -> SearchRecord:
        goal = self.theorem.goal
        proofs = [
            FoundProof(node.state.tactics, 1, node.log_prob, check.is_proved, check.detail, found_at)
            for (node, found_at), check in zip(self._arrived, self._checks, strict=True)
        ]
        return SearchRecord(
            theorem=self.theorem.name,
            statement=goal.statement,
            method=METHOD,
            header=goal.header,
            first_sample=self._first_sample,
            num_samples=1,
            num_correct=int(any(proof.is_checked for proof in proofs)),
            num_tactics=self._num_tactics,
            num_tried=self._num_tried,
            ends={end.value: self._ends[end] for end in End if self._ends[end]},
            depths=self._tally.counts(),
            proofs=tuple(proofs),
            seconds=seconds,
            problem=self._problem,
            metadata=self.theorem.metadata,
        )

    def _push(self, node: Node) -> None:
        """Ties go to the path that sorts first, whatever the order of arrival."""
        priority = node.log_prob / max(1, node.depth) ** self._alpha
        heapq.heappush(self._queue, (-priority, node.state.tactics, node))
