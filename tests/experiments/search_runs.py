"""Searches of two theorems as five models and a sixth would leave them."""

import math

from passatn.experiments.mini_theorems_report import ArmRuns
from passatn.prove.records import DepthCounts, FoundProof, SearchRecord

CORRECT = {"CE": [8, 0], "N_eff = 4": [0, 8], "N_eff = 8": [0, 10], "N_eff = 16": [0, 0], "N_eff = 32": [0, 0]}


def records(counts, distinct=4):
    found = []
    for number, count in enumerate(counts):
        proofs = (FoundProof(("rfl", "rfl"), count, -2 * math.log(3), is_checked=True),) if count else ()
        found.append(
            SearchRecord(
                theorem=f"t{number}", statement=f"theorem t{number} : 1 = 1", method="rollouts", num_samples=20,
                num_correct=count, ends={"proved": count, "error": 20 - count}, proofs=proofs,
                depths=(DepthCounts(1, 20, distinct, distinct - 1, 15), DepthCounts(3, 15, 12, 6, 8)),
            )
        )  # fmt: skip
    return found


def runs():
    named = {**CORRECT, "whole proof": [2, 2]}
    return [
        ArmRuns(name, (0,), (records(counts, 2 + rank),), (records(counts),), (1,), (1,))
        for rank, (name, counts) in enumerate(named.items())
    ]
