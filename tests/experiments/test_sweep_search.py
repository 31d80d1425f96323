"""Suggestions follow from seed, trial and records alone; choices, edges and the area against tables by hand."""

import dataclasses

import numpy as np
import pytest

from chain_calls import append
from passatn.experiments.sweep import finals
from passatn.experiments.sweep.choose import best_steps, choose
from passatn.experiments.sweep.jobs import Call, run_chains
from passatn.experiments.sweep.report import stop_edges
from passatn.experiments.sweep.robustness import robustness
from passatn.experiments.sweep.search import should_stop, suggest
from passatn.experiments.sweep.space import Dimension
from passatn.experiments.sweep.spec import parse_spec
from passatn.experiments.sweep.summary import same_settings
from passatn.experiments.sweep.training import Record

GIVEN = {
    "recipe": {"model": "m", "train_data": "t"}, "validation": "v", "test": "e", "ns": [1, 16],
    "temperatures": [0.5, 1, 2], "trials": 12,
    "space": {"learning_rate": {"log": [1e-5, 1e-1]}, "weight_decay": [0, 0.1, 0.2]},
    "arms": {"CE": {}, "DCO": {"space": {"n_passes": [4, 16, 64]}}},
}  # fmt: skip

N_RANGE = (Dimension.parse("n_passes", {"log": [1, 256]}),)


def record(params, curves, scheduled=None, pruned=False):
    """curves: [epochs, temperatures, ns]."""
    steps = tuple(10 * (k + 1) for k in range(len(curves)))
    return Record(
        params, 0, steps, tuple(map(float, range(1, len(curves) + 1))), steps, scheduled or steps[-1], curves, pruned
    )


def search(spec, arm, objective):
    """All trials of an arm, of one epoch each."""
    done = []
    for _ in range(spec.trials):
        params = suggest(spec, arm, len(done), done)
        done.append(record(params, [[[0.0, objective(params)]] * 3]))
    return done


def near(params):
    """Best at a learning rate of 1e-3."""
    return float(np.exp(-((np.log10(params["learning_rate"]) + 3) ** 2)))


def test_suggestions_are_reproducible_and_led_by_what_was_found():
    spec = parse_spec(GIVEN | {"trials": 24})
    arm = spec.arms[0]
    done = search(spec, arm, near)
    assert [r.params for r in search(spec, arm, near)] == [r.params for r in done]
    assert suggest(spec, arm, 17, done[:17]) == done[17].params, "whatever else was asked before"
    rates = np.log10([r.params["learning_rate"] for r in done])
    assert np.abs(rates[12:] + 3).mean() < 0.6 * np.abs(rates[:12] + 3).mean()
    other = search(dataclasses.replace(spec, search_seed=1), arm, near)
    assert other[0].params != done[0].params


def test_the_random_half_is_the_same_for_every_arm():
    spec = parse_spec(GIVEN)
    ce, dco = (search(spec, arm, near) for arm in spec.arms)
    assert spec.num_random == spec.num_independent == 6
    assert [suggest(spec, spec.arms[1], k, []) for k in range(6)] == [r.params for r in dco[:6]], "in any order"
    assert suggest(spec, spec.arms[1], 6, []) != dco[6].params
    assert dataclasses.replace(spec, pruner="asha").num_independent == 0, "a pruner compares each with those before"
    shared = [{k: v for k, v in r.params.items() if k != "n_passes"} for r in dco]
    assert [r.params for r in ce[:6]] == shared[:6]
    assert len({r.params["learning_rate"] for r in ce}) == 12
    assert {r.params["n_passes"] for r in dco} == {4, 16, 64}


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_settings_of_whole_numbers_are_drawn_whole(scale):
    arms = {"CE": {}, "vote": {"objective": "majority_vote", "space": {"majority_threshold": {scale: [2, 8]}}}}
    spec = parse_spec(GIVEN | {"arms": arms, "trials": 24})
    vote = search(spec, spec.arms[1], lambda params: -abs(params["majority_threshold"] - 5))
    drawn = [r.params["majority_threshold"] for r in vote]
    assert {type(value) for value in drawn} == {int}
    assert {*drawn} <= {*range(2, 9)}
    assert len({*drawn}) > 3
    assert [type(corner["majority_threshold"]) for corner in spec.arms[1].corners()] == [int] * 3
    # Other ranges are drawn as ever, also beside one of whole numbers, and N is one of them.
    ce = search(spec, spec.arms[0], near)
    assert [r.params["learning_rate"] for r in vote[:12]] == [r.params["learning_rate"] for r in ce[:12]]
    assert isinstance(suggest(spec, dataclasses.replace(spec.arms[0], space=N_RANGE), 0, [])["n_passes"], float)


def test_random_points_of_ranges_stay_what_they_were():
    spec = parse_spec(GIVEN)
    rates = [suggest(spec, spec.arms[0], number, [])["learning_rate"] for number in range(3)]
    assert rates == pytest.approx([0.04443009098761633, 0.022466788999865317, 0.027585477890128215])


def test_a_poor_trial_is_halved_away():
    spec = parse_spec(GIVEN | {"pruner": "asha"})
    arm = spec.arms[0]
    first = suggest(spec, arm, 0, [])
    good = record(first, [[[0, 0.5]] * 3, [[0, 0.6]] * 3, [[0, 0.7]] * 3])
    params = suggest(spec, arm, 1, [good])
    assert should_stop(spec, arm, [good], params, [0.4]), "of two, the better one goes on"
    assert not should_stop(spec, arm, [good], params, [0.55])
    assert should_stop(spec, arm, [good], params, [0.55, 0.58])
    assert not should_stop(spec, arm, [good], params, [0.55, 0.62])
    assert not should_stop(dataclasses.replace(spec, pruner="none"), arm, [good], params, [0.0])
    poor = record(params, [[[0, 0.4]] * 3], scheduled=30, pruned=True)
    others = [record(suggest(spec, arm, k, []), [[[0, 0.1 + k / 100]] * 3] * 3) for k in range(8)]
    assert suggest(spec, arm, 9, [*others, poor]) != suggest(spec, arm, 9, [*others, good]), "and is no good example"


def test_choices_are_those_of_a_search_by_hand():
    spec = parse_spec(GIVEN)
    rng = np.random.default_rng(0)
    records = [record({"learning_rate": 10.0**-k, "weight_decay": 0.1}, rng.random((4, 3, 2)).tolist()) for k in (2, 3)]
    for column, choice in enumerate(choose(spec, spec.arms[0], records)):
        found = max(
            (records[trial].values[epoch][t][column], -trial, -epoch, -t)
            for trial in range(2) for epoch in range(4) for t in range(3)
        )  # fmt: skip
        assert (choice.validation, -choice.trial, -choice.epoch, -choice.temperature) == found
        assert choice.params == records[choice.trial].params


def table(best_epoch, best_temperature, epochs=4):
    values = np.zeros((epochs, 3, 2))
    values[best_epoch, best_temperature] = 1
    return values.tolist()


@pytest.mark.parametrize(
    ("params", "epoch", "temperature", "scheduled", "expected"),
    [
        ({"learning_rate": 1e-3, "weight_decay": 0.1}, 1, 0, None, []),
        ({"learning_rate": 0.09, "weight_decay": 0.1}, 1, 0, None, ["learning_rate = 0.09 is at the upper edge"]),
        ({"learning_rate": 1e-3, "weight_decay": 0.2}, 1, 0, None, ["weight_decay = 0.2 is at the upper edge"]),
        ({"learning_rate": 1e-3, "weight_decay": 0}, 3, 0, None, ["epoch 4 is the last one"]),
        ({"learning_rate": 1e-3, "weight_decay": 0}, 3, 0, 50, []),
        ({"learning_rate": 1e-3, "weight_decay": 0}, 0, 0, None, ["epoch 1 is the first one"]),
        ({"learning_rate": 1e-3, "weight_decay": 0}, 2, 1, None, ["temperature 0.5 is the lowest"]),
        ({"learning_rate": 1e-3, "weight_decay": 0}, 2, 2, None, ["temperature 2 is the highest"]),
        ({"learning_rate": 1.2e-5, "weight_decay": 0.2}, 3, 2, None, ["learning_rate", "weight_", "epoch", "temp"]),
    ],
)
def test_edges(params, epoch, temperature, scheduled, expected):
    spec = parse_spec(GIVEN)
    choice = choose(spec, spec.arms[0], [record(params, table(epoch, temperature), scheduled)])[0]
    assert len(choice.edges) == len(expected)
    for edge, beginning in zip(choice.edges, expected, strict=True):
        assert edge.startswith(beginning)


def test_used_up_examples_are_an_edge():
    spec = parse_spec(GIVEN | {"match": "examples"})
    found = choose(spec, spec.arms[0], [record({"learning_rate": 1e-3, "weight_decay": 0}, table(3, 0), 99)])[0]
    assert found.edges == ("epoch 4 is the last one: train longer",)


def test_temperature_one_alone_is_no_edge_but_the_lowest_of_several_is():
    spec = parse_spec(GIVEN | {"temperatures": [1]})
    values = np.zeros((2, 1, 2))
    values[:, 0] = [[0, 0], [1, 1]]
    chosen = choose(spec, spec.arms[0], [record({"learning_rate": 1e-3, "weight_decay": 0}, values.tolist(), 99)])
    assert chosen[0].edges == ()
    spec = parse_spec(GIVEN | {"temperatures": [1, 1.5, 2]})
    chosen = choose(spec, spec.arms[0], [record({"learning_rate": 1e-3, "weight_decay": 0}, table(2, 0))])
    assert chosen[0].edges == ("temperature 1 is the lowest one: try lower ones",)


def test_equal_settings_are_one_training():
    spec = parse_spec(GIVEN)
    params = {"learning_rate": 1e-3, "weight_decay": 0.1}
    first, second = np.zeros((2, 2, 3, 2))
    first[1, 0, 0], second[1, 0, 1] = 1, 1
    chosen = choose(spec, spec.arms[0], [record(params, first.tolist()), record(dict(params), second.tolist())])
    assert [choice.trial for choice in chosen] == [0, 1]
    assert {trial: ns for trial, (_, ns) in same_settings(chosen).items()} == {0: [1, 16]}
    other = choose(
        spec, spec.arms[0], [record(params, first.tolist()), record({**params, "weight_decay": 0}, second.tolist())]
    )
    assert {trial: ns for trial, (_, ns) in same_settings(other).items()} == {0: [1], 1: [16]}


def test_weights_are_kept_for_the_best_epochs_of_the_given_n():
    values = np.zeros((3, 3, 2))
    values[0, 2, 0], values[2, 1, 1] = 1, 1
    scores = record({}, values.tolist()).scores
    assert best_steps(scores, [0, 1]) == {10, 30}
    assert best_steps(scores, [1]) == {30}


def test_the_area_is_the_mean_over_random_trials_and_epochs_at_temperature_one():
    spec = parse_spec(GIVEN | {"trials": 3})
    first = [[[0.1, 0.2], [9, 9], [9, 9]], [[0.3, 0.4], [9, 9], [9, 9]], [[0.5, 0.9], [9, 9], [9, 9]]]
    ended = [[[0.6, 0.1], [9, 9], [9, 9]], [[0.7, 0.8], [9, 9], [9, 9]]]
    led = [[[1, 1]] * 3] * 3
    found = robustness(spec, [record({}, first), record({}, ended, 30), record({}, led)], num_epochs=3)
    assert found.mean == pytest.approx(((0.1 + 0.3 + 0.5 + 0.6 + 2 * 0.7) / 6, (0.2 + 0.4 + 0.9 + 0.1 + 2 * 0.8) / 6))
    assert found.median == pytest.approx((0.55, 0.6))
    assert found.low == pytest.approx((np.quantile([0.1, 0.3, 0.5, 0.6, 0.7, 0.7], 0.25), 0.25))
    assert (found.num_trials, found.num_epochs) == (2, 3)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_chains_keep_their_order_and_an_error_ends_them(tmp_path, num_workers):
    chains = [[Call(append, (tmp_path / name, f"{name}{k}")) for k in range(3)] for name in "ab"]
    notes = []
    run_chains([*chains, []], num_workers, notes.append)
    assert [(tmp_path / name).read_text() for name in "ab"] == ["a0a1a2", "b0b1b2"]
    assert sorted(notes) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    failing = [Call(append, (tmp_path / "c", text)) for text in ("ok", "bad", "never")]
    with pytest.raises(ValueError, match="this one fails"):
        run_chains([failing], num_workers, notes.append)
    assert (tmp_path / "c").read_text() == "okbad"


@pytest.mark.parametrize(
    ("epoch", "temperature", "steps", "expected"),
    [
        (2, 1, 40, []),
        (3, 1, 40, ["epoch 4 is the last one"]),
        (3, 1, 30, []),
        (0, 1, 40, ["epoch 1 is the first one"]),
        (2, 2, 40, ["temperature 2 is the highest"]),
        (3, 0.5, 40, ["temperature 0.5 is the lowest", "epoch 4 is the last one"]),
    ],
)
def test_where_a_final_training_stops_is_looked_at_too(epoch, temperature, steps, expected):
    """Unless its objective ended it: then there are fewer steps than planned, and nothing beyond."""
    spec = parse_spec(GIVEN)
    tested = finals.Tested(spec.ns[0], epoch, temperature, 0.5, (-1.0,))
    final = finals.Final("CE", 0, {}, 7, steps, 400, 40, ("a",), (tested,))
    edges = stop_edges(spec, final, spec.ns[0], 4)
    assert [edge.startswith(start) for edge, start in zip(edges, expected, strict=True)] == [True] * len(expected)
