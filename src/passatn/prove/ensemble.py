"""Several models on the same theorems: N samples from each, against one model with as many samples in all.

A theorem is missed by n_m samples of each model m with probability Π_m (1 − p_m)^n_m. The samples of different models
are independent, so the product of the unbiased C(s_m − c_m, n_m)/C(s_m, n_m), with c_m correct ones of s_m samples, is
unbiased as well. arXiv 2502.07154, section 5.2: the ensemble of models trained with N_eff = 1, 4, 8, 16, 32 takes N
samples from each and is held against cross-entropy with 5N samples.

    ensemble = Ensemble.of({"CE": records, "N_eff = 4": others})
    ensemble.curve([1, 16, 256]), ensemble.gains([1, 16])

How a total is best split, rather than evenly: `passatn.experiments.recommend`, which takes the same counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from passatn.coverage import pass_at_n
from passatn.evaluate import MetricCurve, PassAtN, metric_curve
from passatn.evaluate.checks import check_ns
from passatn.evaluate.pass_at_n import summarize_values
from passatn.prove.records import SearchRecord

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Gain:
    """The ensemble with N samples of each of M models, minus one of them with M·N samples: paired over theorems."""

    name: str
    """Of the single model."""
    single: PassAtN
    """Its pass@(M·N), at the N of `ensemble`."""
    ensemble: PassAtN
    difference: MetricCurve


@dataclass(frozen=True)
class Ensemble:
    """Counts of several runs, `[models, theorems]`, aligned over theorems."""

    names: tuple[str, ...]
    theorems: tuple[str, ...]
    num_samples: Counts
    num_correct: Counts

    @classmethod
    def of(cls, runs: Mapping[str, Sequence[SearchRecord]]) -> Self:
        """From merged records by name of the run.

        Raises:
            ValueError: fewer than two runs, or a theorem that one of them lacks.
        """
        if len(runs) < 2:
            raise ValueError("an ensemble needs at least two runs")
        by_theorem = {name: {record.theorem: record for record in records} for name, records in runs.items()}
        (first, known), *others = by_theorem.items()
        for name, found in others:
            if different := known.keys() ^ found.keys():
                raise ValueError(f"{first} and {name} differ in theorem {min(different)!r}: same theorems please")
        rows = [[found[theorem] for theorem in known] for found in by_theorem.values()]
        return cls(
            tuple(runs),
            tuple(known),
            np.array([[record.num_samples for record in row] for row in rows], dtype=np.int64),
            np.array([[record.num_correct for record in row] for row in rows], dtype=np.int64),
        )

    def covered(self, split: Sequence[int]) -> Array:
        """`[theorems]` the unbiased estimate that at least one of `split[m]` samples of each model m is a proof.

        Raises:
            ValueError: a model has fewer samples of a theorem than are asked for.
        """
        missed = np.ones(len(self.theorems))
        for samples, correct, count in zip(self.num_samples, self.num_correct, split, strict=True):
            if count:
                missed *= 1 - pass_at_n(samples, correct, count)
        return np.asarray(1 - missed)

    def known_ns(self, ns: Sequence[int]) -> list[int]:
        """The N that can be estimated with N samples from each."""
        return [n for n in check_ns(ns) if n <= self.num_samples.min()]

    def curve(self, ns: Sequence[int]) -> PassAtN | None:
        """pass@N of the ensemble, N samples from each, at the N that are known; None if there are none."""
        known = self.known_ns(ns)
        return summary(self.columns(known), known) if known else None

    def gains(self, ns: Sequence[int]) -> list[Gain]:
        """Against each model alone with as many samples in all, at the N for which it has them."""
        num_models, gains = len(self.names), []
        for model, name in enumerate(self.names):
            known = [n for n in self.known_ns(ns) if num_models * n <= self.num_samples[model].min()]
            if not known:
                continue
            together = self.columns(known)
            alone = np.column_stack(
                [pass_at_n(self.num_samples[model], self.num_correct[model], num_models * n) for n in known]
            )
            difference = metric_curve("gain", together - alone, known, is_fraction=False)
            gains.append(Gain(name, summary(alone, known), summary(together, known), difference))
        return gains

    def columns(self, ns: Sequence[int]) -> Array:
        """`[theorems, len(ns)]` with n samples from each model."""
        return np.column_stack([self.covered([n] * len(self.names)) for n in ns])


def summary(values: Array, ns: Sequence[int]) -> PassAtN:
    """From estimates of each theorem, `[T, len(ns)]`, with 95 % intervals over theorems."""
    return summarize_values(values, ns, "samples", confidence=0.95, num_resamples=2000, seed=0)
