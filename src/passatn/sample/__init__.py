"""Completions of a model: exact scoring, sampling, and the store that keeps samples.

score    exact log-probabilities by teacher forcing; of a problem's accepted answers, the p of coverage 1 - (1 - p)^N
engine   what an engine is: requests, parameters, completions
hf       the embedded engine, on transformers' `generate`
draw     random numbers that belong to a sample, and drawing tokens with them
store    samples on disk, or anywhere fsspec reaches: appendable, mergeable, safe from a kill
memory   how many sequences fit; modes, progress: using a model in passing, and showing how far one is

Names are looked up when they are first used, so that reading a store does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passatn.sample.engine import Completion, Engine, SampleRequest, SamplingParams
    from passatn.sample.hf import HFEngine
    from passatn.sample.score import score_completions, score_problems

_HOMES = {
    "Completion": "engine",
    "Engine": "engine",
    "HFEngine": "hf",
    "SampleRequest": "engine",
    "SamplingParams": "engine",
    "score_completions": "score",
    "score_problems": "score",
}

__all__ = [
    "Completion",
    "Engine",
    "HFEngine",
    "SampleRequest",
    "SamplingParams",
    "score_completions",
    "score_problems",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
