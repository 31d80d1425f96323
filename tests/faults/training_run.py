"""A training run that can be killed: `python training_run.py FOLDER SETTINGS_JSON [KILL_AT]`.

KILL_AT is a step ("7": killed before its optimizer step) or "save:N" (killed half-way through the N-th save).
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import TrainerCallback

from passatn.train import CoverageTrainer
from tiny import build_model, build_tokenizer
from train_helpers import make_config, make_rows

torch.set_num_threads(1)


class Kill(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        if state.global_step + 1 == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def make_trainer(folder: Path, settings: dict) -> CoverageTrainer:
    """Dropout makes the random state matter; 26 examples and batches of 2 × 2 leave a remainder in every epoch."""
    args = make_config(
        folder,
        **{
            "num_train_epochs": 3,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "learning_rate": 1e-2,
            "save_strategy": "steps",
            "save_steps": 3,
            "seed": 3,
            **settings,
        },
    )
    return CoverageTrainer(
        build_model(attention_dropout=0.2),
        args=args,
        train_dataset=Dataset.from_list(make_rows(26)),
        processing_class=build_tokenizer(),
    )


def kill_in_save(trainer: CoverageTrainer, number: int) -> None:
    saves = [0]
    write = trainer._save_optimizer_and_scheduler

    def killed(output_dir):
        write(output_dir)
        saves[0] += 1
        if saves[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer._save_optimizer_and_scheduler = killed


if __name__ == "__main__":
    folder, settings, kill = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    trainer = make_trainer(folder, settings)
    if kill.startswith("save:"):
        kill_in_save(trainer, int(kill.removeprefix("save:")))
    else:
        trainer.add_callback(Kill(int(kill)))
    trainer.train()
