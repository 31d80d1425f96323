r"""All gold answers of MATH and GSM8K: accepted against themselves and rewritten, refused when changed. Slow.

python tests/verify/test_verify_math_data.py     # prints the figures
"""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from math_answers import gsm8k_golds, math_golds, near_misses, rewrite

from passatn.tasks import Problem
from passatn.verify.math import MathVerifier
from passatn.verify.math.equality import equal
from passatn.verify.verdict import Outcome, Submission


@pytest.fixture(scope="module")
def verifier():
    verifier = MathVerifier(timeout_seconds=30)
    yield verifier
    verifier.close()


def judge(verifier, pairs):
    """The outcomes of (gold, answer) pairs; an answer that is no whole box of its own is put into one."""
    completions = [answer if answer.startswith(r"\boxed") else rf"\boxed{{{answer}}}" for _, answer in pairs]
    golds = [Problem("p", "q", (gold,)) for gold, _ in pairs]
    return [v.outcome for v in verifier.verify(list(map(Submission, golds, completions)))]


def both_ways(verifier, pairs):
    return judge(verifier, pairs) + judge(verifier, [(answer, gold) for gold, answer in pairs])


def wrong(pairs, outcomes, expected):
    return [pair for pair, outcome in zip(pairs + pairs, outcomes, strict=True) if outcome is not expected][:20]


def rewritten(golds):
    return [(gold, rewrite(gold)) for gold in golds if gold]


def changed(golds):
    pairs = ((gold, miss) for gold in dict.fromkeys(golds) if gold for miss in near_misses(gold))
    return [(gold, miss) for gold, miss in dict.fromkeys(pairs) if not miss.startswith(r"\boxed")]


def test_a_sample_of_each(test_data, verifier):
    golds = math_golds(test_data)[::100] + gsm8k_golds(test_data)[::100]
    pairs, misses = rewritten(golds), changed(golds)[::10]
    assert wrong(pairs, both_ways(verifier, pairs), Outcome.CORRECT) == []
    assert wrong(misses, both_ways(verifier, misses), Outcome.INCORRECT) == []


@pytest.mark.slow
def test_all_golds_against_themselves(test_data, verifier):
    golds = math_golds(test_data) + gsm8k_golds(test_data)
    assert len(golds) == 12_500 + 1_319
    assert golds.count("") == 2
    assert all(equal(gold, gold) for gold in golds)
    pairs = [(gold, gold) for gold in golds if gold]
    assert wrong(pairs, both_ways(verifier, pairs), Outcome.CORRECT) == []


@pytest.mark.slow
def test_all_golds_rewritten(test_data, verifier):
    pairs = rewritten(math_golds(test_data) + gsm8k_golds(test_data))
    assert sum(gold == answer for gold, answer in pairs) < 5
    assert wrong(pairs, both_ways(verifier, pairs), Outcome.CORRECT) == []


@pytest.mark.slow
def test_near_misses(test_data, verifier):
    pairs = changed(math_golds(test_data) + gsm8k_golds(test_data))
    assert len(pairs) > 15_000
    assert wrong(pairs, both_ways(verifier, pairs), Outcome.INCORRECT) == []


@pytest.mark.slow
def test_unclosed_boxes(test_data, verifier):
    golds = dict.fromkeys(gold for gold in math_golds(test_data) + gsm8k_golds(test_data) if gold)
    pairs = [(gold, rf"\boxed{{{gold}") for gold in golds]
    assert set(judge(verifier, pairs)) == {Outcome.INCORRECT}


def main() -> None:
    folder = Path(os.environ.get("PASSATN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    verifier = MathVerifier(timeout_seconds=30)
    for name, golds in (("MATH", math_golds(folder)), ("GSM8K", gsm8k_golds(folder))):
        kinds = {
            "itself": [(gold, gold) for gold in golds if gold],
            "rewritten": rewritten(golds),
            "near misses": changed(golds),
        }
        for kind, pairs in kinds.items():
            for way, some in (("", pairs), (" (sides exchanged)", [(answer, gold) for gold, answer in pairs])):
                start = time.perf_counter()
                counts = Counter(str(outcome) for outcome in judge(verifier, some))
                print(f"{name}, {kind}{way}: {len(some)} {dict(counts)} in {time.perf_counter() - start:.1f} s")
    verifier.close()


if __name__ == "__main__":
    main()
