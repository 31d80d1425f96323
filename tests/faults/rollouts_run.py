"""A chain-of-thought training run that can be killed: `python rollouts_run.py FOLDER SETTINGS_JSON KILL_AT`.

KILL_AT is a step ("4": killed before its optimizer step) or "rollouts:N" (killed in the middle of the N-th round of
roll-outs, while the verifier is at work).
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from training_run import Kill

sys.path.append(str(Path(__file__).parents[1] / "train"))

from rollout_helpers import EndsWell, make_rollout_trainer, make_rows
from tiny import build_model

torch.set_num_threads(1)


class Deadly(EndsWell):
    """Kills the process when it is asked for the `number`-th time."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def verify(self, submissions: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().verify(submissions)


def make_trainer(folder: Path, settings: dict, verifier: EndsWell | None = None) -> Any:
    """Dropout makes the random state matter; 26 examples and batches of 2 × 2 leave a remainder in every epoch."""
    defaults = {
        "num_train_epochs": 1,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 2e-3,
        "save_strategy": "steps",
        "save_steps": 2,
        "seed": 3,
    }
    model = build_model(attention_dropout=0.2)
    return make_rollout_trainer(folder, make_rows(26), model=model, verifier=verifier, **(defaults | settings))


if __name__ == "__main__":
    folder, settings, kill = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    if kill.startswith("rollouts:"):
        trainer = make_trainer(folder, settings, Deadly(int(kill.removeprefix("rollouts:"))))
    else:
        trainer = make_trainer(folder, settings)
        trainer.add_callback(Kill(int(kill)))
    trainer.train()
