"""The part of CoverageTrainer that is chain-of-thought training with online success estimates (DCOa).

    dataset = reasoning_dataset(load_problems("math", split="train"), get_template("r1"))
    args = CoverageConfig(n_passes=64, confidence="rollouts")
    CoverageTrainer(model, args=args, train_dataset=dataset, verifier="math").train()

Source: arXiv 2502.07154, section 5.4. Before a step's forward pass, candidates are rolled out with the current weights,
and those with F(N, p̂) ≥ ε make up the batch; its loss is Σ F(N, p̂_i) · (−log p(c_i, y_i|x_i)) over their number. p̂ is
not differentiated: the loss is a surrogate, whose gradient is meant and whose value is not −log C^N. It is logged as
`surrogate_loss`.
"""

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import Trainer

from passatn.sample.engine import Engine
from passatn.sample.hf import HFEngine
from passatn.sample.parity import update_weights
from passatn.train.config import CoverageConfig
from passatn.train.given import WEIGHT_KEY
from passatn.train.replacement import ReplacementStep
from passatn.train.rollout_batch import RolloutBatch, fill_batch, replacement_step
from passatn.train.rollout_data import Candidates
from passatn.train.rollout_metrics import rollout_metrics, time_metrics
from passatn.train.rollout_stopping import stopping_rule
from passatn.train.rollouts import RolloutEstimator
from passatn.train.stream import CandidateStream
from passatn.verify.registry import get_verifier
from passatn.verify.verdict import Verifier

NUM_PROBES = 4
_SURROGATES = {"loss": "surrogate_loss", "train_loss": "train_surrogate_loss"}


class RolloutMixin(Trainer):
    """Draws batches by roll-outs where the configuration asks for them (`draws_rollouts`)."""

    args: CoverageConfig
    train_dataset: Any
    _metrics: Any
    _tokenizer: Any
    _rollouts: RolloutEstimator | None = None
    _forward_start: float | None = None

    def _init_rollouts(self, engine: Engine | None, verifier: str | Verifier) -> None:
        """Keep what roll-outs are made with, checked before any work is done."""
        if isinstance(verifier, str):
            get_verifier(verifier).close()
        if engine is not None and isinstance(self.model, PeftModel):
            raise ValueError(
                "rollout_engine takes whole weights, and an adapter has none: leave it out (roll-outs by the trained "
                "model itself), or train all weights"
            )
        self._rollout_engine, self._verifier = engine, verifier
        self._rollout_rule = self.args.rollout_rule(self.args.n_passes, self.args.min_confidence_weight)
        self._rollout_candidates = Candidates(self.train_dataset)

    @contextmanager
    def _open_rollouts(self) -> Iterator[None]:
        """The estimator, with the verifier's processes, for one training."""
        if not self.args.draws_rollouts:
            yield
            return
        verifier = get_verifier(self._verifier) if isinstance(self._verifier, str) else self._verifier
        self._rollouts, self._rollout_batch, self._forward_start = self._make_estimator(verifier), RolloutBatch(), None
        try:
            yield
        finally:
            if verifier is not self._verifier:
                verifier.close()

    def _make_estimator(self, verifier: Verifier) -> RolloutEstimator:
        args, candidates = self.args, self._rollout_candidates
        model = self.accelerator.unwrap_model(self.model)
        engine = self._rollout_engine
        probes = [candidates.encoded(index) for index in range(min(NUM_PROBES, len(candidates)))]

        def update_engine() -> None:
            update_weights(engine, model, probes, tolerance=args.rollout_parity_tolerance)  # type: ignore[arg-type]

        return RolloutEstimator(
            HFEngine(model, self._tokenizer) if engine is None else engine,
            verifier,
            candidates,
            stopping_rule(
                args.num_rollouts,
                self._rollout_rule.max_correct(args.num_rollouts),
                args.sequential_error,
                keeps_early=args.sequential_stops == "both",
            ),
            self.accelerator,
            seed=args.seed,
            max_new_tokens=args.rollout_max_new_tokens or 2 * candidates.longest_completion,
            temperature=args.rollout_temperature,
            max_age=args.max_estimate_age,
            update_engine=None if engine is None else update_engine,
            answer_key=_answer_key(verifier),
        )

    def _draw_rollout_batch(self, stream: CandidateStream, num_batches: int) -> ReplacementStep:
        """Fill `_rollout_batch` with accepted candidates."""
        assert self._rollouts is not None
        estimator, done = self._rollouts, self.state.global_step
        step = replacement_step(stream, num_batches * self.args.train_batch_size * self.accelerator.num_processes)
        self._rollout_batch = fill_batch(step, lambda indices: estimator.estimate(indices, done), self._rollout_rule)
        return step

    def _collate_rollout_batch(self, num_batches: int, candidates: Any) -> list[dict[str, Any]]:
        """This process's micro-batches, with the weight of each example."""
        self._forward_start = time.perf_counter()
        shares = self._rollout_batch.shares(num_batches, self.accelerator.num_processes, self.accelerator.process_index)
        return [
            {**self.data_collator(candidates.__getitems__(indices)), WEIGHT_KEY: torch.tensor(weights)}
            for indices, weights in shares
        ]

    @property
    def _rollout_batch_size(self) -> int:
        """What the step's loss is divided by."""
        indices = self._rollout_batch.indices
        return (
            len(indices) if self.args.loss_normalization == "sequence" else self._rollout_candidates.num_tokens(indices)
        )

    def _surrogate_loss(self, log_p: Tensor, weights: Tensor, divisor: float) -> Tensor:
        """Σ F_i · (−log p_i) of a micro-batch `[examples]` over `divisor`, the size of the whole step's batch."""
        # where, not multiplication: with weight 0 an impossible completion would give 0 · ∞.
        losses = torch.where(weights > 0, -weights * log_p, 0.0)
        # DDP averages gradients over processes; the divisor already counts all of them.
        return losses.sum() * (self.accelerator.num_processes / divisor)

    # ---- the log ----

    def _log_rollouts(self) -> int:
        """Metrics of the step; returns the number of candidates that were decided on."""
        assert self._rollouts is not None
        batch, counts = self._rollout_batch, self._rollouts.take_counts()
        values = rollout_metrics(batch, self._rollout_rule, counts, self.state.global_step)
        for name, value in {**values, **time_metrics(self._rollouts.stopwatch)}.items():
            self._metrics["train"][name].append(value)
        return len(batch.decided)

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        """As in `Trainer`; what lies between the batch and this call is the time of training."""
        if self._forward_start is not None:
            self._metrics["train"]["seconds_training"].append(time.perf_counter() - self._forward_start)
            self._forward_start = None
        super()._maybe_log_save_evaluate(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As in `SFTTrainer`; the loss of training is called what it is."""
        if self.args.draws_rollouts:
            logs = {_SURROGATES.get(name, name): value for name, value in logs.items()}
        super().log(logs, start_time)


def _answer_key(verifier: Verifier) -> Any:
    """What makes two wrong answers the same: their value for mathematics, their text otherwise."""
    if verifier.name != "math":
        return _text_key
    from passatn.verify.math import answer_key

    return answer_key


def _text_key(answer: str) -> Hashable:
    return answer.strip()
