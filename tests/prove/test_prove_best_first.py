"""Best-first search against an enumeration of the toy system's whole tree, where every tactic is drawn."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest
from toy_prover import ENDLESS, TABLE, ProportionalEngine, ToyEngine, ToyLean, apply, check, toy_model, toy_theorem

from passatn.lean import FailureKind
from passatn.prove.best_first import BestFirstSearch
from passatn.prove.loop import SearchLoop
from passatn.prove.records import SearchRecord, merge, problem_results
from passatn.sample.engine import Completion

WORDS = ("a", "b", "c", "ab", "ba", "bb", "cb", "abc", "caab", "bbab")
WIDTH = 8
"""Every probability is a multiple of 1/8: so many draws in proportion hold every tactic."""


def search(word: str, engine: ToyEngine | None = None, **options: Any) -> SearchRecord:
    loop = SearchLoop(toy_model(engine or ProportionalEngine()), ToyLean(), check)
    [record] = loop.run([BestFirstSearch(toy_theorem(word), **({"width": WIDTH} | options))])
    return record


@dataclasses.dataclass(frozen=True)
class Path:
    """A path of tactics, and the words on it."""

    tactics: tuple[str, ...]
    words: tuple[str, ...]
    log_prob: float

    def priority(self, alpha: float) -> float:
        return self.log_prob / max(1, len(self.tactics)) ** alpha

    def children(self) -> Iterator["Path"]:
        for tactic, p in TABLE[self.words[-1][0]]:
            after = apply(self.words[-1], tactic) if tactic != ENDLESS else FailureKind.ERROR
            if not isinstance(after, FailureKind):
                yield Path((*self.tactics, tactic), (*self.words, after), self.log_prob + math.log(p))


def paths(word: str, max_depth: int) -> list[Path]:
    """Every path of valid tactics, to any open state or proof."""
    layers = [[Path((), (word,), 0.0)]]
    for _ in range(max_depth):
        layers.append([child for path in layers[-1] if path.words[-1] for child in path.children()])
    return [path for layer in layers for path in layer]


def by_enumeration(word: str, alpha: float, max_depth: int) -> tuple[tuple[str, ...], int]:
    """The proof that must be found, and the number of expansions: by their definition, over the whole tree.

    A state is expanded before another of the tree if its bottleneck, the lowest priority on the way to it, is higher;
    the states on the way come before it. So states are expanded in the order of their bottlenecks.
    """
    whole = {path.tactics: path for path in paths(word, max_depth)}
    opened = [path for path in whole.values() if path.words[-1] and len(path.tactics) < max_depth]

    def bottlenecks(path: Path) -> list[float]:
        """The lowest priority on the way to each state of the path."""
        priorities = [whole[path.tactics[:n]].priority(alpha) for n in range(len(path.tactics) + 1)]
        return [min(priorities[: n + 1]) for n in range(len(priorities))]

    frontier, expanded = {()}, 0
    while frontier:
        best = min(frontier, key=lambda tactics: (-whole[tactics].priority(alpha), tactics))
        assert bottlenecks(whole[best])[-1] == max(
            bottlenecks(path)[-1] for path in opened if path.tactics not in done(frontier, opened)
        )
        frontier.remove(best)
        expanded += 1
        children = [whole[child.tactics] for child in whole[best].children()]
        proofs = [child for child in children if not child.words[-1] and "cheat" not in child.tactics]
        if proofs:
            return max(proofs, key=lambda path: path.log_prob).tactics, expanded
        frontier |= {child.tactics for child in children if child.words[-1] and len(child.tactics) < max_depth}
    return (), expanded


def done(frontier: set[tuple[str, ...]], opened: list[Path]) -> set[tuple[str, ...]]:
    """The states that were expanded: those that are neither in the frontier nor below one that is."""
    prefixes = {path.tactics: {path.tactics[:n] for n in range(len(path.tactics) + 1)} for path in opened}
    return {tactics for tactics, all_prefixes in prefixes.items() if not all_prefixes & frontier}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_finds_the_proof_that_an_enumeration_of_the_tree_says_it_must(word: str, alpha: float) -> None:
    max_depth = 5
    expected, expansions = by_enumeration(word, alpha, max_depth)
    record = search(word, alpha=alpha, max_depth=max_depth, max_tactics=10**6)
    checked = [proof.tactics for proof in record.proofs if proof.is_checked]
    assert checked[:1] == ([expected] if expected else [])
    assert record.num_tactics == expansions * WIDTH
    assert record.num_correct == (1 if expected else 0)
    assert (record.method, record.num_samples, record.lengths) == ("best_first", 1, {})


def test_a_plain_sum_goes_for_probable_steps_and_a_mean_for_probable_steps_on_average() -> None:
    """At least one of the words tells the two apart, or alpha would do nothing."""
    found = [
        {word: search(word, alpha=alpha, max_depth=5, max_tactics=10**6).num_tactics for word in WORDS}
        for alpha in (0.0, 1.0)
    ]
    assert found[0] != found[1]


def test_a_theorem_without_a_proof_ends_when_all_of_its_tree_is_known() -> None:
    """Within two tactics there is no proof of "cb"."""
    record = search("cb", max_depth=2, max_tactics=10**6)
    opened = [path for path in paths("cb", 1) if path.words[-1]]
    assert record.num_correct == 0
    assert record.num_tactics == WIDTH * len(opened)
    assert record.num_tried == sum(sum(tactic != ENDLESS for tactic, _ in TABLE[path.words[-1][0]]) for path in opened)
    valid = [path for path in paths("cb", 2) if path.words[-1]]
    assert record.ends["depth"] == sum(len(path.tactics) == 2 for path in valid)
    assert [counts.num_states for counts in record.depths] == [1, 2]


def test_proofs_that_lean_refuses_as_a_whole_are_kept_and_do_not_end_the_search() -> None:
    record = search("b")
    refused, proved = record.proofs
    # Both come of the first expansion, the more probable first in the search's order.
    assert {refused.tactics, proved.tactics} == {("drop",), ("cheat",)}
    assert [(proof.tactics, proof.is_checked, proof.found_at) for proof in record.proofs] == [
        (("drop",), True, WIDTH),
        (("cheat",), False, WIDTH),
    ]
    record = search("bb", max_depth=5)
    assert not record.proofs[0].is_checked
    assert record.num_correct == 1
    assert record.proofs[0].found_at < record.num_tactics


def test_budgets_in_tactics_and_expansions_are_kept_to_the_last_draw() -> None:
    for budget in (1, 7, 8, 9, 30):
        record = search("ccc", max_tactics=budget, max_depth=50)
        assert record.num_tactics == budget
    assert search("ccc", max_expansions=3).num_tactics == 3 * WIDTH


def test_found_at_counts_the_tactics_drawn_up_to_the_proof() -> None:
    for word in WORDS:
        record = search(word, max_tactics=10**4, max_depth=6)
        places = [proof.found_at for proof in record.proofs if proof.is_checked]
        assert places == [record.num_tactics] * len(places)
        if places:
            # With one expansion less it is not found.
            assert search(word, max_tactics=record.num_tactics, max_depth=6).num_correct == 1
            fewer = record.num_tactics - WIDTH
            assert fewer == 0 or search(word, max_tactics=fewer, max_depth=6).num_correct == 0


def test_searches_with_other_first_samples_are_independent_samples() -> None:
    theorem = toy_theorem("ab")
    searches = [BestFirstSearch(theorem, k, width=2, max_tactics=6) for k in range(50)]
    records = list(SearchLoop(toy_model(), ToyLean(), check).run(searches))
    assert len({record.num_tried for record in records}) > 1
    [result] = problem_results(merge(records))
    assert result.num_samples == 50
    assert 0 < result.num_correct == sum(record.num_correct for record in records) < 50


class Silent(ToyEngine):
    """A server without log-probabilities."""

    def _completion(self, *arguments: Any) -> Completion:
        return dataclasses.replace(super()._completion(*arguments), log_prob=math.nan)


def test_without_log_probabilities_there_is_no_order() -> None:
    with pytest.raises(ValueError, match="needs log-probabilities"):
        search("ab", engine=Silent())
