"""Made-up searches for the tests of the report: models that draw from 1, 4 and 16 tactics, one of which is right."""

import math
import random

from passatn.evaluate import Results
from passatn.prove.records import DepthCounts, FoundProof, SearchRecord, problem_results
from passatn.report.proofs import ProofRun

NS = [1, 4, 16, 64, 256]
WIDTHS = {"CE": 2, "N_eff = 4": 4, "N_eff = 16": 16}
N_PASSES = {"CE": 1, "N_eff = 4": 4, "N_eff = 16": 16}
EVIL = "</pre><script>alert(1)</script>"


def theorem_name(index: int) -> str:
    return f"and_swap_{index}"


def search_record(index: int, width: int, num_samples: int = 256) -> SearchRecord:
    """A narrow model knows fewer theorems; a wide one needs more samples. Theorem 0 holds a text to be escaped."""
    rng = random.Random(f"{index} {width}")
    num_steps = 1 + index % 5
    knows = rng.random() < 0.35 + 0.1 * math.log2(width)
    draws: list[list[int]] = [[] for _ in range(num_steps)]
    correct, ends = 0, {"error": 0, "timeout": 0, "too_long": 0}
    for _ in range(num_samples):
        for depth in range(num_steps):
            draws[depth].append(rng.randrange(width))
            if draws[depth][-1] or (depth and not knows):
                ends[rng.choice(["error"] * 8 + ["timeout", "too_long"])] += 1
                break
        else:
            correct += knows
            ends["error"] += not knows
    tactics = tuple(f"exact step{i} {EVIL if index == 0 else ''}".strip() for i in range(num_steps))
    proofs = (FoundProof(tactics, correct, -num_steps * math.log(width), is_checked=True),) if correct else ()
    return SearchRecord(
        theorem=theorem_name(index),
        statement=f"theorem {theorem_name(index)} (p q : Prop) (h : p ∧ q) : q ∧ p" + (EVIL if index == 0 else ""),
        method="rollouts",
        num_samples=num_samples,
        num_correct=correct,
        num_tactics=sum(map(len, draws)),
        num_tried=sum(len(set(drawn)) for drawn in draws),
        ends={"proved": correct, **ends},
        depths=tuple(
            DepthCounts(1, len(drawn), len(set(drawn)), min(2, len(set(drawn))), drawn.count(0))
            for drawn in draws
            if drawn
        ),
        proofs=proofs,
        seconds=0.4,
        metadata={"num_steps": num_steps},
    )


def make_proof_runs(num_theorems: int = 40) -> tuple[list[Results], list[ProofRun]]:
    results, runs = [], []
    for name, width in WIDTHS.items():
        records = [search_record(index, width) for index in range(num_theorems)]
        results.append(Results.from_problems({"name": name, "n_passes": N_PASSES[name]}, problem_results(records), NS))
        steps = {
            (record.theorem, proof.tactics): tuple(
                f"p q : Prop\n⊢ state {i} of {record.theorem}" for i in range(len(proof.tactics))
            )
            for record in records
            for proof in record.proofs
        }
        runs.append(ProofRun(records, steps))
    return results, runs
