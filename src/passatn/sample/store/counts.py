"""Numbers per problem: what pass@N is computed from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from passatn.sample.store.rows import problem_codes


@dataclass(frozen=True)
class StoreCounts:
    """int64 arrays `[num_problems]`, aligned with `problem_ids`; all but `num_unique` count samples.

    Every sample is in exactly one of: correct, incorrect (not listed), timeouts, errors, truncated, unverified.
    """

    problem_ids: tuple[str, ...]
    num_samples: np.ndarray
    num_correct: np.ndarray
    num_truncated: np.ndarray
    """Reached the length limit; not correct, whatever their verdict."""
    num_timeouts: np.ndarray
    num_errors: np.ndarray
    num_unverified: np.ndarray
    num_unique: np.ndarray
    """Different completions."""


def counts_of(problem_ids: Sequence[str], tables: Iterable[pa.Table]) -> StoreCounts:
    """From merged rows; those of problems that are not asked for are left out."""
    totals = {name: np.zeros(len(problem_ids), dtype=np.int64) for name in _SELECT}
    unique = np.zeros(len(problem_ids), dtype=np.int64)
    for rows in tables:
        codes = problem_codes(rows["problem_id"], problem_ids)
        counts = rows["count"].to_numpy()
        finished = rows["finished"].to_numpy()
        verdicts = rows["verdict"].fill_null("")
        for name, verdict in _SELECT.items():
            chosen = codes >= 0
            if name == "num_truncated":
                chosen &= ~finished
            elif verdict is not None:
                chosen &= finished & pc.equal(verdicts, verdict).to_numpy()
            np.add.at(totals[name], codes[chosen], counts[chosen])
        np.add.at(unique, codes[codes >= 0], 1)
    return StoreCounts(problem_ids=tuple(problem_ids), num_unique=unique, **totals)


_SELECT = {
    "num_samples": None,
    "num_truncated": None,
    "num_correct": "correct",
    "num_timeouts": "timeout",
    "num_errors": "error",
    "num_unverified": "",
}
