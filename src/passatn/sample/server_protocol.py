"""The OpenAI protocol, as far as sampling needs it: what a request says, and what an answer means. No network here.

A problem's samples are asked for in pieces. A piece never crosses the border of a seed's chunk, and sample k of a chunk
has the seed chunk_seed(…) + k whatever the piece, since vLLM gives child i of a request the seed plus i: so a server
draws what the vLLM engine would, and a resumed run asks for what the whole one would have.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passatn.sample.engine import Completion, SampleRequest, SamplingParams
from passatn.sample.vllm import CHUNK, chunk_seed
from passatn.tasks.encoding import EncodedExample

IMPOSSIBLE_LOG_P = -30 * math.log(10)
"""Independent samples that were less probable than this to be all equal were not independent."""


@dataclass(frozen=True)
class Piece:
    """Samples start … start + count - 1 of one problem, which are one request to the server."""

    request: SampleRequest
    params: SamplingParams
    start: int
    count: int

    @property
    def path(self) -> str:
        return "/chat/completions" if self.request.messages else "/completions"


def pieces_of(requests: Sequence[SampleRequest], params: SamplingParams, size: int) -> Iterator[Piece]:
    """The pieces of all samples in order, of at most `size` samples; `size` divides CHUNK."""
    for request in requests:
        indices = params.indices_of(request)
        start, end = indices.start, indices.stop
        while start < end:
            stop = min(end, (start // size + 1) * size)
            yield Piece(request, params, start, stop - start)
            start = stop


def request_body(piece: Piece, model: str, *, logprobs: bool, extra_body: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a request; fields of `extra_body` replace those made here.

    Temperature and top-p are always stated, for otherwise vLLM takes them from the model's generation_config.
    """
    params, request = piece.params, piece.request
    body: dict[str, Any] = {
        "model": model,
        "n": piece.count,
        "max_tokens": params.max_new_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
    }
    if params.temperature > 0:
        body["seed"] = chunk_seed(params.seed, request.problem_id, piece.start // CHUNK) + piece.start % CHUNK
    if params.top_k > 0:
        body["top_k"] = params.top_k
    if params.stop:
        body["stop"] = list(params.stop)
    if request.messages:
        body["messages"] = [{"role": role, "content": content} for role, content in request.messages]
    else:
        body["prompt"] = list(request.prompt_ids) or request.text
    if logprobs:
        # For completions a number of alternatives: at 0 there is still the sampled token's, but some servers read
        # 0 as "none". For chats a switch.
        body["logprobs"] = True if request.messages else 1
    return body | dict(extra_body)


def score_body(example: EncodedExample, model: str) -> dict[str, Any]:
    """The JSON of a request for the log-probabilities of a prompt's tokens, with `prompt_logprobs` of vLLM."""
    prompt = [*example.prompt_ids, *example.completion_ids]
    return {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}


def score_of(example: EncodedExample, answer: Any) -> float:
    """log p of the completion, from the answer to `score_body`.

    Raises:
        ValueError: the answer lacks the log-probability of a token.
    """
    try:
        entries = answer["choices"][0]["prompt_logprobs"][len(example.prompt_ids) :]
        pairs = zip(entries, example.completion_ids, strict=True)
        return math.fsum(entry[str(token)]["logprob"] for entry, token in pairs)
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError(
            "the answer lacks log-probabilities of the prompt's tokens (prompt_logprobs, which vLLM gives)"
        ) from None


def completions_of(piece: Piece, answer: Any) -> list[Completion]:
    """The completions of an answer (decoded JSON), in the order of their indices.

    Raises:
        ValueError: the answer is not one, has not as many completions as were asked for, or they are not independent.
    """
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list):
        raise ValueError(f"the answer holds no completions: {' '.join(str(answer).split()):.200}")
    if len(choices) != piece.count:
        advice = ": set a smaller samples_per_request, 1 for a server that ignores n" if piece.count > 1 else ""
        raise ValueError(f"asked for {piece.count} completions, got {len(choices)}{advice}")
    try:
        ordered = sorted(choices, key=lambda choice: choice["index"])
        completions = [_completion(piece, piece.start + offset, choice) for offset, choice in enumerate(ordered)]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a completion in the answer is not as OpenAI defines it ({error!r})") from None
    _check_independent(piece, completions)
    return completions


def _completion(piece: Piece, index: int, choice: Mapping[str, Any]) -> Completion:
    reason = choice["finish_reason"]
    if reason in ("abort", "error"):
        raise ValueError(f"the server gave up a completion (finish_reason {reason!r})")
    # A chat message has no content where all of it went into the reasoning that a server splits off.
    text = choice["message"].get("content") if piece.request.messages else choice["text"]
    log_p = _token_log_probs(choice.get("logprobs"))
    token_ids = tuple(choice.get("token_ids") or ())
    num_tokens = len(token_ids) or len(log_p) or None
    log_prob = math.nan if not log_p or None in log_p else math.fsum(log_p)
    return Completion(piece.request.problem_id, index, token_ids, text or "", log_prob, num_tokens, reason == "stop")


def _token_log_probs(logprobs: Mapping[str, Any] | None) -> list[Any]:
    """The log-probability of each sampled token, None where the server does not know it; empty if it gave none."""
    if not logprobs:
        return []
    if "token_logprobs" in logprobs:
        return list(logprobs["token_logprobs"] or ())
    # The form of chats, which some servers use for completions as well.
    return [entry["logprob"] for entry in logprobs.get("content") or ()]


def _check_independent(piece: Piece, completions: Sequence[Completion]) -> None:
    """A server may use the request's seed for each of its completions; then all are the same one.

    Under independence the others equal the first with probability p^(n-1), where p is what the server reports; at
    another temperature or with truncation it is not known.
    """
    params, first = piece.params, completions[0]
    if (params.temperature, params.top_p, params.top_k) != (1, 1, 0) or len({c.text for c in completions}) > 1:
        return
    # A NaN compares as false.
    if (len(completions) - 1) * first.log_prob < IMPOSSIBLE_LOG_P:
        raise ValueError(
            f"all {len(completions)} completions of one request are equal, though each has probability "
            f"{math.exp(first.log_prob):.1e}: the server draws them with one seed (set samples_per_request=1), or not "
            "from the model's distribution"
        )
