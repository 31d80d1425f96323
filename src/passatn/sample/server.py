"""The engine for servers with OpenAI's protocol: `vllm serve`, SGLang, a hosted model.

    with ServerEngine("http://127.0.0.1:8000/v1", "my-model") as engine:
        sample_into_store(engine, requests, params, store)

What a server samples from is its affair. `vllm serve` fills in what a request leaves open (top_k, repetition_penalty)
from the model's generation_config.json, unless started with `--generation-config vllm`, and hides special tokens unless
asked with extra_body={"skip_special_tokens": False}.

Log-probabilities are those that the server reports. vLLM's are the model's own, with the token that ends the
completion. SGLang's are after temperature unless it was started with SGLANG_RETURN_ORIGINAL_LOGPROB=1, and hosted
models may leave out the last token.

A vLLM server also scores completions (`score`, by its prompt_logprobs) and takes new weights through a folder
(`passatn.sample.server_weights`), so that it can draw the roll-outs of a training:

    VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --generation-config vllm --served-model-name policy

    engine = ServerEngine("http://127.0.0.1:8000/v1", "policy", tokenizer=tokenizer, weights_folder="/dev/shm/run-1")
    CoverageTrainer(…, rollout_engine=engine).train()
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from transformers import PreTrainedTokenizerBase

from passatn.sample.engine import Completion, Greedy, Job, SampleRequest, SamplingParams, check_requests
from passatn.sample.parity import ExpectedScores, Weights
from passatn.sample.server_client import NO_KEY, ServerClient, ServerError
from passatn.sample.server_protocol import Piece, completions_of, pieces_of, request_body, score_body, score_of
from passatn.sample.server_weights import WeightExchange
from passatn.sample.vllm import CHUNK
from passatn.tasks.encoding import EncodedExample

__all__ = ["ServerEngine", "ServerError"]

READY_JOBS = 2
"""Finished jobs that may wait to be taken; until one is, the server is not asked for more."""
MAX_CONNECTIONS = 1000
"""Of the client: requests beyond would wait for one and count as timed out."""


class ServerEngine(Greedy):
    """A model behind an OpenAI-compatible server, behind the engine protocol.

    Prompts given as token ids or text go to /completions, chats to /chat/completions. A request that fails for a
    passing reason is repeated (see `server_client`), and asks for the same samples then.

    Args:
        base_url: with the version, such as http://127.0.0.1:8000/v1.
        model: the name that the server knows.
        api_key: None takes OPENAI_API_KEY, or "EMPTY" where that is not set.
        tokenizer: whose end-of-sequence token shall end a completion beside the server's own; sent as stop_token_ids,
            which vLLM and SGLang know and OpenAI does not.
        samples_per_request: at most as many are asked for at once (`n`); divides 64. Hosted servers limit it.
        max_concurrency: requests in flight at once, over all calls of this engine.
        max_retries: of each request.
        timeout: seconds for one answer, which holds up to `samples_per_request` completions.
        extra_body: further fields of each request, such as {"top_k": -1, "repetition_penalty": 1.0} for vLLM. They
            replace the engine's own.
        logprobs: ask for log-probabilities; without them `log_prob` is NaN and `num_tokens` None.
        weights_folder: through which `update_weights` sends weights, of this engine alone. A vLLM server in development
            mode must see it under the same path.
        check: call `check` at once.

    Raises:
        ImportError: the openai package is not installed; names the extra.
        ServerError: see `check`.
    """

    is_shared: ClassVar[bool] = True
    """One server is for all processes of a training: the main one sends the weights and asks for all roll-outs."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        samples_per_request: int = CHUNK,
        max_concurrency: int = 32,
        max_retries: int = 8,
        timeout: float = 600.0,
        extra_body: Mapping[str, Any] | None = None,
        logprobs: bool = True,
        weights_folder: str | Path | None = None,
        check: bool = True,
    ) -> None:
        if not 1 <= samples_per_request <= CHUNK or CHUNK % samples_per_request:
            raise ValueError(f"samples_per_request must divide {CHUNK}, got {samples_per_request}")
        if not 1 <= max_concurrency <= MAX_CONNECTIONS:
            raise ValueError(f"max_concurrency must be from 1 to {MAX_CONNECTIONS}, got {max_concurrency}")
        if max_retries < 0:
            raise ValueError(f"max_retries must not be negative, got {max_retries}")
        if not timeout > 0:
            raise ValueError(f"timeout must be positive, got {timeout} seconds")
        if tokenizer is not None and tokenizer.eos_token_id is None:
            raise ValueError("the tokenizer has no end-of-sequence token: set tokenizer.eos_token")
        self._model, self._size, self._logprobs = model, samples_per_request, logprobs
        self._max_concurrency = max_concurrency
        stop = {} if tokenizer is None else {"stop_token_ids": [tokenizer.eos_token_id]}
        self._extra_body = stop | dict(extra_body or {})
        self._client = ServerClient(
            base_url,
            api_key=api_key or os.environ.get("OPENAI_API_KEY") or NO_KEY,
            max_concurrency=max_concurrency,
            max_retries=max_retries,
            timeout=timeout,
        )
        self._weights: WeightExchange | None = None
        try:
            if weights_folder is not None:
                self._weights = WeightExchange(self._client, weights_folder)
            if check:
                self.check()
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Ask for the server's list of models; a server that refuses to give one passes, for hosted ones may.

        Raises:
            ServerError: there is no server, it does not accept the key, or its list lacks the model.
        """
        self._client.check(self._model)

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, *, progress: bool = False
    ) -> list[Completion]:
        """`params.n` completions of each prompt, or its `indices`, ordered as the requests are and then by index.

        Raises:
            ValueError: two requests have the same problem id.
            ServerError: names the server, the problem and what the server said.
        """
        from passatn.sample.progress import progress_bar

        with progress_bar("sampling", params.count(requests), show=progress) as advance:
            [(_, completions)] = self._draw([(requests, params)], advance)
        return completions

    def sample_jobs(self, jobs: Sequence[Job]) -> Iterator[tuple[int, list[Completion]]]:
        """(number of the job, its completions) as they are finished, each exactly once; raises as `sample` does.

        Requests of later jobs take the places that an earlier one no longer needs. Results that are not taken stop
        the asking.
        """
        return self._draw(jobs, lambda count: None)

    def score(
        self, examples: Sequence[EncodedExample], *, temperatures: Sequence[float] = (1.0,), progress: bool = False
    ) -> np.ndarray:
        """Log-probabilities float64 `[num_examples, 1]` by the prompt log-probabilities of a vLLM server.

        Raises:
            ValueError: a temperature other than 1.
            ServerError: the server gives none, as others than vLLM do not.
        """
        if tuple(temperatures) != (1.0,):
            raise ValueError(f"a server scores at temperature 1 only, got {tuple(temperatures)}")
        from passatn.sample.progress import progress_bar

        with progress_bar("scoring", len(examples), show=progress) as advance:
            scores = self._client.run(self._score_all(examples, advance))
        return np.array(scores, dtype=np.float64)[:, None]

    def update_weights(self, weights: Weights | str | Path) -> None:
        """Replace the server's weights; follow it with `passatn.sample.parity.check_parity`.

        From then on a server that has been started again, with the weights of then, gets these before what it draws is
        used.

        Raises:
            ValueError: there is no `weights_folder`.
            ServerError: the server does not see the folder, is not in development mode, or does not take the weights.
        """
        if self._weights is None:
            raise ValueError(
                "weights go to a server through a folder: give ServerEngine a weights_folder that `vllm serve` sees "
                "under the same path, and start it with VLLM_SERVER_DEV_MODE=1"
            )
        self._weights.send(weights)

    def expect_scores(self, expected: ExpectedScores) -> None:
        """What the server has to give for fixed probes as long as it has the weights that were sent last."""
        if self._weights is not None:
            self._weights.expect(expected)

    def close(self) -> None:
        """Drop the connections, and whatever is still being asked for; delete the weights on their way."""
        self._client.close()
        if self._weights is not None:
            self._weights.close()

    def __enter__(self) -> "ServerEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, jobs: Sequence[Job], advance: Callable[[int], None]) -> Iterator[tuple[int, list[Completion]]]:
        for requests, _ in jobs:
            check_requests(requests, need_token_ids=False)
        results: asyncio.Queue[Any] = asyncio.Queue(maxsize=READY_JOBS)
        asking = self._client.start(self._ask_all(jobs, results, advance))
        try:
            for _ in jobs:
                result = self._client.run(results.get())
                if isinstance(result, BaseException):
                    raise result
                yield result.number, self._confirmed(result)
        finally:
            asking.cancel()

    def _confirmed(self, job: "_OpenJob") -> list[Completion]:
        """The completions of a job that is done; drawn again if the server lost the weights meanwhile."""
        while self._weights is not None and not self._weights.are_served_since(job.begun, self):
            job.begun = self._weights.times_restored
            self._client.run(self._ask_again(job))
        return job.completions()

    async def _ask_again(self, job: "_OpenJob") -> None:
        job.parts = dict(enumerate(await asyncio.gather(*map(self._ask, job.pieces))))

    async def _score_all(self, examples: Sequence[EncodedExample], advance: Callable[[int], None]) -> list[float]:
        async def score(number: int, example: EncodedExample) -> float:
            about = f"score of completion {number}"
            answer = await self._client.post("/completions", score_body(example, self._model), about=about)
            advance(1)
            try:
                return score_of(example, answer)
            except ValueError as error:
                raise self._client.error(about, str(error)) from None

        return list(await asyncio.gather(*(score(number, example) for number, example in enumerate(examples))))

    async def _ask_all(
        self, jobs: Sequence[Job], results: "asyncio.Queue[Any]", advance: Callable[[int], None]
    ) -> None:
        """Put each job that is done into `results`, or last the exception that ends the asking."""
        opened = (self._open(number, job) for number, job in enumerate(jobs))
        # All workers take from this one generator: pieces are begun in order, and few jobs are open at a time.
        places = ((job, place) for job in opened for place in range(len(job.pieces)))

        async def work() -> None:
            for job, place in places:
                job.parts[place] = await self._ask(job.pieces[place])
                advance(job.pieces[place].count)
                if len(job.parts) == len(job.pieces):
                    await results.put(job)

        try:
            for number, job in enumerate(jobs):
                if not job[0]:
                    await results.put(self._open(number, job))
            async with asyncio.TaskGroup() as group:
                for _ in range(self._max_concurrency):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            await results.put(errors.exceptions[0])

    def _open(self, number: int, job: Job) -> "_OpenJob":
        begun = 0 if self._weights is None else self._weights.times_restored
        return _OpenJob(number, list(pieces_of(*job, self._size)), begun)

    async def _ask(self, piece: Piece) -> list[Completion]:
        body = request_body(piece, self._model, logprobs=self._logprobs, extra_body=self._extra_body)
        about = f"problem {piece.request.problem_id!r}"
        answer = await self._client.post(piece.path, body, about=about)
        try:
            return completions_of(piece, answer)
        except ValueError as error:
            raise self._client.error(about, str(error)) from None


class _OpenJob:
    """A job of which some pieces may have come."""

    def __init__(self, number: int, pieces: list[Piece], begun: int) -> None:
        self.number, self.pieces = number, pieces
        self.begun = begun
        """How often the server's weights had been restored before its first piece was asked for."""
        self.parts: dict[int, list[Completion]] = {}

    def completions(self) -> list[Completion]:
        return [completion for place in range(len(self.pieces)) for completion in self.parts[place]]
