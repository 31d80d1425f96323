"""20 million samples of short answers in the sample store: disk, memory to read them in full, time.

The claim: 500 problems × 40,000 samples take less than 200 MB of disk and 1 GB of memory when read in full. The data
are made up but repeatable: the answers to each problem follow Zipf's law over 100,000 numbers with an exponent between
0.8 (most answers differ) and 1.6, each with its own log-probability; one sample in fifty is truncated. They are written
through `SampleStore.add`, chunk by chunk, as an engine's are, and read in a process of its own: `table()` (all unique
completions) and `counts()`. Memory is the peak of that process, Python and libraries included.

The peer is what evaluation tools commonly write: JSON Lines with one row per sample, read with json.loads into a list.
It is measured on a part of the same samples (`--peer-fraction`) and *scaled linearly* to all; of its memory only what
grows with the rows is scaled.

    python benchmarks/sample_store.py [--problems 500] [--samples 40000] [--problems-per-chunk 50] \
        [--samples-per-chunk 4000] [--peer-fraction 0.01] [--seed 0]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from passatn.sample.engine import Completion
from passatn.sample.store import Chunk, Manifest, SampleStore

NUM_ANSWERS = 100_000
TRUNCATED = 0.02

READER = """
import json, resource, sys, time
import pyarrow, pyarrow.parquet
from passatn.sample.store import SampleStore

def peak():
    try:  # Linux: of this program alone, where ru_maxrss begins with the peak of the process that started it
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024 / 1e6
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS

kind, path = sys.argv[1:]
before = peak()
start = time.perf_counter()
if kind == "table":
    rows = SampleStore.open(path).table()
    found = [rows.num_rows, int(rows["count"].to_numpy().sum()), rows.nbytes / 1e6]
elif kind == "counts":
    counts = SampleStore.open(path).counts()
    found = [int(counts.num_unique.sum()), int(counts.num_samples.sum()), 0]
elif kind == "pandas":
    import pandas
    rows = pandas.read_parquet(path + "/shards")
    found = [len(rows), int(rows["count"].sum()), 0]
else:
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    found = [len(rows), len(rows), 0]
seconds = time.perf_counter() - start
print(json.dumps({"found": found, "seconds": seconds, "peak": peak(), "before": before}))
"""


class Answers:
    """The answers to one problem: their texts, probabilities and log-probabilities."""

    def __init__(self, problem: int, seed: int) -> None:
        rng = np.random.default_rng([seed, problem])
        weights = np.arange(1, NUM_ANSWERS + 1) ** -rng.uniform(0.8, 1.6)
        self.cumulative = np.cumsum(weights / weights.sum())
        noise = rng.normal(0, 0.3, NUM_ANSWERS)
        self.log_p = np.minimum(np.log(weights / weights.sum()) + noise, -1e-3)
        self.texts = [str(number) for number in rng.permutation(NUM_ANSWERS)]


def draw(problem: int, answers: Answers, chunk: Chunk, seed: int) -> Iterator[Completion]:
    """Samples of one problem; a stand-in for an engine."""
    rng = np.random.default_rng([seed, problem, chunk.first_index])
    ranks = np.searchsorted(answers.cumulative, rng.random(chunk.num_samples)).clip(max=NUM_ANSWERS - 1)
    finished = (rng.random(chunk.num_samples) >= TRUNCATED).tolist()
    log_p = answers.log_p[ranks].tolist()
    texts = [answers.texts[rank] for rank in ranks]
    for k, (text, value, ended) in enumerate(zip(texts, log_p, finished, strict=True)):
        yield Completion(f"problem-{problem:04d}", chunk.first_index + k, (), text, value, len(text) + ended, ended)


def fill(store: SampleStore, options: argparse.Namespace) -> tuple[float, int]:
    """Seconds spent in `add`, and the number of shards."""
    ids = [f"problem-{problem:04d}" for problem in range(options.problems)]
    chunks = store.missing_chunks(
        ids,
        options.samples,
        problems_per_chunk=options.problems_per_chunk,
        samples_per_chunk=options.samples_per_chunk,
    )
    seconds, group, answers = 0.0, (), {}
    for chunk in sorted(chunks, key=lambda chunk: chunk.problem_ids):
        numbers = [int(problem_id[-4:]) for problem_id in chunk.problem_ids]
        if chunk.problem_ids != group:
            group, answers = chunk.problem_ids, {number: Answers(number, options.seed) for number in numbers}
        completions = [c for number in numbers for c in draw(number, answers[number], chunk, options.seed)]
        start = time.perf_counter()
        store.add(chunk, completions)
        seconds += time.perf_counter() - start
    return seconds, len(chunks)


def write_peer(path: Path, options: argparse.Namespace) -> int:
    """One row per sample of the first problems; the number of rows."""
    num_problems, rows = max(1, round(options.problems * options.peer_fraction)), 0
    with path.open("w") as file:
        for problem in range(num_problems):
            chunk = Chunk((f"problem-{problem:04d}",), 0, options.samples)
            for c in draw(problem, Answers(problem, options.seed), chunk, options.seed):
                record = {"problem_id": c.problem_id, "index": c.index, "completion": c.text, "log_prob": c.log_prob}
                file.write(json.dumps(record | {"num_tokens": c.num_tokens, "finished": c.finished}) + "\n")
                rows += 1
    return rows


def read(kind: str, path: Path) -> dict:
    result = subprocess.run([sys.executable, "-c", READER, kind, str(path)], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--samples", type=int, default=40_000, help="per problem")
    parser.add_argument("--problems-per-chunk", type=int, default=50)
    parser.add_argument("--samples-per-chunk", type=int, default=4000)
    parser.add_argument("--peer-fraction", type=float, default=0.01, help="of the problems, for JSON Lines")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    total = options.problems * options.samples

    with tempfile.TemporaryDirectory() as folder:
        path, peer = Path(folder) / "store", Path(folder) / "samples.jsonl"
        seconds, num_shards = fill(SampleStore.create(path, Manifest(model="made up", sampling=vars(options))), options)
        disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
        table, counts, pandas = (read(kind, path) for kind in ("table", "counts", "pandas"))
        if counts["found"][1] != total or pandas["found"][1] != total:
            raise SystemExit(f"wrong: {counts['found'][1]} samples counted, {total} written")
        peer_rows = write_peer(peer, options)
        scale = total / peer_rows
        peer_disk, lines = peer.stat().st_size / 1e6 * scale, read("lines", peer)
    peer_memory = lines["before"] + (lines["peak"] - lines["before"]) * scale

    print(f"{total:,} samples of {options.problems} problems in {num_shards} shards, ", end="")
    print(
        f"{pandas['found'][0]:,} rows; {table['found'][0]:,} unique completions ({table['found'][2]:.0f} MB in memory)"
    )
    print(f"written in {seconds:.0f} s ({total / seconds / 1e6:.2f} million samples a second, in one process)")
    print(f"JSON Lines: measured on {peer_rows:,} rows, scaled by {scale:.0f}")
    print("                                 sample store     JSON Lines (scaled)     ratio")
    rows = [("disk, MB", disk, peer_disk), ("peak memory of table(), MB", table["peak"], peer_memory)]
    rows += [("time of table(), s", table["seconds"], lines["seconds"] * scale)]
    rows += [("peak memory of counts(), MB", counts["peak"], peer_memory)]
    rows += [("time of counts(), s", counts["seconds"], lines["seconds"] * scale)]
    for name, ours, theirs in rows:
        print(f"{name:30s} {ours:14.1f} {theirs:23.1f} {theirs / ours:9.1f} x")
    print(f"pandas.read_parquet('store/shards'): {pandas['seconds']:.1f} s, peak {pandas['peak']:.0f} MB")


if __name__ == "__main__":
    main()
