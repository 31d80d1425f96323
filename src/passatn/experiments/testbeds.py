"""Testbeds for comparing objectives: a base model that lacks the skill, problems, and a file for `passatn sweep`.

    python -m passatn.experiments.testbeds mini-math --output testbeds/mini-math
    python -m passatn.experiments.testbeds math --data math_train.jsonl --output testbeds/math
    python -m passatn.experiments.testbeds gym --output testbeds/gym
    python -m passatn.experiments.testbeds goldbach --output testbeds/goldbach
    python -m passatn.experiments.testbeds programs --output testbeds/programs
    passatn sweep testbeds/math/sweep.yaml --output sweeps/math

With `--model` (math, gym) no base is made: that model is fine-tuned. `--arms variants` compares cross-entropy with all
that a sweep can search beside DCO at one N: other N, replacement, a changing N, label smoothing, an entropy bonus,
focal loss, GEM, entropy-gated and probability-weighted (DFT) cross-entropy, the surrogates of a majority vote and of
the best of N; without it there is DCO-256 alone.

mini-math: the base has learnt five of the ten functions of `tasks/mini_math.py`; the other five are fine-tuned on,
behind tokens that it has never met, with few problems. A problem has one short answer.

math: real problems of MATH with short prompts and answers. The base, a Llama of a million parameters, has read the
written solutions of other problems, and is fine-tuned to answer directly, which it can do no better than by guessing
from the kind of problem: the answers that it must consider are many.

gym: families of reasoning-gym. The base, the same Llama, answers problems of some families; it is fine-tuned on a
thousand problems of others, which are hard to answer without working them out.

goldbach: an even number as the sum of two primes, for which there are many correct answers. A training problem has at
most eight, of which the first is drawn at random and is the only one for an arm without `confidence: answers`; a
validation or test problem has them all. The base was taught sums, and which numbers are primes.

programs: Python functions of three statements, to be found from three of their twelve tests (`tasks/mini_programs.py`).
The base has learnt those of one and two statements. All programs of that length that pass the tests are known, and
pass@N is their probability: longer ones, or in other words, do not count.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from passatn.evaluate import write_atomically
from passatn.experiments import finetune
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.mini_theorems import say
from passatn.experiments.mistakes import about, on_one_line
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.small_models import byte_pairs, small_llama
from passatn.sample.models import load_tokenizer
from passatn.tasks import Problem, load_problems, mini_programs
from passatn.tasks.mini_math import Split, build_tokenizer, sample_problems
from passatn.tasks.overlap import normalise_text

KNOWN = ("add3", "mul", "diffmul", "sqadd", "median")
"""What the base of mini-math has learnt."""
GYM_KNOWN = ("basic_arithmetic", "chain_sum", "gcd", "number_sequence", "products", "simple_equations")
GYM_NEW = ("count_primes", "lcm", "leg_counting", "time_intervals")
TEMPERATURES = [0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.45, 1.75, 2.1]
ARMS: dict[str, dict[str, Any]] = {"CE": {}, "DCO-256": {"n_passes": 256, "min_confidence_weight": 0.0}}
VARIANTS: dict[str, dict[str, Any]] = ARMS | {
    "DCO": {"min_confidence_weight": 0.0, "space": {"n_passes": [4, 16, 64, 256, 1024, 4096]}},
    "DCO-256, replacement": {"n_passes": 256, "space": {"min_confidence_weight": [0.01, 0.1, 0.3]}},
    "DCO, mixture": {
        "n_passes": 4096,
        "n_passes_schedule": "mixture",
        "n_passes_mixture": [16, 256, 4096],
        "min_confidence_weight": 0.0,
    },
    "DCO, N rising": {
        "n_passes": 256,
        "n_passes_schedule": "anneal",
        "n_passes_start": 1,
        "min_confidence_weight": 0.0,
    },
    "DCO, N falling": {
        "n_passes": 256,
        "n_passes_schedule": "anneal",
        "n_passes_start": 16384,
        "min_confidence_weight": 0.0,
    },
    "label smoothing": {"objective": "label_smoothing", "space": {"smoothing": {"log": [0.001, 0.3]}}},
    "confidence penalty": {"objective": "confidence_penalty", "space": {"penalty_beta": {"log": [0.003, 1.0]}}},
    "focal": {"objective": "focal", "space": {"focal_gamma": {"log": [0.3, 10.0]}}},
    "GEM": {"objective": "gem", "space": {"gem_beta": {"linear": [0.1, 1.0]}}},
    "entropy-gated": {"objective": "entropy_gated", "space": {"gate_power": {"linear": [0.0, 3.0]}}},
    "DFT": {"objective": "dft"},
    "majority vote": {
        "objective": "majority_vote",
        "n_passes": 256,
        "space": {"majority_threshold": [2, 4, 16, 64, 129]},
    },
    "best of N": {
        "objective": "best_of_n",
        "n_passes": 256,
        "space": {"false_positive_rate": {"log": [0.0001, 0.1]}},
    },
}
TRAINING: dict[str, Any] = {
    "loss_normalization": "sequence",
    "max_grad_norm": 1.0,
    "save_strategy": "no",
    "num_threads": 1,
}


def mini_math(
    output: Path, *, num_train: int, num_eval: int, pretrain: int, arms: dict[str, dict[str, Any]] = ARMS
) -> None:
    """Write the testbed of functions that the base has not learnt."""
    known = [problem for problem in _mini("pretrain", 2 * pretrain, 0) if problem.metadata["function"] in KNOWN]
    wanted: dict[str, tuple[Split, int, int]] = {
        "train": ("finetune", num_train, 1), "validation": ("validation", num_eval, 2), "test": ("test", num_eval, 3)
    }  # fmt: skip
    files: dict[str, Sequence[Problem]] = {"pretrain": known}
    for name, (split, number, seed) in wanted.items():
        new = [problem for problem in _mini(split, 3 * number, seed) if problem.metadata["function"] not in KNOWN]
        files[name] = new[:number]
    _write_problems(output, files)
    model = small_llama(build_tokenizer(), hidden=96, layers=3, context=16, initializer_range=0.06)
    # Tokens far apart, as in the demo (`experiments/mini_math.py`).
    torch.nn.init.normal_(model.model.embed_tokens.weight)
    rate = {"learning_rate": 3e-3, "per_device_train_batch_size": 128, "weight_decay": 0.1, "adam_beta2": 0.98}
    _pretrain(output, model, build_tokenizer(), "raw", {**rate, "num_train_epochs": 1})
    _write_sweep(output, "raw", epochs=12, ns=[1, 16, 256], rates=(1e-4, 5e-3), trials=24, arms=arms)


def math(
    output: Path,
    data: Path,
    *,
    num_train: int,
    num_eval: int,
    longest_prompt: int,
    num_pretrain: int,
    model: str | None = None,
    arms: dict[str, dict[str, Any]] = ARMS,
) -> None:
    """Write the testbed of real problems; all of them come from MATH's training file."""
    with quiet_libraries():
        problems = list(load_problems(str(data), preset="math", skip_bad_rows=True))
    order = np.random.default_rng(0).permutation(len(problems))
    shuffled = [problems[index] for index in order]
    read = [] if model else shuffled[-num_pretrain:]
    with quiet_libraries():
        tokenizer = (
            load_tokenizer(model) if model else byte_pairs([f"{one.prompt}\n{one.reasoning}" for one in read], 2048)
        )
    short = [
        problem
        for problem in _distinct(shuffled[: len(shuffled) - len(read)])
        if len(tokenizer(problem.prompt)["input_ids"]) <= longest_prompt
        and len(tokenizer(problem.answers[0])["input_ids"]) <= 10
    ]
    wanted = num_train + 2 * num_eval
    if len(short) < wanted:
        raise ConfigError(f"{data}: only {len(short)} short problems, {wanted} are wanted: fewer, or longer ones")
    ends = (num_train, num_train + num_eval, wanted)
    parts = {"train": short[: ends[0]], "validation": short[ends[0] : ends[1]], "test": short[ends[1] : ends[2]]}
    if model:
        _write_problems(output, parts)
        _write_sweep(output, "direct", epochs=6, ns=[1, 256], trials=12, arms=arms, model=model)
        return
    _write_problems(output, {"pretrain": [Problem(one.id, one.prompt, (str(one.reasoning),)) for one in read], **parts})
    small = small_llama(tokenizer, hidden=128, layers=4, context=512)
    rate = {"learning_rate": 2e-3, "per_device_train_batch_size": 16, "weight_decay": 0.1, "adam_beta2": 0.98}
    limits = {"max_prompt_tokens": 160, "max_answer_tokens": 200, "skip_bad_rows": True, "lr_scheduler_type": "cosine"}
    _pretrain(output, small, tokenizer, "direct", {**rate, **limits, "num_train_epochs": 1})
    _write_sweep(output, "direct", epochs=8, ns=[1, 256], rates=(1e-4, 4e-3), trials=12, arms=arms)


def gym(
    output: Path,
    *,
    num_train: int,
    num_eval: int,
    pretrain: int,
    families: Sequence[str] = GYM_NEW,
    model: str | None = None,
    arms: dict[str, dict[str, Any]] = ARMS,
) -> None:
    """Write the testbed of reasoning-gym's families; no prompt is in two of its files."""
    if not model and (shared := sorted({*families} & {*GYM_KNOWN})):
        raise ConfigError(f"families: the base learns {shared[0]}: leave it out, or give a --model")
    if model:
        with quiet_libraries():
            load_tokenizer(model)
    new = _families(families, 2 * (num_train + 2 * num_eval), 1)
    ends = (0, num_train, num_train + num_eval, num_train + 2 * num_eval)
    if len(new) < ends[-1]:
        raise ConfigError(f"only {len(new)} different problems, {ends[-1]} are wanted: fewer, please")
    names = ("train", "validation", "test")
    parts = {name: new[first:last] for name, (first, last) in zip(names, pairwise(ends), strict=True)}
    if model:
        _write_problems(output, parts)
        _write_sweep(output, "direct", epochs=6, ns=[1, 256], trials=12, arms=arms, model=model)
        return
    known = _families(GYM_KNOWN, pretrain, 0)
    _write_problems(output, {"pretrain": known, **parts})
    seen = (*known, *parts["train"])
    tokenizer = byte_pairs([f"{problem.prompt}\n{problem.answers[0]}" for problem in seen], 1024)
    small = small_llama(tokenizer, hidden=128, layers=4, context=256)
    rate = {"learning_rate": 2e-3, "per_device_train_batch_size": 64, "weight_decay": 0.1, "adam_beta2": 0.98}
    _pretrain(output, small, tokenizer, "direct", {**rate, "lr_scheduler_type": "cosine", "num_train_epochs": 1})
    _write_sweep(output, "direct", epochs=10, ns=[1, 16, 256], rates=(1e-4, 4e-3), trials=12, arms=arms)


def _families(families: Sequence[str], number: int, seed: int) -> list[Problem]:
    """About as many problems of each family, in random order, each prompt once."""
    each = -(-number // len(families))
    found = [
        problem for family in families for problem in load_problems(f"reasoning-gym:{family}?size={each}&seed={seed}")
    ]
    found = _distinct(found)
    return [found[index] for index in np.random.default_rng(seed).permutation(len(found))]


def _distinct(problems: Sequence[Problem]) -> list[Problem]:
    """Each once; what differs in nothing but signs and spaces counts as the same, as it does for a sweep."""
    return list({normalise_text(problem.prompt): problem for problem in problems}.values())


def goldbach(
    output: Path, *, num_train: int, num_eval: int, pretrain: int, arms: dict[str, dict[str, Any]] = ARMS
) -> None:
    """Write the testbed of problems with several correct answers."""
    generator = np.random.default_rng(0)
    evens = generator.permutation(np.arange(100, 4100, 2)).tolist()
    ends = (0, num_train, num_train + num_eval, num_train + 2 * num_eval)
    if len(evens) < ends[-1]:
        raise ConfigError(f"there are {len(evens)} even numbers to ask for, {ends[-1]} are wanted: fewer, please")
    primes = [n for n in range(2, 4100) if all(n % d for d in range(2, int(n**0.5) + 1))]
    known = set(primes)

    def problem(n: int, most: int | None) -> Problem:
        pairs = [f"{p}+{n - p}" for p in primes if 2 * p <= n and n - p in known]
        return Problem(f"goldbach-{n}", f"{n} =", tuple(generator.permutation(pairs).tolist()[:most]))

    parts = {
        name: [problem(n, 8 if name == "train" else None) for n in evens[first:last]]
        for name, (first, last) in zip(("train", "validation", "test"), pairwise(ends), strict=True)
    }
    skills = [(f"{a} + {b} =", str(a + b)) for a, b in generator.integers(1, 4100, (pretrain // 2, 2)).tolist()]
    asked = generator.integers(2, 4100, pretrain - pretrain // 2).tolist()
    skills += [(f"{n} prime?", "yes" if n in known else "no") for n in asked]
    learnt = [
        Problem(f"skill-{index}", prompt, (answer,))
        for index in generator.permutation(len(skills))
        for prompt, answer in [skills[index]]
    ]
    _write_problems(output, {"pretrain": learnt, **parts})
    tokenizer = byte_pairs([f"{prompt}{answer}" for prompt, answer in [*skills[:99], *skills[-99:]]], 300)
    model = small_llama(tokenizer, hidden=96, layers=4, context=32)
    rate = {"learning_rate": 2e-3, "per_device_train_batch_size": 128, "weight_decay": 0.1, "adam_beta2": 0.98}
    _pretrain(output, model, tokenizer, "raw", {**rate, "lr_scheduler_type": "cosine", "num_train_epochs": 1})
    arms = arms | {f"{name}, all answers": {**options, "confidence": "answers"} for name, options in ARMS.items()}
    _write_sweep(output, "raw", epochs=12, ns=[1, 16, 256], rates=(1e-4, 4e-3), trials=12, arms=arms)


def programs(
    output: Path, *, num_train: int, num_eval: int, pretrain: int, arms: dict[str, dict[str, Any]] = ARMS
) -> None:
    """Write the testbed of code: problems with unit tests, and all the programs that pass them."""
    sizes: dict[mini_programs.Split, int] = {
        "pretrain": pretrain,
        "finetune": num_train,
        "validation": num_eval,
        "test": num_eval,
    }
    parts: dict[str, Sequence[Problem]] = {
        name: mini_programs.sample_problems(name, size, seed=0) for name, size in sizes.items()
    }
    # One program of a training problem, as in a data set of solutions; all of those that pass, to score with.
    one = [Problem(of.id, of.prompt, of.answers[:1], None, of.metadata) for of in parts.pop("finetune")]
    learnt = [Problem(of.id, of.prompt, of.answers[:1]) for of in parts.pop("pretrain")]
    _write_problems(output, {"pretrain": learnt, "train": one, **parts})
    texts = [f"{problem.prompt}{problem.answers[0]}" for problem in (*learnt[:4000], *one[:1000])]
    tokenizer = byte_pairs(texts, 1200, pieces=mini_programs.PIECES)
    model = small_llama(tokenizer, hidden=128, layers=4, context=96)
    rate = {"learning_rate": 2e-3, "per_device_train_batch_size": 64, "weight_decay": 0.1, "adam_beta2": 0.98}
    _pretrain(output, model, tokenizer, "raw", {**rate, "lr_scheduler_type": "cosine", "num_train_epochs": 1})
    _write_sweep(
        output, "raw", epochs=12, ns=[1, 16, 256], rates=(1e-4, 4e-3), trials=12, arms=arms, has_new_tokens=False
    )


_MADE: dict[str, tuple[Callable[..., None], int]] = {
    "mini-math": (mini_math, 150_000),
    "gym": (gym, 40_000),
    "goldbach": (goldbach, 100_000),
    "programs": (programs, 100_000),
}
"""Testbeds that need no data, and how many problems their bases learn from."""


def _mini(split: Split, count: int, seed: int) -> list[Problem]:
    return sample_problems(split, count, seed=seed).problems()


def _write_problems(output: Path, files: Mapping[str, Sequence[Problem]]) -> None:
    for name, problems in files.items():
        lines = "".join(json.dumps(problem.to_record(), ensure_ascii=False) + "\n" for problem in problems)
        write_atomically(output / f"{name}.jsonl", lines.encode())


def _pretrain(output: Path, model: Any, tokenizer: Any, template: str, settings: dict[str, Any]) -> None:
    """By cross-entropy, with what `passatn train` does; base/model is the result, and is left alone if it is there."""
    start, run = output / "start", RunDirectory(output / "base")
    if run.is_finished:
        return
    model.save_pretrained(start)
    tokenizer.save_pretrained(start)
    defaults = {"lr_scheduler_type": "linear", "warmup_steps": 50, "loss_normalization": "token", "seed": 0}
    sources = {"model": str(start), "train_data": str(output / "pretrain.jsonl"), "template": template}
    with quiet_libraries():
        config = RunConfig.from_mapping({**TRAINING, **defaults, **sources, **settings})
        finetune.train(config, run, say, overwrite=run.config.exists())


def _write_sweep(
    output: Path,
    template: str,
    *,
    epochs: int,
    ns: list[int],
    trials: int,
    arms: dict[str, dict[str, Any]],
    rates: tuple[float, float] = (5e-6, 5e-4),
    model: str | None = None,
    has_new_tokens: bool = True,
) -> None:
    recipe = {
        "model": model or str(output / "base" / "model"),
        "train_data": str(output / "train.jsonl"),
        "template": template,
        "num_train_epochs": epochs,
        "per_device_train_batch_size": 32,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 10,
        "weight_decay": 0.0,
        **{key: value for key, value in TRAINING.items() if key != "save_strategy"},
    }
    space: dict[str, Any] = {"learning_rate": {"log": list(rates)}, "weight_ema": [None, 0.98, 0.995]}
    if model:
        del recipe["num_threads"]  # of the models made here, each is best trained by one
        recipe["gradient_checkpointing"] = False
        space["weight_decay"] = [0.0, 0.01, 0.1, 0.3]
    elif has_new_tokens:
        # A rate of its own for what stands for tokens that the base has never met.
        recipe["new_parameters"] = "embed_tokens"
        space["new_parameters_learning_rate"] = {"log": [rates[0], 10 * rates[1]]}
    sweep = {
        "recipe": recipe,
        "validation": str(output / "validation.jsonl"),
        "test": str(output / "test.jsonl"),
        "ns": ns,
        "temperatures": TEMPERATURES,
        "trials": trials,
        "target_n": 256,
        "seeds": [0, 1, 2],
        "confirm_seeds": [3, 4, 5],
        "space": space,
        "arms": arms,
    }
    write_atomically(output / "sweep.yaml", yaml.safe_dump(sweep, sort_keys=False).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("math", *_MADE))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="MATH's training problems, JSON Lines (math)")
    parser.add_argument("--num-train", type=int, default=1000)
    parser.add_argument("--num-eval", type=int, default=500, help="validation problems, and as many test problems")
    parser.add_argument("--arms", default="two", help='"two", "variants", or names of these: "CE;DCO-256;GEM"')
    parser.add_argument("--pretrain", type=int, help="problems that the base learns from")
    parser.add_argument("--model", help="fine-tune this one: a folder, a .gguf file or a Hub id (math, gym)")
    parser.add_argument("--families", help=f"separated by commas (gym; {','.join(GYM_NEW)})")
    parser.add_argument("--longest-prompt", type=int, help="tokens (math; 60)")
    args = parser.parse_args()
    for option, names in {
        "data": ["math"],
        "longest_prompt": ["math"],
        "families": ["gym"],
        "model": ["math", "gym"],
    }.items():
        if getattr(args, option) is not None and args.name not in names:
            parser.error(f"--{option.replace('_', '-')} is not for {args.name}: leave it out")
    for option in ("num_train", "num_eval", "pretrain", "longest_prompt"):
        if (value := getattr(args, option)) is not None and value < 1:
            parser.error(f"--{option.replace('_', '-')} must be at least 1, got {value}")
    if args.name == "math" and args.data is None:
        parser.error("math needs --data")
    if args.model and args.pretrain is not None:
        parser.error("--pretrain is for a base that is made here, --model for one that is there: leave one out")
    try:
        arms = _chosen_arms(args.arms)
    except ConfigError as error:
        parser.error(str(error))
    torch.set_num_threads(1)
    with on_one_line():
        _make(args, arms)


def _make(args: argparse.Namespace, arms: dict[str, dict[str, Any]]) -> None:
    """Make the testbed in its folder, which remembers what it was made with once something is written there."""
    sizes = {key: value for key, value in vars(args).items() if key not in ("output", "data")}
    if args.data is not None:
        sizes["data"] = hashlib.sha256(args.data.read_bytes()).hexdigest()
    stored = args.output / "testbed.json"
    if stored.exists():
        with about(stored):
            before = json.loads(stored.read_text(encoding="utf-8"))
        if before != sizes:
            raise ConfigError(f"{args.output} was made with {before}: choose another --output")
    options: dict[str, Any] = {"num_train": args.num_train, "num_eval": args.num_eval, "arms": arms}
    with _remembering(stored, sizes):
        if args.name == "math":
            pretrain = 6000 if args.pretrain is None else args.pretrain
            longest = 60 if args.longest_prompt is None else args.longest_prompt
            math(args.output, args.data, longest_prompt=longest, num_pretrain=pretrain, model=args.model, **options)
            return
        make, pretrain = _MADE[args.name]
        options["pretrain"] = pretrain if args.pretrain is None else args.pretrain
        if args.name == "gym":
            families = GYM_NEW if args.families is None else args.families.split(",")
            options |= {"model": args.model, "families": families}
        make(args.output, **options)


def _chosen_arms(given: str) -> dict[str, dict[str, Any]]:
    if given in ("two", "variants"):
        return ARMS if given == "two" else VARIANTS
    names = [name.strip() for name in given.split(";")]
    if unknown := [name for name in names if name not in VARIANTS]:
        raise ConfigError(
            f"--arms: unknown arm {unknown[0]!r}; there are two, variants, or some of: {'; '.join(VARIANTS)}"
        )
    return {name: VARIANTS[name] for name in names}


@contextmanager
def _remembering(stored: Path, sizes: dict[str, Any]) -> Iterator[None]:
    """The file comes before all others, so that a killed call is known; a call that is refused leaves none."""
    is_new = not stored.exists()
    write_atomically(stored, (json.dumps(sizes) + "\n").encode())
    try:
        yield
    except BaseException:
        if is_new and [path.name for path in stored.parent.iterdir()] == [stored.name]:
            stored.unlink()
            stored.parent.rmdir()
        raise


if __name__ == "__main__":
    main()
