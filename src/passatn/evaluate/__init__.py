"""From per-problem numbers to results: pass@N with intervals, confidence, tuned baselines, frontier, comparison."""

from passatn.evaluate.answers import AnswerCounts, count_answers, join_equal
from passatn.evaluate.atomic import write_atomically
from passatn.evaluate.compare import PairedDifference, compare_paired, compare_paired_counts, compare_results
from passatn.evaluate.confidence import ConfidenceHistogram, confidence_histogram
from passatn.evaluate.extrapolate import Extrapolation, HoldOutCheck, extrapolate_pass_at_n, hold_out_check
from passatn.evaluate.frontier import Frontier, frontier
from passatn.evaluate.metric import MetricCurve, metric_curve
from passatn.evaluate.pass_at_n import PassAtN, pass_at_n_from_counts, pass_at_n_from_log_p
from passatn.evaluate.planning import SamplePlan, plan_samples
from passatn.evaluate.records import ProblemResult, problems_from_arrays
from passatn.evaluate.results import SCHEMA_VERSION, Results
from passatn.evaluate.sample_metrics import best_of_n, distinct_answers, majority_at_n, pass_hat_n
from passatn.evaluate.tuning import TunedPassAtN, tuned_pass_at_n, tuned_pass_at_n_from_counts

__all__ = [
    "SCHEMA_VERSION",
    "AnswerCounts",
    "ConfidenceHistogram",
    "Extrapolation",
    "Frontier",
    "HoldOutCheck",
    "MetricCurve",
    "PairedDifference",
    "PassAtN",
    "ProblemResult",
    "Results",
    "SamplePlan",
    "TunedPassAtN",
    "best_of_n",
    "compare_paired",
    "compare_paired_counts",
    "compare_results",
    "confidence_histogram",
    "count_answers",
    "distinct_answers",
    "extrapolate_pass_at_n",
    "frontier",
    "hold_out_check",
    "join_equal",
    "majority_at_n",
    "metric_curve",
    "pass_at_n_from_counts",
    "pass_at_n_from_log_p",
    "pass_hat_n",
    "plan_samples",
    "problems_from_arrays",
    "tuned_pass_at_n",
    "tuned_pass_at_n_from_counts",
    "write_atomically",
]
