"""Mathematical answers: which text of a completion is the answer, and does it equal an accepted one."""

from passatn.verify.math.extract import Extraction, extract
from passatn.verify.math.verifier import MathVerifier, answer_key

__all__ = ["Extraction", "MathVerifier", "answer_key", "extract"]
