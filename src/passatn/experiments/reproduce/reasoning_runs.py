"""Stages of the experiments with reasoning at scale `small`: three trainings, samples of their checkpoints, counts.

Samples go into stores under shared/, which a killed call goes on with; the counts of an arm are one file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from passatn.evaluate import AnswerCounts, write_atomically
from passatn.experiments import sampling
from passatn.experiments.config import RunConfig
from passatn.experiments.options import EngineOptions, VerifierOptions
from passatn.experiments.problems import PromptedProblems, prompts, read_problems
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.reproduce.arm_record import ArmRecord
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.identity import data_identity, model_identity
from passatn.experiments.reproduce.reasoning_arms import EPOCHS, KINDS, NS, NUM_SAMPLES, arm_settings, sizes_of
from passatn.experiments.reproduce.runs import checkpoint_states, trained
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.store_evaluation import StoreQuestions, evaluate_store
from passatn.sample import SamplingParams
from passatn.sample.models import load_tokenizer
from passatn.sample.store import SampleStore

SETTING = (
    "{model} on MATH with reasoning: up to {limit:,} training problems within {max_prompt_tokens} tokens of prompt and "
    "{max_answer_tokens} of solution, {num_train_epochs} epochs in batches of {batch}, learning rate "
    "{learning_rate:g}, by cross-entropy and by DCOa with N = {n_passes} and {num_rollouts} roll-outs an example. GRPO "
    "starts from the same base, with the template r1 and so {grpo_prompt_tokens} tokens of prompt, {num_generations} "
    "roll-outs a problem and learning rate {grpo_rate:g}, and ends after {max_data_passes} passes over the problems, "
    "which its epochs count, those that it drops among them. {samples} samples of at most {longest} tokens of each of "
    "{problems} test problems of MATH, judged as mathematics; one seed; learning rates are not tuned."
)
_VERIFIER = VerifierOptions(verifier="math")


@dataclass(frozen=True)
class Reasoning:
    """The stages of one reproduction."""

    context: Context

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Of the three runs, as `passatn train` takes them."""
        return arm_settings(self.context)

    @property
    def recipe(self) -> dict[str, Any]:
        """All that the tables and figures follow from, with the model and the data by their contents."""
        read = {which: data_identity(self.context.math_data(which)[0]) for which in ("train", "test")}
        by_contents = ("model", "train_data")
        return {
            "arms": {
                name: {key: value for key, value in settings.items() if key not in by_contents}
                for name, settings in self.settings.items()
            },
            "sampling": self._sampling,
            "epochs": list(EPOCHS),
            "model": model_identity(self.settings["CE"]["model"]),
            "data": read,
        }

    @property
    def _sampling(self) -> dict[str, Any]:
        return {"n": NUM_SAMPLES, "max_new_tokens": sizes_of(self.context).longest, "seed": 0}

    def setting(self, num_problems: int) -> str:
        """What was run, with so many test problems."""
        shown = self.settings["DCOa-64"] | {"batch": _batch(self.settings["DCOa-64"]), "problems": num_problems}
        own = {key: self.settings["GRPO"][key] for key in ("num_generations", "max_data_passes")}
        own |= {"grpo_rate": self.settings["GRPO"]["learning_rate"]}
        own |= {"grpo_prompt_tokens": self.settings["GRPO"]["max_prompt_tokens"]}
        return SETTING.format(**shown, **own, samples=NUM_SAMPLES, longest=sizes_of(self.context).longest)

    def _run_recipe(self, name: str) -> dict[str, Any]:
        settings = self.settings[name]
        read = {"model": model_identity(settings["model"]), "train_data": data_identity(settings["train_data"])}
        return settings | read

    def run_folder(self, name: str) -> Path:
        """Named by what the run depends on, wherever the files lie."""
        return self.context.workspace.path(f"run-reasoning-{name}", self._run_recipe(name))

    def run(self, name: str) -> RunDirectory:
        """The finished training of an arm; an unfinished one is resumed."""
        return trained(self.context, name, f"run-reasoning-{name}", self.settings[name], self._run_recipe(name))

    def check(self) -> None:
        """Raise in one line if the test problems cannot be used, which else comes to light after the training."""
        base = self.settings["CE"]
        self._prompts(base["model"], base["template"])

    def arm(self, name: str) -> ArmRecord:
        """An arm with its counts; what is missing is trained and sampled."""
        run = self.run(name)

        def make(file: Path) -> None:
            write_atomically(file, json.dumps(self._record(name, run), allow_nan=False).encode())

        recipe = self._sampled_recipe(run) | {"epochs": list(EPOCHS)}
        file = self.context.workspace.stage(f"arm-{name}", recipe, make, ".json")
        return ArmRecord(file, json.loads(file.read_text(encoding="utf-8")))

    def _sampled_recipe(self, run: RunDirectory) -> dict[str, Any]:
        """What samples depend on; the name of the run's folder stands for how it was trained."""
        read = {"problems": data_identity(self.context.math_data("test")[0])}
        return {"run": run.path.name, "sampling": self._sampling} | read

    def _store_folder(self, name: str, run: RunDirectory, step: int) -> Path:
        stem, recipe = f"samples-{name}-step{step}", self._sampled_recipe(run)
        self.context.workspace.note(stem, recipe)
        return self.context.workspace.path(stem, recipe)

    def _record(self, name: str, run: RunDirectory) -> dict[str, Any]:
        settings, states = self.settings[name], checkpoint_states(run)
        last, log = list(states.values())[-1], read_log(run.metrics)
        evaluations = []
        for checkpoint, state in states.items():
            step = int(state["global_step"])
            # GRPO counts problems gone through, as the paper does; the trainer counts optimizer steps.
            epoch = data_passes(log, step) if KINDS[name] == "grpo" else state["epoch"]
            if KINDS[name] == "grpo" or round(epoch, 2) in EPOCHS or state is last:
                self.context.say(f"{name}: samples of step {step} …")
                counts = self._counts(self._store_folder(name, run, step), checkpoint, settings["template"])
                evaluations.append({"epoch": _short(epoch), "step": step} | counts)
        num_done, num_planned = last["global_step"], last["max_steps"]
        return {
            "arm": {"name": name, "kind": KINDS[name], "options": _options(settings)},
            "settings": {"num_samples": NUM_SAMPLES, "batch_size": _batch(settings), "warm_epochs": 0},
            "evaluations": evaluations,
            "log": log,
            "ended_early": f"ended at step {num_done} of {num_planned}" if num_done < num_planned else None,
        }

    def _counts(self, folder: Path, model: Path, template: str) -> dict[str, list[Any]]:
        """Counts per test problem of a checkpoint's samples; those that the store lacks are drawn."""
        problems = self._prompts(model, template)
        for notice in problems.notices:
            self.context.say(f"test data: {notice}")
        params = SamplingParams(**self._sampling)
        options = EngineOptions()
        spec = sampling.engine_spec(options, str(model), dtype="auto", trust_remote_code=False)
        manifest = sampling.manifest_of(problems, params, str(folder), spec=spec, template=template)
        store = SampleStore.open_or_create(folder, manifest)
        if store.missing_chunks([problem.id for problem in problems.problems], params.n):
            engine = sampling.open_engine(options, spec)
            try:
                for line in sampling.fill(engine, problems, params, store).set_aside:
                    self.context.say(f"{line}; moved to damaged/, its samples were drawn again")
            finally:
                engine.close()
        known = problems.by_id()
        label = sampling.judge(store, known, _VERIFIER, template)
        results, answers = evaluate_store(
            str(folder), StoreQuestions(NS), run={"name": folder.name}, problems=known, verifier=label
        )
        return {"test_num_correct": [int(row.num_correct or 0) for row in results.problems]} | most_frequent(answers)

    def _prompts(self, model: Path | str, template: str) -> PromptedProblems:
        source, split = self.context.math_data("test")
        config = RunConfig(preset="math", template=template, skip_bad_rows=True)
        with quiet_libraries():
            rows = read_problems(source, config, split=split)
            return prompts(rows, config, load_tokenizer(str(model)), limit=None)


def most_frequent(answers: Sequence[AnswerCounts]) -> dict[str, list[Any]]:
    """How often each problem's most frequent answer came, and whether it is right; of equals, whether any is."""
    counts = [int(of.counts[0]) if len(of.counts) else 0 for of in answers]
    correct = [
        bool(np.any(of.correct[of.counts == count] > 0.5)) if count else False
        for of, count in zip(answers, counts, strict=True)
    ]
    return {"test_most_frequent": counts, "test_is_correct": correct}


def read_log(metrics: Path) -> list[dict[str, Any]]:
    """The entries of metrics.jsonl, with None for numbers that JSON lacks."""
    entries = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return [{key: None if isinstance(value, str) else value for key, value in entry.items()} for entry in entries]


def data_passes(log: Sequence[Mapping[str, Any]], step: int) -> float:
    """Passes over the problems that a run with refilled batches had made after a step."""
    return float([entry["data_passes"] for entry in log if "data_passes" in entry and entry["step"] <= step][-1])


def _options(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"n_passes": float(settings["n_passes"])} if settings.get("n_passes", 1) > 1 else {}


def _batch(settings: Mapping[str, Any]) -> int:
    """Problems an optimizer step; that of GRPO counts roll-outs."""
    size = settings["per_device_train_batch_size"] * settings["gradient_accumulation_steps"]
    return int(size // settings.get("num_generations", 1))


def _short(epoch: float) -> int | float:
    """Two digits, and none of a whole number."""
    return int(epoch) if round(epoch, 2) == int(epoch) else round(epoch, 2)
