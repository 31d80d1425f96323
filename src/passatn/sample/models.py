"""Load a causal language model and its tokenizer: a folder, a Hub id, an adapter's folder, or a single GGUF file."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

ADAPTER_CONFIG = "adapter_config.json"


def load_model(
    name: str, *, dtype: str = "auto", trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, in evaluation mode on the CPU, and its tokenizer, which is given a padding token if it has none.

    Args:
        name: a folder written by `save_pretrained`, a Hub id, or the path of a .gguf file (needs the extra
            `passatn[gguf]`; its quantised weights are dequantised, which is not the original model). A folder with an
            adapter of PEFT gives the model that it was trained on, with the adapter merged into its weights.
        dtype: "auto" (as stored; float32 for GGUF), "float32", "bfloat16" or "float16".
        trust_remote_code: run code that the model's repository brings. Off unless asked for.

    Raises:
        ValueError: the model is not there or cannot be read; one line that names it.
    """
    torch_dtype = _dtype(dtype)
    if name.endswith(".gguf"):
        return _load_gguf(Path(name), torch.float32 if torch_dtype == "auto" else torch_dtype)
    if (Path(name) / ADAPTER_CONFIG).is_file():
        return _load_adapter(Path(name), dtype, trust_remote_code)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch_dtype, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot load the model {name!r}: {reason:.300}") from None
    _remember_place(model, Path(name))
    return model.eval(), _with_padding(tokenizer)


def load_tokenizer(name: str, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer that `load_model` gives, without the model.

    Raises:
        ValueError: it is not there or cannot be read; one line that names it.
    """
    if name.endswith(".gguf"):
        _check_gguf(Path(name))
        return _with_padding(AutoTokenizer.from_pretrained(Path(name).parent, gguf_file=Path(name).name))
    adapter = Path(name) / ADAPTER_CONFIG
    if adapter.is_file() and not (Path(name) / "tokenizer_config.json").is_file():
        return load_tokenizer(_base_of(Path(name)), trust_remote_code=trust_remote_code)
    try:
        return _with_padding(AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot load the tokenizer {name!r}: {reason:.300}") from None


def context_length(name: str, *, trust_remote_code: bool = False) -> int | None:
    """Tokens that a model takes, prompt and completion together, as its configuration says; None where it does not.

    Raises:
        ValueError: the model is not there or cannot be read; one line that names it.
    """
    if (Path(name) / ADAPTER_CONFIG).is_file():
        return context_length(_base_of(Path(name)), trust_remote_code=trust_remote_code)
    where: dict[str, Any] = {"pretrained_model_name_or_path": name}
    if name.endswith(".gguf"):
        _check_gguf(Path(name))
        where = {"pretrained_model_name_or_path": str(Path(name).parent), "gguf_file": Path(name).name}
    try:
        config = AutoConfig.from_pretrained(**where, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot load the model {name!r}: {reason:.300}") from None
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def _load_adapter(folder: Path, dtype: str, trust_remote_code: bool) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    from peft import PeftModel

    base = _base_of(folder)
    try:
        model, tokenizer = load_model(base, dtype=dtype, trust_remote_code=trust_remote_code)
    except ValueError as error:
        raise ValueError(f"cannot load the base of the adapter {str(folder)!r}: {error}") from None
    if (folder / "tokenizer_config.json").is_file():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    merged: Any = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    return merged.eval(), _with_padding(tokenizer)


def _base_of(folder: Path) -> str:
    base = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise ValueError(f"cannot load the adapter {str(folder)!r}: its {ADAPTER_CONFIG} names no base model")
    return str(base)


def _remember_place(model: PreTrainedModel, path: Path) -> None:
    """An adapter's file names its base model by this attribute; an absolute path can be found from anywhere."""
    if path.exists():
        model.name_or_path = str(path.resolve())


def _load_gguf(path: Path, dtype: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    _check_gguf(path)
    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    dequantised = AutoModelForCausalLM.from_pretrained(**source, dtype=dtype)
    # A model that remembers its GGUF origin refuses save_pretrained, so the weights move into a fresh one.
    config = AutoConfig.for_model(
        **{k: v for k, v in dequantised.config.to_dict().items() if k != "quantization_config"}
    )
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.load_state_dict(dequantised.state_dict())
    model.tie_weights()
    _remember_place(model, path)
    return model.eval(), _with_padding(tokenizer)


def _check_gguf(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"cannot load the model {str(path)!r}: no such file")
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise ValueError(f"reading {path.name} needs the package gguf: pip install 'passatn[gguf]'") from None


def _dtype(name: str) -> Any:
    names = {"auto": "auto", "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in names:
        raise ValueError(f"dtype must be one of {', '.join(names)}, got {name!r}")
    return names[name]


def _with_padding(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
