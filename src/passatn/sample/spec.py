"""An engine as a description that can be sent to another process, and be built there.

    EngineSpec("vllm", "runs/dco/model", options={"gpu_memory_utilization": 0.8}).build()

The options of each engine are the keyword arguments of its class; those of `hf` may also hold `dtype`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passatn.sample.engine import Engine

KINDS = ("hf", "vllm", "server")


@dataclass(frozen=True)
class EngineSpec:
    """`kind` is one of `KINDS`; `model` a folder, Hub id or .gguf file, or the name that a server knows.

    Raises:
        ValueError: an unknown kind.
    """

    kind: str
    model: str
    trust_remote_code: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"engine {self.kind!r}: there are {', '.join(KINDS)}")

    def build(self) -> Engine:
        """The engine, in this process; on its GPU if it has one."""
        return {"hf": self._hf, "vllm": self._vllm, "server": self._server}[self.kind]()

    def _hf(self) -> Engine:
        import torch

        from passatn.sample.hf import HFEngine
        from passatn.sample.models import load_model

        options = dict(self.options)
        dtype = options.pop("dtype", "auto")
        model, tokenizer = load_model(self.model, dtype=dtype, trust_remote_code=self.trust_remote_code)
        place: Any = "cuda" if torch.cuda.is_available() else "cpu"
        return HFEngine(model.to(place), tokenizer, **options)

    def _vllm(self) -> Engine:
        from passatn.sample.models import ADAPTER_CONFIG, load_tokenizer
        from passatn.sample.vllm import VLLMEngine

        options: dict[str, Any] = {"trust_remote_code": self.trust_remote_code} | dict(self.options)
        model, adapter = self.model, Path(self.model) / ADAPTER_CONFIG
        if adapter.is_file():
            settings = json.loads(adapter.read_text(encoding="utf-8"))
            model = settings["base_model_name_or_path"]
            options = {"lora_path": self.model, "max_lora_rank": _rank_for_vllm(settings["r"])} | options
        tokenizer = load_tokenizer(self.model, trust_remote_code=self.trust_remote_code)
        return VLLMEngine(model, tokenizer, **options)

    def _server(self) -> Engine:
        from passatn.sample.server import ServerEngine

        options = dict(self.options)
        tokenizer = options.pop("tokenizer", None)
        if tokenizer is not None:
            from passatn.sample.models import load_tokenizer

            options["tokenizer"] = load_tokenizer(tokenizer, trust_remote_code=self.trust_remote_code)
        return ServerEngine(model=self.model, **options)


def _rank_for_vllm(rank: int) -> int:
    """vLLM takes some ranks only; a larger one than the adapter's is fine."""
    return next((allowed for allowed in (8, 16, 32, 64, 128, 256, 320, 512) if allowed >= rank), rank)
