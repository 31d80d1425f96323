"""What a sampling engine is: requests and parameters in, completions out, in a fixed order.

An engine draws independent completions of prompts and scores given ones. Whatever produces the tokens, the same
contract holds: log-probabilities are natural, of the sampled token ids with the end-of-sequence token, under the model
itself (temperature 1, nothing truncated), so that they compare with exact scores whatever the sampling parameters were.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from passatn.tasks.encoding import EncodedExample

if TYPE_CHECKING:
    from pathlib import Path

    from passatn.sample.parity import Weights


class EngineError(RuntimeError):
    """An engine that cannot go on for reasons outside this process; the message is one line that says what to do."""


@dataclass(frozen=True)
class SampleRequest:
    """One prompt to be completed; `problem_id` is unique among the requests of a call and enters the random numbers.

    The prompt is in one of three forms: token ids, which every engine takes and which leave no doubt about the
    tokenisation; or, for servers whose tokenizer is out of reach, its text, or the messages of a chat.

    Raises:
        ValueError: not exactly one of the three, or no samples asked for.
    """

    problem_id: str
    prompt_ids: tuple[int, ...] = ()
    text: str | None = None
    messages: tuple[tuple[str, str], ...] = ()
    """(role, content) pairs."""
    indices: range | None = None
    """Which of its samples are drawn, for requests that need different numbers of them; None: those of the parameters,
    which these override."""

    def __post_init__(self) -> None:
        if self.indices is not None and (not self.indices or self.indices.step != 1 or self.indices.start < 0):
            raise ValueError(f"problem {self.problem_id!r}: indices must be a range 0 ≤ a < b, got {self.indices}")
        if sum((bool(self.prompt_ids), self.text is not None, bool(self.messages))) != 1:
            raise ValueError(f"problem {self.problem_id!r}: the prompt has no tokens, or is given in several forms")


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How completions are drawn. Temperature is applied first, then top-k, then top-p, as in transformers.

    Raises:
        ValueError: a value outside its range, named in the message.
    """

    n: int
    """Samples per prompt, at least 1; at temperature 0 exactly 1."""
    max_new_tokens: int
    """Largest number of sampled tokens, the end-of-sequence token included."""
    seed: int
    """Sample k of a problem depends on the seed, the problem's id and k alone."""
    temperature: float = 1.0
    """0 takes the most probable token at every step."""
    top_p: float = 1.0
    """Keep the smallest set of most probable tokens with at least this probability; 1 keeps all."""
    top_k: int = 0
    """Keep this many most probable tokens; 0 keeps all."""
    stop: tuple[str, ...] = ()
    """Strings before which a completion ends, beside the end-of-sequence token."""
    first_index: int = 0
    """Index of the first sample: n samples from first_index = m continue a run of m samples."""

    def __post_init__(self) -> None:
        for name, least in (("n", 1), ("max_new_tokens", 1), ("top_k", 0), ("first_index", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be finite and not negative, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")
        if any(not string for string in self.stop):
            raise ValueError("stop strings must not be empty")
        if self.temperature == 0 and self.n > 1:
            raise ValueError(f"at temperature 0 all samples are equal: n must be 1, got {self.n}")

    def indices_of(self, request: SampleRequest) -> range:
        """The samples of this prompt that are to be drawn.

        Raises:
            ValueError: several at temperature 0, where all are equal.
        """
        indices = range(self.first_index, self.first_index + self.n) if request.indices is None else request.indices
        if self.temperature == 0 and len(indices) > 1:
            raise ValueError(
                f"problem {request.problem_id!r}: at temperature 0 all samples are equal, {len(indices)} were asked for"
            )
        return indices

    def count(self, requests: Sequence[SampleRequest]) -> int:
        """How many completions these requests come to."""
        return sum(len(self.indices_of(request)) for request in requests)


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled completion of one problem."""

    problem_id: str
    index: int
    """Which sample of its problem this is, counted from 0 over the whole run."""
    token_ids: tuple[int, ...]
    """The sampled tokens; the last one ends the sequence unless the completion was truncated. Empty from servers."""
    text: str
    """The tokens decoded, special ones too, without the one that ends the sequence, or up to a stop string."""
    log_prob: float
    """Log-probability of `token_ids` given the prompt, in nats, at temperature 1 and without top-k or top-p; NaN where
    the engine does not know it."""
    num_tokens: int | None
    """Number of sampled tokens, the one that ends the sequence included; None where the engine does not know it."""
    finished: bool
    """False if `max_new_tokens` was reached first; `log_prob` is then that of a prefix."""


Job = tuple[Sequence[SampleRequest], SamplingParams]
"""One call of `Engine.sample`."""


class Engine(Protocol):
    """Anything that can complete prompts and score completions."""

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, *, progress: bool = False
    ) -> list[Completion]:
        """`params.n` completions of each prompt, or its `indices`, ordered as the requests are and then by index.

        Raises:
            ValueError: two requests have the same problem id.
        """

    def score(
        self, examples: Sequence[EncodedExample], *, temperatures: Sequence[float] = (1.0,), progress: bool = False
    ) -> np.ndarray:
        """Log-probabilities float64 `[num_examples, num_temperatures]`, as `score_completions` defines them."""

    def update_weights(self, weights: "Weights | str | Path") -> None:
        """Replace the model's weights: a state dict, (name, tensor) pairs, or a folder of safetensors files.

        `passatn.sample.parity.update_weights` does it and checks that the engine then serves them.
        """

    def close(self) -> None:
        """Release the engine's memory and processes; it cannot be used afterwards."""


class Greedy:
    """What every engine does alike."""

    def greedy(
        self: Engine, requests: Sequence[SampleRequest], max_new_tokens: int, *, progress: bool = False
    ) -> list[Completion]:
        """The completion made of the most probable tokens, for each prompt.

        exp(log_prob) is the greedy confidence p(y_greedy | x) of arXiv 2502.07154, section 4.3.
        """
        params = SamplingParams(n=1, temperature=0.0, max_new_tokens=max_new_tokens, seed=0)
        return self.sample(requests, params, progress=progress)


class ConcurrentEngine(Engine, Protocol):
    """An engine that works at several jobs at once."""

    def sample_jobs(self, jobs: Iterable[Job]) -> Iterator[tuple[int, list[Completion]]]:
        """As the function `sample_jobs`."""


def sample_jobs(engine: Engine, jobs: Sequence[Job]) -> Iterator[tuple[int, list[Completion]]]:
    """(number of the job, its completions) for all jobs, as they are finished: in no order where the engine works at
    several at once (`ConcurrentEngine`), one after another where it does not. Each job comes exactly once.
    """
    if hasattr(engine, "sample_jobs"):
        yield from engine.sample_jobs(jobs)
        return
    for number, (requests, params) in enumerate(jobs):
        yield number, engine.sample(requests, params)


def check_requests(requests: Sequence[SampleRequest], *, need_token_ids: bool = True) -> None:
    """Two requests with one id would get the same random numbers, so their samples would not be independent.

    Raises:
        ValueError: an id occurs twice, or a prompt is not given as token ids where the engine needs them.
    """
    seen: set[str] = set()
    for request in requests:
        if request.problem_id in seen:
            raise ValueError(f"problem id {request.problem_id!r} occurs twice: its samples would not be independent")
        if need_token_ids and not request.prompt_ids:
            raise ValueError(f"problem {request.problem_id!r}: this engine needs the prompt as token ids")
        seen.add(request.problem_id)
