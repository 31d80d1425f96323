"""Is there a choice? How many of the tactics that other proofs use does Lean accept in a state.

    branching(lean, traces, num_states=20, num_tactics=100, seed=0)["mean_applicable"]

Tactics are drawn from the distinct ones of all traces but the state's own, uniformly; the share that Lean accepts times
the number of distinct tactics estimates how many there are. It is a lower bound of the choice: a tactic that fits but
for the names of its hypotheses does not count.
"""

from collections.abc import Sequence
from random import Random
from statistics import mean, median

from passatn.lean import LeanSession, ProofState
from passatn.prove.trace import Trace


def branching(
    lean: LeanSession, traces: Sequence[Trace], *, num_states: int, num_tactics: int, seed: int
) -> dict[str, float]:
    """For up to `num_states` states, each with up to `num_tactics` tactics; the numbers are per state."""
    rng = Random(f"branching {seed}")
    users: dict[str, set[int]] = {}
    for number, trace in enumerate(traces):
        for tactic in trace.tactics:
            users.setdefault(tactic, set()).add(number)
    shares, numbers = [], []
    for _ in range(num_states):
        number = rng.randrange(len(traces))
        state = rng.choice(traces[number].states[:-1])
        others = [tactic for tactic, used_by in users.items() if used_by != {number}]
        if not others:
            continue
        tried = rng.sample(others, min(num_tactics, len(others)))
        accepted = sum(isinstance(lean.apply(state, tactic), ProofState) for tactic in tried)
        shares.append(accepted / len(tried))
        numbers.append(shares[-1] * len(others))
    if not shares:
        return {"num_states": 0}
    return {
        "num_states": len(shares),
        "num_tactics": num_tactics,
        "share_applicable": mean(shares),
        "mean_applicable": mean(numbers),
        "median_applicable": median(numbers),
        "share_of_states_without_any": sum(share == 0 for share in shares) / len(shares),
    }
