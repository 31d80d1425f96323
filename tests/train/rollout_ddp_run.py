"""One rank of a two-process run: `torchrun --nproc_per_node 2 rollout_ddp_run.py FOLDER SETTINGS_JSON`."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from passatn.sample.server import ServerEngine
from rollout_helpers import EndsWell, make_rollout_trainer, make_rows, surrogate_logs

torch.set_num_threads(1)


def run(folder: Path, settings: dict) -> tuple[Any, EndsWell]:
    """Plain SGD: a difference in the gradient stays a difference in the weights.

    The settings may hold a `server`, the arguments of the ServerEngine that draws the roll-outs.
    """
    verifier = EndsWell()
    server = settings.pop("server", None)
    engine = {"rollout_engine": ServerEngine(model="tiny", **server)} if server else {}
    trainer = make_rollout_trainer(
        folder,
        make_rows(32),
        verifier=verifier,
        arguments={"optimizer_cls_and_kwargs": (torch.optim.SGD, {"lr": 0.02}), **engine},
        **{"max_steps": 4, "learning_rate": 0.02, **settings},
    )
    trainer.train()
    return trainer, verifier


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trainer, verifier = run(folder, json.loads(sys.argv[2]))
    assert trainer.accelerator.num_processes == 2, "torchrun started one process"
    torch.save(
        {
            "weights": {name: p.detach() for name, p in trainer.model.named_parameters()},
            "state": trainer.coverage_state(),
            "logs": surrogate_logs(trainer),
            "asked": verifier.asked,
        },
        folder / f"rank-{trainer.accelerator.process_index}.pt",
    )
