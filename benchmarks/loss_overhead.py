"""What the coverage loss costs: step time and peak memory of CoverageTrainer over those of TRL's SFTTrainer.

All trainers see the same examples in batches of the same size, none of which is filtered (random completions, N p far
below 1, which `examples_replaced` confirms), so that what remains is the overhead of the loss, of the bookkeeping of
replacement and of the additional metrics. Two of them are ours: ε = 0.3 (batches from the candidate stream) and ε = 0
(TRL's data loader).

Time: the trainers run in one process, one at a time, in blocks of a few steps whose order is turned around in every
round, so that a drift of the machine meets all of them. They are built anew in another order for each session: where
a trainer lies in memory is worth some per cent either way, between equal trainers too. The ratio is the median over
rounds of the ratio of their blocks, with the quartiles as spread; beside it the same ratio of processor time, which
other programs on the machine disturb less.

Memory: a subprocess per trainer and repetition; peak resident memory of the process or, on a GPU, what torch allocated
at most. The ratio is that of the medians over repetitions.

    python benchmarks/loss_overhead.py [--model PATH] [--sessions 3] [--rounds 15] [--block 5] [--device cpu]

PATH is a folder, a Hub id or a .gguf file (`passatn.sample.models.load_model`); without it, a Llama of 1M parameters.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import SFTConfig, SFTTrainer

N_PASSES = 256
PEER = "SFTTrainer"
OURS = {"CoverageTrainer, eps=0.3": 0.3, "CoverageTrainer, eps=0": 0.0}
LIMIT = 1.05
VOCABULARY_SIZE = 1000


def tiny_model() -> tuple[Any, Any]:
    """A Llama of 1M parameters and a tokenizer whose words are never used: the data is already tokenised."""
    torch.manual_seed(0)
    vocabulary = {"<pad>": 0, "<eos>": 1} | {f"w{index}": index for index in range(2, VOCABULARY_SIZE)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>")
    config = LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
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


def make_examples(count: int, vocabulary_size: int, prompt: int, completion: int, eos: int) -> Dataset:
    """Random tokens: p is about vocabulary_size^-completion, so that F = 1 for every example."""
    rng = random.Random(0)
    rows: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    for _ in range(count):
        length = prompt + rng.randint(completion // 2, completion)
        ids = [rng.randrange(2, vocabulary_size) for _ in range(length)] + [eos]
        rows["input_ids"].append(ids)
        rows["labels"].append([-100] * prompt + ids[prompt:])
    return Dataset.from_dict(rows)


def build_trainer(name: str, options: argparse.Namespace, folder: str, steps: int, callbacks: list[Any]) -> SFTTrainer:
    model, tokenizer = load(options.model)
    settings: dict[str, Any] = {
        "output_dir": folder,
        "use_cpu": options.device == "cpu",
        "bf16": options.device != "cpu",
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": options.block,
        "disable_tqdm": True,
        "per_device_train_batch_size": options.batch_size,
        "max_steps": steps,
        "learning_rate": 1e-6,  # nothing is learnt, so nothing becomes inactive
        "max_length": None,
        "dataloader_num_workers": 0,
    }
    data = make_examples(
        options.batch_size * 40, model.config.vocab_size, options.prompt, options.completion, tokenizer.eos_token_id
    )
    arguments: dict[str, Any] = {"train_dataset": data, "processing_class": tokenizer, "callbacks": callbacks}
    if name == PEER:
        return SFTTrainer(model, args=SFTConfig(**settings), **arguments)
    from passatn.train import CoverageConfig, CoverageTrainer

    config = CoverageConfig(**settings, n_passes=N_PASSES, min_confidence_weight=OURS[name])
    return CoverageTrainer(model, args=config, **arguments)


class Turns(TrainerCallback):
    """Lets a trainer that runs in a thread of its own do one block of steps at a time."""

    def __init__(self, block: int) -> None:
        self.block = block
        self.may_run, self.has_run = threading.Semaphore(0), threading.Semaphore(0)

    def run_block(self) -> tuple[float, float]:
        """Wall-clock and processor seconds of the next block; called by the main thread."""
        start, start_cpu = time.perf_counter(), time.process_time()
        self.may_run.release()
        self.has_run.acquire()
        return time.perf_counter() - start, time.process_time() - start_cpu

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.may_run.acquire()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # The log of the block before falls into this one.
        if state.global_step % self.block == 0:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.has_run.release()
            if state.global_step < state.max_steps:
                self.may_run.acquire()


def measure_time(options: argparse.Namespace, folder: str, session: int) -> dict[str, list[tuple[float, float]]]:
    """Wall-clock and processor seconds of each block, by trainer."""
    names = [PEER, *OURS]
    names = names[session % len(names) :] + names[: session % len(names)]
    steps = options.block * (options.rounds + 2)
    turns = {name: Turns(options.block) for name in names}
    trainers = {name: build_trainer(name, options, folder, steps, [turns[name]]) for name in names}
    threads = [threading.Thread(target=trainer.train) for trainer in trainers.values()]
    for thread in threads:
        thread.start()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for turn in range(options.rounds + 2):
        for name in names if turn % 2 else reversed(names):
            duration = turns[name].run_block()
            if turn >= 2:
                seconds[name].append(duration)
    for thread in threads:
        thread.join()
    for name in OURS:
        log = next(entry for entry in reversed(trainers[name].state.log_history) if "active_fraction" in entry)
        if log["active_fraction"] < 1 or log.get("examples_replaced", 0) > 0:
            raise SystemExit(f"{name}: examples were filtered, the steps are not comparable: {log}")
    return seconds


def peak_memory(name: str, options: argparse.Namespace) -> float:
    """Peak MiB of one trainer in a process of its own: of the GPU if it uses one, of the process otherwise."""
    arguments = [sys.executable, __file__, *sys.argv[1:], "--only", name]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["mib"])


def run_alone(name: str, options: argparse.Namespace, folder: str) -> None:
    build_trainer(name, options, folder, options.memory_steps, []).train()
    if options.device != "cpu":
        mib = torch.cuda.max_memory_allocated() / 2**20
    else:
        # Not ru_maxrss, which a process inherits from the one that started it.
        status = Path("/proc/self/status").read_text()
        mib = int(status.partition("VmHWM:")[2].split()[0]) / 2**10
    print(json.dumps({"mib": mib}))


def quartiles(values: list[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.3f} to {high:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="default: a Llama of 1M parameters")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--sessions", type=int, default=3, help="times that all trainers are built anew")
    parser.add_argument("--rounds", type=int, default=15, help="blocks per trainer and session")
    parser.add_argument("--block", type=int, default=5, help="steps per block; a block has one log")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=32, help="tokens of each prompt")
    parser.add_argument("--completion", type=int, default=16, help="most tokens of a completion")
    parser.add_argument("--memory-repeats", type=int, default=3, help="processes per trainer")
    parser.add_argument("--memory-steps", type=int, default=10)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)  # spinning OpenMP threads would measure each other
    with tempfile.TemporaryDirectory() as folder:
        if options.only:
            run_alone(options.only, options, folder)
            return
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in (PEER, *OURS)}
        for session in range(options.sessions):
            for name, blocks in measure_time(options, folder, session).items():
                seconds[name] += blocks
    repeats: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(options.memory_repeats):
        for name in repeats:
            repeats[name].append(peak_memory(name, options))
    memory = {name: statistics.median(values) for name, values in repeats.items() if values}
    parameters = sum(p.numel() for p in load(options.model)[0].parameters())
    print(
        f"model: {parameters / 1e6:.1f}M parameters, batches of {options.batch_size}, {options.device}, N = {N_PASSES}"
    )
    print(
        f"{'':26} {'ms/step':>8} {'time ratio':>10} {'quartiles':>16} {'cpu ratio':>9} {'MiB':>8} {'memory ratio':>12}"
    )
    for name, blocks in seconds.items():
        wall, cpu = ([ours[i] / peer[i] for ours, peer in zip(blocks, seconds[PEER], strict=True)] for i in (0, 1))
        milliseconds = 1000 * statistics.median(block[0] for block in blocks) / options.block
        line = f"{name:26} {milliseconds:8.1f} {statistics.median(wall):10.3f} {quartiles(wall):>16}"
        line += f" {statistics.median(cpu):9.3f}"
        if memory:
            line += f" {memory[name]:8.0f} {memory[name] / memory[PEER]:12.3f}"
        print(line)
    print(f"limit: {LIMIT} for both ratios")


if __name__ == "__main__":
    main()
