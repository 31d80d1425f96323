"""Stages of the experiments on direct answers: base model, data, one training run per objective, evaluations of it.

Each method gives the finished thing, and makes it first where it is missing. At scale `paper` nothing is trained here:
a run that is missing is an error with the command that makes it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from passatn.evaluate import Results
from passatn.experiments import evaluation
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.problems import EncodedProblems, encode, read_problems
from passatn.experiments.progress import make_progress
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.reproduce import mini_data
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.engines import write_engine
from passatn.experiments.reproduce.identity import data_identity, model_identity
from passatn.experiments.reproduce.plans import engine_file, launch_command
from passatn.experiments.reproduce.recipes import DirectRecipe
from passatn.experiments.reproduce.runs import Moment, moments_of, trained
from passatn.experiments.run_directory import RunDirectory
from passatn.sample.models import load_model, load_tokenizer


@dataclass(frozen=True)
class TrainedRun:
    """A finished run of `passatn train`."""

    name: str
    n_passes: int
    directory: RunDirectory
    base: Path | str

    @property
    def history(self) -> list[Results]:
        """Exact evaluations on the test problems after each epoch."""
        return [Results.load(path) for path in self.directory.evaluation_files()]

    @cached_property
    def moments(self) -> list[Moment]:
        """Its checkpoints, in order."""
        return moments_of(self.directory)


@dataclass
class Direct:
    """The stages at one scale.

    Args:
        large: use the paper's second model (table 4).
    """

    context: Context
    recipe: DirectRecipe
    large: bool = False

    @cached_property
    def pretrained(self) -> Path:
        """The demo's model before its instructions are made new."""
        sizes = self._mini
        recipe = {name: getattr(sizes, name) for name in ("hidden_size", "num_layers", "pretrain_steps")}
        recipe |= {"pretrain_batch": sizes.pretrain_batch}

        def make(folder: Path) -> None:
            with make_progress() as progress, quiet_libraries():
                bar = progress.add_task("base model", total=sizes.pretrain_steps, note="")
                mini_data.make_pretrained(sizes, folder, lambda done, _: progress.update(bar, completed=done))

        return self.context.workspace.stage("pretrained", recipe, make)

    @cached_property
    def base(self) -> Path | str:
        """The model that fine-tuning starts from."""
        if self.recipe.model is not None:
            return self.context.model or self.recipe.model.name
        source = self.pretrained
        return self.context.workspace.stage(
            "base", {"pretrained": source.name, "seed": 0}, lambda folder: mini_data.make_base(source, folder)
        )

    @cached_property
    def _mini_files(self) -> Path:
        # The levels come from the small model also for the large one: both are tested on the same problems.
        sizes, levels_of = self._mini, Direct(self.context, self._small_recipe).pretrained
        recipe = {"levels_of": levels_of.name, "num_train": sizes.num_train, "num_test": sizes.num_test}
        recipe |= {"probes_per_level": self.recipe.probes_per_level}

        def make(folder: Path) -> None:
            levels = mini_data.function_levels(levels_of)
            mini_data.make_data(sizes, self.recipe.probes_per_level, levels, folder)

        return self.context.workspace.stage("data", recipe, make)

    @property
    def _small_recipe(self) -> DirectRecipe:
        from passatn.experiments.reproduce.recipes import direct_recipe

        return direct_recipe("demo", quick=self.context.quick) if self.large else self.recipe

    @property
    def _mini(self) -> Any:
        if self.recipe.mini is None:
            raise ConfigError(f"scale {self.context.scale} has no model of its own")
        return self.recipe.mini

    def data(self, which: str) -> dict[str, Any]:
        """Keys of `passatn train` that say where problems come from: train, test, other (of another kind) or probe."""
        if self.recipe.mini is not None:
            return {"source": str(self._mini_files / f"{which}.jsonl")}
        if which == "other":
            file = self.context.data_file("aime*.jsonl*")
            return {"source": str(file or "aime"), "preset": "aime"}
        split = "test" if which == "test" else "train"
        source, split_of_hub = self.context.math_data(split)
        return {"source": source, "preset": "math", "split": split_of_hub}

    def source(self, which: str) -> str:
        """The data of `data(which)`, by their contents."""
        return data_identity(self.data(which)["source"])

    def inputs(self, *others: str) -> dict[str, Any]:
        """The recipe, with the model and the data that a table or figure reads by their contents.

        Args:
            others: problems beside those of training and test.
        """
        found = self.recipe.to_dict()
        if self.recipe.mini is not None:
            return found
        data = {which: self.source(which) for which in ("train", "test", *others)}
        return found | {"model": model_identity(str(self.base)), "data": data}

    def run_settings(self, n_passes: int) -> dict[str, Any]:
        """All settings of the training run for this N, as `passatn train` takes them."""
        train, test = self.data("train"), self.data("test")
        settings = {
            "model": str(self.base),
            "train_data": train["source"],
            "eval_data": test["source"],
            "train_split": train.get("split"),
            "eval_split": test.get("split"),
            "eval_ns": list(self.recipe.eval_ns),
            "n_passes": n_passes,
            **self.recipe.settings,
        }
        return {key: value for key, value in settings.items() if value is not None}

    def run_folder(self, n_passes: int) -> Path:
        """Named by what the run depends on, wherever the files lie."""
        return self.context.workspace.path(f"run-{_objective(n_passes)}", self._run_recipe(n_passes))

    def _run_recipe(self, n_passes: int) -> dict[str, Any]:
        settings = self.run_settings(n_passes)
        if self.recipe.mini is not None:
            # What the project makes is in folders that are named by how it is made.
            settings |= {"model": Path(str(self.base)).name, "data": self._mini_files.name}
            return settings | {key: Path(settings[key]).name for key in ("train_data", "eval_data")}
        read = {"train_data": self.source("train"), "eval_data": self.source("test")}
        return settings | {"model": model_identity(str(self.base)), **read}

    def run(self, n_passes: int) -> TrainedRun:
        """The finished training for this N; an unfinished one is resumed."""
        settings, name = self.run_settings(n_passes), _objective(n_passes)
        directory = RunDirectory(self.run_folder(n_passes))
        if self.context.scale == "paper" and not directory.is_finished:
            config = engine_file(self.context.workspace.output, self.recipe.engine)
            write_engine(self.recipe.engine, config.parent)
            command = launch_command(settings, directory.path, config)
            raise ConfigError(f"{directory.path} is not there yet; on a machine with the GPUs run: {command}")
        directory = trained(self.context, name, f"run-{name}", settings, self._run_recipe(n_passes))
        return TrainedRun(name, n_passes, directory, self.base)

    def problems(self, which: str, tokenizer: Any) -> EncodedProblems:
        """Encoded test, other or probe problems; all but other ones within the recipe's lengths."""
        place = self.data(which)
        # Problems of another kind are all taken, however long.
        limits = () if which == "other" else ("max_prompt_tokens", "max_answer_tokens")
        wanted = {key: self.recipe.settings.get(key) for key in ("template", *limits)}
        config = RunConfig(
            preset=place.get("preset"),
            skip_bad_rows=bool(self.recipe.settings.get("skip_bad_rows")),
            **{key: value for key, value in wanted.items() if value is not None},
        )
        with quiet_libraries():
            rows = read_problems(place["source"], config, split=place.get("split"))
            return encode(rows, config, tokenizer, limit=None)

    def evaluate(self, run: TrainedRun, moment: Moment, which: str = "test") -> Results:
        """Exact pass@N and greedy answers of one checkpoint: a results.json of the shared folder."""

        def make(file: Path) -> None:
            model, tokenizer = self.load(moment.model)
            results = evaluation.evaluate(
                model,
                tokenizer,
                self.problems(which, tokenizer),
                run={"name": f"{run.name}, {moment.label}", "n_passes": run.n_passes, "epoch": moment.epoch},
                template=self.recipe.settings["template"],
                ns=self.recipe.eval_ns,
            )
            results.save(file)

        recipe = self._key(run, moment, [which])
        return Results.load(self.context.workspace.stage(_stem("evaluation", run, moment), recipe, make, ".json"))

    def evaluation_file(self, run: TrainedRun, moment: Moment, which: str = "test") -> Path:
        """Where `evaluate` keeps its results."""
        return self.context.workspace.path(_stem("evaluation", run, moment), self._key(run, moment, [which]), ".json")

    def _key(self, run: TrainedRun, moment: Moment, problems: Sequence[str]) -> dict[str, Any]:
        """What was measured on what; the name of the run's folder stands for how it was trained."""
        read = {which: self.source(which) for which in problems}
        return {"run": run.directory.path.name, "epoch": moment.epoch, "problems": read}

    def measure(
        self,
        kind: str,
        run: TrainedRun,
        moment: Moment,
        problems: Sequence[str],
        settings: dict[str, Any],
        make: Callable[[Any, Any], Any],
    ) -> Path:
        """Another measurement of one checkpoint on some problems: `make(model, tokenizer)` gives a value for JSON."""
        recipe = self._key(run, moment, problems) | settings

        def write(file: Path) -> None:
            model, tokenizer = self.load(moment.model)
            file.write_text(json.dumps(make(model, tokenizer)), encoding="utf-8")

        return self.context.workspace.stage(_stem(kind, run, moment), recipe, write, ".json")

    def load(self, model: Path | str) -> tuple[Any, Any]:
        """A model on the device at hand, and the tokenizer."""
        if self.recipe.settings.get("num_threads"):
            torch.set_num_threads(self.recipe.settings["num_threads"])
        with quiet_libraries():
            loaded, tokenizer = load_model(str(model), dtype="float32")
        device: Any = "cuda" if torch.cuda.is_available() else "cpu"
        return loaded.to(device), tokenizer

    def tokenizer(self) -> Any:
        return load_tokenizer(str(self.base))


def quarters(moments: Sequence[Moment]) -> list[Moment]:
    """The checkpoints closest to a quarter, a half, three quarters and the end of training, each once."""
    end = moments[-1].epoch
    wanted = [end * part / 4 for part in (1, 2, 3, 4)]
    chosen = [min(moments, key=lambda moment: (abs(moment.epoch - epoch), moment.epoch)) for epoch in wanted]
    return list(dict.fromkeys(chosen))


def _objective(n_passes: int) -> str:
    return "CE" if n_passes == 1 else f"DCO-{n_passes}"


def _stem(kind: str, run: TrainedRun, moment: Moment) -> str:
    return f"{kind}-{run.name}-epoch{moment.epoch:g}"
