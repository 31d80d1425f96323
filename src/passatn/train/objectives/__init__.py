r"""Losses that the coverage trainer can minimise: DCO, which it is for, and what DCO is to be compared with.

Each file is one objective, a pure function of log-probabilities or logits, with its formula, its source and what it
does to confidence; `docs/objectives.md` has them side by side. "sum" is a sum over the tokens of a completion.

    name                 loss of a completion                   of            source
    dco                  −log(1 − (1 − p)^N)                    completion    2502.07154   (train/likelihood.py)
    majority_vote        −log P(Bin(N, p) ≥ k)                  completion    2604.24957
    best_of_n            −log (p/a)(1 − (1 − a)^N)              completion    2604.24957
    focal                −(1 − p)^γ log p                       either        1708.02002
    label_smoothing      cross-entropy with smoothed targets    sum, logits   1512.00567
    confidence_penalty   −log p − β · entropy                   sum           1701.06548
    gem                  β · cross-entropy at temperature β     sum, logits   2408.16673
    dft                  1 − p (gradient of −sg(p) log p)       sum           2508.05629
    entropy_gated        −sg(entropy of top K) log p            sum, logits   2601.02151

    CoverageConfig(objective="focal", focal_gamma=2.0)
    passatn train --objective focal --focal_gamma 2 …
"""

from passatn.train.objectives.build import build_objective
from passatn.train.objectives.config import OPTIONS, ObjectiveConfig
from passatn.train.objectives.objective import Objective

__all__ = ["OPTIONS", "Objective", "ObjectiveConfig", "build_objective"]
