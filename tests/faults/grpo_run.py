"""A run of reinforcement learning that can be killed: `python grpo_run.py FOLDER SETTINGS_JSON KILL_AT`.

KILL_AT is a step ("5": killed before its optimizer step), "save:N" (killed half-way through the N-th save) or
"rewards:N" (killed in the middle of the N-th round of roll-outs, while they are judged).
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from training_run import Kill, kill_in_save

sys.path.append(str(Path(__file__).parents[1] / "train"))

from grpo_helpers import make_grpo, make_prompts, starts_even
from tiny import build_model

torch.set_num_threads(1)


class Deadly:
    """The reward of the tests; kills the process when it is asked for the `number`-th time."""

    __name__ = "starts_even"  # under which TRL logs it

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, completions: list[str], **columns: Any) -> list[float]:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return starts_even(completions, **columns)


def make_trainer(folder: Path, settings: dict[str, Any], reward: Any = starts_even) -> Any:
    """Dropout makes the random state matter; 10 problems in batches of 4 groups are gone through more than once."""
    defaults = {"max_steps": 7, "save_strategy": "steps", "save_steps": 2, "seed": 3}
    arguments = {"model": build_model(attention_dropout=0.2)}
    return make_grpo(folder, reward, dataset=make_prompts(10), arguments=arguments, **(defaults | settings))


if __name__ == "__main__":
    folder, settings, kill = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    if kill.startswith("rewards:"):
        trainer = make_trainer(folder, settings, Deadly(int(kill.removeprefix("rewards:"))))
    else:
        trainer = make_trainer(folder, settings)
    if kill.startswith("save:"):
        kill_in_save(trainer, int(kill.removeprefix("save:")))
    elif kill.isdigit():
        trainer.add_callback(Kill(int(kill)))
    trainer.train()
