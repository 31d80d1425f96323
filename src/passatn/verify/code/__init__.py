"""Unit tests for generated code, each program in confined processes of its own; see docs/verify-code.md."""

from passatn.verify.code.jail import Layer, probe_layers
from passatn.verify.code.verifier import CodeVerifier, ConfinementError

__all__ = ["CodeVerifier", "ConfinementError", "Layer", "probe_layers"]
