"""One rank of a two-process run: `torchrun --nproc_per_node 2 ddp_run.py FOLDER SETTINGS_JSON`."""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset

from passatn.train import CoverageTrainer
from tiny import build_model, build_tokenizer
from train_helpers import make_config, make_rows

torch.set_num_threads(1)


def run(folder: Path, settings: dict) -> CoverageTrainer:
    """Train on 32 rows by plain SGD: a difference in the gradient stays a difference in the weights.

    Whole batches, because accelerate repeats rows to even out a last one.
    """
    trainer = CoverageTrainer(
        build_model(),
        args=make_config(folder, num_train_epochs=2, learning_rate=0.05, data_seed=1, **settings),
        train_dataset=Dataset.from_list(make_rows(32)),
        processing_class=build_tokenizer(),
        optimizer_cls_and_kwargs=(torch.optim.SGD, {"lr": 0.05}),
    )
    trainer.train()
    return trainer


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trainer = run(folder, json.loads(sys.argv[2]))
    assert trainer.accelerator.num_processes == 2, "torchrun started one process"
    rank = trainer.accelerator.process_index
    torch.save(
        {
            "weights": {name: p.detach() for name, p in trainer.model.named_parameters()},
            "state": trainer.coverage_state(),
            "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        },
        folder / f"rank-{rank}.pt",
    )
