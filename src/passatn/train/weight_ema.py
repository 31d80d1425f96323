r"""An exponential moving average of the weights along a training run, which is then what is evaluated and stored.

    θ̄_1 = θ_1        θ̄_t = d_t θ̄_{t−1} + (1 − d_t) θ_t        d_t = min(d, t/(t + 9))        after optimizer step t

d = `weight_ema` in (0, 1); the average is over about the last 1/(1 − d) steps, and early in the run over about the last
ninth of the steps so far, so that where it began is soon forgotten (t/(t + 9) is what TensorFlow's
`ExponentialMovingAverage` has with `num_updates`). Sources: Polyak and Juditsky,
"Acceleration of Stochastic Approximation by Averaging" (1992), for the idea; "Mean teachers are better role models",
arXiv 1703.01780, for the exponential form in deep learning.

    CoverageConfig(n_passes=256, weight_ema=0.98)
    passatn train --n_passes 256 --weight_ema 0.98 …

The average is a dictionary of float32 tensors beside the model and is put into the model's own parameters where it is
used. A second model would not do: the forward pass that TRL patches in runs the weights of the model it was made for,
in a deep copy of it too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import Trainer, TrainerCallback

from passatn.train.config import CoverageConfig

WEIGHT_EMA_NAME = "weight_ema.safetensors"


class WeightEmaMixin(Trainer):
    """Keeps the average where `args.weight_ema` asks for it, evaluates it and saves it."""

    args: CoverageConfig
    model: Any
    _ema: dict[str, Tensor] | None = None

    def _init_weight_ema(self) -> None:
        for name, applies in {"FSDP": self.is_fsdp_enabled, "DeepSpeed": self.is_deepspeed_enabled}.items():
            if applies:
                raise ValueError(
                    f"weight_ema={self.args.weight_ema:g} cannot be combined with {name}, which keeps the weights in "
                    "another form than they are stored in: use DDP"
                )
        self.add_callback(_UpdateAverage(self))

    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}

    @torch.no_grad()
    def _update_weight_ema(self) -> None:
        weights = {name: parameter.detach().float() for name, parameter in self._trained().items()}
        if self._ema is None:
            self._ema = {name: weight.clone() for name, weight in weights.items()}
        else:
            assert self.args.weight_ema is not None
            step = self.state.global_step + 1
            average = get_ema_multi_avg_fn(min(self.args.weight_ema, step / (step + 9)))
            average([self._ema[name] for name in weights], list(weights.values()), None)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """The model has the averaged weights inside of this context; without an average, or before one, its own."""
        average = self._ema
        if average is None:
            yield
            return
        trained = self._trained()
        own = {name: parameter.detach().clone() for name, parameter in trained.items()}
        self._put(average)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, parameter in self._trained().items():
            parameter.copy_(weights[name])

    # ---- where it is used ----

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """As in `Trainer`, of the averaged weights."""
        with self.averaged_weights():
            return super().evaluation_loop(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As in `Trainer`, the averaged weights; in a checkpoint that can be resumed, the model's own."""
        is_resumable = _internal_call and not self.args.save_only_model
        if is_resumable or self._ema is None:
            super().save_model(output_dir, _internal_call)
        else:
            with self.averaged_weights():
                super().save_model(output_dir, _internal_call)
        if is_resumable and self._ema is not None and self.args.should_save:
            folder = Path(str(self.args.output_dir if output_dir is None else output_dir))
            save_file({name: weight.contiguous() for name, weight in self._ema.items()}, folder / WEIGHT_EMA_NAME)

    def _load_weight_ema(self, checkpoint: str) -> None:
        """The average of a checkpoint; raises ValueError where there is none, or one of other weights."""
        path = Path(checkpoint) / WEIGHT_EMA_NAME
        if not path.is_file():
            raise ValueError(
                f"{checkpoint} has no {WEIGHT_EMA_NAME}: it was written without weight_ema or with save_only_model, "
                "and cannot be resumed with weight_ema"
            )
        average, trained = load_file(path), self._trained()
        if average.keys() != trained.keys():
            name = sorted(average.keys() ^ trained.keys())[0]
            raise ValueError(f"{path} is of another model: only one of the two trains {name}")
        self._ema = {name: average[name].to(parameter.device) for name, parameter in trained.items()}

    def _load_best_model(self) -> None:
        super()._load_best_model()
        best = Path(str(self.state.best_model_checkpoint))
        # Where only models are saved, what was loaded is the average.
        if (best / WEIGHT_EMA_NAME).is_file():
            self._load_weight_ema(str(best))
        else:
            self._ema = None


class _UpdateAverage(TrainerCallback):
    """Before all that happens at the end of a step: the model may be evaluated or saved there."""

    def __init__(self, trainer: WeightEmaMixin) -> None:
        self.trainer = trainer

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        accelerator = self.trainer.accelerator
        # A step without a batch to step on, or whose gradients overflowed, left the weights as they were.
        if accelerator.gradient_state.sync_gradients and not accelerator.optimizer_step_was_skipped:
            self.trainer._update_weight_ema()
