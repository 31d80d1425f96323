"""Proof search with tactic models: arXiv 2502.07154, sections 5.2 and 5.3."""
