"""One finished arm of the experiments with reasoning, with counts per problem at some epochs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passatn.coverage import pass_at_n


@dataclass(frozen=True)
class ArmRecord:
    """Its stored file, and what is in there.

    Args:
        record: `arm` (name, kind, options), `settings` (num_samples, batch_size, warm_epochs), `evaluations` (each with
            epoch, step, test_num_correct and test_most_frequent, and, where verdicts of answers are known,
            test_is_correct), `log` and `ended_early`.
    """

    file: Path
    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.record["arm"]["name"])

    @property
    def kind(self) -> str:
        return str(self.record["arm"]["kind"])

    @property
    def n_passes(self) -> float | None:
        """1 for cross-entropy, None for what is no coverage objective."""
        return 1.0 if self.kind == "ce" else self.record["arm"]["options"].get("n_passes")

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        return list(self.record["evaluations"])

    @property
    def num_samples(self) -> int:
        return int(self.record["settings"]["num_samples"])

    def pass_at_n(self, evaluation: Mapping[str, Any], n: int) -> float:
        """The unbiased estimate, mean over test problems."""
        return float(pass_at_n(self.num_samples, np.array(evaluation["test_num_correct"]), n).mean())

    def confidence(self, evaluation: Mapping[str, Any]) -> np.ndarray:
        """Share of the samples that end in the most frequent answer `[problems]`."""
        return np.array(evaluation["test_most_frequent"]) / self.num_samples

    def is_correct(self, evaluation: Mapping[str, Any]) -> np.ndarray:
        """Whether the most frequent answer is the right one `[problems]`; of equally frequent ones, if any is.

        Where its verdict is not stored, it is right if as many samples are.
        """
        if "test_is_correct" in evaluation:
            return np.array(evaluation["test_is_correct"], dtype=bool)
        correct, frequent = (np.array(evaluation[f"test_{name}"]) for name in ("num_correct", "most_frequent"))
        return np.asarray((correct == frequent) & (correct > 0))
