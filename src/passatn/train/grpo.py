"""CoverageGRPOTrainer: TRL's GRPOTrainer with any advantage estimator, and batches without groups of equal rewards.

    from passatn.train.grpo import CoverageGRPOTrainer
    from passatn.train.grpo_config import CoverageGRPOConfig
    from passatn.train.grpo_data import prompt_dataset
    from passatn.verify.reward import VerifierReward

    template = get_template("r1")
    CoverageGRPOTrainer(
        model,
        reward_funcs=VerifierReward("math", template),
        args=CoverageGRPOConfig("run", advantage="pkpo", advantage_options={"k": 4}),
        train_dataset=prompt_dataset(load_problems("math", split="train"), template),
    ).train()

Source: the GRPO baseline of arXiv 2502.07154, section 5.2 (Dr. GRPO, arXiv 2503.20783; no group in the batch whose
rewards are all equal); the estimators name theirs in `passatn.train.advantages`.
"""

from collections.abc import Iterator
from typing import Any

import torch
from accelerate.logging import get_logger
from datasets import Dataset
from torch import Tensor, nn
from trl import GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing

from passatn.train.checkpoint import (
    AtomicCheckpointMixin,
    checkpoint_to_resume,
    read_coverage_state,
    refuse_other_objective,
)
from passatn.train.grpo_batch import (
    TOKEN_COUNT,
    Rollouts,
    blank_rows,
    gather_rows,
    join_rows,
    num_tokens,
    rows_only,
    take_rows,
)
from passatn.train.grpo_config import CoverageGRPOConfig
from passatn.train.replacement import ReplacementStep
from passatn.train.stream import CandidateStream

logger = get_logger(__name__)

_SCALE = "short_batch_scale"


class CoverageGRPOTrainer(AtomicCheckpointMixin, GRPOTrainer):
    """Drop-in for `trl.GRPOTrainer`, with its arguments and a `CoverageGRPOConfig` as `args`.

    With `refill_groups=False` and `advantage="group_mean"` it trains what GRPOTrainer trains. With refilling, problems
    come from a `CandidateStream`: its position is in the checkpoint, and a resumed run ends like the uninterrupted one
    as long as every optimizer step generates its own roll-outs (the default).

    Attributes:
        ended_early: why training ended before its last scheduled step; None if it did not.

    Raises:
        TypeError: `args` is not a CoverageGRPOConfig.
        ValueError: the data set cannot be refilled from, or does not fit the batch.
    """

    args: CoverageGRPOConfig
    model: Any
    train_dataset: Any
    num_generations: Any
    _logs: Any
    _tag_names = ["trl", "grpo", "passatn"]  # noqa: RUF012 (TRL's own class attribute)

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: CoverageGRPOConfig | None = None,
        train_dataset: Any = None,
        **kwargs: Any,
    ) -> None:
        args = CoverageGRPOConfig("coverage-grpo") if args is None else args
        if not isinstance(args, CoverageGRPOConfig):
            raise TypeError(f"args must be a passatn.train.grpo_config.CoverageGRPOConfig, got {type(args).__name__}")
        self._advantage = args.estimator
        self._stream: CandidateStream | None = None
        self._rollouts_seen, self._epochs_done = 0, 0
        self._batch_is_empty, self._step_is_empty = False, False
        self.ended_early: str | None = None
        if args.refill_groups:
            _check_refill(args, train_dataset)
        super().__init__(model=model, reward_funcs=reward_funcs, args=args, train_dataset=train_dataset, **kwargs)
        if args.refill_groups:
            self._prompts = self._remove_unused_columns(self.train_dataset, description="training")
            if not self._advantage.zero_on_equal_rewards(self.num_generations):
                logger.warning(
                    f"refill_groups drops groups with equal rewards, to which the advantage {args.advantage!r} "
                    f"{dict(self._advantage.options)} gives a gradient: the objective is another without them"
                )

    # ---- roll-outs ----

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        self._rewards_per_func = super()._calculate_rewards(*args, **kwargs)
        return self._rewards_per_func

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Rollouts:
        """The roll-outs of a generation batch; under refilling those of the problems that the stream has next."""
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)
        if self._stream is not None:
            return self._full_batch(self._stream)
        batch, rewards = self._roll_out(inputs)
        self._log_groups([rewards])
        return batch

    def _roll_out(self, inputs: list[dict[str, Any]]) -> tuple[Rollouts, Tensor]:
        """This process's scored roll-outs, and the rewards of all processes `[groups, group_size]`."""
        batch = super()._generate_and_score_completions(inputs)
        rewards = self._group_rewards()
        log_p = self._gathered_log_p(batch).view(rewards.shape) if self._advantage.needs_log_p else None
        advantages = self._advantage(rewards, log_p).flatten()
        for _ in range(min(len(advantages), len(self._logs["advantages"]))):
            self._logs["advantages"].pop()
        self._logs["advantages"].extend(advantages.tolist())
        mine = slice(self.accelerator.process_index * len(inputs), (self.accelerator.process_index + 1) * len(inputs))
        self._rollouts_seen += len(advantages)
        return batch | {"advantages": advantages[mine]}, rewards

    def _group_rewards(self) -> Tensor:
        """`[groups, group_size]`, NaN where every reward function returned None."""
        per_func = self._rewards_per_func
        rewards = (per_func * self.reward_weights.to(per_func)).nansum(dim=1)
        return rewards.masked_fill(per_func.isnan().all(dim=1), torch.nan).view(-1, self.num_generations)

    def _gathered_log_p(self, batch: Rollouts) -> Tensor:
        """log p of each roll-out of all processes `[rollouts]`, under the weights that drew it, in nats."""
        tokens = batch.get("old_per_token_logps")
        if tokens is None:
            input_ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
            mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
            checkpointing: Any = self.args.gradient_checkpointing_kwargs
            with torch.no_grad(), disable_gradient_checkpointing(self.model, checkpointing):
                tokens, _, _ = self._get_per_token_logps_and_entropies(
                    self.model,
                    input_ids,
                    mask,
                    batch["completion_ids"].shape[1],
                    batch_size=self.args.per_device_train_batch_size,
                )
        mask = batch["completion_mask"] * batch.get("tool_mask", 1)
        return self.accelerator.gather((tokens * mask).sum(dim=1))

    # ---- refilling ----

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The step's micro-batches; under refilling they are empty here, and drawn when roll-outs are generated."""
        if self._stream is None:
            return super().get_batch_samples(epoch_iterator, num_batches, device)
        # A finished run that is resumed in the middle of an epoch: Trainer would take one more step.
        if self.state.global_step >= self.state.max_steps or self._is_used_up(self._stream):
            self.control.should_training_stop = True
            return [], None
        self._step_is_empty = True
        return [[] for _ in range(num_batches)], None

    def _is_used_up(self, stream: CandidateStream) -> bool:
        """Whether the next step would generate roll-outs, and there is no batch of problems left to do it for."""
        assert self.args.steps_per_generation is not None
        if self._step % (self.args.steps_per_generation * self.num_iterations):
            return False
        if stream.num_left >= self.args.groups_per_batch:
            return False
        done, passes = self.state.global_step, self.args.max_data_passes
        self.ended_early = (
            f"ended at step {done} of {self.state.max_steps}: {passes:g} passes over the data are used up"
        )
        return True

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        """TRL's, moved on to the epoch that is resumed: its order depends on how often it was gone through."""
        sampler: Any = super()._get_train_sampler(dataset)
        for _ in range(self._epochs_done if self.shuffle_dataset else 0):
            torch.randperm(sampler.num_samples, generator=sampler.generator)
        return sampler

    def _full_batch(self, stream: CandidateStream) -> Rollouts:
        """Roll-outs until the batch is full of groups with unequal rewards, or the rounds are used up."""
        world_size = self.accelerator.num_processes
        target = self.args.groups_per_batch
        step = ReplacementStep(stream, target, world_size, target // world_size)
        parts: list[Rollouts] = []
        rewards: list[Tensor] = []
        while len(rewards) < self.args.max_generation_rounds and (indices := step.draw_round()):
            batch, round_rewards = self._roll_out(self._rows(indices))
            rewards.append(round_rewards)
            accepted = step.decide((round_rewards != round_rewards[:, :1]).any(dim=1).tolist())
            kept = torch.tensor(accepted + [False] * (len(indices) - len(accepted)), device=round_rewards.device)
            everyone = gather_rows(rows_only(batch), self.accelerator, self._pad_token_id)
            parts.append(take_rows(everyone, kept.repeat_interleave(self.num_generations)))
        self._log_groups(rewards, step.num_accepted)
        self._metrics["train"]["data_passes"] = [stream.data_passes]
        return self._put_together([*parts, blank_rows(everyone, self._num_missing(step))], step)

    def _rows(self, indices: list[int]) -> list[dict[str, Any]]:
        """This process's slice of a round of problems, one row per roll-out."""
        size = len(indices) // self.accelerator.num_processes
        mine = indices[self.accelerator.process_index * size :][:size]
        return [dict(self._prompts[index]) for index in mine for _ in range(self.num_generations)]

    def _num_missing(self, step: ReplacementStep) -> int:
        """Roll-outs that the batch is short of; says so if there are any."""
        missing = step.target - step.num_accepted
        if missing:
            logger.warning(
                f"step {self.state.global_step + 1}: {step.num_accepted} of {step.target} groups have unequal rewards "
                f"after weighing {step.num_drawn} problems (max_generation_rounds={self.args.max_generation_rounds}); "
                + ("training on those" if step.num_accepted else "the weights stay as they are")
            )
        return missing * self.num_generations

    def _put_together(self, parts: list[Rollouts], step: ReplacementStep) -> Rollouts:
        """This process's share of the batch. A short one is filled with rows that add nothing, and scaled to its size.

        Every process holds all kept groups, and takes its slice of them.
        """
        batch = join_rows(parts, self._pad_token_id)
        size = step.target * self.num_generations // self.accelerator.num_processes
        batch = take_rows(
            batch, slice(self.accelerator.process_index * size, (self.accelerator.process_index + 1) * size)
        )
        self._batch_is_empty = step.num_accepted == 0
        batch[_SCALE] = torch.tensor(step.target / max(step.num_accepted, 1), device=batch["advantages"].device)
        batch[TOKEN_COUNT] = self.accelerator.gather(num_tokens(batch)).sum()
        return batch

    @property
    def _pad_token_id(self) -> int:
        return self._tokenizer.pad_token_id

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss; that of a short batch is the mean over the groups it has."""
        scale = inputs.get(_SCALE, 1.0)
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self._step_is_empty = self._step_is_empty and self._batch_is_empty
        if self._step_is_empty and self.model.training:
            # No step of the optimizer: by zero gradients, momentum and weight decay would still move the weights.
            self.accelerator.gradient_state._set_sync_gradients(False)
        return loss * scale

    def _log_groups(self, rewards: list[Tensor], num_kept: int | None = None) -> None:
        """What a generation batch was made of; fractions are of all groups that were generated for it.

        Args:
            rewards: `[groups, group_size]` of each round.
            num_kept: number of groups in the batch under refilling; None: all.
        """
        groups = torch.cat(rewards)
        is_equal = (groups == groups[:, :1]).all(dim=1)
        metrics = self._metrics["train"]
        metrics["groups_all_correct"].append((is_equal & (groups[:, 0] >= 1)).float().mean().item())
        metrics["groups_all_wrong"].append((is_equal & (groups[:, 0] <= 0)).float().mean().item())
        metrics["groups_discarded"].append(0 if num_kept is None else int(is_equal.sum()))
        metrics["groups_in_batch"].append(len(groups) if num_kept is None else num_kept)
        metrics["generation_rounds"].append(len(rewards))
        metrics["rollouts_seen"] = [self._rollouts_seen]

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As `GRPOTrainer.evaluate`; its roll-outs leave the random state of the training as it was."""
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=devices):
            return super().evaluate(*args, **kwargs)

    # ---- state ----

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:
        """As `Trainer.train`; the order of problems is restored from the checkpoint as well.

        Raises:
            ValueError: the checkpoint lacks this trainer's state, or was made with another estimator, other data or
                another seed.
        """
        args = self.args
        self._rollouts_seen, self._epochs_done, self.ended_early = 0, 0, None
        self._batch_is_empty, self._step_is_empty = False, False
        if args.refill_groups:
            seed = args.seed if args.data_seed is None else args.data_seed
            self._stream = CandidateStream(
                len(self._prompts), seed, shuffle=bool(args.shuffle_dataset), max_passes=args.max_data_passes
            )
            if self._stream.num_left < args.groups_per_batch:
                raise ValueError(f"max_data_passes={args.max_data_passes:g} is less than one batch of this data")
        resume_from_checkpoint = checkpoint_to_resume(args.output_dir, resume_from_checkpoint)
        if resume_from_checkpoint:
            self._load_coverage_state(resume_from_checkpoint)
        return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)

    def coverage_state(self) -> dict[str, Any]:
        """The estimator, counters and the stream of problems, as JSON values."""
        return {
            **self._objective(),
            "rollouts_seen": self._rollouts_seen,
            "epochs_done": int(self.state.epoch or 0),
            "stream": None if self._stream is None else self._stream.state_dict(),
        }

    def _objective(self) -> dict[str, Any]:
        args = self.args
        return {
            "advantage": args.advantage,
            "advantage_options": args.advantage_options or {},
            "refill_groups": args.refill_groups,
            "num_generations": args.num_generations,
        }

    def _load_coverage_state(self, checkpoint: str) -> None:
        state = read_coverage_state(checkpoint) or {}
        if "rollouts_seen" not in state:
            raise ValueError(
                f"{checkpoint} was not written by a CoverageGRPOTrainer: it cannot be resumed here (its weights can be "
                "the model of a new run)"
            )
        refuse_other_objective(checkpoint, state, self._objective())
        self._rollouts_seen, self._epochs_done = state["rollouts_seen"], state["epochs_done"]
        if self._stream is not None:
            self._stream.load_state_dict(state["stream"])


def _check_refill(args: CoverageGRPOConfig, train_dataset: Any) -> None:
    """ValueError if the data or the batch do not allow refilling."""
    remedy = "set refill_groups=False to keep groups with equal rewards"
    if not isinstance(train_dataset, Dataset):
        raise ValueError(f"refill_groups needs a datasets.Dataset, got {type(train_dataset).__name__}; {remedy}")
    num_groups, world_size = args.groups_per_batch, args.world_size
    if num_groups % world_size:
        raise ValueError(
            f"a batch of {num_groups} groups cannot be split over {world_size} processes: raise "
            f"per_device_train_batch_size or gradient_accumulation_steps, or {remedy}"
        )
    if len(train_dataset) < num_groups:
        raise ValueError(f"the data set has {len(train_dataset)} problems, fewer than the {num_groups} of one batch")
