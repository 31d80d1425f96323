"""The token ids are those that trl.SFTTrainer prepares from the same text."""

import pytest
from datasets import Dataset
from tasks_tokenizers import bpe_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM
from trl import SFTConfig, SFTTrainer

from passatn.tasks import Problem, encode_problems, get_template, render_completion, render_prompt
from passatn.tasks.mini_math import build_tokenizer, sample_problems

PROBLEMS = [
    Problem("a", "What is 12 + 34?", ("46",), reasoning="Add: $12 + 34 = 46$."),
    Problem("b", "Let $x = \\frac{1}{2}$.\n\nWhat is $x^2$? ", ("\\frac{1}{4}",)),
    Problem("c", "Was heißt „⊢“?", ("folgt — ⊢",), reasoning="…"),
    Problem("d", "Already ended", ("46<|im_end|>",)),
]


def prepared_by_trl(tokenizer, rows, folder):
    """`(input_ids, labels)` of each row, as SFTTrainer prepares them."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    arguments = SFTConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        max_length=None,
    )
    trainer = SFTTrainer(
        LlamaForCausalLM(config), args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    return [(row["input_ids"], row["labels"]) for row in trainer.train_dataset]


def text_rows(template, problems):
    return [
        {
            "prompt": render_prompt(template, problem.prompt),
            "completion": render_completion(template, problem.answers[0], problem.reasoning),
        }
        for problem in problems
    ]


def as_trl(example):
    prompt, completion = list(example.prompt_ids), list(example.completion_ids)
    return prompt + completion, [-100] * len(prompt) + completion


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("name", ["direct", "alpaca", "r1", "tactic"])
def test_text_is_tokenised_as_trl_does(name, bos, tmp_path):
    tokenizer, template = bpe_tokenizer(bos=bos), get_template(name)
    examples, _ = encode_problems(tokenizer, template, PROBLEMS if name == "direct" else PROBLEMS[:3])
    expected = prepared_by_trl(tokenizer, text_rows(template, PROBLEMS[: len(examples)]), tmp_path)
    assert [as_trl(example) for example in examples] == expected


def test_chat_is_tokenised_as_trl_does_up_to_the_end_of_sequence(tmp_path):
    tokenizer, template = bpe_tokenizer(bos=True), get_template("chat")
    rows = [
        {
            "prompt": [{"role": "user", "content": problem.prompt}],
            "completion": [{"role": "assistant", "content": problem.answers[0]}],
        }
        for problem in PROBLEMS[:3]
    ]
    examples, _ = encode_problems(tokenizer, template, PROBLEMS[:3])
    for example, (input_ids, labels) in zip(examples, prepared_by_trl(tokenizer, rows, tmp_path), strict=True):
        ours = as_trl(example)
        assert ours == (input_ids[: len(ours[0])], labels[: len(ours[0])])
        assert tokenizer.decode(input_ids[len(ours[0]) :]) == "\n"


def test_mini_math_is_tokenised_as_trl_does(tmp_path):
    tokenizer, template = build_tokenizer(), get_template("raw")
    problems = sample_problems("test", 20, seed=0).problems()
    examples, _ = encode_problems(tokenizer, template, problems)
    assert [as_trl(example) for example in examples] == prepared_by_trl(
        tokenizer, text_rows(template, problems), tmp_path
    )
