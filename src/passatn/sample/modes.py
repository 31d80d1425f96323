"""Using a model for inference in the middle of its training, and leaving it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def inference(model: torch.nn.Module) -> Iterator[None]:
    """Dropout and gradient checkpointing off, no gradients; afterwards every submodule has its own mode back.

    `torch.no_grad` rather than `torch.inference_mode`: whatever a module caches during the pass (rotary tables,
    gathered shards of a parameter) would be an inference tensor, and the next training step would fail on it.
    """
    in_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in in_training:
            module.training = True
