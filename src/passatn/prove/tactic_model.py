"""p(tactic | state): any engine as a model of tactics, asked through the package's one tokenisation.

    model = TacticModel(engine, tokenizer, params=SamplingParams(n=1, max_new_tokens=64, seed=0))
    [tactics] = model.draw([Question("key", state.text, range(32))])

The prompt is the state as Lean prints it in the template `tactic` (`STATE:::`, arXiv 2502.07154, section 5.2), the
completion the tactic with its end-of-sequence token. Draw k of a question depends on the seed, its key and k alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from passatn.lean.syntax import proof_body
from passatn.sample.engine import Completion, Engine, SampleRequest, SamplingParams
from passatn.tasks.problem import Problem
from passatn.tasks.prompts import PromptTemplate, extract_answer, get_template, render_prompt
from passatn.tasks.tokenise import prompt_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Question:
    """Which draws are wanted of the tactics of a state; `key` names the random numbers."""

    key: str
    state: str
    indices: range


@dataclass(frozen=True, slots=True)
class DrawnTactic:
    """One distinct tactic among the draws of a question."""

    text: str
    """In the form that Lean gets, without `by` and margin; empty where the model wrote nothing that is one."""
    count: int
    log_prob: float
    """Of the most probable token sequence that was drawn for this text, with its end, at temperature 1."""


@dataclass(frozen=True, slots=True)
class Draws:
    """`tactics` in the order of their first draws; `num_unfinished` draws did not end within the limit of tokens."""

    tactics: tuple[DrawnTactic, ...]
    num_unfinished: int = 0


class TacticModel:
    """An engine that completes states.

    Args:
        engine: of `passatn.sample`.
        tokenizer: None sends prompts as text, for servers.
        params: temperature, limit of tokens and seed; the numbers of samples are those of the questions.
        template: of prompt and answer; a chat needs the tokenizer.
        max_length: of prompt and tactic together, in tokens (None: no limit, or the tokenizer is out of reach).
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: "PreTrainedTokenizerBase | None",
        params: SamplingParams,
        *,
        template: PromptTemplate | None = None,
        max_length: int | None = None,
    ) -> None:
        self._engine, self._tokenizer, self._params = engine, tokenizer, params
        self._template = template or get_template("tactic")
        if tokenizer is None and self._template.chat:
            raise ValueError(f"template {self._template.name!r} is a chat, which needs the model's tokenizer here")
        self._max_length = max_length

    def draw(self, questions: Sequence[Question]) -> list[Draws | None]:
        """The draws of each question in one call of the engine; None where the state is too long for the model."""
        requests = self._requests(questions)
        asked = [request for request in requests if request is not None]
        completions = iter(self._engine.sample(asked, self._params) if asked else [])
        return [
            None if request is None else self._sorted([next(completions) for _ in question.indices])
            for question, request in zip(questions, requests, strict=True)
        ]

    def _requests(self, questions: Sequence[Question]) -> list[SampleRequest | None]:
        problems = [Problem(question.key, question.state, ()) for question in questions]
        if self._tokenizer is None:
            texts = [render_prompt(self._template, problem.prompt) for problem in problems]
            return [
                SampleRequest(q.key, text=text, indices=q.indices) for q, text in zip(questions, texts, strict=True)
            ]
        prompts = prompt_ids(self._tokenizer, self._template, problems)
        return [
            SampleRequest(question.key, tuple(ids), indices=question.indices) if self._fits(ids) else None
            for question, ids in zip(questions, prompts, strict=True)
        ]

    def _fits(self, ids: Sequence[int]) -> bool:
        return self._max_length is None or len(ids) + self._params.max_new_tokens <= self._max_length

    def _sorted(self, completions: Sequence[Completion]) -> Draws:
        """Equal texts together. Several token sequences may spell one text: their draws are draws of that tactic."""
        finished = [completion for completion in completions if completion.finished]
        by_spelling: dict[str, list[float]] = {}
        for completion in finished:
            by_spelling.setdefault(completion.text, []).append(completion.log_prob)
        by_text: dict[str, list[float]] = {}
        for spelling, log_probs in by_spelling.items():
            text = _normal_form(extract_answer(self._template, spelling) or "")
            by_text.setdefault(text, []).extend(log_probs)
        return Draws(
            tuple(DrawnTactic(text, len(log_probs), max(log_probs)) for text, log_probs in by_text.items()),
            len(completions) - len(finished),
        )


def _normal_form(tactic: str) -> str:
    """As Lean gets it, so that one path of tactics is one path of nodes; `by by simp` is `simp`."""
    while (body := proof_body(tactic)) != tactic:
        tactic = body
    return tactic
