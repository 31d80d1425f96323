"""Replacement brings an example back only in the next pass over the data: each is weighed once per pass."""

import pytest

from passatn.train.replacement import ReplacementStep
from train_helpers import make_rows, make_trainer, training_logs

SIZE = 23


def train_and_watch(tmp_path, monkeypatch, **settings):
    """Examples in the order in which they were decided on, and the batches they made up."""
    weighed, batches = [], []
    decide = ReplacementStep.decide

    def watch(step, active):
        indices = step.rounds[0]
        accepted = decide(step, active)
        if not batches or batches[-1][0] is not step:
            batches.append((step, []))
        weighed.extend(indices[: len(accepted)])
        batches[-1][1].extend(index for index, taken in zip(indices, accepted, strict=False) if taken)
        return accepted

    monkeypatch.setattr(ReplacementStep, "decide", watch)
    trainer = make_trainer(
        tmp_path, make_rows(SIZE), n_passes=30000, min_confidence_weight=0.6, min_active_fraction=0.0,
        per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=1e-2, **settings,
    )  # fmt: skip
    trainer.train()
    return trainer, weighed, [batch for _, batch in batches]


@pytest.mark.parametrize("schedule", [{}, {"n_passes_schedule": "mixture", "n_passes_mixture": [1, 30000]}])
def test_within_a_pass_no_example_is_weighed_twice(schedule, tmp_path, monkeypatch):
    trainer, weighed, _ = train_and_watch(tmp_path, monkeypatch, max_steps=12, **schedule)
    assert len(weighed) > 3 * SIZE
    for start in range(0, len(weighed) - SIZE, SIZE):
        assert sorted(weighed[start : start + SIZE]) == list(range(SIZE))
    assert trainer.coverage_state()["stream"]["num_replaced"] > 10


def test_with_max_data_passes_1_no_example_is_trained_on_twice(tmp_path, monkeypatch):
    trainer, weighed, batches = train_and_watch(tmp_path, monkeypatch, max_steps=50, max_data_passes=1)
    trained = [index for batch in batches for index in batch]
    assert len(trained) == len(set(trained)) < len(weighed) == len(set(weighed))
    assert len(weighed) > SIZE - 4, "what is left is less than a batch"
    assert "max_data_passes=1 passes over the data are used up" in trainer.ended_early
    assert training_logs(trainer)[-1]["data_passes"] <= 1
