"""CoverageTrainer: TRL's SFTTrainer with the loss −log(1 − (1 − p)^N) and replacement of learnt examples.

    from passatn.train import CoverageConfig, CoverageTrainer
    CoverageTrainer(model, args=CoverageConfig(n_passes=256), train_dataset=dataset).train()

Source: Direct Coverage Optimization, arXiv 2502.07154, equations 3 and 4, section 5.1 and appendix B.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from datasets import Dataset, IterableDataset
from torch import Tensor, nn
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from trl import SFTTrainer

from passatn.sample.engine import Engine
from passatn.train.checkpoint import (
    AtomicCheckpointMixin,
    checkpoint_to_resume,
    read_coverage_state,
    refuse_other_objective,
)
from passatn.train.checks import check_combination, check_parallelism, check_whole_weights
from passatn.train.config import CoverageConfig
from passatn.train.dataset import DatasetMixin
from passatn.train.given import WEIGHT_KEY, GivenCollator
from passatn.train.groups import GroupCollator
from passatn.train.likelihood import example_log_probs
from passatn.train.metrics import WEIGHT_NAMES, step_metrics
from passatn.train.objectives import OPTIONS, Objective, build_objective
from passatn.train.parameter_groups import ParameterGroupMixin
from passatn.train.prepare import logger
from passatn.train.replacement import ReplacementStep
from passatn.train.rollout_config import ROLLOUT_OBJECTIVE
from passatn.train.rollout_training import RolloutMixin
from passatn.train.stream import CandidateStream
from passatn.train.weight_ema import WeightEmaMixin
from passatn.verify.verdict import Verifier


class CoverageTrainer(
    AtomicCheckpointMixin, WeightEmaMixin, RolloutMixin, DatasetMixin, ParameterGroupMixin, SFTTrainer
):
    """Drop-in for `trl.SFTTrainer` that optimises pass@N instead of pass@1.

    Takes the arguments of `SFTTrainer`, with a `CoverageConfig` as `args`. `n_passes=1` with
    `loss_normalization="token"` is SFTTrainer itself, to the bit.

    Args:
        verifier: judges the roll-outs of confidence="rollouts"; a verifier, or the name of one (see
            `passatn.verify.registry`), whose processes then run while training does.
        rollout_engine: draws them (`passatn.sample.engine`); it gets the present weights before it is asked, and a
            parity check. None: transformers on the trained model itself. With several processes, each gives its own.

    Attributes:
        objective: the loss, as `args` names it, at N = `n_passes`; what is evaluated has it at every step.
        ended_early: why training ended before its last scheduled step; None if it did not.

    Raises:
        TypeError: `args` is not a CoverageConfig.
        ValueError: the configuration cannot be combined with the objective, or an example would be truncated or
            merged across the prompt/completion border.
    """

    args: CoverageConfig
    model: Any
    objective: Objective
    loss_is_scaled_for_ga: Any = None
    _tag_names = ["trl", "sft", "passatn"]  # noqa: RUF012 (TRL's own class attribute)

    def __init__(
        self,
        model: Any,
        args: CoverageConfig | None = None,
        data_collator: Any = None,
        train_dataset: Dataset | IterableDataset | None = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        compute_loss_func: Callable[..., Any] | None = None,
        *,
        verifier: str | Verifier = "math",
        rollout_engine: Engine | None = None,
        **kwargs: Any,
    ) -> None:
        args = CoverageConfig("coverage-sft") if args is None else args
        if not isinstance(args, CoverageConfig):
            raise TypeError(f"args must be a passatn.train.CoverageConfig, got {type(args).__name__}")
        check_combination(
            args, train_dataset=train_dataset, compute_loss_func=compute_loss_func, processing_class=processing_class
        )
        self.objective = build_objective(args, args.n_passes)
        self._n, self._step_objective = args.n_passes, self.objective
        self.ended_early: str | None = None
        self._stream: CandidateStream | None = None
        self._replacement: ReplacementStep | None = None
        self._examples_seen = 0
        self._start_step(num_micro_batches=1, divisor=1.0)
        super().__init__(
            model=model,
            args=args,
            data_collator=data_collator,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            compute_loss_func=compute_loss_func,
            **kwargs,
        )
        check_parallelism(args, self.accelerator.parallelism_config)
        if args.weight_ema is not None:
            self._init_weight_ema()
        if args.has_groups:
            self.data_collator = GroupCollator(self.data_collator)
            self._signature_columns = None
        if args.weighs_given:
            self.data_collator = GivenCollator(self.data_collator, args.n_passes)
            self._signature_columns = None
        if not args.is_plain_sft:
            # compute_loss divides by the whole step's examples or tokens, so Trainer must not divide again.
            self.loss_is_scaled_for_ga = True
        if args.draws_candidates:
            self._candidates = self._remove_unused_columns(self.train_dataset, description="training")
        if args.draws_rollouts:
            check_whole_weights(args, self.is_fsdp_enabled)
            self._init_rollouts(rollout_engine, verifier)

    # ---- data ----

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The step's micro-batches: from the data loader, or from the candidate stream under replacement."""
        if self.state.global_step >= self.state.max_steps:
            # A finished run that is resumed in the middle of an epoch: Trainer would take one more step.
            self.control.should_training_stop = True
            return [], None
        if self.args.is_plain_sft:
            return super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.args.n_passes_schedule != "constant":
            self._set_n(self._scheduled_n())
        num_items = None
        if self._stream is None:
            batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        elif self._end_if_learnt(self._stream):  # only where a run that had ended is resumed
            return [], None
        elif self.args.draws_rollouts:
            self._replacement = self._draw_rollout_batch(self._stream, num_batches)
            self._start_step(num_batches, max(self._rollout_batch_size, 1))
            return self._collate_rollout_batch(num_batches, self._candidates), None
        else:
            world_size, size = self.accelerator.num_processes, self.args.train_batch_size
            self._replacement = ReplacementStep(self._stream, num_batches * size * world_size, world_size, size)
            batches = [self._collate(indices) for indices in self._replacement.draw_first_rounds(num_batches)]
        count = _count_examples if self.args.loss_normalization == "sequence" else _count_tokens
        divisor = self.accelerator.gather(torch.tensor([sum(map(count, batches))], device=device)).sum().item()
        self._start_step(len(batches), max(divisor, 1))
        return batches, num_items

    def _collate(self, indices: list[int]) -> dict[str, Any]:
        """This process's slice of a round of candidates, collated."""
        size = len(indices) // self.accelerator.num_processes
        mine = indices[self.accelerator.process_index * size :][:size]
        return self.data_collator(self._candidates.__getitems__(mine))

    # ---- loss ----

    def _scheduled_n(self) -> float:
        args, state = self.args, self.state
        is_whole = args.objective == "majority_vote"
        return args.n_of_step(
            state.global_step, state.max_steps, n_passes=args.n_passes, seed=args.seed, whole=is_whole
        )

    def _set_n(self, n: float) -> None:
        """N of the coming optimizer step."""
        self._n = n
        self._step_objective = self.objective if n == self.args.n_passes else build_objective(self.args, n)

    def _start_step(self, num_micro_batches: int, divisor: float) -> None:
        """Forget the last optimizer step. `divisor` is what this step's loss is divided by, over all processes."""
        self._micro_batches_left = num_micro_batches
        self._divisor = divisor
        self._accepted_tokens = 0
        self._weighed: list[Tensor] = []
        self._reported_loss: Tensor | float = 0.0

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Σ −log C^N, or the losses of another objective, of the (accepted) examples over the step's size (eq. 3)."""
        group_sizes, weights = inputs.pop("group_sizes", None), inputs.pop(WEIGHT_KEY, None)
        if self.args.is_plain_sft:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        outputs: dict[str, Any] = {}

        def forward(*args: Any, **kwargs: Any) -> Any:
            if not kwargs.get("fused_lm_head"):
                return model(*args, **kwargs)
            outputs["fused"] = self.objective.forward(model, *args, **kwargs)
            return outputs["fused"]

        # TRL's own compute_loss runs the forward pass and logs its metrics; only its loss is not used.
        result = super().compute_loss(forward, inputs, return_outputs, num_items_in_batch)
        fused = outputs["fused"]
        grouping = {} if group_sizes is None else {"group_sizes": group_sizes}
        log_p, num_tokens = example_log_probs(
            fused.log_probs,
            fused.label_mask,
            {**inputs, **grouping},
            any_of_group=self.args.confidence == "answers",
        )
        # Weights that are not the model's own belong to training: what is evaluated is the cross-entropy.
        objective = self._step_objective if self.model.training else self.objective
        has_own_weights = not (self.args.draws_rollouts or self.args.weighs_given)
        losses = objective.losses(fused, log_p, {**inputs, **grouping}) if has_own_weights else -log_p
        if self.model.training:
            if not self.args.draws_rollouts:
                loss = self._training_loss(losses, log_p, num_tokens, weights)
            else:
                loss = self._surrogate_loss(log_p, weights, self._divisor)
                self._skip_empty_step()
            if self.aux_loss_enabled and self._micro_batches_left > 0:
                loss = loss + self.router_aux_loss_coef * fused.aux_loss / self.current_gradient_accumulation_steps
        else:
            divisor = len(log_p) if self.args.loss_normalization == "sequence" else num_tokens.sum().clamp(min=1)
            loss = losses.sum() / divisor
        loss = loss.to(torch.float32)
        return (loss, result[1]) if return_outputs else loss

    def _training_loss(self, losses: Tensor, log_p: Tensor, num_tokens: Tensor, given: Tensor | None) -> Tensor:
        """Of a micro-batch `[examples]`; `given` are weights F of the examples that the data came with."""
        columns = [log_p.detach(), num_tokens.to(log_p.dtype)]
        if given is not None:
            columns.append(given.to(log_p.dtype))
            losses = torch.where(given > 0, given * losses, 0.0)
        everyone = self._gather(torch.stack(columns, dim=1))
        weight = self._step_objective.weights(everyone[:, 0]) if given is None else everyone[:, 2]
        num_decided = len(weight)
        if self._replacement is not None:
            accepted = self._replacement.decide((weight >= self.args.min_confidence_weight).tolist())
            keep = torch.tensor(accepted + [False] * (len(everyone) - len(accepted)), device=log_p.device)
            if self.args.loss_normalization == "token":
                self._accepted_tokens += int(everyone[keep, 1].sum())
            mine = slice(self.accelerator.process_index * len(log_p), None)
            # where, not multiplication: an example that is not part of the batch may have an infinite loss.
            losses = torch.where(keep[mine][: len(log_p)], losses, 0.0)
            self._skip_empty_step()
            num_decided = len(accepted)
        self._weighed.append(torch.stack([everyone[:num_decided, 0], weight[:num_decided]]))
        # DDP averages gradients over processes; the divisor already counts all of them.
        return losses.sum() * (self.accelerator.num_processes / self._divisor)

    def _skip_empty_step(self) -> None:
        """Let the optimizer (DeepSpeed's within the backward pass) step only once there is a batch to step on.

        By zero gradients, momentum and weight decay would still move the weights.
        """
        if self._replacement is not None and self._micro_batches_left <= 1:
            is_last = self._replacement.is_complete and self._replacement.num_accepted > 0
            self.accelerator.gradient_state._set_sync_gradients(is_last)

    def _gather(self, values: Tensor) -> Tensor:
        """Rows of all processes in rank order; processes may differ in number of rows."""
        if self.accelerator.num_processes == 1:
            return values
        gathered = self.accelerator.gather(self.accelerator.pad_across_processes(values, dim=0, pad_index=-1))
        return gathered[gathered[:, 1] >= 0]  # the number of tokens is never -1

    # ---- the optimizer step ----

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """One micro-batch; after the last one, further candidates until the batch is full of active examples."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.args.is_plain_sft:
            return loss
        self._micro_batches_left -= 1
        if self._micro_batches_left == 0:
            if self.args.draws_rollouts:
                assert self._stream is not None
                self._end_if_learnt(self._stream)
            elif self._replacement is not None:
                loss = self._fill_batch(model, loss, num_items_in_batch)
            self._log_step()
        else:
            self._reported_loss += loss
        return loss

    def _fill_batch(self, model: nn.Module, loss: Tensor, num_items_in_batch: Any) -> Tensor:
        assert self._replacement is not None
        while indices := self._replacement.draw_round():
            inputs = self._collate(indices)
            loss = loss + super().training_step(model, inputs, num_items_in_batch)
            self.current_flos += int(self.floating_point_ops(inputs))
            self._track_num_input_tokens(inputs)
        sequence = self.args.loss_normalization == "sequence"
        size = self._replacement.num_accepted if sequence else self._accepted_tokens
        if size != self._divisor and not self.is_deepspeed_enabled:
            scale = self._divisor / size if size else 0.0
            loss = (loss + self._reported_loss) * scale - self._reported_loss
            # The size of the batch was known only at its end. Where it is 0, no optimizer step follows.
            torch._foreach_mul_([p.grad for p in model.parameters() if p.grad is not None], scale)
        self._end_if_learnt(self._replacement.stream)
        return loss

    def _end_if_learnt(self, stream: CandidateStream) -> bool:
        """End training after this step, saying why, if too few examples are active or the passes are used up."""
        args, reason = self.args, None
        done = self.state.global_step + (self._replacement is not None)
        if done >= self.state.max_steps:
            return False
        fraction = stream.active_fraction
        nothing_left = self._replacement is not None and self._replacement.num_accepted == 0
        too_few = fraction is not None and (fraction == 0 or fraction < args.min_active_fraction)
        # What is learnt at the N of one step need not be so at a smaller one.
        if (nothing_left or too_few) and not args.n_can_fall(args.n_passes):
            reason = (
                f"only {100 * (fraction or 0):.1f} % of the training examples still have {args.activity(self._n)} "
                f"(min_active_fraction={args.min_active_fraction:g}): the others would be found in about N samples "
                "already, and training on the few that are left would overfit them. A new run from these weights with "
                "a smaller n_passes or min_confidence_weight, or with more data, goes on"
            )
        elif stream.num_left < self._full_batch_size:
            reason = f"max_data_passes={args.max_data_passes:g} passes over the data are used up"
        if reason is None:
            return False
        self.ended_early = f"ended at step {done} of {self.state.max_steps}: {reason}"
        logger.warning(f"Training {self.ended_early}.")
        self.control.should_training_stop = True
        if self._replacement is not None:
            # What the Trainer does after the last scheduled step.
            self.control.should_log = True
            self.control.should_evaluate |= args.eval_strategy == IntervalStrategy.STEPS and args.eval_delay <= done
            self.control.should_save |= args.save_strategy == SaveStrategy.STEPS
        return True

    @property
    def _full_batch_size(self) -> int:
        return self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size

    def _log_step(self) -> None:
        metrics = self._metrics["train"]
        if self.args.draws_rollouts:
            self._examples_seen += self._log_rollouts()
        else:
            log_p, weight = torch.cat(self._weighed, dim=1)
            self._examples_seen += len(log_p)
            values = step_metrics(log_p, weight, self._n, self.args.min_confidence_weight)
            for name, value in values.items():
                if self.objective.weight is not None or name not in WEIGHT_NAMES:
                    metrics[name].append(value)
        metrics["examples_seen"] = [self._examples_seen]
        if self.args.n_passes_schedule != "constant":
            metrics["n_passes"].append(self._n)
        if self._stream is not None:
            metrics["examples_replaced"] = [self._stream.num_replaced]
            metrics["data_passes"] = [self._stream.data_passes]

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As `SFTTrainer.evaluate`, with the mean of the objective as loss; it leaves the random state as it was.

        A data loader draws from it. Where the save comes before the evaluation of the same step, a resumed run does not
        evaluate again, and would go on with another random state than the uninterrupted one.
        """
        with torch.random.fork_rng(devices=[], enabled=not self.args.is_plain_sft):
            return super().evaluate(*args, **kwargs)

    # ---- state ----

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:
        """As `Trainer.train`; under replacement the order of examples is restored from the checkpoint as well.

        Raises:
            ValueError: the checkpoint lacks this trainer's state, or was made with another objective, other data or
                another seed.
        """
        args = self.args
        self.ended_early, self._examples_seen, self._replacement, self._ema = None, 0, None, None
        if args.draws_candidates:
            self._stream = CandidateStream(
                len(self._candidates),
                args.seed if args.data_seed is None else args.data_seed,
                shuffle=args.train_sampling_strategy == "random",
                max_passes=args.max_data_passes,
            )
            if self._stream.num_left < self._full_batch_size:
                raise ValueError(f"max_data_passes={args.max_data_passes:g} is less than one batch of this data")
        resume_from_checkpoint = checkpoint_to_resume(args.output_dir, resume_from_checkpoint)
        with self._open_rollouts():
            if resume_from_checkpoint and args.weight_ema is not None:
                self._load_weight_ema(resume_from_checkpoint)
            if resume_from_checkpoint and not args.is_plain_sft:
                self._load_coverage_state(resume_from_checkpoint)
            return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)

    def coverage_state(self) -> dict[str, Any]:
        """Counters and the candidate stream (order, position, activity in the last pass), as JSON values."""
        return {
            **self._objective(),
            "examples_seen": self._examples_seen,
            "stream": None if self._stream is None else self._stream.state_dict(),
            **({} if self._rollouts is None else {"estimates": self._rollouts.state_dict()}),
        }

    def _objective(self) -> dict[str, Any]:
        names = ["objective", "n_passes", "min_confidence_weight", "loss_normalization", "confidence"]
        names += ["n_passes_schedule", "n_passes_start", "n_passes_mixture"]
        names += OPTIONS[self.args.objective]
        names += ROLLOUT_OBJECTIVE if self.args.draws_rollouts else []
        return {name: getattr(self.args, name) for name in names}

    def _load_coverage_state(self, checkpoint: str) -> None:
        state = read_coverage_state(checkpoint)
        if state is None:
            raise ValueError(
                f"{checkpoint} was not written by a CoverageTrainer: it cannot be resumed here (its weights can be the "
                "model of a new run)"
            )
        # Checkpoints of versions that had no other objective or schedule do not name theirs.
        before = {"objective": "dco", "n_passes_schedule": "constant", **state}
        refuse_other_objective(checkpoint, before, self._objective())
        self._examples_seen = state["examples_seen"]
        if self._stream is not None:
            self._stream.load_state_dict(state["stream"])
        if self._rollouts is not None:
            self._rollouts.load_state_dict(state["estimates"])


def _count_examples(batch: dict[str, Any]) -> int:
    if "group_sizes" in batch:
        return len(batch["group_sizes"])
    if "seq_idx" in batch:
        return len(batch["seq_idx"][0, 1:][batch["labels"][0, 1:] != -100].unique())
    return len(batch["labels"])


def _count_tokens(batch: dict[str, Any]) -> int:
    return int((batch["labels"][..., 1:] != -100).sum())
