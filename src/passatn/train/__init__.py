"""Training on TRL: the coverage trainer, which replaces what is learnt, and reinforcement learning for pass@N.

trainer, config       CoverageTrainer: −log(1 − (1 − p)^N) in place of cross-entropy
rollouts, rollout_…   its confidence="rollouts": weights by the success rate of roll-outs (DCOa)
grpo, grpo_config     CoverageGRPOTrainer: roll-outs and rewards, with refilled batches
advantages            what the roll-outs of a problem are worth, one estimator per file
"""

from passatn.train.config import CoverageConfig
from passatn.train.grpo import CoverageGRPOTrainer
from passatn.train.grpo_config import CoverageGRPOConfig
from passatn.train.grpo_data import prompt_dataset
from passatn.train.rollout_data import reasoning_dataset
from passatn.train.trainer import CoverageTrainer

__all__ = [
    "CoverageConfig",
    "CoverageGRPOConfig",
    "CoverageGRPOTrainer",
    "CoverageTrainer",
    "prompt_dataset",
    "reasoning_dataset",
]
