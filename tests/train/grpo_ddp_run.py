"""One rank of a two-process run: `torchrun --nproc_per_node 2 grpo_ddp_run.py FOLDER SETTINGS_JSON`."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import torch

from grpo_helpers import GROUP_SIZE, Spy, make_grpo, share_of_digits, starts_even
from tiny import build_model

torch.set_num_threads(1)


def written_completions(prompt_ids: list[list[int]], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
    """In place of sampling: the j-th completion of a prompt is a function of the prompt and j."""
    completions = []
    for row, ids in enumerate(prompt_ids):
        rng = random.Random(f"{ids} {row % GROUP_SIZE}")
        completions.append([*(rng.randrange(2, 20) for _ in range(rng.randrange(4))), 1])
    return completions, None


def run(folder: Path, settings: dict) -> tuple[Any, Spy]:
    """Three steps of plain SGD: a difference in the gradient stays a difference in the weights."""
    model = build_model()
    trainer = make_grpo(
        folder,
        {"even": starts_even, "digits": share_of_digits}[settings.pop("reward")],
        arguments={"model": model, "optimizers": (torch.optim.SGD(model.parameters(), lr=0.5), None)},
        **{"max_steps": 3, "max_grad_norm": 0.0, "learning_rate": 0.5, **settings},
    )
    trainer._generate_single_turn = written_completions
    spy = Spy(trainer)
    trainer.train()
    return trainer, spy


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trainer, spy = run(folder, json.loads(sys.argv[2]))
    assert trainer.accelerator.num_processes == 2, "torchrun started one process"
    torch.save(
        {
            "weights": {name: p.detach() for name, p in trainer.model.named_parameters()},
            "state": trainer.coverage_state(),
            "logs": [entry for entry in trainer.state.log_history if "loss" in entry],
            "rollouts": [(r["prompt"], r["text"], r["advantage"]) for r in spy.rollouts],
        },
        folder / f"rank-{trainer.accelerator.process_index}.pt",
    )
