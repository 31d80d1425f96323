"""What `--dry-run` prints: the runs of a table or figure with memory, hours and the commands that do them."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passatn.experiments.finetune import as_arguments
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.costs import UTILISATION, Costs, estimate
from passatn.experiments.reproduce.paper import GPU_HOURS
from passatn.experiments.reproduce.recipes import LLAMA_70B, DirectRecipe


@dataclass(frozen=True)
class PlannedRun:
    """One training run that a table or figure rests on."""

    name: str
    command: str
    costs: Costs | None = None
    """None where it is a matter of minutes on a CPU."""
    assumption: str = ""


@dataclass(frozen=True)
class Plan:
    """All of it, with the analysis that follows."""

    runs: Sequence[PlannedRun]
    afterwards: Sequence[str] = ()
    """Commands, in order."""
    notes: Sequence[str] = ()

    def lines(self) -> list[str]:
        lines: list[str] = []
        for run in self.runs:
            lines += [run.name, *([f"  {line}" for line in _cost_lines(run)]), f"  $ {run.command}"]
        if self.afterwards:
            lines += ["afterwards", *(f"  $ {command}" for command in self.afterwards)]
        return [*lines, *(f"note: {note}" for note in self.notes)]


def _cost_lines(run: PlannedRun) -> list[str]:
    costs = run.costs
    if costs is None:
        return []
    parts = ", ".join(f"{name} {value:.1f}" for name, value in costs.memory.items() if value)
    machine = costs.machine
    fit = "fits" if costs.fits else "does not fit"
    return [
        f"memory per GPU, GiB, estimated: {costs.total_gib:.1f} = {parts}",
        f"on {machine.count} x {machine.gpu} ({machine.gib:.0f} GiB each): {fit}",
        f"hours, estimated: {costs.hours:.2f} ({costs.gpu_hours:.1f} GPU hours) = 6 x parameters x tokens / "
        f"({machine.count} x {machine.flops / 1e12:.0f} TFLOP/s x {UTILISATION:g}); evaluations not counted",
        f"assumed: {run.assumption}",
    ]


def launch_command(settings: Mapping[str, Any], folder: Path, config: Path) -> str:
    """The `accelerate launch` of one run, with its settings as options."""
    words = ["accelerate", "launch", "--config_file", str(config), "-m", *_train_words(settings, folder)]
    return shlex.join(words)


def train_command(settings: Mapping[str, Any], folder: Path) -> str:
    """The same on one device."""
    return shlex.join(_train_words(settings, folder))


def engine_file(output: Path, engine: str) -> Path:
    """Where a reproduction keeps the configuration of `accelerate launch`."""
    return output / "engines" / f"{engine}.yaml"


def again_command(context: Context) -> str:
    """The call that runs, or goes on with, this table or figure."""
    words = ["passatn", "reproduce", context.name, "--scale", context.scale, "--output", str(context.workspace.output)]
    words += ["--data-dir", str(context.data_dir)] if context.data_dir else []
    return shlex.join([*words, *(["--model", context.model] if context.model else [])])


def _train_words(settings: Mapping[str, Any], folder: Path) -> list[str]:
    return ["passatn", "train", "--output", str(folder), *as_arguments(dict(settings))]


def direct_plan(context: Context, recipe: DirectRecipe, ns: Sequence[int]) -> Plan:
    """The training runs on direct answers that a table or figure needs, and the call that follows them."""
    if recipe.model is None:
        return Plan(
            [],
            afterwards=[again_command(context)],
            notes=["the project's own tiny model, pre-trained and fine-tuned within minutes on two CPU cores"],
        )
    # Here and not above: these import torch, which listing and mathematics do without.
    from passatn.experiments.reproduce.direct import Direct

    stages, output = Direct(context, recipe), context.workspace.output
    runs = []
    for n in ns:
        settings, folder = stages.run_settings(n), stages.run_folder(n)
        name = "cross-entropy" if n == 1 else f"DCO, N = {n:,}"
        if not recipe.engine:
            runs.append(PlannedRun(name, train_command(settings, folder)))
            continue
        epochs, micro_batch = recipe.settings["num_train_epochs"], recipe.settings["per_device_train_batch_size"]
        costs = estimate(
            recipe.model,
            recipe.machine,
            recipe.engine,
            micro_batch=micro_batch,
            tokens=recipe.tokens,
            examples=epochs * recipe.problems,
        )
        assumption = f"{recipe.tokens} tokens an example, {micro_batch} examples per GPU and step, {epochs} epochs"
        command = launch_command(settings, folder, engine_file(output, recipe.engine))
        runs.append(PlannedRun(name, command, costs, assumption))
    return Plan(runs, afterwards=[again_command(context)], notes=_notes(recipe, output))


def _notes(recipe: DirectRecipe, output: Path) -> list[str]:
    if not recipe.engine:
        return ["passatn reproduce without --dry-run trains what is missing by itself; these are the same runs"]
    hours = GPU_HOURS["direct, Llama-3-70B" if recipe.model is LLAMA_70B else "direct, Llama-3-8B"]
    return [
        f"{engine_file(output, recipe.engine)} is written by the call without --dry-run, which then names the first "
        "run that is missing; it is recipes/engines/ of the repository",
        f"the paper reports {hours}: short sequences, evaluations and start-up cost more than the formula knows",
    ]
