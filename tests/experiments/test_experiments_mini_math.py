"""The demo's training runs at a tiny size: what is stored, and that averaged weights are the ones evaluated."""

import dataclasses

import numpy as np
import pytest
import torch

from passatn.coverage import coverage
from passatn.experiments.demo_analysis import NS, ArmRun, final_row, tuned_row
from passatn.experiments.demo_arms import arm_file
from passatn.experiments.mini_math import Arm, Settings, pretrain, run_arm
from passatn.tasks.mini_math import FUNCTION_IDS, sample_problems

TINY = Settings(pretrain_steps=8, pretrain_batch=16, epochs=3, num_train=64, num_eval=40, batch_size=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini-math")
    pretrain(TINY, folder / "base", lambda done, total: None)
    return folder


def run(folder, arm: Arm) -> ArmRun:
    file = arm_file(folder, arm, TINY)
    run_arm(arm, TINY, folder / "base", file, lambda done, total: None)
    return ArmRun.load(arm, file)


def test_an_arm_stores_scores_of_both_splits_after_every_epoch(folder):
    result = run(folder, Arm("DCO-16", n_passes=16))
    assert result.data["log_p_test"].shape == result.data["log_p_validation"].shape == (3, 40, 7)
    assert result.epochs == [1, 2, 3]
    row = final_row("DCO-16", [result])
    assert row.at(16) == pytest.approx(float(coverage(result.log_p(), 16).mean()))
    assert not np.array_equal(result.data["log_p_test"][0], result.data["log_p_test"][2])


def test_a_finished_arm_is_not_run_again_and_other_settings_are_another_file(folder):
    arm = Arm("CE")
    run(folder, arm)
    file = arm_file(folder, arm, TINY)
    before = file.stat().st_mtime_ns
    run(folder, arm)
    assert file.stat().st_mtime_ns == before
    assert arm_file(folder, Arm("CE", learning_rate=2e-3), TINY) != file


def test_tuned_cross_entropy_is_at_least_as_good_on_validation_as_its_last_epoch(folder):
    result = run(folder, Arm("CE"))
    tuned = tuned_row("tuned", [result], epochs=True, temperatures=True)
    labels = [part.strip() for part in tuned.note.split(";")]
    assert labels[0].startswith("N = 1: epoch")
    swapped = ArmRun(result.arm, result.data | {"log_p_test": result.data["log_p_validation"]})
    on_validation = tuned_row("tuned", [swapped], epochs=True, temperatures=True)
    assert all(on_validation.at(n) >= float(coverage(swapped.log_p(), n).mean()) - 1e-12 for n in NS)


def test_only_the_reset_rows_move_at_tuned_rates(folder):
    from transformers import LlamaForCausalLM

    from passatn.experiments.mini_math import _optimizer

    model = LlamaForCausalLM.from_pretrained(folder / "base")
    before = model.model.embed_tokens.weight.detach().clone()
    optimizer = _optimizer(model, Arm("x", reset_rows_only=True))
    batch = torch.from_numpy(sample_problems("finetune", 8, seed=0).input_ids)
    model(input_ids=batch, labels=batch).loss.backward()
    optimizer.step()
    moved = (model.model.embed_tokens.weight != before).any(dim=1).nonzero().flatten().tolist()
    assert moved
    assert set(moved) <= set(FUNCTION_IDS)


def test_averaged_weights_are_evaluated_not_those_in_training(folder):
    """One step has no average but itself; after it the two part."""
    plain, averaged = (run(folder, Arm("CE", ema=ema)).data["log_p_test"] for ema in (None, 0.9))
    assert not np.array_equal(plain, averaged)
    one_step = dataclasses.replace(TINY, epochs=1, num_train=TINY.batch_size)
    files = []
    for ema in (None, 0.9):
        arm = Arm("CE", ema=ema)
        files.append(arm_file(folder, arm, one_step))
        run_arm(arm, one_step, folder / "base", files[-1], lambda done, total: None)
    with np.load(files[0]) as first, np.load(files[1]) as second:
        assert np.array_equal(first["log_p_test"], second["log_p_test"])
        assert np.array_equal(first["greedy_log_p"], second["greedy_log_p"])
