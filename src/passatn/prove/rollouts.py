"""Independent roll-outs of one theorem, held as a tree of counts (arXiv 2502.07154, sections 5.2 and 5.3).

A roll-out samples one tactic in each state until no goals are left, a tactic fails, or a limit is reached. Roll-outs
are exchangeable, so it does not matter which of them is where: a node of the tree is a path of tactics, with the number
of roll-outs that arrived there. All their next tactics are drawn at once, each distinct one is tried in Lean once, and
its child gets as many roll-outs as drew it.

They are independent samples of the process, as if each had been run by itself: number the roll-outs at a node from 0,
and let number k take draw k. Given the path, the draws at a node are independent of each other and of all draws
elsewhere, since the random numbers of draw k are keyed by (seed, theorem, slice, path, k) and used nowhere else. So
each roll-out has the law of the process and the joint law is the product. Lean's answers are a function of the path and
are shared; two paths that lead to the same text are not merged, for equal text is not an equal state.

Only the time limit ties roll-outs together: it ends all of a slice that are still under way.
"""

from collections import Counter
from collections.abc import Sequence

from passatn.lean import Check, ProofState, Step, TacticFailure
from passatn.prove.records import End, FoundProof, SearchRecord
from passatn.prove.search import Attempt, Node, Proof, Wanted, root
from passatn.prove.tactic_model import Draws
from passatn.prove.tally import DepthTally
from passatn.prove.theorem import Theorem

METHOD = "rollouts"


class RolloutSearch:
    """Roll-outs number first_sample … first_sample + num_samples − 1 of a theorem, a `Search`."""

    def __init__(self, theorem: Theorem, first_sample: int, num_samples: int, *, max_depth: int = 50) -> None:
        if max_depth < 1:
            raise ValueError(f"max_depth must be at least 1, got {max_depth}")
        self.theorem = theorem
        self._first_sample, self._num_samples, self._max_depth = first_sample, num_samples, max_depth
        self._ends: Counter[End] = Counter()
        self._lengths: Counter[int] = Counter()
        self._tally = DepthTally()
        self._num_tried = 0
        self._live: dict[Wanted | Attempt, tuple[int, int]] = {}
        """What is under way, with the tactics that its roll-outs have drawn so far and their number."""
        self._arrived: list[tuple[Node, int]] = []
        """Proofs whose last step left no goals."""
        self._checks: Sequence[Check] | None = None
        self._problem = ""

    def start(self, first: ProofState) -> Sequence[Wanted]:
        return [self._ask(root(first, self.theorem, self._first_sample), self._num_samples)]

    def drawn(self, wanted: Wanted, draws: Draws | None) -> Sequence[Attempt]:
        node = wanted.node
        _, count = self._live.pop(wanted)
        if draws is None:
            self._end(End.TOO_LONG, node.depth, count)
            return []
        self._tally.drew(node.depth, node.state.text, count, [tactic.text for tactic in draws.tactics])
        self._end(End.TOO_LONG, node.depth + 1, draws.num_unfinished)
        attempts = [Attempt(node, tactic.text, tactic.count, tactic.log_prob) for tactic in draws.tactics]
        self._num_tried += len(attempts)
        self._live.update((attempt, (node.depth + 1, attempt.count)) for attempt in attempts)
        return attempts

    def tried(self, attempt: Attempt, step: Step) -> Sequence[Wanted]:
        length, count = self._live.pop(attempt)
        if isinstance(step, TacticFailure):
            self._end(End(step.kind.value), length, count)
            return []
        self._tally.accepted(length - 1, attempt.node.state.text, attempt.tactic, count)
        child = attempt.node.child(step, attempt.tactic, attempt.log_prob)
        if step.is_done:
            self._arrived.append((child, count))
            self._lengths[length] += count
            return []
        if length >= self._max_depth:
            self._end(End.DEPTH, length, count)
            return []
        return [self._ask(child, count)]

    def candidates(self) -> Sequence[Proof]:
        if self._checks is None:
            self._arrived.sort(key=lambda arrival: (-arrival[1], arrival[0].state.tactics))
            return [node.state.tactics for node, _ in self._arrived]
        return []

    def checked(self, checks: Sequence[Check]) -> None:
        self._checks = checks
        for (_, count), check in zip(self._arrived, checks, strict=True):
            self._ends[End.PROVED if check.is_proved else End.UNCHECKED] += count

    def more(self) -> Sequence[Wanted]:
        return []

    def out_of_time(self) -> None:
        for length, count in self._live.values():
            self._end(End.TIME, length, count)
        self._live.clear()

    def refused(self, problem: str) -> None:
        self._problem = problem

    def record(self, seconds: float) -> SearchRecord:
        goal = self.theorem.goal
        lengths = dict(sorted(self._lengths.items()))
        return SearchRecord(
            theorem=self.theorem.name,
            statement=goal.statement,
            method=METHOD,
            header=goal.header,
            first_sample=self._first_sample,
            num_samples=self._num_samples,
            num_correct=self._ends[End.PROVED],
            num_tactics=sum(length * count for length, count in lengths.items()),
            num_tried=self._num_tried,
            ends={end.value: self._ends[end] for end in End if self._ends[end]},
            lengths=lengths,
            depths=self._tally.counts(),
            proofs=tuple(
                FoundProof(node.state.tactics, count, node.log_prob, check.is_proved, check.detail)
                for (node, count), check in zip(self._arrived, self._checks or (), strict=True)
            ),
            seconds=seconds,
            problem=self._problem,
            metadata=self.theorem.metadata,
        )

    def _ask(self, node: Node, count: int) -> Wanted:
        wanted = Wanted(node, range(count))
        self._live[wanted] = (node.depth, count)
        return wanted

    def _end(self, end: End, length: int, count: int) -> None:
        if count:
            self._ends[end] += count
            self._lengths[length] += count
