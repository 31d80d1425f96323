"""Training: the coverage trainer on TRL, with replacement of examples that are already learnt."""

from passatn.train.config import CoverageConfig
from passatn.train.trainer import CoverageTrainer

__all__ = ["CoverageConfig", "CoverageTrainer"]
