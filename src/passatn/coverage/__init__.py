"""The mathematics of pass@N: coverage, its loss and weight, the unbiased estimator, the optimal confidence.

Pure functions: numpy or torch arrays in, arrays of the same kind out; no model, no file, no network. Logarithms are
natural. Source: "Rethinking Fine-Tuning when Scaling Test-Time Compute: Limiting Confidence Improves Mathematical
Reasoning", arXiv 2502.07154; docs/theory.md derives what is computed here.
"""

from passatn.coverage.budget import BudgetSplit, split_budget
from passatn.coverage.estimator import pass_at_n
from passatn.coverage.objective import confidence_weight, coverage, log_coverage
from passatn.coverage.policy import max_confidence_bounds, optimal_confidences

__all__ = [
    "BudgetSplit",
    "confidence_weight",
    "coverage",
    "log_coverage",
    "max_confidence_bounds",
    "optimal_confidences",
    "pass_at_n",
    "split_budget",
]
