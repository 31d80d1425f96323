"""Exact pass@N on held-out problems while any `transformers` or TRL trainer runs, with early stopping on it.

    trainer.add_callback(PassAtNCallback(trainer, encoded_problems, ns=(1, 16, 256)))

Coverage is computed by teacher forcing, without sampling (paper arXiv 2502.07154, eq. 2).
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState

from passatn.coverage import coverage
from passatn.sample import score_problems
from passatn.tasks.encoding import EncodedExample


@dataclass(frozen=True)
class Evaluation:
    """Exact scores of the held-out problems at one moment of training; `log_p` is `[problems, temperatures]`."""

    step: int
    epoch: float
    log_p: NDArray[np.float64]


class PassAtNCallback(TrainerCallback):
    """Log exact pass@N of held-out problems, and stop once pass@`stop_at_n` no longer improves.

    Args:
        trainer: the trainer it is added to; metrics go to its log as `{prefix}_pass@N` (fractions, not %).
        problems: for each problem the encodings of its accepted answers (`passatn.tasks.encode_answers`).
        ns: the numbers of samples N to report.
        every: "epoch", "evaluate" (with the trainer's own evaluation, so that `metric_for_best_model` can name
            these metrics), or a number of steps.
        temperatures: sampling temperatures that are scored; the first one is logged.
        stop_at_n: end training when pass@N at this N has not improved for `patience` evaluations in a row.
        prefix: of the metric names; "eval" lets `load_best_model_at_end` find them.

    Attributes:
        history: one `Evaluation` per evaluation, in order. It is not part of checkpoints: a resumed run starts anew.
        best: the evaluation with the highest pass@`stop_at_n`, when that is set.

    Raises:
        ValueError: there are no problems, `stop_at_n` is not one of `ns`, or an option is out of range.
    """

    def __init__(
        self,
        trainer: Trainer,
        problems: Sequence[Sequence[EncodedExample]],
        *,
        ns: Sequence[int] = (1, 16, 256),
        every: str | int = "epoch",
        temperatures: Sequence[float] = (1.0,),
        stop_at_n: int | None = None,
        patience: int = 1,
        prefix: str = "eval",
    ) -> None:
        if every not in ("epoch", "evaluate") and not (isinstance(every, int) and every > 0):
            raise ValueError(f"every must be 'epoch', 'evaluate' or a positive number of steps, got {every!r}")
        if stop_at_n is not None and stop_at_n not in ns:
            raise ValueError(f"stop_at_n={stop_at_n} is not among ns={tuple(ns)}")
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        if not problems:
            raise ValueError("there is no problem to evaluate on")
        self.trainer, self.problems, self.ns, self.every = trainer, problems, tuple(ns), every
        self.temperatures, self.stop_at_n, self.patience, self.prefix = temperatures, stop_at_n, patience, prefix
        self.history: list[Evaluation] = []
        self.best: Evaluation | None = None

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if isinstance(self.every, int) and state.global_step % self.every == 0:
            self._evaluate(state, control)

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.every == "epoch":
            self._evaluate(state, control)

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.every == "evaluate":
            kwargs["metrics"].update(self._evaluate(state, control))

    def _evaluate(self, state: TrainerState, control: TrainerControl) -> dict[str, float]:
        """Score, log and decide whether to stop; the scores of an evaluation of several data sets are taken once."""
        is_repeated = bool(self.history) and self.trainer.is_in_train and self.history[-1].step == state.global_step
        if is_repeated:
            evaluation = self.history[-1]
        else:
            evaluation = Evaluation(state.global_step, float(state.epoch or 0.0), self._score())
            self.history.append(evaluation)
        metrics = {f"{self.prefix}_pass@{n}": _pass_at_n(evaluation, n) for n in self.ns}
        if not is_repeated:
            log_as_evaluation(self.trainer, metrics)
            if self.stop_at_n is not None:
                self._stop_when_over(self.stop_at_n, control)
        return metrics

    def _stop_when_over(self, n: int, control: TrainerControl) -> None:
        scores = [_pass_at_n(evaluation, n) for evaluation in self.history]
        best = int(np.argmax(scores))
        self.best = self.history[best]
        if len(scores) - 1 - best >= self.patience:
            control.should_training_stop = True

    def _score(self) -> NDArray[np.float64]:
        """Scores of all problems, by the averaged weights where the trainer keeps an average (`weight_ema`)."""
        with getattr(self.trainer, "averaged_weights", nullcontext)():
            return self._score_model()

    def _score_model(self) -> NDArray[np.float64]:
        """Processes share the work unless the model itself is spread over them."""
        model: Any = self.trainer.model
        accelerator = self.trainer.accelerator
        spread = self.trainer.is_fsdp_enabled or self.trainer.is_deepspeed_enabled
        if accelerator.num_processes == 1 or spread:
            return score_problems(model, self.problems, temperatures=self.temperatures)
        mine = self.problems[accelerator.process_index :: accelerator.num_processes]
        parts: list[Any] = [None] * accelerator.num_processes
        scored = score_problems(model, mine, temperatures=self.temperatures) if mine else None
        dist.all_gather_object(parts, scored)
        log_p = np.empty((len(self.problems), len(self.temperatures)))
        for rank, part in enumerate(parts):
            if part is not None:
                log_p[rank :: accelerator.num_processes] = part
        return log_p


def log_as_evaluation(trainer: Trainer, metrics: Mapping[str, float]) -> None:
    """Log as an evaluation: in training mode TRL would add the training metrics here, and lose them for its own."""
    model: Any = trainer.model
    mode, model.training = model.training, False
    try:
        trainer.log(dict(metrics))
    finally:
        model.training = mode


def _pass_at_n(evaluation: Evaluation, n: int) -> float:
    """Mean coverage at the first temperature."""
    return float(coverage(evaluation.log_p[:, 0], n).mean())
