"""DCO-step on generated theorems: tables 2 and 6 of arXiv 2502.07154 at a size that CPU cores carry.

A small Llama is pre-trained on proofs of generated theorems (`passatn theorems`) of some families, and tuned on a few
hundred of others: by cross-entropy, by DCO-step at N_eff = 4, 8, 16, 32, and by whole-proof DCO. Each model then
searches proofs of held-out theorems of the same other families with the embedded Lean. What is run is what `passatn
train`, `prove` and `expert` run:

    python -m passatn.experiments.mini_theorems --output runs/mini-theorems --seeds 0,1,2 --large 0 --experts 0

Everything is kept, and a second call does what is missing; calls with other seeds can work beside each other once the
base model is there. `mini_theorems_report` makes the tables.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from passatn.evaluate import Results, write_atomically
from passatn.experiments import finetune
from passatn.experiments.config import ConfigError, RunConfig
from passatn.experiments.expert_iteration import ExpertConfig, proof_search, run_expert, search_settings
from passatn.experiments.options import EngineOptions
from passatn.experiments.proving_options import SearchOptions
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import RunDirectory
from passatn.experiments.small_models import byte_pairs, small_llama
from passatn.experiments.theorems import TheoremSettings, make_theorems

NS = (1, 4, 16, 64, 256, 1024, 4096)
CONTEXT = 512
MICRO_BATCHES = 4


@dataclass(frozen=True)
class Settings:
    """Sizes of the experiment."""

    theorem_seed: int = 1
    base: str | None = None
    """A model to start from, in place of one that is pre-trained here."""
    pretrain_families: tuple[str, ...] = ("propositional", "equations", "lists")
    families: tuple[str, ...] = ("order", "quantifiers", "induction", "divisibility")
    """Of what is fine-tuned on and proved."""
    num_pretrain: int = 2500
    num_train: int = 250
    num_unproved: int = 300
    num_test: int = 100
    """Also the number of theorems on which an epoch is chosen."""
    pretrain_epochs: int = 3
    pretrain_rate: float = 2e-3
    vocabulary: int = 512
    hidden_size: int = 128
    num_layers: int = 3
    epochs: int = 16
    batch_size: int = 32
    learning_rate: float = 1e-3
    longest_state: int = 100
    """In tokens; longer states are not trained on."""
    longest_tactic: int = 40
    eval_epochs: tuple[int, ...] = (4, 8, 16)
    """After which a model searches the validation theorems, to choose among them."""
    validation_samples: int = 128
    num_samples: int = 1024
    large_samples: int = 5120
    """Of the last and best models of one seed: pass@4k, and one model with five times 1,024."""


@dataclass(frozen=True)
class Arm:
    """One training; `options` are settings of `passatn train`."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


ARMS = (
    Arm("CE"),
    *(Arm(f"N_eff = {n}", {"n_passes": float(n), "min_confidence_weight": 0.0}) for n in (4, 8, 16, 32)),
    Arm("whole proof", {"n_passes": 4096.0, "confidence": "proof", "min_confidence_weight": 0.0}),
)
EXPERTS = ("CE", "N_eff = 4", "N_eff = 8", "N_eff = 16", "N_eff = 32")


@dataclass(frozen=True)
class Data:
    """The files of the experiment; each split of theorems is disjoint from the others up to renaming."""

    folder: Path

    @property
    def pretrain(self) -> Path:
        return self.folder / "pretrain" / "train-tactics.jsonl"

    @property
    def train(self) -> Path:
        return self.folder / "fine-tune-tactics.jsonl"

    @property
    def unproved(self) -> Path:
        return self.folder / "unproved.jsonl"

    @property
    def validation(self) -> Path:
        return self.folder / "tune" / "validation.jsonl"

    @property
    def test(self) -> Path:
        return self.folder / "tune" / "test.jsonl"


def begin(settings: Settings, folder: Path) -> tuple[Data, str | Path]:
    """Theorems and base model; a folder that was made with other settings is refused.

    Raises:
        ConfigError: one line that names what differs.
    """
    file, wanted = folder / "settings.json", json.loads(json.dumps(asdict(settings)))
    if not file.exists():
        write_atomically(file, (json.dumps(wanted, indent=1) + "\n").encode())
    before = json.loads(file.read_text())
    if before != wanted:
        names = ", ".join(sorted(name for name in before | wanted if before.get(name) != wanted.get(name)))
        raise ConfigError(f"{folder} was made with other settings ({names}): choose another --output")
    data = prepare(settings, folder / "data")
    return data, build_base(settings, data, folder / "base")


def prepare(settings: Settings, folder: Path) -> Data:
    """Generate the theorems, and deal them out: of those to be tuned on, the last ones are without a proof."""
    data = Data(folder)
    wanted = {
        "pretrain": TheoremSettings(
            num_train=settings.num_pretrain,
            num_validation=0,
            num_test=0,
            seed=settings.theorem_seed,
            families=settings.pretrain_families,
        ),
        "tune": TheoremSettings(
            num_train=settings.num_train + settings.num_unproved,
            num_validation=settings.num_test,
            num_test=settings.num_test,
            seed=settings.theorem_seed,
            families=settings.families,
        ),
    }
    for name, of in wanted.items():
        if not (folder / name / "manifest.json").exists():
            make_theorems(folder / name, of, show_progress=True)
    theorems, steps = (_rows(folder / "tune" / f"{name}.jsonl") for name in ("train", "train-tactics"))
    proved = {row["id"] for row in theorems[: settings.num_train]}
    write_rows(data.train, [row for row in steps if row["metadata"]["group_id"] in proved])
    write_rows(data.unproved, theorems[settings.num_train :][: settings.num_unproved])
    return data


def build_base(settings: Settings, data: Data, folder: Path) -> str | Path:
    """The pre-trained model: random weights and a tokenizer of byte pairs, then cross-entropy."""
    if settings.base is not None:
        return settings.base
    start = folder / "start"
    if not start.exists():
        _build_start(settings, (data.pretrain, data.train), start)
    pretraining = Arm(
        "base",
        {
            "num_train_epochs": settings.pretrain_epochs,
            "learning_rate": settings.pretrain_rate,
            "lr_scheduler_type": "cosine",
            "save_strategy": "no",
        },
    )
    train(recipe(pretraining, settings, start, data.pretrain, seed=0), folder / "run")
    return folder / "run" / "model"


def _build_start(settings: Settings, tactics: Sequence[Path], folder: Path) -> None:
    texts = [row["prompt"] + "\n" + row["answer"] for path in tactics for row in _rows(path)]
    tokenizer = byte_pairs(texts, settings.vocabulary, mark=":::")
    # One key and value head: a search spends more on copying caches than on the model.
    model = small_llama(tokenizer, hidden=settings.hidden_size, layers=settings.num_layers, context=CONTEXT, kv_heads=1)
    partial = folder.with_name(folder.name + ".partial")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    partial.rename(folder)


def recipe(arm: Arm, settings: Settings, base: str | Path, tactics: Path, seed: int) -> dict[str, Any]:
    """Settings of `passatn train` for one arm."""
    return {
        "model": str(base),
        "train_data": str(tactics),
        "template": "tactic",
        "max_prompt_tokens": settings.longest_state,
        "max_answer_tokens": settings.longest_tactic,
        "skip_bad_rows": True,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": _batch(arm, settings) // MICRO_BATCHES,  # a short state waits for the longest
        "gradient_accumulation_steps": MICRO_BATCHES,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 10,
        "weight_decay": 0.01,
        "save_strategy": "epoch",
        "save_total_limit": settings.epochs,
        "save_only_model": True,
        "seed": seed,
        "num_threads": 1,
    } | arm.options


def _batch(arm: Arm, settings: Settings) -> int:
    """Proofs have about four steps: as many steps in a batch, whatever an example is."""
    return settings.batch_size // 4 if arm.options.get("confidence") == "proof" else settings.batch_size


def train(settings: dict[str, Any], folder: Path) -> None:
    """`passatn train`; an unfinished run starts anew, since its checkpoints are models alone; a finished one stays."""
    run = RunDirectory(folder)
    if not run.is_finished:
        with quiet_libraries():
            finetune.train(RunConfig.from_mapping(settings), run, say, overwrite=run.config.exists())


def run_arm(arm: Arm, seed: int, settings: Settings, data: Data, base: str | Path, folder: Path) -> None:
    """Train, search the validation theorems after some epochs, and the test theorems after the last and the best."""
    if (folder / "arm.json").exists():
        return
    train(recipe(arm, settings, base, data.train, seed), folder / "run")
    models = _models(folder / "run", settings)
    for epoch, model in models.items() if len(models) > 1 else ():
        _search(model, data.validation, folder / f"validation-{epoch}", settings.validation_samples, seed)
    best = best_epoch(folder, list(models), settings.validation_samples)
    for epoch in sorted({best, max(models)}):
        _search(models[epoch], data.test, folder / f"test-{epoch}", settings.num_samples, seed)
        _keep(models[epoch], folder / "models" / str(epoch))
    record = {"arm": arm.name, "seed": seed, "epochs": list(models), "best": best, "last": max(models)}
    write_atomically(folder / "arm.json", json.dumps(record).encode())
    shutil.rmtree(folder / "run" / "checkpoints", ignore_errors=True)


def best_epoch(folder: Path, epochs: Sequence[int], num_samples: int) -> int:
    """The epoch with the best pass@(half of the samples) on validation; of equal ones the first, of one that one."""
    if len(epochs) == 1:
        return epochs[0]
    curves = {epoch: Results.load(folder / f"validation-{epoch}" / "results.json").pass_at_n[0] for epoch in epochs}
    at = max(n for n in NS if n <= num_samples // 2)
    return max(epochs, key=lambda epoch: (curves[epoch].estimate[list(curves[epoch].ns).index(at)], -epoch))


def search_further(seed: int, settings: Settings, data: Data, folder: Path) -> None:
    """More samples of the test theorems from an arm that is done, after its last and its best epoch."""
    stored = json.loads((folder / "arm.json").read_text())
    for epoch in sorted({stored["last"], stored["best"]}):
        _search(folder / "models" / str(epoch), data.test, folder / f"test-{epoch}", settings.large_samples, seed)


def _keep(model: Path, folder: Path) -> None:
    """A copy, whole or not at all."""
    partial = folder.with_name(folder.name + ".partial")
    if not folder.exists():
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(model, partial)
        partial.rename(folder)


def run_expert_arm(arm: Arm, seed: int, settings: Settings, data: Data, base: str | Path, folder: Path) -> None:
    """One round of expert iteration: prove the theorems without a proof, add the proofs, train again from the base."""
    search = _search_options(seed)
    config = ExpertConfig(
        recipe=recipe(arm, settings, base, data.train, seed) | {"save_strategy": "no"},
        unproved=str(data.unproved),
        iterations=1,
        num_samples=settings.num_samples // 4,
        test=str(data.test),
        test_samples=settings.num_samples,
        search=search_settings(EngineOptions(), search),
    )
    with quiet_libraries():
        run_expert(config, folder, proof_search(EngineOptions(), search, NS, say), say)


def _models(run: Path, settings: Settings) -> dict[int, Path]:
    """The models of the epochs that are evaluated, by epoch; training that ends early has fewer."""
    found = sorted((run / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    models = {epoch: found[epoch - 1] for epoch in settings.eval_epochs if epoch <= len(found)}
    return models or {len(found): found[-1]}


def _search(model: Path, theorems: Path, output: Path, num_samples: int, seed: int) -> None:
    proof_search(EngineOptions(), _search_options(seed), NS, say)(model, theorems, output, num_samples)


def _search_options(seed: int) -> SearchOptions:
    return SearchOptions(max_new_tokens=48, seed=seed, lean_workers=1)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """JSON Lines; a file that is there is left alone."""
    if not path.exists():
        write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/mini-theorems"))
    parser.add_argument("--seeds", default="0", help="separated by commas; empty for none")
    parser.add_argument("--experts", default="", help="seeds for which expert iteration is run as well")
    parser.add_argument("--large", default="", help="seeds whose last and best models are given more samples")
    parser.add_argument("--arms", default=",".join(arm.name for arm in ARMS), help="separated by commas")
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings()
    chosen = args.arms.split(",")
    if unknown := set(chosen) - {arm.name for arm in ARMS}:
        parser.error(f"--arms {min(unknown)!r}: there are {', '.join(arm.name for arm in ARMS)}")
    arms = [arm for arm in ARMS if arm.name in chosen]
    try:
        data, base = begin(settings, args.output)
    except ConfigError as error:
        parser.error(str(error))
    for seed in map(int, filter(None, args.seeds.split(","))):
        for arm in arms:
            run_arm(arm, seed, settings, data, base, args.output / "arms" / f"{arm.name}, seed {seed}")
            say(f"{arm.name}, seed {seed}: done")
    for seed in map(int, filter(None, args.large.split(","))):
        for arm in arms:
            search_further(seed, settings, data, args.output / "arms" / f"{arm.name}, seed {seed}")
            say(f"{arm.name}, seed {seed}: {settings.large_samples} samples")
    for seed in map(int, filter(None, args.experts.split(","))):
        for arm in arms:
            if arm.name in EXPERTS:
                run_expert_arm(arm, seed, settings, data, base, args.output / "experts" / f"{arm.name}, seed {seed}")
                say(f"{arm.name}, seed {seed}, expert iteration: done")


if __name__ == "__main__":
    main()
