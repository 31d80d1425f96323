"""Whole proofs checked per second: `passatn.lean.check_proofs`, one process for many, against `check_proof` in a loop.

Distinct proofs of a few theorems, right and wrong, as samples of a model would be. Both must give the same rulings.
CPU time is that of Lean's processes and of Python, memory that of the largest process.

    python benchmarks/lean_checks.py [--proofs 200] [--loop-proofs 50] [--batch 64]
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence

from passatn.lean import Check, Goal, check_proof, check_proofs

GOALS = (
    Goal("theorem t (a b : Nat) : a + b = b + a"),
    Goal("theorem t (p q r : Prop) (h : p ∧ q ∧ r) : r ∧ p"),
    Goal("theorem t (l m : List Nat) : (l ++ m).length = m.length + l.length"),
    Goal("theorem t (f : Nat → Nat) (h : ∀ x, f x = x) : f (f double) = 4", "def double := 2 + 2"),
)
PROOFS = (
    "exact Nat.add_comm a b",
    "induction b with\n| zero => simp\n| succ b ih => rw [← Nat.add_assoc, ih]; exact (Nat.succ_add b a).symm",
    "exact ⟨h.2.2, h.1⟩",
    "obtain ⟨hp, _, hr⟩ := h\nconstructor\n· exact hr\n· exact hp",
    "rw [List.length_append, Nat.add_comm]",
    "simp [Nat.add_comm]",
    "rw [h, h]\nrfl",
    "simp_all",
)


def proofs(number: int) -> list[str]:
    """No two alike."""
    return [f"have h{index} : {index} = {index} := rfl\n{PROOFS[index % len(PROOFS)]}" for index in range(number)]


def measure(check: Callable[[Goal, Sequence[str]], list[Check]], number: int) -> tuple[list[Check], float, float]:
    """The rulings, then seconds of wall clock and of CPU per proof."""
    start, cpu = time.perf_counter(), cpu_seconds()
    checks = [one for goal in GOALS for one in check(goal, proofs(number))]
    return checks, (time.perf_counter() - start) / len(checks), (cpu_seconds() - cpu) / len(checks)


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proofs", type=int, default=200, help="per theorem, in batches")
    parser.add_argument("--loop-proofs", type=int, default=50, help="per theorem, one by one")
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()

    def in_batches(goal: Goal, texts: Sequence[str]) -> list[Check]:
        starts = range(0, len(texts), args.batch)
        return [one for start in starts for one in check_proofs(goal, texts[start : start + args.batch])]

    def one_by_one(goal: Goal, texts: Sequence[str]) -> list[Check]:
        return [check_proof(goal, text) for text in texts]

    measure(one_by_one, 1)
    alone, alone_seconds, alone_cpu = measure(one_by_one, args.loop_proofs)
    print(f"check_proof, one by one:      {1 / alone_seconds:6.1f} proofs/s, {1e3 * alone_cpu:5.1f} ms CPU each")
    print(f"  largest process {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")
    measure(in_batches, 1)
    batched, seconds, cpu = measure(in_batches, args.proofs)
    print(f"check_proofs, {args.batch} in a batch: {1 / seconds:6.1f} proofs/s, {1e3 * cpu:5.1f} ms CPU each")
    print(f"  largest process {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")
    pairs = [
        (alone[goal * args.loop_proofs + index], batched[goal * args.proofs + index])
        for goal in range(len(GOALS))
        for index in range(min(args.proofs, args.loop_proofs))
    ]
    print(f"proved: {sum(one.is_proved for one in batched)} of {len(batched)}", end="; ")
    print(f"equal rulings: {sum(one == other for one, other in pairs)} of {len(pairs)}")
    print(f"ratio: {alone_seconds / seconds:.1f} by the clock, {alone_cpu / cpu:.1f} in CPU time")


if __name__ == "__main__":
    main()
