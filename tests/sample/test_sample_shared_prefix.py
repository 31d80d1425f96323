"""Samples that share their beginnings: the same samples as with a row each, from fewer rows."""

from typing import Any

import numpy as np
import pytest
import torch
from sample_models import CONFIGS, random_model
from transformers import AutoModelForCausalLM, MambaConfig

from passatn.sample import HFEngine, SampleRequest, SamplingParams, hf
from passatn.sample.draw import SampleTokens, uniforms_of_rows
from passatn.sample.shared_prefix import can_share_prefixes, sample_with_shared_prefixes
from tiny import build_tokenizer

PROMPTS = [(3, 4, 5, 6, 7), (8,), (9, 10, 11), (3, 4, 5, 6, 7), (3, 4)]
REQUESTS = [SampleRequest(f"problem-{i}", prompt) for i, prompt in enumerate(PROMPTS)]


def random(kind: str) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[kind]).eval()


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("options", [{}, {"temperature": 0.6, "top_p": 0.8}, {"temperature": 2.0, "top_k": 5}])
def test_samples_are_those_of_generate(kind: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = random(kind)
    assert can_share_prefixes(model)
    params = SamplingParams(n=40, max_new_tokens=9, seed=3, **options)
    shared = HFEngine(model, build_tokenizer()).sample(REQUESTS, params)
    monkeypatch.setattr(hf, "can_share_prefixes", lambda model: False)
    alone = HFEngine(model, build_tokenizer()).sample(REQUESTS, params)
    assert [c.token_ids for c in shared] == [c.token_ids for c in alone]
    assert [c.finished for c in shared] == [c.finished for c in alone]
    assert 20 < sum(c.finished for c in shared) < 200, "some end early, some do not"
    np.testing.assert_allclose([c.log_prob for c in shared], [c.log_prob for c in alone], rtol=0, atol=2e-5)


def test_each_distinct_beginning_is_computed_once() -> None:
    model = random_model(vocab_size=20)
    sizes = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    prompts = [PROMPTS[0]] * 30 + [PROMPTS[1]] * 10
    named = [("a", index) for index in range(len(prompts))]
    sampler = SampleTokens(uniforms_of_rows(named, 0, 6, torch.device("cpu")), 1.0, 0, 1.0)
    with torch.inference_mode():
        tokens, log_p = sample_with_shared_prefixes(model, prompts, sampler, [1], 6)
    assert tokens.shape == log_p.shape
    assert tokens.shape[1] == 6
    expected, alive = [(2, 5)], np.ones(len(prompts), bool)
    for step in range(5):
        alive &= tokens[:, step] != 1
        beginnings = {(prompts[k], tuple(tokens[k, : step + 1])) for k in np.flatnonzero(alive)}
        expected.append((len(beginnings), 1))
    assert sizes == expected
    assert expected[1][0] < 25, "many samples share their first token"


def test_models_that_keep_something_else_are_not_shared() -> None:
    assert not can_share_prefixes(random("gemma2")), "layers with a sliding window forget tokens"
    mamba = MambaConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, state_size=4)
    assert not can_share_prefixes(AutoModelForCausalLM.from_config(mamba))
    assert not can_share_prefixes(object())
