"""Stages of the experiments with reasoning (table 3, figures 3 and 4): cross-entropy, GRPO and DCOa on one base.

At scale `demo` they are those of `experiments/mini_reasoning.py`, ten epochs for the paper's five; at scale `small`
those of `reasoning_runs.py`. Scale `paper` has commands (`--dry-run`), and nothing yet that reads what they write.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from passatn.experiments import mini_reasoning
from passatn.experiments.config import ConfigError
from passatn.experiments.mini_reasoning import Arm, Settings
from passatn.experiments.reproduce.arm_record import ArmRecord
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.reasoning_arms import KINDS
from passatn.experiments.reproduce.reasoning_runs import Reasoning

FULL = Settings(epochs=10, eval_epochs=(2, 4, 6, 8, 10))
QUICK = Settings(
    pretrain_steps=2, pretrain_batch=8, num_train=96, num_eval=6, num_samples=64, batch_size=16, epochs=2,
    eval_epochs=(1, 2), warm_epochs=1,
)  # fmt: skip
SETTING = (
    "Mini-reasoning: a Llama of 0.34 million parameters is pre-trained on single operations and fine-tuned on chains "
    "of two with the step between written out. GRPO starts from cross-entropy after {warm} epochs, since from the base "
    "it finds nothing to reward, and takes as many further steps as the others. {samples} samples of each of "
    "{problems} test chains; one seed; learning rates are not tuned."
)


def settings(context: Context) -> Settings:
    return QUICK if context.quick else FULL


def arms(context: Context) -> list[Arm]:
    """Cross-entropy first: GRPO starts from its weights."""
    options = {"n_passes": 8.0, "num_rollouts": 8} if context.quick else {"n_passes": 64.0}
    return [replace(arm, options=options) if arm.kind == "dcoa" else arm for arm in mini_reasoning.main_arms(0)]


def recipe(context: Context) -> dict[str, Any]:
    if context.scale == "paper":
        raise ConfigError(
            f"{context.name} at scale paper has commands and no table yet: --dry-run prints them; --scale demo and "
            "small run here"
        )
    if context.scale == "small":
        return Reasoning(context).recipe
    return {"settings": asdict(settings(context)), "arms": [asdict(arm) for arm in arms(context)]}


def trained_arms(context: Context) -> dict[str, ArmRecord]:
    """All three, by kind; those that are missing are run, one file each."""
    if context.scale == "small":
        stages = Reasoning(context)
        stages.check()
        return {kind: stages.arm(name) for name, kind in KINDS.items()}
    folder = context.workspace.path("reasoning", recipe(context))
    torch.set_num_threads(1)
    base = folder / "base"
    if not base.exists():
        context.say("base model …")
        context.workspace.note("reasoning", recipe(context))
        folder.mkdir(parents=True, exist_ok=True)
        mini_reasoning.pretrain(settings(context), base)
    found = {}
    for arm in arms(context):
        file = folder / f"{arm.name}-seed{arm.seed}.json"
        context.say(f"{arm.name}: {'trained already' if file.exists() else 'training …'}")
        mini_reasoning.run_arm(arm, settings(context), base, folder)
        found[arm.kind] = ArmRecord(file, json.loads(file.read_text(encoding="utf-8")))
    return found


def setting(context: Context, arms: Mapping[str, ArmRecord]) -> str:
    """What was run, in a few sentences."""
    if context.scale == "small":
        return Reasoning(context).setting(len(arms["ce"].evaluations[-1]["test_num_correct"]))
    sizes = settings(context)
    return SETTING.format(warm=sizes.warm_epochs, samples=sizes.num_samples, problems=sizes.num_eval)
