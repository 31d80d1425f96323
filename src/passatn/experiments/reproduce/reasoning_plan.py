"""Commands of table 3, figures 3 and 4; at scale `paper` also those that sample and evaluate what was trained."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.costs import estimate
from passatn.experiments.reproduce.plans import Plan, PlannedRun, again_command, launch_command, train_command
from passatn.experiments.reproduce.reasoning_arms import NS, NUM_SAMPLES, arm_settings, sizes_of
from passatn.experiments.reproduce.reasoning_runs import Reasoning
from passatn.experiments.reproduce.recipes import H100, LLAMA_8B

ENGINE = Path("recipes/engines/fsdp2.yaml")
TOKENS = 320
"""Mean length of a problem with its solution."""
_START = "GRPO starts from the base model, as in the paper; where that solves nothing, no step changes it"
_SAVED = (
    "GRPO saves by epochs of optimizer steps, not of the problems that it has gone through (data_passes in {metrics}), "
    "and ends before the fifth where it drops some: all are sampled"
)


def plan(context: Context) -> Plan:
    if context.scale == "demo":
        note = "the project's own tiny model: about ten minutes on two CPU cores, most of them for roll-outs"
        return Plan([], [again_command(context)], [note])
    return _small(context) if context.scale == "small" else _paper(context)


def _small(context: Context) -> Plan:
    stages = Reasoning(context)
    runs = [PlannedRun(name, train_command(stages.settings[name], stages.run_folder(name))) for name in stages.settings]
    notes = [
        _START,
        _SAVED.format(metrics="its metrics.jsonl"),
        "passatn reproduce without --dry-run trains what is missing by itself, samples and counts; these are the same "
        "runs",
    ]
    return Plan(runs, [again_command(context)], notes)


def _paper(context: Context) -> Plan:
    shared = context.shared
    runs, afterwards = [], []
    for name, chosen in arm_settings(context).items():
        folder = shared / f"run-{name}"
        trained = chosen.get("num_generations", 1) * 5 * 12_000
        costs = estimate(LLAMA_8B, H100, "fsdp2", micro_batch=8, tokens=TOKENS, examples=trained)
        assumption = f"{TOKENS} tokens an example; roll-outs and their engine's memory not counted"
        runs.append(PlannedRun(name, launch_command(chosen, folder, ENGINE), costs, assumption))
        afterwards.append(_measure_command(context, name, folder, chosen))
    notes = [
        _START,
        _SAVED.format(metrics=shared / "run-GRPO" / "metrics.jsonl"),
        f"table3: pass@N in {shared}/eval-*/checkpoint-*/results.json; fig3: counts of answers in answers.parquet "
        f"beside it; fig4: discarded_candidates in {shared / 'run-DCOa-64' / 'metrics.jsonl'}. Nothing reads them yet",
        f"{ENGINE} is that of the repository",
    ]
    return Plan(runs, afterwards, notes)


def _measure_command(context: Context, name: str, run: Path, settings: Mapping[str, Any]) -> str:
    """Verified samples of the test problems and pass@N after the epochs of table 3, of GRPO at every checkpoint."""
    shared, step = context.shared, '/"${checkpoint##*/}"'
    samples, results = (f"{shlex.quote(str(shared / f'{kind}-{name}'))}{step}" for kind in ("samples", "eval"))
    source, split = context.math_data("test")
    data = shlex.join(["--data", source, *([] if split is None else ["--split", split]), "--preset", "math"])
    sampled = f"--template {settings['template']} --num-samples {NUM_SAMPLES}"
    sampled += f" --max-new-tokens {sizes_of(context).longest} --verifier math"
    chosen = "" if name == "GRPO" else " | sed -n '1p;3p;5p'"
    return (
        f"ls -dv {shlex.quote(str(run / 'checkpoints'))}/checkpoint-*{chosen} | while read -r checkpoint; do "
        f'passatn sample --model "$checkpoint" {data} {sampled} --output {samples} && '
        f"passatn evaluate --samples {samples} {data} --ns {','.join(map(str, NS))} --output {results}; done"
    )
