"""Made-up records of searches, for the tests of what follows a search."""

import math
import random
from collections.abc import Sequence
from typing import Any

from passatn.prove.records import DepthCounts, FoundProof, SearchRecord

STEPS = ("intro h", "constructor", "simp", "exact h.1", "exact h.2", "rfl", "assumption", "cases h")


def record(theorem: str, num_samples: int, num_correct: int, **fields: Any) -> SearchRecord:
    """Roll-outs of which all had two tactics, unless told otherwise."""
    defaults: dict[str, Any] = {
        "statement": f"theorem {theorem} : 1 = 1",
        "method": "rollouts",
        "num_tactics": 2 * num_samples,
        "ends": {"proved": num_correct, "error": num_samples - num_correct},
    }
    return SearchRecord(theorem=theorem, num_samples=num_samples, num_correct=num_correct, **(defaults | fields))


def proof(*tactics: str, log_prob: float = -1.0, **fields: Any) -> FoundProof:
    return FoundProof(tactics, **({"num_found": 1, "log_prob": log_prob, "is_checked": True} | fields))


def searched(theorem: str, width: int, num_samples: int, seed: int, num_steps: int = 2) -> SearchRecord:
    """A search that draws uniformly from `width` tactics, one of which is right at each of `num_steps` states."""
    rng = random.Random(f"{theorem} {width} {seed}")
    draws: list[list[int]] = [[] for _ in range(num_steps)]
    ends, correct = {"proved": 0, "error": 0}, 0
    for _ in range(num_samples):
        for depth in range(num_steps):
            draws[depth].append(rng.randrange(width))
            if draws[depth][-1] != 0:
                ends["error"] += 1
                break
        else:
            ends["proved"] += 1
            correct += 1
    depths = tuple(_counts(drawn) for drawn in draws if drawn)
    found = FoundProof(STEPS[:num_steps], correct, -num_steps * math.log(width), is_checked=True)
    return record(
        theorem,
        num_samples,
        correct,
        num_tactics=sum(map(len, draws)),
        num_tried=sum(counts.num_distinct for counts in depths),
        ends=ends,
        depths=depths,
        proofs=(found,) if correct else (),
        seconds=0.5,
        metadata={"num_steps": num_steps, "family": "made up"},
    )


def _counts(drawn: Sequence[int]) -> DepthCounts:
    return DepthCounts(
        num_states=1,
        num_drawn=len(drawn),
        num_distinct=len(set(drawn)),
        num_valid=int(0 in drawn),
        num_valid_drawn=drawn.count(0),
    )
