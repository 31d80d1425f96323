"""Averages of weights: between a base model and its fine-tuned one, or over the checkpoints of a run.

    θ = Σ_i w_i θ_i,  Σ w_i = 1        interpolation: (1 − α) θ_base + α θ_tuned;  mean: w_i = 1/n

    passatn average BASE TUNED --alpha 0.5 --output models/half
    passatn average runs/ce/checkpoints/checkpoint-* --output models/mean

Source: WiSE-FT, "Robust fine-tuning of zero-shot models", arXiv 2109.01903, and for the diversity of samples and pass@k
arXiv 2504.10478. The fine-tuned model's confidence falls towards the base model's, while its accuracy falls later.

Tensors are read, averaged and written one by one: memory holds two of them, whatever the size or number of models. Sums
are in float64 (float32 for 16-bit weights) and rounded once. The dtype is kept; where those of the models differ, it is
the one that holds both. Integers have to agree.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from passatn.sample.models import ADAPTER_CONFIG
from passatn.sample.progress import progress_bar
from passatn.train.weight_files import INDEX_FILE, TensorInfo, WeightFiles, file_order, write_tensors

RECORD = "averaging.json"
"""Which models a folder is the average of; it marks the folder as one."""

# What a model's folder holds beside weights; the state of a training is left behind.
_COMPANIONS = (
    "generation_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
    "chat_template*", "*.model", "*.py",
)  # fmt: skip


def average_models(
    models: Sequence[Path],
    output: Path,
    *,
    alpha: float | None = None,
    overwrite: bool = False,
    show_progress: bool = False,
) -> None:
    """Write the average of the models in `models` to the folder `output`, whole or not at all.

    Configuration and tokenizer are those of the last model.

    Args:
        alpha: share of the second of two models, from 0 (the first) to 1. None: the mean.
        overwrite: replace an average that is there.

    Raises:
        ValueError: the models do not have the same tensors, or cannot be averaged; names what differs, and where.
    """
    weights = _shares(models, alpha)
    _check_output(models, output, overwrite=overwrite)
    staging = output.with_name(f".{output.name}.partial")
    with ExitStack() as stack:
        opened = [stack.enter_context(_open(folder)) for folder in models]
        config = _config(models)
        infos = _common_tensors(opened)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            with progress_bar("averaging", len(infos), show=show_progress) as advance:
                _write_weights(opened, weights, infos, staging, advance)
            _write_rest(models, weights, infos, config, staging)
            _publish(staging, output)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _shares(models: Sequence[Path], alpha: float | None) -> list[float]:
    if len(models) < 2:
        raise ValueError(f"an average takes two models or more, got {len(models)}")
    if alpha is None:
        return [1 / len(models)] * len(models)
    if len(models) != 2:
        raise ValueError(f"alpha interpolates between two models, got {len(models)}: leave it out for their mean")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha:g}")
    return [1 - alpha, alpha]


def _check_output(models: Sequence[Path], output: Path, *, overwrite: bool) -> None:
    if output.resolve() in [folder.resolve() for folder in models]:
        raise ValueError(f"{output} is one of the models: choose another output")
    if not output.exists():
        return
    if not (output / RECORD).is_file():
        raise ValueError(f"{output} exists and is not an average of models: choose another output")
    if not overwrite:
        raise ValueError(f"{output} exists: choose another output, or overwrite it")


def _open(folder: Path) -> WeightFiles:
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    if (folder / ADAPTER_CONFIG).is_file():
        raise ValueError(
            f"{folder} holds an adapter, whose average is not that of the models: save them with their adapters merged "
            "(passatn.sample.models.load_model merges) and average those"
        )
    return WeightFiles(folder)


def _config(models: Sequence[Path]) -> dict[str, object]:
    """The last model's config.json."""
    configs = []
    for folder in models:
        if not (folder / "config.json").is_file():
            raise ValueError(f"{folder}: no config.json is there (expected a folder written by save_pretrained)")
        configs.append(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    for folder, config in zip(models, configs, strict=True):
        if config.get("model_type") != configs[0].get("model_type"):
            raise ValueError(
                f"{folder} is of type {config.get('model_type')!r}, {models[0]} of type "
                f"{configs[0].get('model_type')!r}: they cannot be averaged"
            )
    return configs[-1]


def _common_tensors(opened: Sequence[WeightFiles]) -> dict[str, TensorInfo]:
    """The tensors that all models have, with the dtype of the average."""
    first = opened[0]
    infos = dict(first.info)
    for other in opened[1:]:
        for name in sorted(first.info.keys() ^ other.info.keys()):
            has, lacks = (first, other) if name in first.info else (other, first)
            raise ValueError(f"{lacks.folder} has no tensor {name!r}, {has.folder} has: they cannot be averaged")
        for name, info in other.info.items():
            if info.shape != infos[name].shape:
                raise ValueError(
                    f"{name!r} is {list(info.shape)} in {other.folder} and {list(infos[name].shape)} in "
                    f"{first.folder}: they cannot be averaged"
                )
            if info.dtype.is_floating_point != infos[name].dtype.is_floating_point:
                raise ValueError(
                    f"{name!r} is {info.dtype} in {other.folder} and {infos[name].dtype} in {first.folder}"
                )
            infos[name] = TensorInfo(torch.promote_types(info.dtype, infos[name].dtype), info.shape)
    return infos


def _write_weights(
    opened: Sequence[WeightFiles],
    weights: Sequence[float],
    infos: dict[str, TensorInfo],
    staging: Path,
    advance: Callable[[int], None],
) -> None:
    """In files as those of the first model, with an index if there are several."""
    files = opened[0].files
    for file in sorted(set(files.values())):
        parts = file_order({name: info for name, info in infos.items() if files[name] == file})

        def averages(parts: dict[str, TensorInfo] = parts) -> Iterator[tuple[str, Tensor]]:
            for name, info in parts.items():
                yield name, _average(opened, weights, name, info)
                advance(1)

        write_tensors(staging / file, parts, averages())
    if (opened[0].folder / INDEX_FILE).is_file():
        index = {"metadata": {"total_size": sum(info.num_bytes for info in infos.values())}, "weight_map": files}
        (staging / INDEX_FILE).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _average(opened: Sequence[WeightFiles], weights: Sequence[float], name: str, info: TensorInfo) -> Tensor:
    if not info.dtype.is_floating_point:
        return _agreed(opened, name).to(info.dtype)
    precision = torch.float32 if info.dtype.itemsize == 2 else torch.float64
    total = torch.zeros(info.shape, dtype=precision)
    for model, weight in zip(opened, weights, strict=True):
        if weight:  # a model with no share is not part of the average, not even where it holds an infinity
            total.add_(model.tensor(name).to(precision), alpha=weight)
    return total.to(info.dtype)


def _agreed(opened: Sequence[WeightFiles], name: str) -> Tensor:
    value = opened[0].tensor(name)
    for other in opened[1:]:
        if not torch.equal(value, other.tensor(name).to(value.dtype)):
            raise ValueError(f"{name!r} holds integers that differ in {opened[0].folder} and {other.folder}")
    return value


def _write_rest(
    models: Sequence[Path],
    weights: Sequence[float],
    infos: dict[str, TensorInfo],
    config: dict[str, object],
    staging: Path,
) -> None:
    for pattern in _COMPANIONS:
        for path in models[-1].glob(pattern):
            shutil.copy2(path, staging / path.name)
    dtypes = {info.dtype for info in infos.values() if info.dtype.is_floating_point}
    for key in ("dtype", "torch_dtype"):
        if key in config and len(dtypes) == 1:
            config[key] = str(next(iter(dtypes))).removeprefix("torch.")
    (staging / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    record = [{"model": str(folder.resolve()), "weight": w} for folder, w in zip(models, weights, strict=True)]
    (staging / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _publish(staging: Path, output: Path) -> None:
    outdated = output.with_name(f".{output.name}.outdated")
    shutil.rmtree(outdated, ignore_errors=True)
    if output.exists():
        output.rename(outdated)
    staging.rename(output)
    shutil.rmtree(outdated, ignore_errors=True)
