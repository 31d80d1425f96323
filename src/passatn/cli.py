"""The command line: each command is one call into a part. `passatn --help` lists them."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from passatn.experiments.mistakes import on_one_line
from passatn.experiments.options import (
    EngineOptions,
    EvaluationOptions,
    ProblemOptions,
    VerifierOptions,
    spread,
)
from passatn.experiments.proving_options import SearchOptions, TheoremOptions

# --max_new_tokens is the same as --max-new-tokens.
NAMES = {"token_normalize_func": lambda name: name.replace("_", "-")}
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
DEFAULT_NS = "1,4,16,64,256,1024,4096"
TEMPERATURES = "0.5,0.7,0.85,1,1.2,1.4,1.7,2"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Fine-tune language models for pass@N, and measure it.",
)

Output = Annotated[Path, typer.Option("--output", help="Folder for everything that is written.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier call wrote there.")]


def say(line: str) -> None:
    """A notice for the person at the terminal, on stderr: stdout is for results."""
    if _is_first_process():
        _stderr(line)


@app.command(context_settings=NAMES)
def demo(
    output: Output = Path("demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Number of fine-tuning seeds per objective.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="A shorter training, under a minute.")] = False,
) -> None:
    """Train a small model by cross-entropy and by DCO, and see pass@N fall and recover (about four minutes)."""
    from passatn.experiments.demo import run_demo

    run_demo(output, num_seeds=seeds, quick=quick)


@app.command(context_settings=NAMES)
def reproduce(
    name: Annotated[str | None, typer.Argument(help="A table or figure of the paper, such as table1.")] = None,
    list_names: Annotated[bool, typer.Option("--list", help="The names, and what each shows.")] = False,
    scale: Annotated[str, typer.Option(help="demo (minutes), small (SmolLM2) or paper (its models).")] = "demo",
    output: Output = Path("reproduction"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run and what it would cost.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with math_train*.jsonl … (default: Hub).")] = None,
    model: Annotated[str | None, typer.Option(help="A folder or Hub id in place of that scale's model.")] = None,
    quick: Annotated[bool, typer.Option("--quick", hidden=True)] = False,
) -> None:
    """Run the experiment behind a table or figure of the paper: results.json, CSV, PNG and one page for all."""
    from passatn.experiments.reproduce import catalogue

    if list_names:
        print("\n".join(entry.line for entry in catalogue.ENTRIES))
        return
    catalogue.find(name or "")
    from passatn.experiments.reproduce import command
    from passatn.experiments.reproduce.context import Context
    from passatn.experiments.reproduce.workspace import Workspace

    context = Context(str(name), scale, Workspace(output, say), data_dir, model, quick)  # type: ignore[arg-type]
    if dry_run:
        print("\n".join(command.dry_run(context)))
        return
    command.show(command.reproduce(context))
    say(f"page: {output / 'report.html'}")


@app.command(context_settings=SETTINGS)
def train(
    context: typer.Context,
    output: Output,
    config: Annotated[Path | None, typer.Option(help="YAML recipe; --key value options go over it.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished run.")] = False,
    overwrite: Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run and what it would cost.")] = False,
) -> None:
    """Fine-tune by cross-entropy, DCO or GRPO (trainer: grpo); settings come from the recipe and from --key value."""
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
    run.check(run_config.to_mapping(), resume=resume, overwrite=overwrite)
    if run.is_finished and not overwrite:
        say(f"{output} is a finished run (--overwrite starts anew)")
    else:
        bar = TrainingBar()
        try:
            with quiet_libraries():
                finetune.train(run_config, run, say, resume=resume, overwrite=overwrite, bar=bar)
        finally:
            bar.stop()
    _show(run.results)
    say(f"model in {run.model}")


@app.command(context_settings=NAMES)
def sweep(
    file: Annotated[Path, typer.Argument(help="YAML file: a recipe, its arms and what is searched.")],
    output: Output,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished sweep.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train side by side, with a thread each.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run.")] = False,
) -> None:
    """Compare objectives, each at its own best settings: search, final trainings with several seeds, one test."""
    from passatn.experiments.sweep.command import run_sweep

    run_sweep(file, output, say, resume=resume, num_workers=workers, dry_run=dry_run)


@app.command(context_settings=NAMES)
def average(
    models: Annotated[list[Path], typer.Argument(help="Folders of models: BASE TUNED, or checkpoints of a run.")],
    output: Output,
    alpha: Annotated[float | None, typer.Option(help="Share of the second of two models (default: the mean).")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Average the weights of models: between a base model and its fine-tuned one, or over checkpoints."""
    from passatn.train.averaging import average_models

    average_models(models, output, alpha=alpha, overwrite=overwrite, show_progress=sys.stderr.isatty())
    say(f"model in {output}")


@app.command(context_settings=NAMES)
@spread(ProblemOptions)
def score(
    options: ProblemOptions,
    output: Annotated[Path | None, typer.Option("--output", help="JSON Lines file (default: stdout).")] = None,
    fold: Annotated[str | None, typer.Option(help="Only problems in this fold by id, such as 0/2.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Exact log p(answer, end of sequence | prompt) of every accepted answer, without sampling."""
    from passatn.evaluate import write_atomically
    from passatn.experiments import evaluation
    from passatn.experiments.config import ConfigError
    from passatn.experiments.problems import select_fold

    if output is not None and output.exists() and not overwrite:
        raise ConfigError(f"{output} exists: choose another --output, or --overwrite")
    model, _, problems = _load(options)
    if fold is not None:
        problems = select_fold(problems, fold, inside=True)
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in evaluation.score(model, problems))
    if output is None:
        sys.stdout.write(lines)
    else:
        write_atomically(output, lines.encode())


@app.command(context_settings=NAMES)
@spread(EvaluationOptions)
@spread(VerifierOptions, "verifying")
def evaluate(
    options: EvaluationOptions,
    verifying: VerifierOptions,
    output: Output,
    name: Annotated[str | None, typer.Option(help="Name of the run in reports (default: the folder).")] = None,
    ns: Annotated[str, typer.Option(help="The N of pass@N, separated by commas.")] = DEFAULT_NS,
    samples: Annotated[str | None, typer.Option(help="A sample store to evaluate, instead of a model.")] = None,
    score: Annotated[
        str | None, typer.Option(help="Best-of-N by log_prob, log_prob_per_token, reward:MODEL or a FILE of scores.")
    ] = None,
    extrapolate: Annotated[str | None, typer.Option(help="N past the samples taken, separated by commas.")] = None,
    half_width: Annotated[
        float | None, typer.Option(help="Of a wanted interval, in points: what does it take?")
    ] = None,
    validation_samples: Annotated[
        str | None, typer.Option(help="Folder of stores, one per setting, on which --samples' settings are chosen.")
    ] = None,
    validation: Annotated[str | None, typer.Option(help="Problems on which temperature and top-p are chosen.")] = None,
    temperatures: Annotated[
        str | None, typer.Option(help=f"Scored one by one (with --validation: {TEMPERATURES}).")
    ] = None,
    top_ps: Annotated[str | None, typer.Option(help="The same for top-p (with --validation: 0.9,0.95,1).")] = None,
    num_samples: Annotated[int, typer.Option(min=0, help="Also sample the model so often per problem.")] = 0,
    temperature: Annotated[float, typer.Option(help="Of samples and exact scores.")] = 1.0,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Longest completion.")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """pass@N with intervals, of a model (exact) or of a store of samples: results.json, report.html and a PNG."""
    from passatn.experiments import evaluation, sampling
    from passatn.experiments.config import ConfigError, parse_ns, parse_numbers
    from passatn.experiments.decoding import grid, score_settings, tune_exactly, with_settings

    budgets = parse_ns(ns, "--ns")
    run_name = name or output.resolve().name
    if samples is not None:
        unused = {
            "--model": options.model,
            "--num-samples": num_samples,
            "--limit": options.limit,
            "--max-prompt-tokens": options.max_prompt_tokens,
            "--max-answer-tokens": options.max_answer_tokens,
            "--max-new-tokens": max_new_tokens,
            "--validation": validation,
            "--temperatures": temperatures,
            "--top-ps": top_ps,
        }
        if given := [key for key, value in unused.items() if value]:
            hint = " (for stores: --validation-samples)" if "--validation" in given else ""
            raise ConfigError(f"--samples evaluates a store as it is: leave out {', '.join(given)}{hint}")
        from passatn.experiments.store_evaluation import StoreQuestions

        more = () if extrapolate is None else parse_ns(extrapolate, "--extrapolate")
        width = None if half_width is None else half_width / 100
        questions = StoreQuestions(
            budgets, score=score, extrapolate=more, half_width=width, validation=validation_samples
        )
        _evaluate_store(samples, options, verifying, questions, output, run_name, overwrite=overwrite)
        _show(output / "results.json")
        say(f"report: {output / 'report.html'}")
        return
    if options.model is None or options.data is None:
        raise ConfigError("give a --model and --data, or --samples")
    if score or extrapolate or half_width or validation_samples:
        raise ConfigError("--score, --extrapolate, --half-width and --validation-samples belong to --samples")
    how = {"num_samples": num_samples, "temperature": temperature, "seed": seed, "max_new_tokens": max_new_tokens}
    asked = options.describe() | {key: value for key, value in how.items() if value is not None}
    if verifying.verifier is not None:
        asked |= {"verifier": verifying.verifier}
    settings = []
    if validation or temperatures or top_ps:
        default = (TEMPERATURES, "0.9,0.95,1") if validation else ("1", "1")
        tried = parse_numbers(temperatures or default[0], "--temperatures")
        settings = grid(tried, parse_numbers(top_ps or default[1], "--top-ps"))
        asked |= {"validation": validation} if validation else {}
        asked |= {"settings": [list(setting) for setting in settings]}
    if evaluation.stored_results(output, asked, budgets, overwrite=overwrite):
        say(f"{output} is already evaluated (--overwrite does it again)")
    else:
        model, tokenizer, problems = _load(options)
        run = {"name": run_name} | evaluation.objective_of(options.model) | asked
        judge = None if verifying.verifier is None else sampling.open_verifier(verifying, options.template)
        try:
            results = evaluation.evaluate(
                model,
                tokenizer,
                problems,
                run=run,
                template=options.template,
                ns=budgets,
                verifier=judge,
                **_unless_none(how),
            )
        finally:
            if judge is not None:
                judge.close()
        if settings:
            scores = score_settings(model, problems.answers, settings)
            results = replace(results, problems=with_settings(results.problems, settings, scores))
        if validation is not None:
            held_out = _encode(replace(options, data=validation, limit=None), tokenizer)
            tuned = tune_exactly(score_settings(model, held_out.answers, settings), scores, settings, budgets)
            results = replace(results, metrics=(tuned,))
        evaluation.write(results, output)
    _show(output / "results.json")
    say(f"report: {output / 'report.html'}")


@app.command(context_settings=NAMES)
@spread(ProblemOptions)
@spread(EngineOptions, "engines")
@spread(VerifierOptions, "verifying")
def sample(
    options: ProblemOptions,
    engines: EngineOptions,
    verifying: VerifierOptions,
    output: Annotated[str, typer.Option("--output", help="Sample store: a folder, or another fsspec path.")],
    num_samples: Annotated[int, typer.Option(min=1, help="Samples per problem; those in the store count.")],
    temperature: Annotated[
        str, typer.Option(help="Of the samples; several, separated by commas, fill a folder.")
    ] = "1",
    top_p: Annotated[str, typer.Option(help="Keep the most probable tokens up to this mass; several as above.")] = "1",
    top_k: Annotated[int, typer.Option(help="Keep this many most probable tokens; 0 keeps all.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest completion.")] = 256,
    stop: Annotated[
        list[str] | None, typer.Option(help=r"A completion ends before this text, such as '\n\n' (repeatable).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    ns: Annotated[str, typer.Option(help="The N of pass@N, separated by commas.")] = DEFAULT_NS,
) -> None:
    """Sample into a store, which a killed or a later, larger call goes on with; pass@N if a verifier is named."""
    from passatn.experiments import sampling
    from passatn.experiments.config import parse_ns, parse_numbers, unescape
    from passatn.experiments.decoding import folder_of, grid, label_of
    from passatn.sample import SamplingParams
    from passatn.sample.store import SampleStore

    budgets = parse_ns(ns, "--ns")
    settings = grid(parse_numbers(temperature, "--temperature"), parse_numbers(top_p, "--top-p"))
    limits = {"max_new_tokens": max_new_tokens, "stop": tuple(map(unescape, stop or [])), "seed": seed}
    asked = [
        SamplingParams(n=num_samples, temperature=t, top_p=p, top_k=top_k, **limits)  # type: ignore[arg-type]
        for t, p in settings
    ]
    spec = sampling.engine_spec(
        engines, options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code
    )
    if verifying.verifier is not None:
        # A wrong name, or limits that cannot be, are better known now than after the sampling.
        sampling.open_verifier(verifying, options.template).close()
    problems = _prompts(options, engines)
    paths = [output if len(settings) == 1 else f"{output.rstrip('/')}/{folder_of(setting)}" for setting in settings]
    manifests = [
        sampling.manifest_of(problems, params, path, spec=spec, template=options.template)
        for params, path in zip(asked, paths, strict=True)
    ]
    engine = sampling.open_engine(engines, spec)
    try:
        # Only now: an engine that cannot start leaves no store behind.
        stores = [SampleStore.open_or_create(path, what) for path, what in zip(paths, manifests, strict=True)]
        for params, store, path in zip(asked, stores, paths, strict=True):
            drawn = sampling.fill(engine, problems, params, store)
            for line in drawn.set_aside:
                say(f"{line}; moved to damaged/, its samples were drawn again")
            say(f"{drawn.num_drawn:,} samples drawn, {drawn.num_present:,} were there: {path}")
    finally:
        engine.close()
    if verifying.verifier is None:
        return
    from passatn.experiments.store_evaluation import StoreQuestions, evaluate_store

    known = problems.by_id()
    for setting, store, path in zip(settings, stores, paths, strict=True):
        label = sampling.judge(store, known, verifying, options.template)
        name = path.rstrip("/").rpartition("/")[2] if len(settings) == 1 else label_of(setting)
        run = {"name": name} | options.describe()
        _print_results(evaluate_store(path, StoreQuestions(budgets), run=run, problems=known, verifier=label)[0])


@app.command(context_settings=NAMES)
def trace(
    output: Annotated[Path, typer.Option("--output", help="JSON Lines file of steps; OUTPUT.account.json beside it.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Lean files or folders (default: all of the project).")
    ] = None,
    project: Annotated[Path | None, typer.Option(help="Lean project (default: files for the embedded Lean).")] = None,
    repl: Annotated[Path | None, typer.Option(help="A built REPL for the project (default: lean-interact's).")] = None,
    tactic_timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for one tactic.")] = 10.0,
    command_timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for one command, imports too.")] = 600.0,
    overwrite: Overwrite = False,
) -> None:
    """The proofs in Lean files, replayed tactic by tactic, as steps to train on; a killed call goes on."""
    from passatn.lean.repl import embedded_repl, project_repl
    from passatn.prove.trace_files import TraceLimits, account_file, lean_files, trace_files
    from passatn.sample.progress import progress_bar
    from passatn.tasks import ProblemError

    if not files and project is None:
        raise ProblemError("give Lean files, or a --project")
    if repl is not None and project is None:
        raise ProblemError("--repl belongs to a --project")
    if output.exists() and not overwrite:
        raise ProblemError(f"{output} exists: choose another --output, or --overwrite")
    sources = lean_files(files or [project or Path()])
    start_repl = embedded_repl() if project is None else project_repl(project, repl)
    limits = TraceLimits(tactic_timeout, command_timeout)
    with progress_bar("tracing", len(sources), show=sys.stderr.isatty()) as advance:
        account = trace_files(sources, output, start_repl, project=project, limits=limits, advance=advance)
    for line in account.errors[:3]:
        say(f"Lean's errors elsewhere: {line}")
    say(f"{account.describe()} ({account_file(output)})")


@app.command(context_settings=NAMES)
def theorems(
    output: Output,
    num_train: Annotated[int, typer.Option(min=1, help="Theorems to train on.")] = 2000,
    num_validation: Annotated[int, typer.Option(min=0, help="Theorems to choose settings on.")] = 100,
    num_test: Annotated[int, typer.Option(min=0, help="Theorems to search proofs of.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed makes the same theorems.")] = 0,
    families: Annotated[str | None, typer.Option(help="Some of the families, separated by commas.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make theorems with proofs for the embedded Lean: files to train a tactic model on and to search proofs in."""
    from passatn.experiments.theorems import TheoremSettings, describe, make_theorems

    settings = TheoremSettings(num_train=num_train, num_validation=num_validation, num_test=num_test, seed=seed)
    if families is not None:
        settings = replace(settings, families=tuple(name.strip() for name in families.split(",")))
    made = make_theorems(output, settings, overwrite=overwrite, show_progress=sys.stderr.isatty())
    say(describe(made))


@app.command(context_settings=NAMES)
@spread(TheoremOptions)
@spread(EngineOptions, "engines")
@spread(SearchOptions, "search")
def prove(
    options: TheoremOptions,
    engines: EngineOptions,
    search: SearchOptions,
    output: Output,
    name: Annotated[str | None, typer.Option(help="Name of the run in reports (default: the folder).")] = None,
    ns: Annotated[str, typer.Option(help="The N of pass@N, separated by commas.")] = DEFAULT_NS,
    overwrite: Overwrite = False,
) -> None:
    """Search proofs in Lean with a tactic model; a killed or a larger call goes on with what is there."""
    from passatn.experiments import proving
    from passatn.experiments.config import parse_ns
    from passatn.experiments.problems import read_problems

    budgets = parse_ns(ns, "--ns")
    run = proving.ProofRun.of(options, engines, search)
    rows = read_problems(options.data, _reading(options), split=options.split)
    for reason in rows.skipped:
        say(f"left out: {reason}")
    run_name = name or output.resolve().name
    problems = rows[: options.limit]
    _print_results(proving.prove(run, problems, output, budgets, name=run_name, overwrite=overwrite, say=say))


@app.command(context_settings=NAMES)
def credit(
    samples: Annotated[str, typer.Argument(help="A sample store with verdicts.")],
    data: Annotated[str, typer.Option(help="The problems: file, Hub id, reasoning-gym:FAMILY or preset.")],
    output: Annotated[Path, typer.Option("--output", help="JSON Lines file: problems with their new answers.")],
    preset: Annotated[str | None, typer.Option(help="How to read the rows: math, gsm8k, aime …")] = None,
    split: Annotated[str | None, typer.Option(help="Split of a Hub data set.")] = None,
    verifier: Annotated[str | None, typer.Option(help="NAME@VERSION, where the store has verdicts of several.")] = None,
    most: Annotated[int, typer.Option(min=1, help="New answers of a problem, the most frequent ones.")] = 8,
    overwrite: Overwrite = False,
) -> None:
    """Correct answers among samples become accepted ones, to be trained on with confidence: answers."""
    from passatn.evaluate import write_atomically
    from passatn.experiments.config import ConfigError
    from passatn.experiments.credit import credit as credit_answers
    from passatn.sample.store import SampleStore
    from passatn.tasks import load_problems

    if output.exists() and not overwrite:
        raise ConfigError(f"{output} exists: choose another --output, or --overwrite")
    problems = {problem.id: problem for problem in load_problems(data, preset=preset, split=split)}
    credited = credit_answers(SampleStore.open(samples), problems, verifier=verifier, limit=most)
    lines = [json.dumps(problem.to_record(), ensure_ascii=False) + "\n" for problem in credited.problems]
    write_atomically(output, "".join(lines).encode())
    if credited.num_unsampled:
        say(f"{credited.num_unsampled:,} of {len(problems):,} problems have no samples and are as they were")
    new = f"{credited.num_answers:,} new answers of {credited.num_credited:,} problems"
    say(f"{new}, of {len(problems):,}: {output}")


@app.command(context_settings=SETTINGS)
@spread(EngineOptions, "engines")
@spread(SearchOptions, "search")
def expert(
    context: typer.Context,
    engines: EngineOptions,
    search: SearchOptions,
    output: Output,
    unproved: Annotated[str, typer.Option(help="Theorems to be proved, and learnt from.")],
    config: Annotated[Path | None, typer.Option(help="YAML recipe; --key_with_underscores value goes over it.")] = None,
    theorems: Annotated[
        str | None, typer.Option(help="Theorems with a `proof` to begin with (default: the recipe's train_data).")
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="How often found proofs are added.")] = 1,
    keep: Annotated[str, typer.Option(help="Which proofs of a theorem are added: shortest or probable.")] = "shortest",
    proofs_per_theorem: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    test: Annotated[str | None, typer.Option(help="Theorems on which each iteration's model is tried.")] = None,
    test_samples: Annotated[int, typer.Option(min=1, help="Roll-outs for each of those.")] = 1024,
    ns: Annotated[str, typer.Option(help="The N of pass@N, separated by commas.")] = DEFAULT_NS,
    overwrite: Overwrite = False,
) -> None:
    """Expert iteration: train, prove what has no proof, add the proofs, train again; a killed call goes on."""
    from passatn.experiments import expert_iteration
    from passatn.experiments.config import parse_ns, read_settings
    from passatn.experiments.progress import TrainingBar
    from passatn.experiments.proving import check_samples
    from passatn.experiments.quiet import quiet_libraries

    settings = expert_iteration.ExpertConfig(
        recipe={"template": "tactic"} | read_settings(config, context.args),
        theorems=theorems,
        unproved=unproved,
        iterations=iterations,
        num_samples=search.num_samples or 1024,
        keep=keep,  # type: ignore[arg-type]
        proofs_per_theorem=proofs_per_theorem,
        test=test,
        test_samples=test_samples,
        search=expert_iteration.search_settings(engines, search),
    )
    budgets = parse_ns(ns, "--ns")
    check_samples(settings.num_samples, budgets)
    if test is not None:
        check_samples(test_samples, budgets, "--test-samples")
    prove_theorems = expert_iteration.proof_search(engines, search, budgets, say)
    with quiet_libraries():
        done = expert_iteration.run_expert(
            settings, output, prove_theorems, say, overwrite=overwrite, make_bar=TrainingBar
        )
    table = Table("iteration", "examples", "of them found", "to prove", "proved")
    for entry in done:
        counts = (entry.num_examples, entry.num_found_examples, entry.num_to_prove, entry.num_proved)
        table.add_row(str(entry.iteration), *(f"{count:,}" for count in counts))
    Console().print(table)
    say(f"searches for `passatn report`: {output}/iteration-*/search")


@app.command(context_settings=NAMES)
@spread(VerifierOptions, "verifying")
def verify(
    verifying: VerifierOptions,
    source: Annotated[Path | None, typer.Argument(help="JSON Lines (default: stdin).")] = None,
) -> None:
    """Judge completions: JSON Lines with id, completion and problem in, one verdict a line out, in the same order."""
    from passatn.verify.command import run_verify, write_stdout
    from passatn.verify.registry import NAMES as VERIFIERS
    from passatn.verify.registry import get_verifier

    try:
        if verifying.verifier is None:
            raise ValueError(f"--verifier is missing; there are {', '.join(VERIFIERS)}")
        if source is not None and (source.is_dir() or not source.exists()):
            raise ValueError(f"{source}: no such file")
        judge = get_verifier(verifying.verifier, **verifying.limits())
        lines = sys.stdin.buffer if source is None else source.open("rb")
    except (ValueError, OSError) as error:
        _stderr(f"error: {' '.join(str(error).split())}")
        raise typer.Exit(2) from None
    try:
        with lines:
            run_verify(lines, write_stdout, judge)
    finally:
        judge.close()


@app.command(context_settings=NAMES)
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders with results.json, or such files.")],
    output: Output = Path("report"),
) -> None:
    """One page for several runs: curves, frontier, paired differences to the first."""
    from passatn.evaluate import Results
    from passatn.experiments.config import ConfigError
    from passatn.experiments.proof_report import budget_advice, read_proof_run
    from passatn.report import write_run_report
    from passatn.report.training import read_entries

    if (output / "results.json").exists() or (output.exists() and not output.is_dir()):
        raise ConfigError(f"{output} is not a folder for reports: choose another --output")
    results = [Results.load(_results_file(path)) for path in runs]
    logs = [read_entries(_results_file(path).with_name("metrics.jsonl")) for path in runs]
    proofs = [read_proof_run(_results_file(path).parent, say) for path in runs]
    advice = budget_advice(results, proofs)
    written = write_run_report(results, output, logs=logs, proofs=proofs, advice=advice)
    say(f"report: {written['html']}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder with results.json, or such a file.")],
    second: Annotated[Path, typer.Argument(help="Another run over the same problems.")],
) -> None:
    """The second run against the first on the same problems, paired, with a plain sentence as verdict."""
    from passatn.evaluate import Results, compare_results

    a, b = (Results.load(_results_file(path)) for path in (first, second))
    exact = a.column("log_p") is not None and b.column("log_p") is not None
    curves = [next((c for c in run.pass_at_n if exact == (c.source != "samples")), None) for run in (a, b)]
    shared = [n for n in curves[0].ns if n in curves[1].ns] if curves[0] and curves[1] else []
    if not shared:
        raise ValueError(f"{a.name} and {b.name} have no N in common: evaluate both with the same --ns")
    difference = compare_results(a, b, shared)
    table = Table("N", "difference", "95 % interval", "p (Holm)", "wins : losses", "p (sign test)")
    for i, n in enumerate(shared):
        table.add_row(
            f"{n:,}",
            f"{100 * difference.difference[i]:+.1f}",
            f"{100 * difference.low[i]:+.1f} – {100 * difference.high[i]:+.1f}",
            f"{difference.adjusted_p_value[i]:.3f}",
            f"{difference.wins[i]} : {difference.losses[i]}",
            f"{difference.sign_p_value[i]:.3f}",
        )
    console = Console()
    console.print(f"pass@N of {escape(b.name)} minus {escape(a.name)}, in points", highlight=False)
    console.print(table)
    console.print(difference.verdict(a.name, b.name), markup=False, highlight=False)


@app.command(context_settings=NAMES)
def recommend(
    runs: Annotated[list[Path], typer.Argument(help="Runs of train, or results of evaluate on validation problems.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Samples per problem that can be spent.")],
    test: Annotated[
        list[Path] | None, typer.Option(help="Results of the same models on test problems (once for each, in order).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON instead.")] = False,
) -> None:
    """Which objective, N of training, epoch, temperature and split of N samples to use, and what each gains."""
    from passatn.experiments.candidates import read_pool
    from passatn.experiments.recommend import recommend as advise

    advice = advise(read_pool(runs), n, test=read_pool(test) if test else None)
    if as_json:
        print(json.dumps(advice.to_dict(), indent=1, ensure_ascii=False))
        return
    console = Console(highlight=False)
    header, *rows = advice.table()
    table = Table(*header)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
    for line in advice.lines():
        console.print(line, markup=False, soft_wrap=True)


@app.command()
def doctor() -> None:
    """What is installed, what works, and what to do about the rest."""
    from passatn.experiments.doctor import diagnose

    table = Table("part", "version", "state", "what to do")
    for check in diagnose():
        table.add_row(*map(escape, (check.part, check.version, check.state, check.remedy)))
    Console().print(table)


def _load(options: ProblemOptions) -> tuple[Any, Any, Any]:
    """Model, tokenizer and encoded problems, as `train` would load them; the rows are read before the model is."""
    import torch

    from passatn.experiments.problems import read_problems
    from passatn.experiments.quiet import quiet_libraries
    from passatn.sample.models import load_model

    with quiet_libraries():
        rows = read_problems(options.data, _reading(options), split=options.split)
        model, tokenizer = load_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
    device: Any = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device), tokenizer, _encode(options, tokenizer, rows)


def _encode(options: ProblemOptions, tokenizer: Any, rows: Any = None) -> Any:
    """The rows of `options.data` with the encodings of their answers."""
    from passatn.experiments.problems import encode, read_problems
    from passatn.experiments.quiet import quiet_libraries

    config = _reading(options)
    with quiet_libraries():
        rows = read_problems(options.data, config, split=options.split) if rows is None else rows
        problems = encode(rows, config, tokenizer, limit=options.limit)
    for notice in problems.notices:
        say(notice)
    return problems


def _prompts(options: ProblemOptions, engines: EngineOptions) -> Any:
    """Problems with their prompts: as token ids wherever there is a tokenizer."""
    from passatn.experiments.problems import prompts, read_problems
    from passatn.experiments.quiet import quiet_libraries
    from passatn.sample.models import load_tokenizer

    config = _reading(options)
    with quiet_libraries():
        rows = read_problems(options.data, config, split=options.split)
        name = engines.tokenizer if engines.engine == "server" else options.model
        tokenizer = None if name is None else load_tokenizer(name, trust_remote_code=options.trust_remote_code)
        problems = prompts(rows, config, tokenizer, limit=options.limit)
    for notice in problems.notices:
        say(notice)
    return problems


def _evaluate_store(
    path: str,
    options: EvaluationOptions,
    verifying: VerifierOptions,
    questions: Any,
    output: Path,
    name: str,
    *,
    overwrite: bool,
) -> None:
    from passatn.experiments import evaluation, sampling
    from passatn.experiments.config import ConfigError
    from passatn.experiments.problems import read_problems
    from passatn.experiments.store_evaluation import evaluate_store, has_both, write_answers
    from passatn.sample.store import SampleStore
    from passatn.sample.store.golds import digest_of

    if questions.validation is not None:
        _evaluate_settings(path, options, verifying, questions, output, name, overwrite=overwrite)
        return
    store, problems, label = SampleStore.open(path), None, None
    options = replace(options, template=store.manifest.template or options.template)
    asked = options.describe() | questions.describe() | {"samples": path, "store_hash": store.content_hash()}
    if options.data is not None:
        stored = set(store.contents().problem_ids)
        rows = list(read_problems(options.data, _reading(options), split=options.split))
        problems = {problem.id: problem for problem in rows if problem.id in stored}
        asked["data_hash"] = _digest("".join(digest_of(problem) for problem in problems.values()).encode())
        if len(problems) < len(rows):
            say(f"{len(problems)} of {len(rows)} problems have samples")
    if questions.score is not None and Path(questions.score).is_file():
        asked["score_hash"] = _digest(Path(questions.score).read_bytes())
    if verifying.verifier is not None:
        if problems is None:
            raise ConfigError("--verifier needs the problems: give them as --data")
        asked["judged_by"] = verifying.verifier
    if evaluation.stored_results(output, asked, questions.ns, overwrite=overwrite):
        say(f"{output} is already evaluated (--overwrite does it again)")
        return
    if verifying.verifier is not None and problems is not None:
        label = sampling.judge(store, problems, verifying, options.template)
    run = {"name": name, "ns": list(questions.ns)} | asked
    results, answers = evaluate_store(path, questions, run=run, problems=problems, verifier=label)
    wanted = {"--extrapolate": questions.extrapolate, "--half-width": questions.half_width}
    if (asked_for := [key for key, value in wanted.items() if value]) and not has_both(results):
        say(f"{' and '.join(asked_for)}: left out, since the samples are all correct or all incorrect")
    evaluation.write(results, output, also=lambda folder: write_answers(folder / "answers.parquet", results, answers))


def _evaluate_settings(
    path: str,
    options: EvaluationOptions,
    verifying: VerifierOptions,
    questions: Any,
    output: Path,
    name: str,
    *,
    overwrite: bool,
) -> None:
    """Two folders of stores: the setting closest to the model's own distribution, beside it the one chosen per N."""
    from passatn.experiments import evaluation
    from passatn.experiments.config import ConfigError
    from passatn.experiments.decoding import default_of, stores_of, tune_stores
    from passatn.experiments.store_evaluation import evaluate_store, write_answers

    if verifying.verifier is not None:
        raise ConfigError("--validation-samples takes stores that are judged already, by passatn sample --verifier")
    stores = stores_of(path)
    options = replace(options, template=next(iter(stores.values())).manifest.template or options.template)
    asked = options.describe() | questions.describe() | {"samples": path}
    asked["store_hash"] = [store.content_hash() for store in stores.values()]
    if evaluation.stored_results(output, asked, questions.ns, overwrite=overwrite):
        say(f"{output} is already evaluated (--overwrite does it again)")
        return
    tuned = tune_stores(questions.validation, path, questions.ns)
    plain = stores[default_of(list(stores))]
    run = {"name": name, "ns": list(questions.ns)} | asked
    results, answers = evaluate_store(plain.folder.name, replace(questions, validation=None), run=run)
    results = replace(results, metrics=(*results.metrics, tuned))
    evaluation.write(results, output, also=lambda folder: write_answers(folder / "answers.parquet", results, answers))


def _reading(options: ProblemOptions) -> Any:
    """How rows become problems, as `train` has it."""
    from passatn.experiments.config import RunConfig, parse_columns

    return RunConfig(
        preset=options.preset,
        columns=parse_columns(options.column or [], "--column"),
        template=options.template,
        max_prompt_tokens=options.max_prompt_tokens,
        max_answer_tokens=options.max_answer_tokens,
        skip_bad_rows=options.skip_bad_rows,
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _unless_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _results_file(path: Path) -> Path:
    from passatn.experiments.config import ConfigError

    file = path / "results.json" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"{file}: no results there (passatn evaluate or passatn train writes them)")
    return file


def _show(results_file: Path) -> None:
    """The pass@N table of a results.json on stdout, if there is one."""
    from passatn.evaluate import Results

    if results_file.exists() and _is_first_process():
        _print_results(Results.load(results_file))


def _print_results(results: Any) -> None:
    console = Console(highlight=False)
    for curve in results.pass_at_n:
        console.print(f"{results.name}: {curve.source}, {curve.num_problems} problems", markup=False, soft_wrap=True)
        table = Table("N", "pass@N", f"{100 * curve.confidence:g} % interval")
        for n, estimate, low, high in zip(curve.ns, curve.estimate, curve.low, curve.high, strict=True):
            table.add_row(f"{n:,}", f"{100 * estimate:.1f} %", f"{100 * low:.1f} – {100 * high:.1f} %")
        console.print(table)
    for column, words in (
        ("num_truncated", "reached the length limit"),
        ("num_timeouts", "timed out in the verifier"),
        ("num_errors", "have no verdict: an error of the verifier, tried again next time"),
    ):
        counts = results.column(column)
        if counts is not None and counts.sum():
            console.print(f"{int(counts.sum()):,} samples {words}; none of them counts as correct", soft_wrap=True)
    if results.metrics:
        from passatn.report.metrics import metric_notes, metric_rows

        header, *rows = metric_rows(results.metrics)
        table = Table(*header)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        for note in metric_notes(results.metrics):
            console.print(note, markup=False, soft_wrap=True)


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _stderr(line: str) -> None:
    Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=True)


def main() -> None:
    """Entry point: a mistake of the user's is one line on stderr and exit code 1, never a traceback."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Read when torch is first imported: threads that wait by spinning slow a small model tenfold on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with on_one_line():
        app()


if __name__ == "__main__":
    main()
