"""What is trained on what at each scale: direct answers, and answers with reasoning.

`demo` is mini-MATH with a Llama of 0.3 million parameters, `small` SmolLM2-135M on short problems of MATH, `paper` the
paper's settings (section 5 and appendix B). `settings` are keys of `passatn train`; `recipes/*.yaml` in the repository
are those of the paper as files.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from passatn.experiments.reproduce.costs import B200, H100, Machine, ModelShape

PAPER_NS = (1, 4, 16, 64, 256, 1024, 4096)
LLAMA_8B = ModelShape("meta-llama/Meta-Llama-3-8B", 8.03e9, layers=32, hidden=4096, vocabulary=128_256)
LLAMA_70B = ModelShape("meta-llama/Meta-Llama-3-70B", 70.6e9, layers=80, hidden=8192, vocabulary=128_256)
SMOLLM2 = ModelShape("HuggingFaceTB/SmolLM2-135M", 134.5e6, layers=30, hidden=576, vocabulary=49_152)


@dataclass(frozen=True)
class MiniMath:
    """The demo's own model and data."""

    hidden_size: int = 96
    num_layers: int = 3
    pretrain_steps: int = 1200
    pretrain_batch: int = 128
    num_train: int = 1024
    num_test: int = 500


@dataclass(frozen=True)
class DirectRecipe:
    """Fine-tuning on direct answers by cross-entropy and by DCO at several N, and what is measured.

    Args:
        model: the base; None where `mini` makes it.
        settings: keys of `passatn train` but for model, data, output and n_passes.
        train_ns: the objectives; 1 is cross-entropy.
        compared_n: the N at which cross-entropy and DCO stand side by side.
        probes_per_level: training examples of each level whose gradients are taken (fig. 5).
        rank_samples: samples a problem whose distinct answers are ranked (fig. 12).
        problems, tokens: training problems, and their mean length, for the estimate of `--dry-run`.
    """

    model: ModelShape | None
    mini: MiniMath | None
    settings: Mapping[str, Any]
    train_ns: tuple[int, ...]
    compared_n: int
    engine: str = ""
    machine: Machine = H100
    probes_per_level: int = 128
    rank_samples: int = 256
    num_ranks: int = 10
    problems: int = 12_000
    tokens: int = 110
    eval_ns: tuple[int, ...] = field(default=PAPER_NS)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_DIRECT: Mapping[str, Any] = {
    "preset": "math",
    "template": "direct",
    "skip_bad_rows": True,
    "num_train_epochs": 4,
    "lr_scheduler_type": "constant_with_warmup",
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "save_strategy": "epoch",
    "save_total_limit": 64,
    "seed": 0,
}
_DEMO: Mapping[str, Any] = {
    "template": "raw",
    "num_train_epochs": 16,
    "per_device_train_batch_size": 32,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "constant",
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "save_strategy": "steps",
    "save_steps": 64,
    "save_total_limit": 64,
    "logging_steps": 32,
    "num_threads": 1,
    "seed": 0,
}


def direct_recipe(scale: str, *, large: bool = False, quick: bool = False) -> DirectRecipe:
    """The recipe of a scale; `large` is the paper's second model (table 4)."""
    if scale == "demo":
        return _demo(large=large, quick=quick)
    if scale == "small":
        small = {"max_prompt_tokens": 72, "max_answer_tokens": 10, "limit": 2000, "per_device_train_batch_size": 16}
        settings = {**_DIRECT, **small, "learning_rate": 1e-4, "warmup_steps": 10}
        shape = replace(SMOLLM2, name="HuggingFaceTB/SmolLM2-360M", parameters=361.8e6, layers=32, hidden=960)
        model = shape if large else SMOLLM2
        return DirectRecipe(
            model, None, settings, (1, 16, 256, 4096), 256, probes_per_level=64, problems=2000, tokens=60
        )
    settings = {**_DIRECT, "per_device_train_batch_size": 8, "learning_rate": 2e-5, "warmup_steps": 20}
    if large:
        return DirectRecipe(LLAMA_70B, None, settings, (1,), 256, engine="zero3", machine=B200)
    return DirectRecipe(LLAMA_8B, None, settings, (1, 16, 256, 4096), 256, engine="fsdp2")


def _demo(*, large: bool, quick: bool) -> DirectRecipe:
    mini = MiniMath(hidden_size=128, num_layers=4) if large else MiniMath()
    ns = (1, 16, 64, 256, 1024)
    if not quick:
        return DirectRecipe(None, mini, _DEMO, ns, 256)
    mini = replace(mini, hidden_size=32, num_layers=1, pretrain_steps=8, num_train=64, num_test=40)
    settings = {**_DEMO, "num_train_epochs": 4, "save_steps": 2, "min_confidence_weight": 0.0}
    return DirectRecipe(None, mini, settings, (1, 256), 256, probes_per_level=8, rank_samples=32, num_ranks=4)
