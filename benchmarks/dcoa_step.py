"""What a step of chain-of-thought training costs: time by phase and peak memory, beside a step of plain SFT.

Both train on the same examples in batches of the same size, in one run of this script, each in a process of its own.
The step is the cheapest there is: with a learning rate of 1e-9 nothing is learnt, and an untrained model solves next
to nothing, so that no candidate is discarded (`discarded` in the output says whether that holds) and n roll-outs per
example suffice. Every discarded candidate costs its roll-outs on top.

Time: seconds from the end of one step to the end of the next, median over steps after two that warm up; the phases are
the trainer's own log. Verifying runs beside sampling, so the phases add up to the step without it.

Memory: peak resident memory of the process or, on a GPU, what torch allocated at most.

    python benchmarks/dcoa_step.py [--model PATH] [--rollouts 64] [--batch-size 8] [--max-new-tokens 32] [--device cpu]

PATH is a folder, a Hub id or a .gguf file (`passatn.sample.models.load_model`); without it, a Llama of 1M parameters
with a tokenizer of bytes.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback

from passatn.tasks import Problem, PromptTemplate
from passatn.train import CoverageConfig, CoverageTrainer, reasoning_dataset

TEMPLATE = PromptTemplate("benchmark", "Question: {prompt}\nAnswer:", " {reasoning}\nThe answer is {answer}")
KINDS = ("SFT", "DCOa")
PHASES = ("sampling", "waiting", "transfer", "training", "verifying")
NUM_WARM_UP = 2


def tiny_model() -> tuple[Any, Any]:
    torch.manual_seed(0)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<eos>", *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=344,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config), tokenizer


def load(path: str | None) -> tuple[Any, Any]:
    if path is None:
        return tiny_model()
    from passatn.sample.models import load_model

    return load_model(path, dtype="float32")


def make_problems(count: int) -> list[Problem]:
    """Sums of three numbers of four digits, with the sum of the first two as reasoning."""
    rng = random.Random(0)
    problems = []
    for index in range(count):
        a, b, c = (rng.randrange(1000, 10000) for _ in range(3))
        reasoning = f"{a} + {b} is {a + b}, and {a + b} + {c} is {a + b + c}."
        problems.append(Problem(str(index), f"What is {a} + {b} + {c}?", (str(a + b + c),), reasoning))
    return problems


class StepTimes(TrainerCallback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def run_alone(kind: str, options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Train by one kind; seconds per step, the phases, and peak memory."""
    model, tokenizer = load(options.model)
    steps = options.steps + NUM_WARM_UP + 1
    on_gpu = options.device != "cpu"
    settings: dict[str, Any] = {
        "output_dir": folder,
        "use_cpu": not on_gpu,
        "bf16": on_gpu,
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "max_length": None,
        "per_device_train_batch_size": options.batch_size,
        "max_steps": steps,
        "learning_rate": 1e-9,
    }
    if kind == "DCOa":
        settings |= {
            "confidence": "rollouts",
            "n_passes": float(options.rollouts),
            "num_rollouts": options.rollouts,
            "rollout_max_new_tokens": options.max_new_tokens,
            "sequential_error": options.sequential_error,
        }
    else:
        settings |= {"n_passes": 1.0, "loss_normalization": "token"}
    times = StepTimes()
    trainer = CoverageTrainer(
        model,
        args=CoverageConfig(**settings),
        train_dataset=reasoning_dataset(make_problems(options.batch_size * steps), TEMPLATE),
        processing_class=tokenizer,
        callbacks=[times],
        verifier="math",
    )
    trainer.train()
    seconds = [end - start for start, end in zip(times.ends, times.ends[1:], strict=False)][NUM_WARM_UP:]
    logs = [log for log in trainer.state.log_history if "seconds_sampling" in log][NUM_WARM_UP + 1 :]
    if on_gpu:
        mib = torch.cuda.max_memory_allocated() / 2**20
    else:
        # Not ru_maxrss, which a process inherits from the one that started it.
        mib = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    return {
        "seconds": statistics.median(seconds),
        "mib": mib,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "phases": {phase: statistics.median(log[f"seconds_{phase}"] for log in logs) for phase in PHASES if logs},
        "rollouts": statistics.median([log["rollouts_drawn"] for log in logs] or [0]),
        "truncated": statistics.median([log["rollouts_truncated"] for log in logs] or [0]),
        "discarded": sum(log["discarded_candidates"] for log in logs),
    }


def measure(kind: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--only", kind], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{kind}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="default: a Llama of 1M parameters")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rollouts", type=int, default=64, help="per candidate; also the N that is trained for")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=32, help="longest roll-out")
    parser.add_argument("--steps", type=int, default=5, help="measured steps")
    parser.add_argument("--sequential-error", type=float, default=None, help="stop roll-outs early at this error rate")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)  # spinning OpenMP threads would measure each other
    if options.only:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(run_alone(options.only, options, folder)))
        return
    results = {kind: measure(kind) for kind in KINDS}
    sft, dcoa = results["SFT"], results["DCOa"]
    print(
        f"model: {sft['parameters'] / 1e6:.1f}M parameters, batches of {options.batch_size}, {options.device}; "
        f"{dcoa['rollouts']:.0f} roll-outs a step of at most {options.max_new_tokens} tokens, "
        f"{100 * dcoa['truncated']:.0f} % of them cut; discarded: {dcoa['discarded']:.0f}"
    )
    print(f"{'':6} {'s/step':>8} {'ratio':>7} {'MiB':>8} {'ratio':>7}  " + " ".join(f"{p:>10}" for p in PHASES))
    for kind, result in results.items():
        line = f"{kind:6} {result['seconds']:8.3f} {result['seconds'] / sft['seconds']:7.1f}"
        line += f" {result['mib']:8.0f} {result['mib'] / sft['mib']:7.2f}  "
        print(line + " ".join(f"{result['phases'].get(phase, 0):10.3f}" for phase in PHASES if result["phases"]))


if __name__ == "__main__":
    main()
