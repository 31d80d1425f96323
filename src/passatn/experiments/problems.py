"""Problems of a run, loaded, encoded and cut to size; with what was left out, said."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from passatn.experiments.config import RunConfig
from passatn.tasks import (
    EncodedExample,
    Problem,
    encode_answers,
    encode_problems,
    find_overlap,
    get_template,
    load_problems,
)


@dataclass(frozen=True)
class EncodedProblems:
    """Problems and, aligned with them, the encodings of their accepted answers (the first is the one trained on)."""

    problems: list[Problem]
    answers: list[list[EncodedExample]]
    notices: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.problems)


def load_encoded(
    source: str, config: RunConfig, tokenizer: PreTrainedTokenizerBase, *, split: str | None, limit: int | None
) -> EncodedProblems:
    """Load, encode, drop what is longer than the configured lengths, keep the first `limit`.

    Raises:
        ValueError: a bad row, an example that cannot be encoded, or nothing left.
    """
    loaded = load_problems(
        source, preset=config.preset, columns=config.columns, split=split, skip_bad_rows=config.skip_bad_rows
    )
    notices = []
    if loaded.num_skipped:
        notices.append(f"{loaded.num_skipped} bad rows were left out; first: {loaded.skipped[0]}")
    template = get_template(config.template)
    problems = [problem for problem in loaded if problem.answers]
    first, report = encode_problems(tokenizer, template, problems, skip_bad=config.skip_bad_rows)
    if report.num_skipped:
        notices.append(report.describe())
    short = [
        (problem, example)
        for problem, example in zip(problems, first, strict=True)
        if example is not None and _is_short(example, config)
    ]
    if len(short) < len(problems):
        notices.append(f"{len(short)} of {len(problems)} problems are within the length limits")
    if limit is not None:
        short = short[:limit]
    if not short:
        raise ValueError(f"{source}: no problem is left; raise max_prompt_tokens or max_answer_tokens")
    answers = [
        encode_answers(tokenizer, template, problem) if len(problem.answers) > 1 else [example]
        for problem, example in short
    ]
    return EncodedProblems([problem for problem, _ in short], answers, notices)


def overlap_notice(train: Sequence[Problem], test: Sequence[Problem]) -> str | None:
    """One line if problems of the test set are also trained on, or are repeated in training; else None."""
    overlap = find_overlap(train, test)
    return overlap.describe() if overlap.pairs or overlap.duplicates else None


def _is_short(example: EncodedExample, config: RunConfig) -> bool:
    prompt_limit, answer_limit = config.max_prompt_tokens, config.max_answer_tokens
    if prompt_limit is not None and len(example.prompt_ids) > prompt_limit:
        return False
    return answer_limit is None or len(example.completion_ids) - 1 <= answer_limit
