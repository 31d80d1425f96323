"""What cannot be combined with a coverage objective, said before any work is done."""

from typing import Any

from datasets import Dataset, IterableDataset
from transformers import ProcessorMixin

from passatn.train.config import CoverageConfig
from passatn.verify.reward import PROBLEM_COLUMN


def check_combination(
    args: CoverageConfig, *, train_dataset: Any, compute_loss_func: Any = None, processing_class: Any = None
) -> None:
    """Raise ValueError naming the setting that a coverage objective cannot honour.

    The probability of a whole completion has to be visible in one forward pass of one process; everything refused
    here either changes the loss behind the trainer's back or splits a completion.
    """
    if args.is_plain_sft:
        return
    columns = getattr(train_dataset, "column_names", None) or []
    reasons = {
        "loss_type='dft'": args.loss_type == "dft",
        "label_smoothing_factor > 0": args.label_smoothing_factor > 0,
        "compute_loss_func": compute_loss_func is not None,
        "a vision model or dataset": isinstance(processing_class, ProcessorMixin)
        or bool({"image", "images"} & {*columns}),
        "completion_only_loss=False on data with prompts (p would include the prompt)": bool(
            args.completion_only_loss is False and "prompt" in columns
        ),
        "packing_strategy='wrapped' or 'bfd_split' (they cut completions apart; use 'bfd')": bool(
            args.packing and args.packing_strategy != "bfd"
        ),
        f"confidence={args.confidence!r} with packing or padding_free": bool(
            args.has_groups and (args.packing or args.padding_free)
        ),
        f"confidence={args.confidence!r} with dataset_kwargs={{'skip_prepare_dataset': True}}": bool(
            args.has_groups
            and isinstance(args.dataset_kwargs, dict)
            and args.dataset_kwargs.get("skip_prepare_dataset")
        ),
    }
    if args.weighs_given:
        reasons |= {
            "confidence='given' with packing": bool(args.packing),
            "confidence='given' with padding_free": bool(args.padding_free),
        }
    if args.draws_rollouts:
        reasons |= _rollout_reasons(args, train_dataset)
    elif args.replaces_examples:
        reasons |= {
            "streaming data (IterableDataset) with min_confidence_weight > 0": isinstance(
                train_dataset, IterableDataset
            ),
            "packing with min_confidence_weight > 0": bool(args.packing),
            "padding_free with min_confidence_weight > 0": bool(args.padding_free),
            "auto_find_batch_size with min_confidence_weight > 0": bool(args.auto_find_batch_size),
            f"train_sampling_strategy={args.train_sampling_strategy!r} with min_confidence_weight > 0": (
                args.train_sampling_strategy not in ("random", "sequential")
            ),
            "loss_normalization='token' under DeepSpeed with min_confidence_weight > 0": bool(
                args.deepspeed_plugin is not None and args.loss_normalization == "token"
            ),
        }
    for reason, applies in reasons.items():
        if applies:
            remedy = "" if "min_confidence_weight" not in reason else "; set min_confidence_weight=0 to weight only"
            raise ValueError(f"{args.loss_in_words} cannot be combined with {reason}{remedy}")
    if args.draws_rollouts:
        _check_columns(columns)


def _rollout_reasons(args: CoverageConfig, train_dataset: Any) -> dict[str, bool]:
    """Roll-outs need the examples one by one, in an order of ours."""
    return {
        "confidence='rollouts' on data other than a datasets.Dataset": not isinstance(train_dataset, Dataset),
        "confidence='rollouts' with packing": bool(args.packing),
        "confidence='rollouts' with padding_free": bool(args.padding_free),
        "confidence='rollouts' with assistant_only_loss": bool(args.assistant_only_loss),
        "confidence='rollouts' with auto_find_batch_size": bool(args.auto_find_batch_size),
        f"confidence='rollouts' with train_sampling_strategy={args.train_sampling_strategy!r}": (
            args.train_sampling_strategy not in ("random", "sequential")
        ),
    }


def _check_columns(columns: list[str]) -> None:
    """ValueError if the data does not say what to sample from, or what to verify against."""
    if PROBLEM_COLUMN not in columns:
        raise ValueError(
            f"confidence='rollouts' needs a column {PROBLEM_COLUMN!r} to verify against; the data has {columns}: make "
            "it with passatn.train.reasoning_dataset"
        )
    if not ({"prompt", "completion"} <= {*columns} or {"input_ids", "labels"} <= {*columns}):
        raise ValueError(
            f"confidence='rollouts' needs prompts and completions; the data has {columns}: make it with "
            "passatn.train.reasoning_dataset"
        )


def check_parallelism(args: CoverageConfig, parallelism: Any) -> None:
    """Raise ValueError if completions are split over processes.

    Args:
        parallelism: the accelerator's `parallelism_config`; unlike that of `args`, it knows accelerate's own settings.
    """
    if args.is_plain_sft or parallelism is None:
        return
    if parallelism.sp_enabled or parallelism.cp_enabled or parallelism.tp_enabled:
        raise ValueError(f"{args.loss_in_words} cannot be combined with sequence, context or tensor parallelism")


def check_whole_weights(args: CoverageConfig, is_fsdp: bool) -> None:
    """Raise ValueError if no process has all weights, which drawing roll-outs and sending weights to an engine take.

    Args:
        is_fsdp: whether the trainer's accelerator shards by FSDP, which `args` need not know.
    """
    for name, applies in {
        "FSDP": is_fsdp,
        "DeepSpeed ZeRO-3": getattr(args.deepspeed_plugin, "zero_stage", 0) == 3,
    }.items():
        if applies:
            raise ValueError(
                f"confidence={args.confidence!r} cannot be combined with {name}, under which no process holds the "
                "whole weights: use DDP, or ZeRO-1 or 2"
            )
