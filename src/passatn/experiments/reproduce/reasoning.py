"""Stages of the experiments with reasoning (table 3, figures 3 and 4): cross-entropy, GRPO and DCOa on one base.

At scale `demo` they are those of `experiments/mini_reasoning.py`, ten epochs for the paper's five. The larger scales
have commands (`--dry-run`), and nothing yet that reads their samples back into a table.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from passatn.coverage import pass_at_n
from passatn.experiments import mini_reasoning
from passatn.experiments.config import ConfigError
from passatn.experiments.mini_reasoning import Arm, Settings
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.costs import estimate
from passatn.experiments.reproduce.plans import (
    Plan,
    PlannedRun,
    again_command,
    launch_command,
    train_command,
)
from passatn.experiments.reproduce.recipes import H100, LLAMA_8B, SMOLLM2

FULL = Settings(epochs=10, eval_epochs=(2, 4, 6, 8, 10))
QUICK = Settings(
    pretrain_steps=2, pretrain_batch=8, num_train=96, num_eval=6, num_samples=64, batch_size=16, epochs=2,
    eval_epochs=(1, 2), warm_epochs=1,
)  # fmt: skip
NS = (1, 16, 64)
SETTING = (
    "Mini-reasoning: a Llama of 0.34 million parameters is pre-trained on single operations and fine-tuned on chains "
    "of two with the step between written out. GRPO starts from cross-entropy after {warm} epochs, since from the base "
    "it finds nothing to reward, and takes as many further steps as the others. {samples} samples of each of "
    "{problems} test chains; one seed; learning rates are not tuned."
)


@dataclass(frozen=True)
class ArmRecord:
    """One finished arm: its stored file, with counts per problem at some epochs."""

    file: Path
    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.record["arm"]["name"])

    @property
    def kind(self) -> str:
        return str(self.record["arm"]["kind"])

    @property
    def n_passes(self) -> float | None:
        """1 for cross-entropy, None for what is no coverage objective."""
        return 1.0 if self.kind == "ce" else self.record["arm"]["options"].get("n_passes")

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        return list(self.record["evaluations"])

    @property
    def num_samples(self) -> int:
        return int(self.record["settings"]["num_samples"])

    def pass_at_n(self, evaluation: Mapping[str, Any], n: int) -> float:
        """The unbiased estimate, mean over test problems."""
        return float(pass_at_n(self.num_samples, np.array(evaluation["test_num_correct"]), n).mean())

    def confidence(self, evaluation: Mapping[str, Any]) -> np.ndarray:
        """Share of the samples that end in the most frequent answer `[problems]`."""
        return np.array(evaluation["test_most_frequent"]) / self.num_samples

    def is_correct(self, evaluation: Mapping[str, Any]) -> np.ndarray:
        """Whether the most frequent answer is the right one `[problems]`; of equally frequent ones, if any is."""
        correct, frequent = (np.array(evaluation[f"test_{name}"]) for name in ("num_correct", "most_frequent"))
        return np.asarray((correct == frequent) & (correct > 0))


def settings(context: Context) -> Settings:
    return QUICK if context.quick else FULL


def arms(context: Context) -> list[Arm]:
    """Cross-entropy first: GRPO starts from its weights."""
    options = {"n_passes": 8.0, "num_rollouts": 8} if context.quick else {"n_passes": 64.0}
    return [replace(arm, options=options) if arm.kind == "dcoa" else arm for arm in mini_reasoning.main_arms(0)]


def recipe(context: Context) -> dict[str, Any]:
    if context.scale != "demo":
        raise ConfigError(
            f"{context.name} at scale {context.scale} has commands and no table yet: --dry-run prints them; "
            "--scale demo runs here"
        )
    return {"settings": asdict(settings(context)), "arms": [asdict(arm) for arm in arms(context)]}


def trained_arms(context: Context) -> dict[str, ArmRecord]:
    """All three, by kind; those that are missing are run, one file each."""
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


def setting(context: Context) -> str:
    sizes = settings(context)
    return SETTING.format(warm=sizes.warm_epochs, samples=sizes.num_samples, problems=sizes.num_eval)


_COMMON: Mapping[str, Any] = {
    "preset": "math",
    "template": "alpaca",
    "skip_bad_rows": True,
    "num_train_epochs": 5,
    "lr_scheduler_type": "constant_with_warmup",
    "warmup_steps": 20,
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "save_strategy": "epoch",
    "save_total_limit": 64,
    "seed": 0,
}
_ROLLOUTS: Mapping[str, Any] = {"confidence": "rollouts", "verifier": "math", "num_rollouts": 64}
ENGINE = Path("recipes/engines/fsdp2.yaml")
TOKENS = 320
"""Mean length of a problem with its solution."""


# What differs with GRPO; max_data_passes since the paper's epochs count the problems that are dropped.
_GRPO: Mapping[str, Any] = {
    "trainer": "grpo",
    "template": "r1",
    "verifier": "math",
    "num_generations": 8,
    "learning_rate": 1e-6,
    "max_data_passes": 5,
}


def _grpo(common: Mapping[str, Any], *, is_small: bool, longest: int) -> dict[str, Any]:
    """As many problems a batch as the other arms; its size counts their roll-outs."""
    accumulation = common["gradient_accumulation_steps"] * _GRPO["num_generations"]
    # The text of r1 is longer than that of the other arms' template.
    prompts = {"max_prompt_tokens": common["max_prompt_tokens"] + 128} if is_small else {}
    own = {"gradient_accumulation_steps": accumulation, "max_completion_length": longest}
    return {**common, **_GRPO, **own, **prompts}


def plan(context: Context) -> Plan:
    output = context.workspace.output
    if context.scale == "demo":
        note = "the project's own tiny model: about ten minutes on two CPU cores, most of them for roll-outs"
        return Plan([], [again_command(context)], [note])
    is_small = context.scale == "small"
    file = context.data_file("math_train*.jsonl*")
    sizes = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "learning_rate": 2e-5}
    if is_small:
        sizes = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 4, "learning_rate": 1e-4}
        sizes |= {"max_prompt_tokens": 160, "max_answer_tokens": 192, "limit": 1000}
    shape = SMOLLM2 if is_small else LLAMA_8B
    common = {"model": context.model or shape.name, "train_data": str(file or "math"), **_COMMON, **sizes}
    common |= {} if file else {"train_split": "train"}
    longest = 256 if is_small else 1024
    objectives = {
        "CE": {"n_passes": 1},
        "DCOa-64": {"n_passes": 64, **_ROLLOUTS, "rollout_max_new_tokens": longest},
    }
    arms = {name: common | objective for name, objective in objectives.items()}
    arms["GRPO"] = _grpo(common, is_small=is_small, longest=longest)
    runs, afterwards = [], []
    for name, chosen in arms.items():
        folder = output / "shared" / f"run-{name}"
        if is_small:
            runs.append(PlannedRun(name, train_command(chosen, folder)))
        else:
            trained = chosen.get("num_generations", 1) * 5 * 12_000
            costs = estimate(LLAMA_8B, H100, "fsdp2", micro_batch=8, tokens=TOKENS, examples=trained)
            assumption = f"{TOKENS} tokens an example; roll-outs and their engine's memory not counted"
            runs.append(PlannedRun(name, launch_command(chosen, folder, ENGINE), costs, assumption))
        afterwards.append(_measure_command(context, name, folder, chosen["template"], longest))
    shared = output / "shared"
    notes = [
        "GRPO starts from the base model, as in the paper; where that solves nothing, no step changes it",
        "GRPO saves by epochs of optimizer steps, not of the problems that it has gone through (data_passes in "
        f"{shared / 'run-GRPO' / 'metrics.jsonl'}), and ends before the fifth where it drops some: all are sampled",
        f"table3: pass@N in {shared}/eval-*/checkpoint-*/results.json; fig3: counts of answers in answers.parquet "
        f"beside it; fig4: discarded_candidates in {shared / 'run-DCOa-64' / 'metrics.jsonl'}. Nothing reads them yet",
    ]
    return Plan(runs, afterwards, notes if is_small else [*notes, f"{ENGINE} is that of the repository"])


def _measure_command(context: Context, name: str, run: Path, template: str, longest: int) -> str:
    """Verified samples of the test problems and pass@N after the epochs of table 3, of GRPO at every checkpoint."""
    shared, step = context.workspace.output / "shared", '/"${checkpoint##*/}"'
    samples, results = (f"{shlex.quote(str(shared / f'{kind}-{name}'))}{step}" for kind in ("samples", "eval"))
    file = context.data_file("math_test*.jsonl*")
    data = shlex.join([*(["--data", str(file)] if file else ["--data", "math", "--split", "test"]), "--preset", "math"])
    sampled = f"--template {template} --num-samples 64 --max-new-tokens {longest} --verifier math"
    chosen = "" if name == "GRPO" else " | sed -n '1p;3p;5p'"
    return (
        f"ls -dv {shlex.quote(str(run / 'checkpoints'))}/checkpoint-*{chosen} | while read -r checkpoint; do "
        f'passatn sample --model "$checkpoint" {data} {sampled} --output {samples} && '
        f"passatn evaluate --samples {samples} {data} --ns {','.join(map(str, NS))} --output {results}; done"
    )
