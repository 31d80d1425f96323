"""The paper's own numbers (arXiv 2502.07154), for standing beside ours and never mixed with them.

Percent as printed. A value of None is one that the text at hand does not keep.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

PAPER = "arXiv 2502.07154"


@dataclass(frozen=True)
class PaperTable:
    """Numbers of one table: rows by label, columns by label."""

    source: str
    setting: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    note: str = ""

    def at(self, row: str, column: str) -> float | None:
        """One number, in percent."""
        return self.rows[row][self.columns.index(column)]


DIRECT_COLUMNS = ("pass@1", "pass@16", "pass@256", "pass@4k")
DIRECT = "4 epochs, learning rate 2e-5, batch 64, 20 warm-up steps"


def _by_epoch(*rows: tuple[float, ...]) -> Mapping[str, tuple[float | None, ...]]:
    return MappingProxyType({f"epoch {number}": row for number, row in enumerate(rows, start=1)})


TABLE_1 = PaperTable(
    "table 1",
    f"Llama-3-8B-base, MATH direct answers (12,000 / 500), cross-entropy, {DIRECT}",
    DIRECT_COLUMNS,
    _by_epoch((4.4, 30.0, 65.2, 82.5), (5.3, 31.4, 64.5, 80.0), (6.5, 28.7, 54.5, 79.2), (7.4, 22.9, 44.5, 63.0)),
)
TABLE_4 = PaperTable(
    "table 4",
    f"Llama-3-70B-base, MATH direct answers, cross-entropy, {DIRECT}",
    DIRECT_COLUMNS,
    _by_epoch((5.9, 34.3, 68.8, 84.2), (6.9, 32.0, 63.0, 81.5), (8.2, 24.2, 48.8, 72.2), (7.9, 22.2, 44.2, 65.9)),
)
TABLE_5 = PaperTable(
    "table 5",
    "trained on MATH by cross-entropy, tested on AIME24",
    DIRECT_COLUMNS,
    _by_epoch((0.2, 3.4, 30.5, 80.5), (0.3, 4.1, 31.7, 75.6), (0.2, 2.9, 16.0, 42.0), (1.9, 4.9, 15.2, 35.8)),
)
TABLE_3 = PaperTable(
    "table 3",
    "Llama-3-8B-base, MATH with reasoning, batch 128; DCOa with N = n = 64",
    ("pass@1", "pass@16", "pass@64"),
    MappingProxyType(
        {
            "CE, epoch 1": (None, 30.2, 51.2),
            "GRPO, epoch 1": (None, 27.1, 50.6),
            "DCOa, epoch 1": (None, 34.2, 55.3),
            "CE, epoch 3": (9.0, 41.6, 61.7),
            "GRPO, epoch 3": (12.6, 35.8, 46.3),
            "DCOa, epoch 3": (8.3, 42.6, 63.1),
            "CE, epoch 5": (9.9, 40.9, 60.9),
            "GRPO, epoch 5": (14.6, 29.2, 35.4),
            "DCOa, epoch 5": (7.8, 42.8, 64.3),
        }
    ),
    note="Of its three pass@1 values of epoch 1 the text keeps two, 3.0 and 5.0, without saying whose.",
)

PROVING = "Qwen2.5-Math-1.5B, LeanDojo Benchmark 4 (Mathlib), learning rate 1e-5, batch 64, 3 epochs"
TABLE_2 = PaperTable(
    "table 2",
    f"{PROVING}; pass@4k, the ensemble with 4k samples from each of the five, CE with 20k",
    ("CE", "N_eff = 4", "N_eff = 8", "N_eff = 16", "N_eff = 32", "ensemble", "CE, 5N samples"),
    MappingProxyType(
        {
            "Mathlib": (55.6, 56.4, 56.1, 56.5, 55.8, 62.2, 57.0),
            "MiniF2F": (37.4, 39.0, 39.5, 37.0, 37.4, 43.6, 39.5),
        }
    ),
    note="Whole-proof DCO with N = 4k proves 38.7 of MiniF2F.",
)
TABLE_6 = PaperTable(
    "table 6",
    f"{PROVING}; Mathlib",
    ("pass@16", "pass@64", "pass@256", "pass@1k", "pass@4k"),
    MappingProxyType(
        {
            "CE, iteration 0": (30.0, 38.75, 46.05, 50.75, 55.55),
            "N_eff = 4, iteration 0": (30.15, 39.5, 47.2, 52.95, 56.35),
            "N_eff = 8, iteration 0": (30.2, 38.9, 47.15, 52.7, 56.1),
            "N_eff = 16, iteration 0": (28.65, None, 46.45, 52.9, 56.5),
            "N_eff = 32, iteration 0": (26.05, None, 45.6, 51.5, 55.8),
            "ensemble, iteration 0": (40.6, 49.15, 54.6, 59.0, 62.15),
            "CE, iteration 1": (40.3, None, 52.65, None, 58.55),
            "N_eff = 4, iteration 1": (40.8, None, 53.05, None, 59.45),
            "N_eff = 8, iteration 1": (40.1, None, 53.25, None, 59.5),
            "N_eff = 16, iteration 1": (39.05, None, 52.8, None, 60.05),
            "N_eff = 32, iteration 1": (37.05, None, 52.2, None, 59.15),
            "ensemble, iteration 1": (49.05, None, 59.3, None, 64.8),
        }
    ),
    note="Two values of pass@64 are printed above their own pass@256, and left out here; of iteration 1 there are "
    "three columns.",
)

SHOWS = MappingProxyType(
    {
        "fig1": (
            "(a) cross-entropy grows more confident of its greedy answers with each epoch; (b) only some of its "
            "confident answers are right; (c) DCO is far less confident after the same epochs; (d) the larger its "
            "training N, the less."
        ),
        "fig2": (
            "(a) each N has a best training N close to it; cross-entropy is far below the frontier at large N, DCO at "
            "large N below it at small N. (b) F(N, p) falls with p, the earlier the larger N; it is near 0 well above "
            "p = 1/N. (c) The larger N_eff, the wider the tree that is searched."
        ),
        "fig3": (
            "(a) with reasoning, cross-entropy grows more confident of its most frequent answer over training; (b) "
            "DCOa grows less so; (c) GRPO most; (d) only a small part of GRPO's confident answers are right."
        ),
        "fig4": "The number of training examples that DCOa discards, by step, in the runs of table 3.",
        "fig5": (
            "Early in training a step on any level lowers the test loss; near the end of the first epoch levels 1 and "
            "2 no longer do, and level 1 raises it."
        ),
        "fig11": "Both bounds on the largest confidence of an optimal policy fall with N.",
        "fig12": "The answer of rank i is right less often the larger i is: cross-entropy is about calibrated in rank.",
        "fig13": "F(N, p) is smaller for easier problems.",
    }
)
"""What the paper's text says its figures show, in our words: their data points are not published."""

GPU_HOURS = MappingProxyType(
    {
        "direct, Llama-3-8B": "about 1 H100 hour a run",
        "direct, Llama-3-70B": "about 4 B200 hours a run",
        "DCOa, Llama-3-8B": "about 60 H100 hours a run",
    }
)
"""Appendix B, computational cost."""

TABLES = MappingProxyType(
    {"table1": TABLE_1, "table2": TABLE_2, "table3": TABLE_3, "table4": TABLE_4, "table5": TABLE_5, "table6": TABLE_6}
)


def paper_side(name: str) -> dict[str, Any] | None:
    """The numbers of a table, or in words what a figure shows, as results.json and the page have them."""
    if name in TABLES:
        table = TABLES[name]
        return {
            "source": f"{PAPER}, {table.source}",
            "setting": table.setting,
            "columns": ["", *table.columns],
            "rows": [[label, *values] for label, values in table.rows.items()],
            "note": table.note,
        }
    return {"source": PAPER, "shows": SHOWS[name]} if name in SHOWS else None
