"""The frontier of several pass@N curves: the best value at each N and the run that reaches it (paper fig. 2a)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Frontier:
    """[len(ns)] the best estimate at each N, and the name of the curve that has it."""

    best: tuple[float, ...]
    winner: tuple[str, ...]


def frontier(curves: Mapping[str, Sequence[float]]) -> Frontier:
    """The upper envelope of curves given at the same N: name → estimates [len(ns)]; the first of equals wins.

    The best of several noisy curves is biased upwards: a frontier describes these runs and is no estimate of a new one.
    """
    if not curves:
        raise ValueError("no curves: a frontier needs at least one")
    lengths = {name: len(values) for name, values in curves.items()}
    first_name, length = next(iter(lengths.items()))
    for name, other in lengths.items():
        if other != length:
            raise ValueError(f"{name!r} has {other} values of N, {first_name!r} has {length}")
    winner = tuple(max(curves, key=lambda name: curves[name][i]) for i in range(length))
    return Frontier(tuple(float(curves[name][i]) for i, name in enumerate(winner)), winner)
