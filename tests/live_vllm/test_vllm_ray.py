"""The real vLLM engine behind Ray: what it draws and scores in a worker is what it draws and scores here."""

import numpy as np
import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: it goes into an environment of its own, see CONTRIBUTING.md")
pytest.importorskip("ray", reason="Ray is not installed: it belongs to the environment of vLLM, see CONTRIBUTING.md")

from passatn.sample import SampleRequest, SamplingParams, score_completions
from passatn.sample.parity import update_weights
from passatn.sample.ray import RayEngine
from passatn.sample.spec import EngineSpec
from passatn.tasks.encoding import EncodedExample
from tiny import build_model, build_tokenizer


def make_model(seed=0):
    return build_model(seed=seed, hidden_size=64, num_attention_heads=2, num_key_value_heads=2).eval()


def test_samples_scores_and_new_weights(local_ray, tmp_path):
    make_model().save_pretrained(tmp_path)
    build_tokenizer().save_pretrained(tmp_path)
    requests = [SampleRequest("a", (3, 4, 5)), SampleRequest("b", (6, 7, 8, 9))]
    params = SamplingParams(n=70, max_new_tokens=8, seed=1)
    spec = EngineSpec("vllm", str(tmp_path), options={"dtype": "float32", "max_model_len": 64})
    with RayEngine(spec, num_workers=1) as engine:
        completions = engine.sample(requests, params)
        assert [(c.problem_id, c.index) for c in completions] == [(p, i) for p in "ab" for i in range(70)]
        prompts = {request.problem_id: request.prompt_ids for request in requests}
        drawn = [EncodedExample(prompts[c.problem_id], c.token_ids) for c in completions]
        expected = score_completions(make_model(), drawn)[:, 0]
        assert np.array([c.log_prob for c in completions]) == pytest.approx(expected, abs=1e-4)
        assert update_weights(engine, make_model(seed=1), drawn[:2]) < 1e-4
