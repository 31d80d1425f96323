"""Tactics per second of a proof search: `passatn.lean.pool.LeanPool` against one Lean process per tactic with replay.

Random roll-outs over generated theorems: at each state some tactics are tried and one that worked is followed. The same
(state, tactic) pairs, drawn from those that the pool met, are then tried by the peer, which elaborates the theorem with
the tactics so far and the new one in a fresh process, as many processes at a time as the pool has. The two must agree
on which tactics fail. No pair is counted that the pool's cache answered. Memory is that of the processes, at their end.

CPU time per tactic, of Lean and of Python, says what the clock cannot where other work keeps the cores busy:
W free cores hold about W processes, and one Python no more than its own time per tactic allows. Last, processes that
take 20 ms for each tactic and no core: what the pool itself does to scaling, up to --waiting processes.

    python benchmarks/lean_pool.py [--workers 2] [--theorems 400] [--seconds 20] [--peer-tactics 200] [--waiting 16]
"""

import argparse
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from passatn.lean import Goal, check_file
from passatn.lean.client import ReplClient
from passatn.lean.pool import LeanPool
from passatn.lean.session import ProofState, Step

STATEMENTS = (
    "theorem t{} (a b c : Nat) : a + b + (c + {}) = (c + {}) + b + a",
    "theorem t{} (a b : Nat) (h : a ≤ b) (k : b ≤ {}) : a ≤ {} + 1",
    "theorem t{} (p q r : Prop) (h : p ∧ (q ∨ r)) (k : {} = {}) : (p ∧ q) ∨ (p ∧ r)",
    "theorem t{} (a b : Nat) (h : a = b) (k : b = {}) : a * 2 = {} + {}",
)
TACTICS = (
    *("rw [Nat.add_comm]", "rw [Nat.add_assoc]", "rw [h]", "rw [k]", "simp", "simp [h]", "simp_all", "rfl", "decide"),
    *("intro x", "cases h", "cases a", "induction b", "constructor", "left", "right", "assumption", "exact h", "symm"),
    *("apply Nat.le_trans h", "exact Nat.le_trans h k", "exact Nat.le_succ _", "have e : a + 0 = a := rfl", "exfalso"),
    *("obtain ⟨x, y⟩ := h", "rcases y with y | y", "exact ⟨x, y⟩", "subst h", "rw [Nat.mul_comm]", "exact foo"),
    *("apply Nat.le_succ_of_le", "contradiction", "refine ⟨?_, ?_⟩", "trivial", "exists 0", "unfold Not"),
)
MAX_DEPTH = 8

Pair = tuple[ProofState, str]


def goals(count: int) -> list[Goal]:
    return [Goal(STATEMENTS[n % len(STATEMENTS)].replace("{}", str(n))) for n in range(count)]


def search(pool: LeanPool, firsts: list[ProofState], seconds: float, seed: int) -> tuple[list[Pair], list[Step], float]:
    """All theorems at once, step after step, until the time is over; each pair is met once."""
    generator = random.Random(seed)
    pairs: list[Pair] = []
    steps: list[Step] = []
    seen: set[Pair] = set()
    states = list(firsts)
    start = time.perf_counter()
    while time.perf_counter() < start + seconds:
        tried = [
            (index, tactic)
            for index, state in enumerate(states)
            for tactic in generator.sample(TACTICS, 8)
            if (state, tactic) not in seen
        ]
        if not tried and all(state is first for state, first in zip(states, firsts, strict=True)):
            raise SystemExit(
                f"after {len(pairs)} tactics there is nothing new to try: more --theorems, or fewer --seconds"
            )
        batch = [(states[index], tactic) for index, tactic in tried]
        seen.update(batch)
        results = pool.apply_many(batch)
        pairs += batch
        steps += results
        following = dict(enumerate(firsts))
        for (index, _), step in zip(tried, results, strict=True):
            if isinstance(step, ProofState) and not step.is_done and len(step.tactics) < MAX_DEPTH:
                following[index] = step
        states = [following[index] for index in range(len(firsts))]
    return pairs, steps, time.perf_counter() - start


def one_process(pair: Pair) -> bool:
    """The peer: does the tactic work, in a fresh process? Goals may stay open."""
    state, tactic = pair
    lines = "".join(f"  {line}\n" for step in (*state.tactics, tactic) for line in step.split("\n"))
    messages = check_file(f"{state.goal.statement} := by\n{lines}  all_goals sorry\n")
    return not any(message.is_error for message in messages)


WAITING_SECONDS = 0.02
WAITING_REPL = f"""
import json, sys, time
for line in sys.stdin:
    if line.strip():
        request = json.loads(line)
        time.sleep({WAITING_SECONDS} if "tactic" in request else 0)
        state = {{"proofState": 0, "goal": "g", "goals": ["g"]}}
        print(json.dumps(state if "tactic" in request else {{"sorries": [state], "env": 0}}) + chr(10), flush=True)
"""


def waiting_rate(workers: int) -> float:
    """Tactics per second of processes that only wait, all on one theorem."""
    with LeanPool(workers, start_repl=lambda: ReplClient([sys.executable, "-S", "-c", WAITING_REPL])) as pool:
        first = pool.start(Goal("theorem t : P"))
        pool.apply_many([(first, f"warm up {n}") for n in range(8 * workers)])
        start = time.perf_counter()
        pool.apply_many([(first, f"wait {n}") for n in range(60 * workers)])
        return 60 * workers / (time.perf_counter() - start)


def resident_megabytes(pids: list[int]) -> float:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * 4096 / 1e6


def lean_seconds(pids: list[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--theorems", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--peer-tactics", type=int, default=200)
    parser.add_argument("--waiting", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rates = {}
    for workers in sorted({1, args.workers}):
        with LeanPool(num_workers=workers) as pool:
            firsts = [pool.start(goal) for goal in goals(args.theorems)]
            cpu, own_cpu = lean_seconds(pool.pids), time.process_time()
            pairs, steps, seconds = search(pool, firsts, args.seconds, args.seed)
            cpu, own_cpu = lean_seconds(pool.pids) - cpu, time.process_time() - own_cpu
            rates[workers] = len(pairs) / seconds
            depth = sum(len(state.tactics) for state, _ in pairs) / len(pairs)
            memory = resident_megabytes(pool.pids)
            print(f"pool, {workers} process(es): {rates[workers]:.0f} tactics/s, {memory:.0f} MB", end="")
            print(f", CPU per tactic: Lean {1e3 * cpu / len(pairs):.2f} ms, Python {1e3 * own_cpu / len(pairs):.3f} ms")
            print(f"  ({len(pairs)} tactics in {seconds:.1f} s, mean depth {depth:.1f}, {pool.num_starts} started)")
    sample = random.Random(args.seed).sample(range(len(pairs)), min(args.peer_tactics, len(pairs)))
    one_process(pairs[sample[0]])
    start = time.perf_counter()
    with ThreadPoolExecutor(args.workers) as threads:
        worked = list(threads.map(one_process, [pairs[index] for index in sample]))
    rate = len(sample) / (time.perf_counter() - start)
    agreed = sum(works == isinstance(steps[index], ProofState) for works, index in zip(worked, sample, strict=True))
    print(f"one process per tactic, {args.workers} at a time: {rate:.1f} tactics/s ({len(sample)} tactics)")
    print(f"they agree on {agreed} of {len(sample)}")
    print(f"ratio: {rates[args.workers] / rate:.1f}")
    print(f"{args.workers} processes to one: {rates[args.workers] / rates[1]:.2f}")
    waiting = {workers: waiting_rate(workers) for workers in (1, args.waiting)}
    print(f"processes that wait {WAITING_SECONDS:g} s per tactic, {args.waiting} to one: ", end="")
    print(f"{waiting[args.waiting] / waiting[1]:.1f} ({waiting[1]:.0f} and {waiting[args.waiting]:.0f} tactics/s)")


if __name__ == "__main__":
    main()
