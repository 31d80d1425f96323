"""From the fields of a configuration to the functions of its objective."""

from functools import partial

from passatn.train.likelihood import confidence_weights, coverage_losses
from passatn.train.objectives.best_of_n import best_of_n, best_of_n_weight
from passatn.train.objectives.confidence_penalty import confidence_penalty
from passatn.train.objectives.config import ObjectiveConfig
from passatn.train.objectives.dft import dft
from passatn.train.objectives.entropy_gated import entropy_gated
from passatn.train.objectives.focal import focal
from passatn.train.objectives.gem import gem
from passatn.train.objectives.label_smoothing import label_smoothing
from passatn.train.objectives.majority_vote import majority_vote, majority_weight
from passatn.train.objectives.objective import Objective


def build_objective(config: ObjectiveConfig, n_passes: float) -> Objective:
    """The objective that a checked configuration names, at N = `n_passes`."""
    name = config.objective
    if name in ("dco", "majority_vote", "best_of_n"):
        return _sampled(config, n_passes)
    if name == "focal":
        inputs = "token_log_p" if config.is_sum_over_tokens else "log_p"
        return Objective(name, inputs, partial(focal, gamma=config.focal_gamma))
    return {
        "label_smoothing": Objective(name, "logits", partial(label_smoothing, smoothing=config.smoothing)),
        "confidence_penalty": Objective(name, "token_entropy", partial(confidence_penalty, beta=config.penalty_beta)),
        "gem": Objective(name, "logits", partial(gem, beta=config.gem_beta)),
        "dft": Objective(name, "token_log_p", dft),
        "entropy_gated": Objective(
            name, "logits", partial(entropy_gated, top_k=int(config.gate_top_k), power=config.gate_power)
        ),
    }[name]


def _sampled(config: ObjectiveConfig, n: float) -> Objective:
    """An objective of N samples, with the weight by which examples are replaced."""
    if config.objective == "majority_vote":
        k = int(config.majority_threshold or n // 2 + 1)
        loss, weight = (partial(f, num_votes=int(n), threshold=k) for f in (majority_vote, majority_weight))
    elif config.objective == "best_of_n":
        e = config.false_positive_rate
        loss, weight = (partial(f, n=n, false_positive_rate=e) for f in (best_of_n, best_of_n_weight))
    else:
        loss, weight = (partial(f, n_passes=n) for f in (coverage_losses, confidence_weights))
    return Objective(config.objective, "log_p", loss, weight)
