"""Completions of a model: exact scoring and sampling.

score    exact log-probabilities by teacher forcing; of a problem's accepted answers, the p of coverage 1 - (1 - p)^N
engine   what an engine is: requests, parameters, completions
hf       the embedded engine, on transformers' `generate`
draw     random numbers that belong to a sample, and drawing tokens with them
memory   how many sequences fit; modes, progress: using a model in passing, and showing how far one is
"""

from passatn.sample.engine import Completion, Engine, SampleRequest, SamplingParams
from passatn.sample.hf import HFEngine
from passatn.sample.score import score_completions, score_problems

__all__ = [
    "Completion",
    "Engine",
    "HFEngine",
    "SampleRequest",
    "SamplingParams",
    "score_completions",
    "score_problems",
]
