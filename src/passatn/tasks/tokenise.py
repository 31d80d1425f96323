"""The tokenizer calls behind an encoding: prompts alone, and prompts joined with their completions.

The same calls as trl.SFTTrainer makes, in batches: text with the tokenizer's own special tokens, a chat through its
chat template; one end-of-sequence token behind a text completion that does not end with it already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from passatn.tasks.problem import Problem
from passatn.tasks.prompts import PromptTemplate, render_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class EncodingError(ValueError):
    """An example, or a tokenizer, for which p(completion | prompt) would not be what sampling produces."""


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase, template: PromptTemplate, problems: Sequence[Problem]
) -> list[list[int]]:
    """Ids of each problem's prompt alone; raises EncodingError where the tokenizer cannot serve."""
    _check_eos(tokenizer)
    texts = [render_prompt(template, problem.prompt) for problem in problems]
    if template.chat:
        return _chat_ids(tokenizer, [_messages(template, text) for text in texts], add_generation_prompt=True)
    ids = _text_ids(tokenizer, texts)
    for problem, text, prompt in zip(problems, texts, ids, strict=True):
        if not prompt:
            raise EncodingError(f"problem {problem.id!r}: the prompt {text!r} has no tokens")
        if prompt[-1] == tokenizer.eos_token_id and not text.endswith(str(tokenizer.eos_token)):
            raise EncodingError(
                f"the tokenizer ends every text with {tokenizer.eos_token!r}, so a prompt would end before its "
                "completion; set tokenizer.add_eos_token = False"
            )
    return ids


def joint_ids(
    tokenizer: PreTrainedTokenizerBase,
    template: PromptTemplate,
    problems: Sequence[Problem],
    completions: Sequence[str],
) -> list[list[int]]:
    """Ids of each prompt with its completion and end-of-sequence behind it, aligned with `prompt_ids`."""
    prompts = [render_prompt(template, problem.prompt) for problem in problems]
    if template.chat:
        pairs = zip(prompts, completions, strict=True)
        chats = [[*_messages(template, p), {"role": "assistant", "content": c}] for p, c in pairs]
        return _chat_ids(tokenizer, chats, add_generation_prompt=False)
    eos = str(tokenizer.eos_token)
    ended = [completion if completion.endswith(eos) else completion + eos for completion in completions]
    return _text_ids(tokenizer, [prompt + completion for prompt, completion in zip(prompts, ended, strict=True)])


def _text_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    encoded: Any = tokenizer(text=texts, return_attention_mask=False, return_token_type_ids=False, verbose=False)
    return list(encoded["input_ids"])


def _chat_ids(
    tokenizer: PreTrainedTokenizerBase, chats: list[list[dict[str, str]]], *, add_generation_prompt: bool
) -> list[list[int]]:
    if not tokenizer.chat_template:
        raise EncodingError("the tokenizer has no chat template; set tokenizer.chat_template or use a text template")
    encoded: Any = tokenizer.apply_chat_template(
        chats, tokenize=True, return_dict=True, add_generation_prompt=add_generation_prompt
    )
    return list(encoded["input_ids"])


def _messages(template: PromptTemplate, text: str) -> list[dict[str, str]]:
    system = [] if template.system is None else [{"role": "system", "content": template.system}]
    return [*system, {"role": "user", "content": text}]


def _check_eos(tokenizer: PreTrainedTokenizerBase) -> None:
    if tokenizer.eos_token_id is None:
        raise EncodingError("the tokenizer has no end-of-sequence token; set tokenizer.eos_token")
