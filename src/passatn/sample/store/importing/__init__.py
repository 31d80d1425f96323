"""Samples that other tools have drawn.

base      from parsed samples to chunks: unique completions, indices, what has been imported before
plain     JSON Lines with one sample, or one unique completion, per line
lm_eval   lm-evaluation-harness, samples_*.jsonl
lighteval lighteval, details_*.parquet
"""

from passatn.sample.store.importing.base import FORMATS, ImportReport, import_samples

__all__ = ["FORMATS", "ImportReport", "import_samples"]
