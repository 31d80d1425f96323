"""The command line: each command is one call into a part. `passatn --help` lists them."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}

Recipe = Annotated[Path | None, typer.Option("--config", help="YAML recipe; --key value options go over it.")]
Output = Annotated[Path, typer.Option("--output", help="Folder for everything the run writes.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an unfinished run.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete an existing run and start anew.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would run and what it would cost.")]
Model = Annotated[str, typer.Option("--model", help="Folder, Hub id or .gguf file.")]
Data = Annotated[str, typer.Option("--data", help="Problems: file, Hub id, reasoning-gym:FAMILY or preset.")]
Preset = Annotated[str | None, typer.Option("--preset", help="How to read the rows: math, gsm8k or aime.")]
Template = Annotated[str, typer.Option("--template", help="raw, direct, alpaca, chat, r1 or tactic.")]
Split = Annotated[str | None, typer.Option("--split", help="Split of a Hub data set.")]
Limit = Annotated[int | None, typer.Option("--limit", help="Keep the first so many problems.")]
MaxPrompt = Annotated[int | None, typer.Option("--max-prompt-tokens", help="Keep problems no longer than this.")]
MaxAnswer = Annotated[int | None, typer.Option("--max-answer-tokens", help="Keep answers no longer than this.")]
Ns = Annotated[str, typer.Option("--ns", help="The N of pass@N, separated by commas.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad-rows", help="Leave out (and count) rows that cannot be used.")]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="Where a field is: prompt=question (may be repeated).")
]
DEFAULT_NS = "1,4,16,64,256,1024,4096"


def say(line: str) -> None:
    """A notice for the person at the terminal, on stderr: stdout is for results."""
    if os.environ.get("RANK", "0") == "0":
        Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=True)


@app.command()
def demo(
    output: Output = Path("demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Number of fine-tuning seeds per objective.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="A shorter training, under a minute.")] = False,
) -> None:
    """Train a small model by cross-entropy and by DCO, and see pass@N fall and recover (about four minutes)."""
    from passatn.experiments.demo import run_demo

    run_demo(output, num_seeds=seeds, quick=quick)


@app.command(context_settings=SETTINGS)
def train(
    context: typer.Context,
    output: Output,
    config: Recipe = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
) -> None:
    """Fine-tune a model by cross-entropy or DCO: settings come from the recipe and from --key value."""
    from passatn.experiments import finetune
    from passatn.experiments.config import RunConfig, read_settings
    from passatn.experiments.progress import TrainingBar
    from passatn.experiments.quiet import quiet_libraries
    from passatn.experiments.run_directory import RunDirectory

    run_config = RunConfig.from_mapping(read_settings(config, context.args))
    run = RunDirectory(output)
    if dry_run:
        with quiet_libraries():
            planned = finetune.plan(run_config, run, say)
        for name, value in planned.items():
            print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")
        return
    if run.is_finished and not overwrite:
        say(f"{output} is a finished run (--overwrite starts anew)")
        _show(run.results)
        return
    if os.environ.get("RANK", "0") == "0":
        run.begin(run_config.to_mapping(), resume=resume, overwrite=overwrite)
    with quiet_libraries():
        finetune.train(run_config, run, say, resume=resume, bar=TrainingBar())
    if os.environ.get("RANK", "0") == "0":
        _show(run.results)
        say(f"model in {run.model}")


@app.command()
def score(
    model: Model,
    data: Data,
    output: Annotated[Path | None, typer.Option("--output", help="JSON Lines file (default: stdout).")] = None,
    preset: Preset = None,
    template: Template = "direct",
    split: Split = None,
    column: Columns = None,
    limit: Limit = None,
    max_prompt_tokens: MaxPrompt = None,
    max_answer_tokens: MaxAnswer = None,
    skip_bad_rows: SkipBad = False,
) -> None:
    """Exact log p(answer, end of sequence | prompt) of every accepted answer, without sampling."""
    from passatn.evaluate import write_atomically
    from passatn.experiments import evaluation

    loaded, _, problems = _load(
        model, data, preset, template, split, column, limit, max_prompt_tokens, max_answer_tokens, skip_bad_rows
    )
    lines = "".join(json.dumps(record) + "\n" for record in evaluation.score(loaded, problems))
    if output is None:
        sys.stdout.write(lines)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, lines.encode())


@app.command()
def evaluate(
    model: Model,
    data: Data,
    output: Output,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the run in reports (default: the folder).")
    ] = None,
    preset: Preset = None,
    template: Template = "direct",
    split: Split = None,
    column: Columns = None,
    limit: Limit = None,
    max_prompt_tokens: MaxPrompt = None,
    max_answer_tokens: MaxAnswer = None,
    ns: Ns = DEFAULT_NS,
    num_samples: Annotated[int, typer.Option("--num-samples", help="Also sample so often per problem.")] = 0,
    temperature: Annotated[float, typer.Option("--temperature", help="Of samples and exact scores.")] = 1.0,
    max_new_tokens: Annotated[int | None, typer.Option("--max-new-tokens", help="Longest completion.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    skip_bad_rows: SkipBad = False,
    overwrite: Overwrite = False,
) -> None:
    """Exact pass@N with intervals and greedy confidence: results.json, report.html and a PNG."""
    from passatn.evaluate import Results
    from passatn.experiments import evaluation
    from passatn.experiments.config import ConfigError
    from passatn.report import write_run_report

    results_file = output / "results.json"
    if results_file.exists() and not overwrite:
        say(f"{output} is already evaluated (--overwrite does it again)")
        _show(results_file)
        return
    if output.exists() and any(output.iterdir()) and not results_file.exists():
        raise ConfigError(f"{output} exists and holds something else: choose another --output")
    loaded, tokenizer, problems = _load(
        model, data, preset, template, split, column, limit, max_prompt_tokens, max_answer_tokens, skip_bad_rows
    )
    results = evaluation.evaluate(
        loaded,
        tokenizer,
        problems,
        run={"name": name or output.name, "model": model, "data": data},
        template=template,
        ns=_parse_ns(ns),
        num_samples=num_samples,
        temperature=temperature,
        seed=seed,
        max_new_tokens=max_new_tokens,
    )
    output.mkdir(parents=True, exist_ok=True)
    write_run_report([results], output)
    results.save(results_file)
    assert isinstance(results, Results)
    _show(results_file)
    say(f"report: {output / 'report.html'}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders with results.json, or such files.")],
    output: Output = Path("report"),
) -> None:
    """One page for several runs: curves, frontier, paired differences to the first."""
    from passatn.evaluate import Results
    from passatn.report import write_run_report

    results = [Results.load(_results_file(path)) for path in runs]
    output.mkdir(parents=True, exist_ok=True)
    written = write_run_report(results, output)
    say(f"report: {written['html']}")


@app.command()
def doctor() -> None:
    """What is installed, what works, and what to do about the rest."""
    from passatn.experiments.doctor import diagnose

    table = Table("part", "state", "what to do")
    for check in diagnose():
        table.add_row(check.part, check.state, check.remedy)
    Console().print(table)


def _load(
    model: str,
    data: str,
    preset: str | None,
    template: str,
    split: str | None,
    column: list[str] | None,
    limit: int | None,
    max_prompt_tokens: int | None,
    max_answer_tokens: int | None,
    skip_bad_rows: bool,
) -> tuple[Any, Any, Any]:
    """Model, tokenizer and encoded problems, as `train` would load them."""
    import torch

    from passatn.experiments.config import ConfigError, RunConfig
    from passatn.experiments.problems import load_encoded
    from passatn.experiments.quiet import quiet_libraries
    from passatn.sample.models import load_model

    pairs = [text.partition("=") for text in column or []]
    if bad := [name for name, equals, _ in pairs if not equals]:
        raise ConfigError(f"--column {bad[0]}: expected FIELD=COLUMN, such as prompt=question")
    config = RunConfig(
        model=model,
        train_data=data,
        preset=preset,
        columns={name: value for name, _, value in pairs},
        template=template,
        max_prompt_tokens=max_prompt_tokens,
        max_answer_tokens=max_answer_tokens,
        skip_bad_rows=skip_bad_rows,
    )
    with quiet_libraries():
        loaded, tokenizer = load_model(model)
    problems = load_encoded(data, config, tokenizer, split=split, limit=limit)
    for notice in problems.notices:
        say(notice)
    return loaded.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer, problems


def _parse_ns(text: str) -> list[int]:
    from passatn.experiments.config import ConfigError

    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise ConfigError(f"--ns {text!r}: expected whole numbers separated by commas, such as 1,16,256") from None


def _results_file(path: Path) -> Path:
    from passatn.experiments.config import ConfigError

    file = path / "results.json" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"{file}: no results there (passatn evaluate or passatn train writes them)")
    return file


def _show(results_file: Path) -> None:
    """The pass@N table of a results.json on stdout, if there is one."""
    from passatn.evaluate import Results

    if not results_file.exists():
        return
    results = Results.load(results_file)
    for curve in results.pass_at_n:
        table = Table(
            "N", "pass@N", "95 % interval", title=f"{results.name}: {curve.source}, {curve.num_problems} problems"
        )
        for n, estimate, low, high in zip(curve.ns, curve.estimate, curve.low, curve.high, strict=True):
            table.add_row(f"{n:,}", f"{100 * estimate:.1f} %", f"{100 * low:.1f} – {100 * high:.1f} %")
        Console().print(table)


def main() -> None:
    """Entry point: a mistake of the user's is one line on stderr and exit code 1, never a traceback."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except (ValueError, OSError, yaml.YAMLError) as error:
        if os.environ.get("PASSATN_TRACEBACK"):
            raise
        Console(stderr=True, highlight=False).print(
            f"error: {' '.join(str(error).split())}", markup=False, soft_wrap=True
        )
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
