"""Stages of the experiments with proofs (tables 2 and 6, figure 2c): `experiments/mini_theorems.py` at three sizes.

`demo` is a small Llama on a few hundred generated theorems, `small` SmolLM2-135M on as many as `mini_theorems` takes;
both prove with the embedded Lean. The paper's own setting has commands (`--dry-run`): LeanDojo needs Mathlib.
"""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from passatn.experiments import mini_theorems
from passatn.experiments.config import ConfigError
from passatn.experiments.mini_theorems import ARMS, Arm, Settings
from passatn.experiments.mini_theorems_report import STEPWISE, ArmRuns, read_runs
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.identity import model_identity
from passatn.experiments.reproduce.plans import Plan, PlannedRun, again_command, train_command
from passatn.experiments.reproduce.recipes import SMOLLM2

SEED = 0
DEMO = Settings(
    num_pretrain=2000, num_train=200, num_unproved=100, num_test=50, epochs=12, eval_epochs=(12,),
    num_samples=320,
)  # fmt: skip
QUICK = Settings(
    num_pretrain=20, num_train=12, num_unproved=6, num_test=4, pretrain_epochs=1, hidden_size=16, num_layers=1,
    epochs=1, batch_size=16, eval_epochs=(1,), num_samples=20,
)  # fmt: skip
SMALL = Settings(
    base=SMOLLM2.name, epochs=3, eval_epochs=(3,), learning_rate=1e-4, longest_state=320, longest_tactic=64,
    num_samples=5120,
)  # fmt: skip


@dataclass(frozen=True)
class Proofs:
    """The stages at one scale; everything finished is used again, a training or a search goes on where it was."""

    context: Context

    @property
    def settings(self) -> Settings:
        if self.context.scale == "paper":
            raise ConfigError(
                f"{self.context.name} at scale paper has commands and no table: --dry-run prints them; --scale demo "
                "runs here, --scale small on a GPU"
            )
        if self.context.scale == "small":
            return replace(SMALL, base=self.context.model or SMALL.base)
        return QUICK if self.context.quick else DEMO

    @property
    def recipe(self) -> dict[str, Any]:
        settings = self.settings
        # Beside its place, which the folder remembers.
        read = {"model": model_identity(settings.base)} if settings.base else {}
        return {"settings": asdict(settings), "arms": [asdict(arm) for arm in ARMS], "seed": SEED, **read}

    @cached_property
    def folder(self) -> Path:
        return self.context.workspace.path("proofs", self.recipe)

    def arms(self) -> list[ArmRuns]:
        """All arms, cross-entropy first, searched on the test theorems after the last epoch."""
        data, base = self._begin()
        for arm in ARMS:
            folder = self.folder / "arms" / f"{arm.name}, seed {SEED}"
            self.context.say(f"{arm.name}: {'done already' if (folder / 'arm.json').exists() else 'training …'}")
            mini_theorems.run_arm(arm, SEED, self.settings, data, base, folder)
        return read_runs(self.folder)

    def experts(self) -> dict[str, Path]:
        """One round of expert iteration for each model of the ensemble: the folders, by the name of the arm."""
        data, base = self._begin()
        found = {}
        for arm in (arm for arm in ARMS if arm.name in STEPWISE):
            found[arm.name] = self.folder / "experts" / f"{arm.name}, seed {SEED}"
            self.context.say(f"{arm.name}: expert iteration …")
            mini_theorems.run_expert_arm(arm, SEED, self.settings, data, base, found[arm.name])
        return found

    @property
    def sources(self) -> list[Path]:
        """The records of the searches of `arms`."""
        return sorted(self.folder.glob("arms/*/test-*/records/*.jsonl"))

    def _begin(self) -> tuple[mini_theorems.Data, str | Path]:
        torch.set_num_threads(1)
        if not self.folder.exists():
            self.context.workspace.note("proofs", self.recipe)
        return self._made

    @cached_property
    def _made(self) -> tuple[mini_theorems.Data, str | Path]:
        return mini_theorems.begin(self.settings, self.folder)


def describe(context: Context) -> str:
    """What was run, in a few sentences."""
    of = Proofs(context).settings
    others, families = ", ".join(of.pretrain_families), ", ".join(of.families)
    base = of.base or f"A small Llama, pre-trained on generated theorems of other families ({others}),"
    return (
        f"{base} is fine-tuned for {of.epochs} epochs on the tactics of {of.num_train} generated theorems "
        f"({families}), and proves {of.num_test} others with the embedded Lean, {of.num_samples} roll-outs each. One "
        "seed; no rate is tuned, and no epoch chosen."
    )


def plan(context: Context) -> Plan:
    output = context.workspace.output
    if context.scale == "demo":
        return Plan(
            [],
            [again_command(context)],
            ["13 minutes of a CPU core were measured for table2, 17 more for expert iteration (table6)"],
        )
    if context.scale == "small":
        proofs = Proofs(context)
        settings = [(arm, proofs.folder / "arms" / f"{arm.name}, seed {SEED}" / "run") for arm in ARMS]
        tactics, base = proofs.folder / "data" / "fine-tune-tactics.jsonl", str(proofs.settings.base)
        recipes = [
            (arm.name, train_command(mini_theorems.recipe(arm, proofs.settings, base, tactics, SEED), run))
            for arm, run in settings
        ]
        of = proofs.settings
        notes = [
            "passatn reproduce without --dry-run makes the theorems that these runs read, trains and proves by itself",
            f"then each of the {len(ARMS)} models proves {of.num_test} theorems with the embedded Lean, "
            f"{of.num_samples:,} roll-outs each",
        ]
        return Plan([PlannedRun(name, command) for name, command in recipes], [again_command(context)], notes)
    return _paper_plan(output)


def _paper_plan(output: Path) -> Plan:
    launch = "accelerate launch --config_file recipes/engines/fsdp2.yaml -m passatn train --config"
    data = "--model Qwen/Qwen2.5-Math-1.5B --train_data random/train.json --eval_data random/val.json"
    runs, afterwards = [], []
    for arm in ARMS:
        file = "prove-whole-proof" if arm.options.get("confidence") == "proof" else "prove-dco-step"
        file, n = ("prove-ce", "") if not arm.options else (file, f" --n_passes {arm.options['n_passes']:g}")
        folder = output / "shared" / f"proofs-{_slug(arm)}"
        runs.append(PlannedRun(arm.name, f"{launch} recipes/{file}.yaml {data} --output {folder}{n}"))
        afterwards.append(
            f"passatn prove --model {folder}/model --data random/test.json --preset leandojo --project PROJECT "
            f"--num-samples 4096 --output {output}/shared/search-{_slug(arm)}"
        )
    notes = [
        "recipes/ is that of the repository, random/ LeanDojo Benchmark 4, PROJECT a Lean project with Mathlib "
        "(docs/lean.md); for MiniF2F: --preset minif2f (docs/prove.md)",
        "not run: no machine with Mathlib was at hand (docs/limits.md)",
        "expert iteration: passatn expert with the same recipes",
    ]
    return Plan(runs, afterwards, notes)


def _slug(arm: Arm) -> str:
    return arm.name.lower().replace(" = ", "-").replace(" ", "-").replace("_", "-")
