"""Load a causal language model and its tokenizer: a folder, a Hub id, or a single GGUF file."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase


def load_model(
    name: str, *, dtype: str = "auto", trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, in evaluation mode on the CPU, and its tokenizer, which is given a padding token if it has none.

    Args:
        name: a folder written by `save_pretrained`, a Hub id, or the path of a .gguf file (needs the extra
            `passatn[gguf]`; its quantised weights are dequantised, which is not the original model).
        dtype: "auto" (as stored; float32 for GGUF), "float32", "bfloat16" or "float16".
        trust_remote_code: run code that the model's repository brings. Off unless asked for.

    Raises:
        ValueError: the model is not there or cannot be read; one line that names it.
    """
    torch_dtype = _dtype(dtype)
    if name.endswith(".gguf"):
        return _load_gguf(Path(name), torch.float32 if torch_dtype == "auto" else torch_dtype)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch_dtype, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot load the model {name!r}: {reason:.300}") from None
    return model.eval(), _with_padding(tokenizer)


def _load_gguf(path: Path, dtype: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if not path.is_file():
        raise ValueError(f"cannot load the model {str(path)!r}: no such file")
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise ValueError(f"reading {path.name} needs the package gguf: pip install 'passatn[gguf]'") from None
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
    return model.eval(), _with_padding(tokenizer)


def _dtype(name: str) -> Any:
    names = {"auto": "auto", "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in names:
        raise ValueError(f"dtype must be one of {', '.join(names)}, got {name!r}")
    return names[name]


def _with_padding(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
