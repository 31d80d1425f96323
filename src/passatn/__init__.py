"""passatn: fine-tune language models for how they will be used, with many samples and a verifier.

The parts, in the order in which they may import each other: coverage (mathematics), tasks (problems and prompts),
sample (scoring and sampling), train (the coverage trainer), evaluate (numbers), report (pictures), experiments.
"""

__version__ = "0.1.0"
