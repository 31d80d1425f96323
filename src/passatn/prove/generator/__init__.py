"""Theorems with proofs, made by the thousand for the embedded Lean."""
