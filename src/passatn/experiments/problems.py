"""Problems of a run, loaded, encoded and cut to size; with what was left out, said."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from passatn.experiments.config import ConfigError, RunConfig
from passatn.sample import SampleRequest
from passatn.tasks import (
    EncodedExample,
    EncodingError,
    Fold,
    Problem,
    ProblemSet,
    PromptTemplate,
    encode_answers,
    encode_problems,
    encode_prompt,
    find_overlap,
    get_template,
    keep_whole_groups,
    load_problems,
    render_prompt,
)


@dataclass(frozen=True)
class EncodedProblems:
    """Problems and, aligned with them, the encodings of their accepted answers.

    The first one is trained on, or with `confidence: answers` all of them.
    """

    problems: list[Problem]
    answers: list[list[EncodedExample]]
    notices: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.problems)


def read_problems(source: str, config: RunConfig, *, split: str | None) -> ProblemSet:
    """The rows of a source as problems. Raises ValueError, one line with the source, the row and the remedy."""
    get_template(config.template)
    return load_problems(
        source, preset=config.preset, columns=config.columns, split=split, skip_bad_rows=config.skip_bad_rows
    )


def encode(
    loaded: ProblemSet, config: RunConfig, tokenizer: PreTrainedTokenizerBase, *, limit: int | None
) -> EncodedProblems:
    """Encode problems, drop what is longer than the configured lengths, keep the first `limit`.

    Raises:
        ConfigError: an example that cannot be encoded, or nothing left; names the source.
    """
    notices = []
    if loaded.num_skipped:
        notices.append(f"{loaded.num_skipped} bad rows were left out; first: {loaded.skipped[0]}")
    if loaded.num_without:
        notices.append(f"{loaded.num_without} rows have no proof by tactics")
    answered = [problem for problem in loaded if problem.answers]
    if len(answered) < len(loaded):
        notices.append(f"{len(loaded) - len(answered)} problems without an accepted answer were left out")
    try:
        encoded = _encode_all(answered, config, tokenizer, notices)
    except EncodingError as error:
        raise ConfigError(f"{loaded.source}: {error}; --skip-bad-rows leaves such problems out") from None
    short = [(problem, answers) for problem, answers in encoded if _is_short(answers[0], config)]
    if len(short) < len(encoded):
        notices.append(f"{len(short)} of {len(encoded)} problems are within the length limits")
    kept = (
        _whole_proofs(loaded, short, limit, notices) if config.training.get("confidence") == "proof" else short[:limit]
    )
    if not kept:
        raise ConfigError(f"{loaded.source}: no problem is left; {'; '.join(notices)}")
    return EncodedProblems([p for p, _ in kept], [answers for _, answers in kept], notices)


def select_fold(problems: EncodedProblems, fold: str, *, inside: bool) -> EncodedProblems:
    """The problems in a fold such as 0/2, or all but those. Raises ConfigError for a fold that there is not."""
    try:
        chosen = Fold.parse(fold)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    kept = [pair for pair in zip(problems.problems, problems.answers, strict=True) if (pair[0] in chosen) == inside]
    if not kept:
        raise ConfigError(f"fold {fold}: none of the {len(problems)} problems is {'in' if inside else 'outside of'} it")
    notice = f"{len(kept)} of {len(problems)} problems are {'in' if inside else 'outside of'} fold {fold}"
    return EncodedProblems([p for p, _ in kept], [answers for _, answers in kept], [*problems.notices, notice])


def _whole_proofs(
    loaded: ProblemSet,
    encoded: list[tuple[Problem, list[EncodedExample]]],
    limit: int | None,
    notices: list[str],
) -> list[tuple[Problem, list[EncodedExample]]]:
    """Without proofs of which a step was left out, or lies beyond `limit`: what remains of them has another p."""
    whole = keep_whole_groups(loaded, [problem for problem, _ in encoded])
    chosen = keep_whole_groups(loaded, whole[:limit])
    if len(whole) < len(encoded):
        notices.append(f"{len(encoded) - len(whole)} steps were left out with the proofs that lack another step")
    ids = {problem.id for problem in chosen}
    return [(problem, answers) for problem, answers in encoded if problem.id in ids]


@dataclass(frozen=True)
class PromptedProblems:
    """Problems and, aligned with them, their prompts; a problem needs no accepted answer to be sampled."""

    problems: list[Problem]
    requests: list[SampleRequest]
    notices: list[str] = field(default_factory=list)

    def by_id(self) -> dict[str, Problem]:
        return {problem.id: problem for problem in self.problems}


def prompts(
    loaded: ProblemSet, config: RunConfig, tokenizer: PreTrainedTokenizerBase | None, *, limit: int | None
) -> PromptedProblems:
    """The prompts as token ids; without a tokenizer as text, or in a chat template as messages.

    Raises:
        ConfigError: length limits without a tokenizer, or nothing left; names the source.
    """
    template = get_template(config.template)
    notices = []
    if loaded.num_skipped:
        notices.append(f"{loaded.num_skipped} bad rows were left out; first: {loaded.skipped[0]}")
    if tokenizer is None:
        if config.max_prompt_tokens is not None or config.max_answer_tokens is not None:
            raise ConfigError("limits in tokens need a tokenizer: give it as --tokenizer")
        chosen = list(loaded)[:limit]
        return PromptedProblems(chosen, [_as_text(template, problem) for problem in chosen], notices)
    kept = [problem for problem in loaded if _has_short_answer(problem, tokenizer, config)]
    requests = [SampleRequest(problem.id, encode_prompt(tokenizer, template, problem)) for problem in kept]
    longest = config.max_prompt_tokens
    short = [
        (problem, request)
        for problem, request in zip(kept, requests, strict=True)
        if longest is None or len(request.prompt_ids) <= longest
    ]
    if len(short) < len(loaded):
        notices.append(f"{len(short)} of {len(loaded)} problems are within the length limits")
    if not short:
        raise ConfigError(f"{loaded.source}: no problem is left; {'; '.join(notices)}")
    return PromptedProblems([p for p, _ in short[:limit]], [request for _, request in short[:limit]], notices)


def _as_text(template: PromptTemplate, problem: Problem) -> SampleRequest:
    rendered = render_prompt(template, problem.prompt)
    if not template.chat:
        return SampleRequest(problem.id, text=rendered)
    system = (("system", template.system),) if template.system else ()
    return SampleRequest(problem.id, messages=(*system, ("user", rendered)))


def _has_short_answer(problem: Problem, tokenizer: PreTrainedTokenizerBase, config: RunConfig) -> bool:
    """Whether the answer that would be trained on is within the limit, as `encode` counts it."""
    if config.max_answer_tokens is None or not problem.answers:
        return True
    examples, _ = encode_problems(tokenizer, get_template(config.template), [problem], skip_bad=True)
    example = examples[0]
    return example is not None and len(example.completion_ids) - 1 <= config.max_answer_tokens


def _encode_all(
    problems: list[Problem], config: RunConfig, tokenizer: PreTrainedTokenizerBase, notices: list[str]
) -> list[tuple[Problem, list[EncodedExample]]]:
    """Each problem with the encodings of its answers; with skip_bad_rows, without those that cannot be encoded."""
    template = get_template(config.template)
    first, report = encode_problems(tokenizer, template, problems, skip_bad=config.skip_bad_rows)
    if report.num_skipped:
        notices.append(report.describe())
    encoded = []
    for problem, example in zip(problems, first, strict=True):
        if example is None:
            continue
        try:
            several = len(problem.answers) > 1
            encoded.append((problem, encode_answers(tokenizer, template, problem) if several else [example]))
        except EncodingError as error:
            if not config.skip_bad_rows:
                raise
            notices.append(f"left out: {error}")
    return encoded


def overlap_notice(train: Sequence[Problem], test: Sequence[Problem]) -> str | None:
    """One line if problems of the test set are also trained on, or are repeated in training; else None."""
    overlap = find_overlap(train, test)
    return overlap.describe() if overlap.pairs or overlap.duplicates else None


def _is_short(example: EncodedExample, config: RunConfig) -> bool:
    prompt_limit, answer_limit = config.max_prompt_tokens, config.max_answer_tokens
    if prompt_limit is not None and len(example.prompt_ids) > prompt_limit:
        return False
    return answer_limit is None or len(example.completion_ids) - 1 <= answer_limit
