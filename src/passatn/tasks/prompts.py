r"""Prompt templates: the text around a problem and around its answer, and the way back from a completion to the answer.

A template is two format strings. `{prompt}`, `{answer}` and `{reasoning}` are replaced, once and by name; every other
brace stays as it is, in the format (`\boxed{{answer}}` renders as `\boxed{72}`) as in the LaTeX of a problem.
To keep the prompt's tokens the same with and without a completion behind it, a prompt should not end in a space:
the space belongs to the start of the completion.

    render_completion(get_template("direct"), "72")  # " 72"
    extract_answer(get_template("direct"), " 72\n")  # "72"
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_PLACEHOLDER = re.compile(r"\{(prompt|answer|reasoning)\}")
_CLOSING_TAG = re.compile(r"<[^<>\s]+>$")


@dataclass(frozen=True)
class PromptTemplate:
    """Two format strings; with `chat` the prompt is the user's message and the completion the assistant's.

    `prompt` must hold `{prompt}`, `completion` must hold `{answer}` and may hold `{reasoning}` before it. `system` is
    an optional system message of a chat. Raises ValueError when a placeholder is missing or out of place.
    """

    name: str
    prompt: str = "{prompt}"
    completion: str = "{answer}"
    chat: bool = False
    system: str | None = None

    def __post_init__(self) -> None:
        if _names(self.prompt) != ["prompt"]:
            raise ValueError(f"template {self.name!r}: the prompt format needs {{prompt}} once, got {self.prompt!r}")
        if _names(self.completion) not in (["answer"], ["reasoning", "answer"]):
            raise ValueError(
                f"template {self.name!r}: the completion format needs {{answer}} once, with at most one {{reasoning}} "
                f"before it, got {self.completion!r}"
            )
        if self.system is not None and not self.chat:
            raise ValueError(f"template {self.name!r}: a system message needs chat=True")


def render_prompt(template: PromptTemplate, prompt: str) -> str:
    """The prompt's text; for a chat, the user's message."""
    return _fill(template.prompt, {"prompt": prompt})


def render_completion(template: PromptTemplate, answer: str, reasoning: str | None = None) -> str:
    """The completion's text without end-of-sequence; a missing reasoning leaves no gap behind."""
    text = (reasoning or "").strip()
    completion = template.completion if text else re.sub(r"\{reasoning\}\s*", "", template.completion)
    return _fill(completion, {"answer": answer, "reasoning": text})


def extract_answer(template: PromptTemplate, completion_text: str) -> str | None:
    """The answer that a completion states in the template's own form, or None; the inverse of `render_completion`.

    The answer is what stands after the last occurrence of the text before `{answer}` (of its final tag or line), up
    to the text after `{answer}`; braces are balanced, so an answer may hold pairs of them. A template without text
    around its answer takes the whole completion, stripped.
    """
    before, after = template.completion.split("{answer}")
    opening, closing = _last_mark(before.rsplit("{reasoning}", 1)[-1]), after.strip()
    if opening:
        start = completion_text.rfind(opening)
        if start < 0:
            return None
        completion_text = completion_text[start + len(opening) :]
    if closing:
        end = balanced_end(completion_text) if closing.startswith("}") else completion_text.find(closing)
        if end < 0:
            return None
        completion_text = completion_text[:end]
    return completion_text.strip() or None


def get_template(name: str) -> PromptTemplate:
    """The built-in template of that name; ValueError lists the names there are."""
    if name not in TEMPLATES:
        raise ValueError(
            f"unknown prompt template {name!r}; there are {', '.join(TEMPLATES)}, or make your own with PromptTemplate"
        )
    return TEMPLATES[name]


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def _names(text: str) -> list[str]:
    return _PLACEHOLDER.findall(text)


def _last_mark(text: str) -> str:
    """What announces the answer: the tag that `text` ends with, or else its last line that is not blank."""
    text = text.strip()
    tag = _CLOSING_TAG.search(text)
    return tag[0] if tag else text.rpartition("\n")[2].strip()


def balanced_end(text: str) -> int:
    r"""Index of the brace that closes a group opened just before `text`, −1 if none does; \{ and \} do not count."""
    depth = 1
    for brace in re.finditer(r"\\.|[{}]", text, flags=re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return -1


_ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{prompt}\n\n### Response: Let's think step by step."
)
_R1 = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning "
    "process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., "
    "<think> reasoning process here </think> <answer> answer here </answer>. User: {prompt}\nAssistant:"
)

TEMPLATES: Mapping[str, PromptTemplate] = MappingProxyType(
    {
        template.name: template
        for template in (
            PromptTemplate("raw"),
            PromptTemplate("direct", "Question: {prompt}\nAnswer:", " {answer}"),
            PromptTemplate("alpaca", _ALPACA, " {reasoning}\nThe answer is: \\boxed{{answer}}"),
            PromptTemplate("chat", chat=True),
            PromptTemplate("r1", _R1, " <think> {reasoning} </think> <answer> {answer} </answer>"),
            PromptTemplate("tactic", "{prompt}:::"),
            PromptTemplate("code", "{prompt}\n\nSolution:\n", "```python\n{answer}\n```"),
        )
    }
)
