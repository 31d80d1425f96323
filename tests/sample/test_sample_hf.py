"""Sampling with transformers: reproducible sample by sample, from the right distribution, with the right log p."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from sample_models import EOS, random_model
from scipy import stats
from transformers import GenerationConfig, PreTrainedModel

from passatn.sample import Completion, HFEngine, SampleRequest, SamplingParams, hf, score_completions
from passatn.tasks.encoding import EncodedExample
from tiny import build_model, build_tokenizer
from tiny_files import byte_tokenizer

PROMPTS = [(3, 4, 5, 6, 7), (8,), (9, 10, 11), (4, 4, 4, 4, 4, 4, 4, 4)]
REQUESTS = [SampleRequest(f"problem-{i}", prompt) for i, prompt in enumerate(PROMPTS)]
PARAMS = SamplingParams(n=8, max_new_tokens=6, seed=5)


def engine(model: PreTrainedModel | None = None, **kwargs: object) -> HFEngine:
    return HFEngine(model or random_model(vocab_size=20), build_tokenizer(), **kwargs)


def drawn(completions: list[Completion]) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(c.problem_id, c.index, c.token_ids) for c in completions]


def teacher_forced(model: torch.nn.Module, completions: list[Completion]) -> np.ndarray:
    prompts = {request.problem_id: request.prompt_ids for request in REQUESTS}
    return score_completions(model, [EncodedExample(prompts[c.problem_id], c.token_ids) for c in completions])[:, 0]


def test_completions_come_in_order_and_do_not_depend_on_the_batch() -> None:
    whole = engine().sample(REQUESTS, PARAMS)
    assert [(c.problem_id, c.index) for c in whole] == [(r.problem_id, k) for r in REQUESTS for k in range(8)]
    assert drawn(engine(max_batch_size=3).sample(REQUESTS, PARAMS)) == drawn(whole)
    alone = [completion for request in REQUESTS for completion in engine().sample([request], PARAMS)]
    assert drawn(alone) == drawn(whole)
    assert drawn(engine().sample(REQUESTS[::-1], PARAMS)[24:]) == drawn(whole[:8])


def test_more_samples_and_continued_runs_repeat_the_first_ones() -> None:
    eight = engine().sample(REQUESTS, PARAMS)
    many = engine().sample(REQUESTS, replace(PARAMS, n=64))
    assert drawn([c for c in many if c.index < 8]) == drawn(eight)
    rest = engine().sample(REQUESTS, replace(PARAMS, n=56, first_index=8))
    assert drawn([c for c in many if c.index >= 8]) == drawn(rest)


def test_seeds_problems_and_indices_give_different_samples() -> None:
    params = replace(PARAMS, n=32)
    one, two = engine().sample(REQUESTS, params), engine().sample(REQUESTS, replace(params, seed=6))
    assert drawn(one) != drawn(two)
    same_prompt = [SampleRequest("a", PROMPTS[0]), SampleRequest("b", PROMPTS[0])]
    both = engine().sample(same_prompt, params)
    assert [c.token_ids for c in both[:32]] != [c.token_ids for c in both[32:]]
    assert len({c.token_ids for c in both}) > 8


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_frequencies_agree_with_exact_probabilities(temperature: float) -> None:
    """Chi-square over completions of two tokens; false-alarm rate 1e-3 per case over seeds (here the seed is fixed)."""
    model, count = random_model(vocab_size=20), 8000
    request = SampleRequest("p", PROMPTS[0])
    completions = engine(model).sample(
        [request], SamplingParams(n=count, max_new_tokens=2, seed=1, temperature=temperature)
    )
    outcomes = [(EOS,)] + [(a, b) for a in range(20) if a != EOS for b in range(20)]
    examples = [EncodedExample(request.prompt_ids, ids) for ids in outcomes]
    probabilities = np.exp(score_completions(model, examples, temperatures=[temperature])[:, 0])
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    places = {ids: k for k, ids in enumerate(outcomes)}
    counts = np.bincount([places[c.token_ids] for c in completions], minlength=len(outcomes))
    common = probabilities * count >= 5
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(probabilities[common], probabilities[~common].sum()) * count
    assert common.sum() > 10
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize(
    "params", [PARAMS, replace(PARAMS, temperature=1.7, top_k=7, top_p=0.8)], ids=["plain", "shaped"]
)
def test_log_prob_is_that_of_exact_scoring(name: str, params: SamplingParams) -> None:
    model = random_model(name, vocab_size=20)
    completions = engine(model).sample(REQUESTS, params)
    log_p = [c.log_prob for c in completions]
    np.testing.assert_allclose(log_p, teacher_forced(model, completions), rtol=0, atol=2e-5)


def test_completions_end_at_eos_or_are_marked_as_truncated() -> None:
    completions = engine().sample(REQUESTS, replace(PARAMS, n=64, temperature=2.0))
    assert {c.finished for c in completions} == {True, False}
    tokenizer = build_tokenizer()
    for c in completions:
        assert c.num_tokens == len(c.token_ids)
        assert EOS not in c.token_ids[:-1]
        assert c.finished == (c.token_ids[-1] == EOS)
        assert c.finished or c.num_tokens == 6
        kept = c.token_ids[:-1] if c.finished else c.token_ids
        assert c.text.replace(" ", "") == "".join(tokenizer.convert_ids_to_tokens(list(kept))).replace(" ", "")


def test_longer_limit_extends_truncated_samples() -> None:
    short = engine().sample(REQUESTS, PARAMS)
    long = engine().sample(REQUESTS, replace(PARAMS, max_new_tokens=12))
    assert [c.token_ids for c in short] == [c.token_ids[:6] for c in long]


def test_extra_stop_tokens_end_a_completion() -> None:
    completions = engine(extra_stop_ids=[6, 7]).sample(REQUESTS, replace(PARAMS, n=64, temperature=2.0))
    ends = {c.token_ids[-1] for c in completions if c.finished}
    assert ends == {EOS, 6, 7}
    assert all(not set(c.token_ids[:-1]) & {EOS, 6, 7} for c in completions)


def test_greedy_is_argmax_generation() -> None:
    model = random_model(vocab_size=20)
    completions = engine(model).greedy(REQUESTS, max_new_tokens=9)
    for request, completion in zip(REQUESTS, completions, strict=True):
        ids = torch.tensor([request.prompt_ids])
        expected = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=9,
            eos_token_id=EOS,
            pad_token_id=0,
        )
        assert completion.token_ids == tuple(expected[0, ids.shape[1] :].tolist())
    log_p = [c.log_prob for c in completions]
    np.testing.assert_allclose(log_p, teacher_forced(model, completions), rtol=0, atol=2e-5)


@pytest.mark.parametrize(("top_k", "top_p"), [(3, 1.0), (0, 0.5), (5, 0.7)])
def test_top_k_and_top_p_restrict_the_support(top_k: int, top_p: float) -> None:
    model = random_model(vocab_size=20)
    params = SamplingParams(n=500, max_new_tokens=1, seed=0, temperature=3.0, top_k=top_k, top_p=top_p)
    completions = engine(model).sample(REQUESTS[:1], params)
    with torch.no_grad():
        p = (model(torch.tensor([PROMPTS[0]])).logits[0, -1] / 3).softmax(-1).numpy()
    order = np.argsort(-p)[: top_k or None]
    kept = p[order] / p[order].sum()
    allowed = order[: int(np.searchsorted(kept.cumsum(), top_p)) + 1] if top_p < 1 else order
    assert {c.token_ids[0] for c in completions} == set(allowed.tolist())


def test_generation_defaults_of_the_model_do_not_leak_in() -> None:
    model = random_model(vocab_size=20)
    expected = engine(model).sample(REQUESTS, PARAMS)
    own = GenerationConfig(
        do_sample=True,
        temperature=0.1,
        top_k=2,
        top_p=0.3,
        repetition_penalty=5.0,
        no_repeat_ngram_size=1,
        min_new_tokens=4,
        suppress_tokens=[3, 4],
        eos_token_id=[EOS, 5, 6],
        max_length=7,
    )
    model.generation_config = own
    model.config.use_cache = False
    assert drawn(engine(model).sample(REQUESTS, PARAMS)) == drawn(expected)
    assert model.generation_config is own


def test_sampling_in_the_middle_of_training_and_with_adapters() -> None:
    model = random_model(vocab_size=20)
    model.generation_config.repetition_penalty = 5.0
    lora = get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], init_lora_weights=False, lora_dropout=0.5
        ),
    )
    lora.gradient_checkpointing_enable()
    lora.train()
    modes = [module.training for module in lora.modules()]
    completions = engine(lora).sample(REQUESTS, PARAMS)
    assert [module.training for module in lora.modules()] == modes
    assert lora.generation_config.repetition_penalty == 5.0
    assert lora.get_base_model().generation_config.repetition_penalty == 5.0
    log_p = [c.log_prob for c in completions]
    np.testing.assert_allclose(log_p, teacher_forced(lora, completions), rtol=0, atol=2e-5)
    lora(input_ids=torch.tensor([[3, 4, 5]]), labels=torch.tensor([[3, 4, 5]])).loss.backward()


def test_out_of_memory_halves_the_batch_and_changes_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(vocab_size=20)
    expected = engine(model).sample(REQUESTS, PARAMS)
    sampled, sizes = hf.sample_with_shared_prefixes, []

    def at_most_five(model: object, prompts: list[tuple[int, ...]], *args: object) -> object:
        sizes.append(len(prompts))
        if sizes[-1] > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return sampled(model, prompts, *args)

    monkeypatch.setattr(hf, "sample_with_shared_prefixes", at_most_five)
    assert drawn(engine(model).sample(REQUESTS, PARAMS)) == drawn(expected)
    assert sizes == [32, 16, 8, 4, 4, 4, 4, 4, 4, 4, 4]


def test_bad_arguments_are_named() -> None:
    for change, message in [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"top_k": -1}, "top_k must be at least 0"),
        ({"first_index": -1}, "first_index must be at least 0"),
        ({"temperature": float("nan")}, "temperature must be finite"),
        ({"top_p": 0.0}, "top_p must be in"),
        ({"temperature": 0.0}, "n must be 1, got 8"),
    ]:
        with pytest.raises(ValueError, match=message):
            replace(PARAMS, **change)
    with pytest.raises(ValueError, match="'p': the prompt has no tokens"):
        SampleRequest("p", ())
    with pytest.raises(ValueError, match="'problem-0' occurs twice"):
        engine().sample([REQUESTS[0], REQUESTS[0]], PARAMS)
    tokenizer = build_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="no end-of-sequence token"):
        HFEngine(random_model(), tokenizer)
    assert engine().sample([], PARAMS) == []


def test_nan_logits_are_an_error() -> None:
    model = random_model(vocab_size=20)
    with torch.no_grad():
        model.get_input_embeddings().weight[8] = torch.nan
    with pytest.raises(ValueError, match="problem 'problem-1': the model's logits are NaN"):
        engine(model).sample(REQUESTS[:2], PARAMS)


def test_a_completion_ends_before_a_stop_string() -> None:
    """Each one is the same sample without stop strings, cut; its log-probability that of the tokens it took to see."""
    tokenizer = byte_tokenizer()
    model = build_model(vocab_size=len(tokenizer), pad_token_id=1, eos_token_id=0)
    params, stop = replace(PARAMS, n=40, max_new_tokens=12), ("1", "ab", "?", "R")
    whole = HFEngine(model, tokenizer).sample(REQUESTS, params)
    cut = HFEngine(model, tokenizer).sample(REQUESTS, replace(params, stop=stop))
    assert [(c.problem_id, c.index) for c in cut] == [(c.problem_id, c.index) for c in whole]
    num_cut = 0
    for before, after in zip(whole, cut, strict=True):
        places = [before.text.find(string) for string in stop if string in before.text]
        if not places:
            assert (after.token_ids, after.text) == (before.token_ids, before.text)
            continue
        num_cut += 1
        assert after.text == before.text[: min(places)]
        assert after.finished
        assert after.token_ids == before.token_ids[: after.num_tokens]
        assert any(string in tokenizer.decode(after.token_ids) for string in stop)
        assert not any(string in tokenizer.decode(after.token_ids[:-1]) for string in stop)
    assert 10 < num_cut < len(cut)
    np.testing.assert_allclose([c.log_prob for c in cut], teacher_forced(model, cut), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="stop strings must not be empty"):
        replace(PARAMS, stop=("",))
