"""Ensembles from raw log p, against products written out."""

import math

import pytest

from passatn.experiments.sweep.ensembles import ensemble_table


def final(arm, seed, *probabilities, n=4):
    return {"arm": arm, "seed": seed, "tested": [{"n": n, "log_p": [math.log(p) for p in probabilities]}]}


RESULTS = {
    "finals": [
        final("CE", 1, 0.3, 0.1),
        final("CE", 0, 0.1, 0.3),
        final("DCO", 0, 0.2, 0.2),
        final("DCO", 1, 0.4, 0.2),
        final("other N", 0, 0.4, 0.2, n=8),
    ],
    "confirmation": {"finals": [final("CE", 3, 0.9, 0.9)]},
}


def cells(table):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}


def test_a_budget_is_dealt_out_evenly():
    found = cells(ensemble_table(RESULTS, 4, ["CE", "DCO"]))
    one = 100 * (2 - 0.9**4 - 0.7**4) / 2
    ce = 100 * (1 - 0.9**2 * 0.7**2)
    dco = 100 * (2 - 0.8**2 * 0.6**2 - 0.8**4) / 2
    mixed = 100 * (4 - 0.9**2 * 0.8**2 - 0.7**2 * 0.8**2 - 0.7**2 * 0.6**2 - 0.9**2 * 0.8**2) / 4
    assert found["CE, one"][:2] == ["1", f"{one:.1f}"]
    assert found["CE, seeds"][:2] == ["2", f"{ce:.1f}"]
    assert found["DCO, seeds"][:2] == ["2", f"{dco:.1f}"]
    assert found["CE + DCO"][:2] == ["2", f"{mixed:.1f}"], "seed 0 with seed 0, seed 1 with seed 1"
    assert found["CE + DCO"][2].startswith(f"{mixed - one:+.1f} [")
    assert found["CE + DCO"][3].startswith(f"{mixed - ce:+.1f} [")
    assert found["DCO, one"][2] == found["DCO, one"][3], "one against one"
    assert set(found) == {"CE, one", "CE, seeds", "DCO, one", "DCO, seeds", "CE + DCO"}


def test_what_is_left_over_goes_to_the_first():
    three = {"finals": [final("CE", seed, 0.1 + seed / 10, 0.5) for seed in range(3)]}
    three["finals"] += [final("DCO", seed, 0.2 + seed / 10, 0.5) for seed in range(3)]
    found = cells(ensemble_table(three, 4, ["CE", "DCO"]))
    pairs = [0.9**2 * 0.8**2, 0.9**2 * 0.7**2, 0.8**2 * 0.7**2]
    mixed = [0.9**2 * 0.8**2, 0.8**2 * 0.7**2, 0.7**2 * 0.6**2]
    assert found["CE + DCO"][3].startswith(f"{100 * (sum(pairs) - sum(mixed)) / 6:+.1f} ["), "all pairs of seeds"
    assert found["CE, seeds"][1] == f"{100 * (2 - 0.9**2 * 0.8 * 0.7 - 0.5**4) / 2:.1f}"


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="no arm 'GEM' tested at N = 4; there are: CE, DCO"):
        ensemble_table(RESULTS, 4, ["GEM"])
    with pytest.raises(ValueError, match="nothing was tested at N = 5"):
        ensemble_table(RESULTS, 5)
    odd = {"finals": [*RESULTS["finals"], final("GEM", 0, 0.1, 0.1)]}
    with pytest.raises(ValueError, match="an ensemble of 3 has no counterpart of as many seeds: the baseline has 2"):
        ensemble_table(RESULTS, 4, ["CE", "DCO", "DCO"])
    with pytest.raises(ValueError, match="CE, GEM have different numbers of seeds"):
        ensemble_table(odd, 4, ["CE", "GEM"])
