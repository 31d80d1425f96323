"""Roll-outs against the exact law of a toy proof system, and the loop's promise: no record depends on how it ran."""

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats
from toy_prover import (
    ProportionalEngine,
    ToyEngine,
    ToyLean,
    check,
    outcomes,
    probability,
    toy_model,
    toy_theorem,
)

from passatn.lean import Check, Goal, GoalError, LeanError, ProofState
from passatn.prove.best_first import BestFirstSearch
from passatn.prove.loop import SearchLoop
from passatn.prove.records import DepthCounts, End, SearchRecord, merge
from passatn.prove.rollouts import RolloutSearch
from passatn.prove.search import Search

WORDS = ("a", "b", "c", "ab", "ba", "cb", "abc", "caab")
MAX_DEPTH = 6


def run(searches: Sequence[Search], **options: Any) -> dict[str, SearchRecord]:
    """Records by theorem, without the time that they took."""
    lean, seed = options.pop("lean", ToyLean()), options.pop("seed", 0)
    model = toy_model(options.pop("engine", None), seed)
    loop = SearchLoop(model, lean, options.pop("check", check), **options)
    records = list(loop.run(searches))
    assert loop.num_drawn == sum(record.num_tactics for record in records)
    return {record.theorem: dataclasses.replace(record, seconds=0.0) for record in records}


def rollouts(words: Sequence[str] = WORDS, num_samples: int = 64, first_sample: int = 0) -> list[RolloutSearch]:
    return [RolloutSearch(toy_theorem(w), first_sample, num_samples, max_depth=MAX_DEPTH) for w in words]


def drawn_lengths(word: str, num_samples: int, max_depth: int) -> Counter[int]:
    expected: Counter[int] = Counter()
    for (_, length), p in outcomes(word, max_depth).items():
        expected[length] += p * num_samples  # type: ignore[assignment]
    return expected


@pytest.mark.parametrize("word", ["a", "b", "ab", "ca", "cba"])
@pytest.mark.parametrize("max_depth", [1, 3, 5])
def test_counts_are_the_expected_ones_where_draws_come_in_proportion(word: str, max_depth: int) -> None:
    """Every probability is a multiple of 1/8, so 8^depth roll-outs split without a rest."""
    num_samples = 8**max_depth
    search = RolloutSearch(toy_theorem(word), 0, num_samples, max_depth=max_depth)
    record = run([search], engine=ProportionalEngine())[word]
    law = outcomes(word, max_depth)
    expected: Counter[str] = Counter()
    for (end, _), p in law.items():
        expected[end.value] += p * num_samples  # type: ignore[assignment]
    assert record.ends == {end: count for end, count in expected.items() if count}
    assert record.lengths == drawn_lengths(word, num_samples, max_depth)
    assert record.num_correct == probability(word, max_depth) * num_samples
    assert record.num_tactics == sum(length * p * num_samples for (_, length), p in law.items())


def test_depths_tried_and_proofs_of_a_small_tree_counted_by_hand() -> None:
    """From "ba": drop → "a", swap → "ab", double → "bba", cheat, endless; from each of the three the next layer."""
    record = run([RolloutSearch(toy_theorem("ba"), 0, 64, max_depth=2)], engine=ProportionalEngine())["ba"]
    assert record.depths == (
        DepthCounts(num_states=1, num_drawn=64, num_distinct=4, num_valid=4, num_valid_drawn=56),
        # 16 roll-outs each: "a" (drop), "ab" (drop, swap), "bba" (drop, swap, double, cheat); "a" cannot swap.
        DepthCounts(
            num_states=3, num_drawn=48, num_distinct=12, num_valid=7, num_valid_drawn=8 + 8 + 4 + 4 + 4 + 4 + 2
        ),
    )
    assert record.num_tried == 16
    assert record.num_tactics == 112
    assert [(p.tactics, p.num_found, p.is_checked, p.detail) for p in record.proofs] == [
        (("cheat",), 8, False, "cheating"),
        (("drop", "drop"), 8, True, ""),
        (("double", "cheat"), 2, False, "cheating"),
    ]
    assert record.proofs[1].log_prob == pytest.approx(np.log(0.25 * 0.5))
    assert record.ends["unchecked"] == 10
    assert record.metadata == {"length": 2}


def test_frequencies_are_those_of_the_exact_law() -> None:
    """Chi-square over (end, length), summed over theorems; false alarms 1e-3 per seed, here fixed."""
    num_samples = 4000
    found = run(rollouts(num_samples=num_samples), seed=3)
    observed, expected = [], []
    for word in WORDS:
        law: Counter[End] = Counter()
        for (end, _), p in outcomes(word, MAX_DEPTH).items():
            law[end] += p * num_samples  # type: ignore[assignment]
        assert set(found[word].ends) <= {end.value for end in law}
        common = [end for end, mean in law.items() if mean >= 5]
        observed += [found[word].ends.get(end.value, 0) for end in common]
        expected += [law[end] for end in common]
        assert found[word].num_correct == pytest.approx(
            num_samples * probability(word, MAX_DEPTH), abs=4 * num_samples**0.5 / 2
        )
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    assert stats.chi2.sf(statistic, len(observed) - len(WORDS)) > 1e-3


def test_rollouts_of_a_slice_are_independent_of_each_other() -> None:
    """Correct ones among 40 are binomial: a random number that two of them share would spread or squeeze the counts."""
    num_slices, size, word = 500, 40, "ab"
    theorem = toy_theorem(word)
    searches = [RolloutSearch(theorem, size * k, size, max_depth=MAX_DEPTH) for k in range(num_slices)]
    records = list(SearchLoop(toy_model(seed=1), ToyLean(), check).run(searches))
    p = probability(word, MAX_DEPTH)
    counts = np.array([record.num_correct for record in records])
    dispersion = float(((counts - size * p) ** 2).sum() / (size * p * (1 - p)))
    assert 1e-3 < stats.chi2.cdf(dispersion, num_slices) < 1 - 1e-3
    assert stats.binomtest(int(counts.sum()), num_slices * size, p).pvalue > 1e-3


@pytest.mark.parametrize(
    "make", [rollouts, lambda words=WORDS: [BestFirstSearch(toy_theorem(w), max_tactics=200) for w in words]]
)
def test_no_record_depends_on_batches_order_or_who_answers_first(make: Any) -> None:
    undisturbed = run(make())
    for options in (
        {"batch_size": 1, "max_in_flight": 1},
        {"batch_size": 7, "max_in_flight": 3},
        {"lean": ToyLean(latency=0.002, seed=1), "batch_size": 64},
        {"lean": ToyLean(latency=0.002, seed=2), "batch_size": 16, "num_checkers": 3},
    ):
        assert run(make(), **options) == undisturbed
    assert run(make(WORDS[::-1])) == undisturbed
    assert run(make(WORDS[2:3]))[WORDS[2]] == undisturbed[WORDS[2]]


def test_seeds_slices_and_theorems_have_draws_of_their_own() -> None:
    words = ["ab"] * 3
    same = [RolloutSearch(toy_theorem(w, f"t{k}"), 0, 500) for k, w in enumerate(words)]
    by_name = run([*same, RolloutSearch(toy_theorem("ab", "t3"), 500, 500)])
    other_seed = run([RolloutSearch(toy_theorem("ab", "t0"), 0, 500)], seed=1)
    later = run([RolloutSearch(toy_theorem("ab", "t0"), 500, 500)])
    ends = [record.ends for record in [*by_name.values(), *other_seed.values(), *later.values()]]
    assert len({tuple(sorted(end.items())) for end in ends}) == 6


def test_slices_add_up() -> None:
    theorem = toy_theorem("abc")
    slices = [RolloutSearch(theorem, first, 100) for first in (200, 0, 100)]
    records = list(SearchLoop(toy_model(), ToyLean(), check).run(slices))
    [merged] = merge(records)
    assert merged.num_samples == 300
    assert sum(merged.ends.values()) == sum(merged.lengths.values()) == 300
    assert merged.num_correct == sum(record.num_correct for record in records) == merged.ends["proved"]


def test_each_distinct_tactic_is_tried_once_and_a_hundred_theorems_fill_batches() -> None:
    lean, engine = ToyLean(), ToyEngine()
    searches = [RolloutSearch(toy_theorem("abc", f"t{k}"), 0, 32) for k in range(100)]
    records = list(SearchLoop(toy_model(engine), lean, check, batch_size=256).run(searches))
    # All theorems share a statement here, so pairs are told apart by how often they were asked for.
    assert sum(lean.asked.values()) == sum(record.num_tried for record in records)
    assert np.mean(engine.batches) > 100
    lean = ToyLean()
    run([RolloutSearch(toy_theorem("abc"), 0, 5000)], lean=lean)
    assert set(lean.asked.values()) == {1}


def test_a_statement_that_lean_refuses_is_recorded_with_the_reason() -> None:
    found = run(rollouts(["ab", "xyz"], 10))
    assert found["xyz"].problem == "Lean does not accept the statement: unknown letter in xyz"
    assert (found["xyz"].num_samples, found["xyz"].num_correct, found["xyz"].num_tactics) == (10, 0, 0)
    assert found["ab"].num_tactics > 10


def test_a_goal_that_would_be_accepted_by_no_check_is_recorded_and_not_searched() -> None:
    def check_goal(goal: Goal) -> None:
        if "bbb" in goal.statement:
            raise GoalError("no whole file")

    found = run(rollouts(["bbb", "ab"], 10), check_goal=check_goal)
    assert (found["bbb"].problem, found["bbb"].num_tactics) == ("no whole file", 0)
    assert found["ab"].num_tactics > 0
    assert not found["ab"].problem


class Dying(ToyLean):
    """Cannot open one theorem, or at some point nothing at all."""

    is_dead = False

    def start(self, goal: Goal) -> ProofState:
        if self.is_dead or "bbb" in goal.statement:
            raise LeanError("Lean reached its memory limit")
        return super().start(goal) if "probe" not in goal.statement else ProofState(goal, (), ("True",))


def test_lean_that_cannot_open_one_theorem_goes_on_and_a_dead_one_stops_the_search() -> None:
    lean = Dying()
    found = run(rollouts(["bbb", "ab"], 10), lean=lean)
    assert found["bbb"].problem == "Lean could not open it: Lean reached its memory limit"
    assert found["ab"].num_tactics > 0
    lean.is_dead = True
    with pytest.raises(LeanError, match="memory limit") as error:
        run(rollouts(["ab"], 10), lean=lean)
    assert not isinstance(error.value, GoalError)


class Hanging(ToyLean):
    """Never answers `double`, while the clock runs."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def submit(self, state: ProofState, tactic: str) -> Any:
        future = super().submit(state, tactic)
        if tactic == "double":
            future = type(future)()
            threading.Timer(0.05, self._tick).start()
        return future

    def _tick(self) -> None:
        self.now += 1000.0


@pytest.mark.parametrize(("word", "share"), [("b", 1), ("ab", 0.75)])
def test_the_time_limit_ends_what_is_under_way_and_keeps_what_was_found(word: str, share: float) -> None:
    """`share` of the roll-outs come to a word that begins with b, and a quarter of these draw `double`. In two steps
    that leads to no proof."""
    lean = Hanging()
    search = RolloutSearch(toy_theorem(word), 0, 512, max_depth=2)
    record = run([search], lean=lean, clock=lambda: lean.now, time_limit=500.0, engine=ProportionalEngine())[word]
    assert record.ends["time"] == 512 * share / 4
    assert sum(record.ends.values()) == sum(record.lengths.values()) == 512
    assert record.num_correct == 512 * probability(word, 2)


class Late(Hanging):
    """Answers `double` when the limit is over, while a proof is being checked."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[tuple[Any, ProofState]] = []

    def submit(self, state: ProofState, tactic: str) -> Any:
        future = super().submit(state, tactic)
        if tactic == "double":
            self.late.append((future, state))
        return future

    def check(self, goal: Goal, proofs: Sequence[tuple[str, ...]]) -> list[Check]:
        for future, state in self.late:
            if state.goal == goal:
                future.set_result(self.step(state, "double"))
        # Whoever looks at the answers has the time to.
        time.sleep(0.1)
        return check(goal, proofs)


def test_answers_that_come_after_the_limit_change_nothing() -> None:
    lean = Late()
    limits = {"clock": lambda: lean.now, "time_limit": 500.0, "engine": ProportionalEngine(), "check": lean.check}
    other = RolloutSearch(toy_theorem("a"), 0, 64, max_depth=3)
    records = run([RolloutSearch(toy_theorem("b"), 0, 512, max_depth=2), other], lean=lean, **limits)
    assert len(lean.late) == 1
    assert records["b"].ends["time"] == 128
    assert sum(records["b"].ends.values()) == 512


class CheckError(RuntimeError):
    pass


def test_what_the_check_raises_stops_the_search() -> None:
    def broken(goal: Goal, proofs: Sequence[tuple[str, ...]]) -> list[Check]:
        raise CheckError

    with pytest.raises(CheckError):
        run(rollouts(["a"]), check=broken)


def test_a_rollout_ends_with_the_kind_of_its_failure() -> None:
    record = run([RolloutSearch(toy_theorem("a"), 0, 64, max_depth=1)], engine=ProportionalEngine())["a"]
    assert record.ends == {"proved": 32, "error": 16 + 8, "timeout": 8}


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_in_flight": 0}, {"time_limit": 0}, {"num_checkers": 0}])
def test_limits_of_the_loop_are_positive(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        SearchLoop(toy_model(), ToyLean(), check, **options)


def test_limits_of_searches_are_named() -> None:
    with pytest.raises(ValueError, match="max_depth must be at least 1"):
        RolloutSearch(toy_theorem("a"), 0, 1, max_depth=0)
    with pytest.raises(ValueError, match="width must be at least 1"):
        BestFirstSearch(toy_theorem("a"), width=0)
    with pytest.raises(ValueError, match="alpha must be finite"):
        BestFirstSearch(toy_theorem("a"), alpha=-1)
