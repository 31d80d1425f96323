"""RolloutEstimator: how often a problem is solved by the current weights, from roll-outs that a verifier judges.

p(y|x) sums over all reasoning that ends in a correct answer; n roll-outs of which c are correct estimate it without
bias by c/n (arXiv 2502.07154, section 5.4). Roll-out k of a candidate is a function of the seed, the optimizer step and
the candidate (`passatn.sample.draw`): batches, processes and interruptions do not change it.

Verification overlaps generation: what one job has generated is judged in a thread (and the verifier's own worker
processes) while the engine works at the next one.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass, field
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object

from passatn.sample.engine import Completion, Engine, Job, SamplingParams, sample_jobs
from passatn.train.rollout_data import Candidates
from passatn.train.rollout_stopping import StoppingRule
from passatn.train.stopwatch import Stopwatch
from passatn.verify.verdict import Outcome, Submission, Verdict, Verifier

ROLLOUTS_PER_JOB = 1024
"""As many as HFEngine generates at once: smaller jobs would cost it time, larger ones would hide less verification."""

_CORRECT = object()
"""The one answer that all correct roll-outs gave, whatever its spelling."""


@dataclass(frozen=True)
class Estimate:
    """What the roll-outs of one candidate said."""

    num_correct: int
    num_rollouts: int
    num_most_frequent: int
    """Roll-outs that ended in the most frequent final answer, right or wrong."""
    keep: bool
    step: int
    """Optimizer steps done when it was made, on the weights of then."""

    @property
    def p_hat(self) -> float:
        return self.num_correct / self.num_rollouts


@dataclass
class RolloutCounts:
    """Of all processes, since the counts were last taken."""

    drawn: int = 0
    saved_by_stopping: int = 0
    saved_by_reuse: int = 0
    truncated: int = 0
    failed: int = 0
    """The verifier gave no verdict: a timeout or an error, which count as wrong."""

    def add(self, other: "RolloutCounts") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class _Tally:
    """The roll-outs of one candidate so far."""

    num_correct: int = 0
    num_rollouts: int = 0
    answers: Counter[Hashable] = field(default_factory=Counter)


class RolloutEstimator:
    """Estimates of candidates, made by roll-outs or taken from the cache; the same on every process.

    Args:
        engine: draws the roll-outs of this process's share of the candidates; of all, where it is one for all processes
            (`is_shared`) and this is the main one.
        rule: says after which roll-outs keep or discard is decided, and how.
        seed: of the roll-outs, together with the step and the candidate.
        max_age: optimizer steps for which an estimate is used again.
        update_engine: brings the present weights into the engine; None where it works on the model itself.
        answer_key: of an extracted answer, equal for answers that are the same.
    """

    def __init__(
        self,
        engine: Engine,
        verifier: Verifier,
        candidates: Candidates,
        rule: StoppingRule,
        accelerator: Accelerator,
        *,
        seed: int,
        max_new_tokens: int,
        temperature: float = 1.0,
        max_age: int = 0,
        update_engine: Callable[[], None] | None = None,
        answer_key: Callable[[str], Hashable] = str,
    ) -> None:
        self._engine, self._verifier, self._candidates, self._rule = engine, verifier, candidates, rule
        self._accelerator, self._seed, self._max_age = accelerator, seed, max_age
        self._max_new_tokens, self._temperature = max_new_tokens, temperature
        self._update_engine, self._answer_key = update_engine, answer_key
        self._is_shared: bool = getattr(engine, "is_shared", False)
        self._engine_step: int | None = None
        self._estimates: dict[int, Estimate] = {}
        self._counts = RolloutCounts()
        self.stopwatch = Stopwatch()

    def estimate(self, candidates: Sequence[int], step: int) -> list[Estimate]:
        """One estimate per candidate, at most `max_age` steps old at `step`; missing ones are made now."""
        wanted = list(dict.fromkeys(candidates))
        missing = [candidate for candidate in wanted if not self._is_young(candidate, step)]
        self._counts.saved_by_reuse += self._num_rollouts * (len(wanted) - len(missing))
        if missing:
            self._bring_weights(step)
            share = [self._roll_out(self._share(missing), step)]
            with self.stopwatch.phase("waiting"):
                shares = gather_object(share)
            for estimates, counts in shares:
                self._estimates |= estimates
                self._counts.add(counts)
        return [self._estimates[candidate] for candidate in candidates]

    def take_counts(self) -> RolloutCounts:
        """The counts since they were last taken."""
        counts, self._counts = self._counts, RolloutCounts()
        return counts

    def state_dict(self) -> dict[str, Any]:
        """The latest estimate of each candidate, as JSON values."""
        return {str(candidate): list(astuple(self._estimates[candidate])) for candidate in sorted(self._estimates)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._estimates = {int(candidate): Estimate(*values) for candidate, values in state.items()}
        self._engine_step = None

    @property
    def _num_rollouts(self) -> int:
        return self._rule.looks[-1]

    def _is_young(self, candidate: int, step: int) -> bool:
        known = self._estimates.get(candidate)
        return known is not None and 0 <= step - known.step <= self._max_age

    # ---- roll-outs of this process ----

    def _share(self, candidates: list[int]) -> list[int]:
        if self._is_shared:
            return candidates if self._accelerator.is_main_process else []
        return candidates[self._accelerator.process_index :: self._accelerator.num_processes]

    def _bring_weights(self, step: int) -> None:
        if self._update_engine is None or self._engine_step == step:
            return
        if self._is_shared and not self._accelerator.is_main_process:
            return
        with self.stopwatch.phase("transfer"):
            self._update_engine()
        self._engine_step = step

    def _roll_out(self, candidates: list[int], step: int) -> tuple[dict[int, Estimate], RolloutCounts]:
        tallies = {candidate: _Tally() for candidate in candidates}
        estimates: dict[int, Estimate] = {}
        counts = RolloutCounts()
        for look, end in enumerate(self._rule.looks):
            undecided = [candidate for candidate in candidates if candidate not in estimates]
            self._draw(undecided, end, step, tallies, counts)
            for candidate in undecided:
                tally = tallies[candidate]
                keep = self._rule.decide(look, tally.num_correct)
                if keep is not None:
                    most = max(tally.answers.values(), default=0)
                    estimates[candidate] = Estimate(tally.num_correct, tally.num_rollouts, most, keep, step)
                    counts.saved_by_stopping += self._num_rollouts - tally.num_rollouts
        return estimates, counts

    def _draw(
        self, candidates: list[int], end: int, step: int, tallies: dict[int, _Tally], counts: RolloutCounts
    ) -> None:
        """Bring each of the candidates to `end` roll-outs."""
        if not candidates:
            return
        start = tallies[candidates[0]].num_rollouts
        params = SamplingParams(
            n=end - start,
            first_index=start,
            max_new_tokens=self._max_new_tokens,
            temperature=self._temperature,
            seed=rollout_seed(self._seed, step),
        )
        size = max(1, ROLLOUTS_PER_JOB // params.n)
        jobs: list[Job] = [
            (self._candidates.requests(candidates[first : first + size]), params)
            for first in range(0, len(candidates), size)
        ]
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="verify") as thread:
            judging: list[tuple[list[Completion], Future[list[Verdict | None]]]] = []
            for completions in self._generate(jobs):
                judging.append((completions, thread.submit(self._judge, completions)))
            for completions, verdicts in judging:
                with self.stopwatch.phase("waiting"):
                    judged = verdicts.result()
                self._count(completions, judged, tallies, counts)

    def _generate(self, jobs: list[Job]) -> Iterator[list[Completion]]:
        results = sample_jobs(self._engine, jobs)
        while True:
            with self.stopwatch.phase("sampling"):
                result = next(results, None)
            if result is None:
                return
            yield result[1]

    def _judge(self, completions: list[Completion]) -> list[Verdict | None]:
        """None for a completion that did not end: it is never correct, and is not judged."""
        with self.stopwatch.phase("verifying"):
            finished = [completion for completion in completions if completion.finished]
            problems = {name: self._candidates.problem(int(name)) for name in {c.problem_id for c in finished}}
            verdicts = iter(self._verifier.verify([Submission(problems[c.problem_id], c.text) for c in finished]))
            return [next(verdicts) if completion.finished else None for completion in completions]

    def _count(
        self,
        completions: list[Completion],
        verdicts: list[Verdict | None],
        tallies: dict[int, _Tally],
        counts: RolloutCounts,
    ) -> None:
        for completion, verdict in zip(completions, verdicts, strict=True):
            tally = tallies[int(completion.problem_id)]
            tally.num_rollouts += 1
            counts.drawn += 1
            if verdict is None:
                counts.truncated += 1
            elif verdict.outcome is Outcome.CORRECT:
                tally.num_correct += 1
                tally.answers[_CORRECT] += 1
            else:
                counts.failed += verdict.outcome in (Outcome.TIMEOUT, Outcome.ERROR)
                if verdict.extracted is not None:
                    tally.answers[self._answer_key(verdict.extracted)] += 1


def rollout_seed(seed: int, step: int) -> int:
    """A seed of its own for each step: neighbouring seeds of one run must not be those of another run's steps."""
    digest = hashlib.blake2b(f"rollouts {seed} {step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 2
