"""Exact scoring against a computation by hand, and that no logits of the prompt are made."""

import copy
import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from sample_models import CONFIGS, EOS, VOCAB_SIZE, random_examples, random_model, reference_scores
from transformers import TemperatureLogitsWarper, TopPLogitsWarper
from trl.trainer.utils import add_fused_lm_head

from passatn.sample import HFEngine, SampleRequest, SamplingParams, score_completions, score_problems
from passatn.sample import score as score_module
from passatn.tasks.encoding import EncodedExample
from tiny import build_model, build_tokenizer

TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-10}
TEMPERATURES = [1.0, 0.6, 2.0]
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@DTYPES
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", list(CONFIGS))
def test_score_equals_full_logits(name: str, attention: str, dtype: torch.dtype) -> None:
    if attention == "eager" and dtype == torch.float64:
        pytest.skip(
            "transformers: the mask's -1.8e308 overflows in eager attention's float32 softmax, so padding is NaN"
        )
    model = random_model(name, dtype, attn_implementation=attention)
    examples = random_examples(17)
    scores = score_completions(model, examples, temperatures=TEMPERATURES)
    assert scores.shape == (17, 3)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, reference_scores(model, examples, TEMPERATURES), rtol=0, atol=TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("name", list(CONFIGS))
def test_score_does_not_depend_on_the_batch(name: str, dtype: torch.dtype) -> None:
    model, examples = random_model(name, dtype), random_examples(40, seed=3)
    together = score_completions(model, examples)
    one_by_one = score_completions(model, examples, batch_tokens=1)
    shuffled = score_completions(model, examples[::-1], batch_tokens=64)[::-1]
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-10}[dtype]
    np.testing.assert_allclose(one_by_one, together, rtol=0, atol=tolerance)
    np.testing.assert_allclose(shuffled, together, rtol=0, atol=tolerance)


def test_probabilities_of_all_completions_sum_to_one() -> None:
    """All completions of at most 3 tokens before EOS, plus all prefixes of 4 tokens without one, over 5 tokens."""
    model = random_model(dtype=torch.float64)
    with torch.no_grad():  # tokens 5 and above become impossible
        model.lm_head = torch.nn.Linear(16, VOCAB_SIZE, dtype=torch.float64)
        model.lm_head.weight.mul_(8)
        model.lm_head.bias[5:] = -math.inf
    others = [0, 2, 3, 4]
    ended = [(*ids, EOS) for k in range(4) for ids in itertools.product(others, repeat=k)]
    cut = list(itertools.product(others, repeat=4))
    examples = [EncodedExample((7, 9), ids) for ids in ended + cut]
    for temperature in (1.0, 0.5):
        total = np.exp(score_completions(model, examples, temperatures=[temperature])).sum()
        assert total == pytest.approx(1.0, abs=1e-12)


def test_impossible_completion_scores_minus_infinity_and_nan_is_an_error() -> None:
    model = random_model()
    model.lm_head = torch.nn.Linear(16, VOCAB_SIZE)
    examples = [EncodedExample((3, 4), (5, EOS)), EncodedExample((3, 4), (6, EOS))]
    with torch.no_grad():
        model.lm_head.bias[6] = -math.inf
        scores = score_completions(model, examples)
        assert np.isfinite(scores[0, 0])
        assert scores[1, 0] == -math.inf
        model.get_input_embeddings().weight[6] = math.nan
    with pytest.raises(ValueError, match="example 1: the model's logits are NaN"):
        score_completions(model, examples)


def test_only_completion_positions_are_projected() -> None:
    model = random_model()
    shapes: list[tuple[int, ...]] = []
    model.lm_head.register_forward_pre_hook(lambda module, args: shapes.append(tuple(args[0].shape)))
    examples = [EncodedExample(tuple(range(2, 2 + length)), (5, 6, EOS)) for length in (20, 11, 3)]
    score_completions(model, examples)
    assert shapes == [(3, 3, 16)]


def test_batches_stay_within_batch_tokens() -> None:
    examples = random_examples(200)
    batches = list(score_module._plan_batches(examples, 100, 30))
    assert sorted(itertools.chain(*batches)) == list(range(200))
    for batch in batches:
        chosen = [examples[i] for i in batch]
        assert len(batch) * max(len(e.prompt_ids) + len(e.completion_ids) - 1 for e in chosen) <= 100
        assert len(batch) * max(len(e.completion_ids) for e in chosen) <= 30


def test_out_of_memory_halves_the_batch_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model, examples = random_model(), random_examples(30)
    expected = score_completions(model, examples)
    sizes: list[int] = []

    def score_at_most_four(
        model_: torch.nn.Module, batch: list[EncodedExample], temperatures: list[float]
    ) -> np.ndarray:
        sizes.append(len(batch))
        if len(batch) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return original(model_, batch, temperatures)

    original = score_module._score_batch
    monkeypatch.setattr(score_module, "_score_batch", score_at_most_four)
    np.testing.assert_allclose(score_completions(model, examples), expected, atol=1e-5)
    assert sizes[:4] == [30, 15, 7, 3]
    assert max(sizes[3:]) == 3


def test_a_single_example_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> np.ndarray:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    monkeypatch.setattr(score_module, "_score_batch", fail)
    with pytest.raises(RuntimeError, match="a single sequence does not fit"):
        score_completions(random_model(), random_examples(3))


def test_scoring_in_the_middle_of_training() -> None:
    """Dropout, gradient checkpointing and use_cache=False are as before, and the next training step is unchanged."""
    model = random_model("gpt2")
    model.config.use_cache = False
    model.gradient_checkpointing_enable()
    examples = random_examples(5)
    expected = reference_scores(model, examples, [1.0])
    model.train()
    model.transformer.h[0].eval()
    modes = [module.training for module in model.modules()]
    np.testing.assert_allclose(score_completions(model, examples), expected, atol=2e-5)
    assert [module.training for module in model.modules()] == modes
    ids = torch.tensor([[3, 4, 5]])
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_lora_and_trl_patched_models() -> None:
    examples = random_examples(9)
    model = random_model()
    plain = score_completions(model, examples)
    patched = copy.deepcopy(model)
    add_fused_lm_head(patched)
    np.testing.assert_allclose(score_completions(patched, examples), plain, atol=1e-6)
    lora = get_peft_model(
        patched, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    )
    adapted = score_completions(lora, examples)
    np.testing.assert_allclose(adapted, reference_scores(lora.eval(), examples, [1.0]), atol=2e-5)
    assert np.abs(adapted - plain).max() > 1e-2


def test_score_problems_adds_the_probabilities_of_distinct_answers() -> None:
    model = random_model(dtype=torch.float64)
    prompt = (3, 4, 5)
    one, two = EncodedExample(prompt, (6, EOS)), EncodedExample(prompt, (7, 8, EOS))
    other = EncodedExample((9,), (10, EOS))
    scores = score_problems(model, [[one, two, one], [other], [two]], temperatures=TEMPERATURES)
    single = np.exp(reference_scores(model, [one, two, other], TEMPERATURES))
    np.testing.assert_allclose(np.exp(scores), [single[0] + single[1], single[2], single[1]], rtol=1e-10)


def test_probabilities_never_exceed_one() -> None:
    """All tokens as first answers of a one-token vocabulary: their total is 1 up to rounding, and log p stays <= 0."""
    examples = [EncodedExample((3,), (token,)) for token in range(VOCAB_SIZE)]
    scores = score_problems(random_model(), [examples])
    assert scores[0, 0] <= 0
    assert scores[0, 0] == pytest.approx(0, abs=1e-6)


def test_bad_arguments_are_named() -> None:
    model, good = random_model(), EncodedExample((3,), (EOS,))
    with pytest.raises(ValueError, match="example 1: the prompt and the completion"):
        score_completions(model, [good, EncodedExample((), (EOS,))])
    with pytest.raises(ValueError, match="got 0"):
        score_completions(model, [good], temperatures=[1.0, 0])
    with pytest.raises(ValueError, match="temperatures is empty"):
        score_completions(model, [good], temperatures=[])
    with pytest.raises(ValueError, match="batch_tokens"):
        score_completions(model, [good], batch_tokens=0)
    with pytest.raises(ValueError, match="problem 1: no accepted answer"):
        score_problems(model, [[good], []])
    with pytest.raises(ValueError, match=r"problem 0: .* different prompts"):
        score_problems(model, [[good, EncodedExample((4,), (EOS,))]])
    assert score_completions(model, []).shape == (0, 1)
    assert score_problems(model, [], temperatures=[1.0, 2.0]).shape == (0, 2)


@pytest.mark.parametrize("top_p", [0.3, 0.8, 0.95])
def test_top_p_is_that_of_the_sampler(top_p: float) -> None:
    """Against transformers' own warpers, token by token, in float64."""
    model, examples, temperature = random_model(dtype=torch.float64), random_examples(30), 1.7
    scores = score_completions(model, examples, temperatures=[temperature, 1.0], top_ps=[top_p, 1.0])
    expected = []
    for example in examples:
        ids = torch.tensor([example.prompt_ids + example.completion_ids])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, len(example.prompt_ids) - 1 : -1].double()
        warped = TopPLogitsWarper(top_p)(ids, TemperatureLogitsWarper(temperature)(ids, logits))
        chosen = warped.log_softmax(-1)[range(len(example.completion_ids)), list(example.completion_ids)]
        expected.append(chosen.sum().item())
    assert scores[:, 0] == pytest.approx(np.array(expected), abs=1e-9)
    assert np.isinf(scores[:, 0]).any()
    np.testing.assert_array_equal(scores[:, 1], score_completions(model, examples)[:, 0])


def test_top_p_gives_the_frequencies_of_samples() -> None:
    """Each completion's share of 4,000 samples within five standard errors of its exact probability."""
    model = build_model()
    params = SamplingParams(n=4000, max_new_tokens=3, seed=0, temperature=0.8, top_p=0.7)
    drawn = Counter(
        c.token_ids for c in HFEngine(model, build_tokenizer()).sample([SampleRequest("p", (3, 4))], params)
    )
    examples = [EncodedExample((3, 4), token_ids) for token_ids, _ in drawn.most_common(8)]
    p = np.exp(score_completions(model, examples, temperatures=[0.8], top_ps=[0.7])[:, 0])
    shares = np.array([drawn[e.completion_ids] / 4000 for e in examples])
    assert (np.abs(shares - p) < 5 * np.sqrt(p * (1 - p) / 4000)).all()


def test_bad_top_p() -> None:
    model, examples = random_model(), random_examples(2)
    with pytest.raises(ValueError, match=r"top_ps must be in \(0, 1\], got 0"):
        score_completions(model, examples, top_ps=[0.0])
    with pytest.raises(ValueError, match="one for each of the 1 temperatures, got 2"):
        score_completions(model, examples, top_ps=[0.5, 1.0])
