"""A tiny policy, prompts and rewards for the tests of reinforcement learning."""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import decoders
from transformers import PreTrainedTokenizerFast

from passatn.train.grpo import CoverageGRPOTrainer
from passatn.train.grpo_config import CoverageGRPOConfig
from tiny import build_model, build_tokenizer
from train_helpers import make_config

GROUP_SIZE = 4
SETTINGS: dict[str, Any] = {
    "num_generations": GROUP_SIZE,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 4,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant_with_warmup",
    "warmup_steps": 0,
    "max_steps": 1,
}


def character_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny tokeniser, without spaces between the characters that it decodes."""
    tokenizer = build_tokenizer()
    tokenizer.backend_tokenizer.decoder = decoders.Fuse()
    return tokenizer


def make_prompts(count: int = 24) -> Dataset:
    return Dataset.from_list([{"prompt": f"{index}+{7 * index % 10}="} for index in range(count)])


def starts_even(completions: list[str], **_: Any) -> list[float]:
    """1 if the first character is an even digit, which it is in a third of the random policy's completions."""
    return [float(text[:1] in set("02468")) for text in completions]


def share_of_digits(completions: list[str], **_: Any) -> list[float]:
    return [sum(character.isdigit() for character in text) / 4 for text in completions]


def make_grpo(
    output_dir: Path,
    reward: Any = starts_even,
    *,
    trainer_class: Any = CoverageGRPOTrainer,
    config_class: Any = CoverageGRPOConfig,
    dataset: Dataset | None = None,
    arguments: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """A trainer of the tiny model; `arguments` go to the trainer, `settings` to its config."""
    given = {"model": build_model(), "processing_class": character_tokenizer(), **(arguments or {})}
    return trainer_class(
        reward_funcs=reward,
        args=make_config(output_dir, config_class, **(SETTINGS | settings)),
        train_dataset=make_prompts() if dataset is None else dataset,
        **given,
    )


def with_sgd(model: Any) -> dict[str, Any]:
    """Arguments under which a step is the gradient itself: w ← w − ∇."""
    return {"model": model, "optimizers": (torch.optim.SGD(model.parameters(), lr=1.0), None)}


PLAIN_STEP = {"learning_rate": 1.0, "max_grad_norm": 0.0}


class Spy:
    """Records what a trainer generates, round by round, and the micro-batches that the loss is computed on."""

    def __init__(self, trainer: Any) -> None:
        self.tokenizer = trainer.processing_class
        self.rounds: list[list[tuple[str, list[float]]]] = []  # (prompt, rewards) of this process's groups
        self.rollouts: list[dict[str, Any]] = []  # those of micro-batches that count: prompt, text, advantage
        self.scales: list[float] = []
        roll_out, compute_loss = trainer._roll_out, trainer.compute_loss

        def watched_roll_out(inputs: list[dict[str, Any]]) -> Any:
            batch, rewards = roll_out(inputs)
            prompts = [row["prompt"] for row in inputs[::GROUP_SIZE]]
            mine = rewards[trainer.accelerator.process_index * len(prompts) :][: len(prompts)]
            self.rounds.append(list(zip(prompts, mine.tolist(), strict=True)))
            return batch, rewards

        def watched_loss(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            self.scales.append(float(inputs.get("short_batch_scale", 1.0)))
            self._record(inputs)
            return compute_loss(model, inputs, *args, **kwargs)

        trainer._roll_out, trainer.compute_loss = watched_roll_out, watched_loss

    def _record(self, inputs: dict[str, Any]) -> None:
        for index, mask in enumerate(inputs["completion_mask"].bool()):
            if mask.any():
                prompt_ids = inputs["prompt_ids"][index][inputs["prompt_mask"][index].bool()]
                ids = inputs["completion_ids"][index][mask]
                self.rollouts.append(
                    {
                        "prompt": self.tokenizer.decode(prompt_ids),
                        "text": self.tokenizer.decode(ids, skip_special_tokens=True),
                        "prompt_ids": prompt_ids.tolist(),
                        "ids": ids.tolist(),
                        "advantage": inputs["advantages"][index].item(),
                    }
                )

    def by_prompt(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for rollout in self.rollouts:
            found.setdefault(rollout["prompt"], []).append(rollout)
        return found


def log_p_float64(model: Any, prompt_ids: list[int], ids: list[int]) -> torch.Tensor:
    """log p of one completion, from full float64 logits."""
    logits = model(torch.tensor([prompt_ids + ids])).logits[0].double()
    tokens = torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(prompt_ids + ids)[1:, None])[:, 0]
    return tokens[len(prompt_ids) - 1 :].sum()


def gradient_of(model: Any, rollouts: list[dict[str, Any]], advantages: list[float], max_length: int) -> Any:
    """∇ of −(1/B) Σ A_i log p(y_i) / L (Dr. GRPO on the weights that drew the roll-outs), by parameter."""
    log_p = torch.stack([log_p_float64(model, rollout["prompt_ids"], rollout["ids"]) for rollout in rollouts])
    loss = -(torch.tensor(advantages, dtype=torch.float64) * log_p).mean() / max_length
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return {name: gradient for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True)}
