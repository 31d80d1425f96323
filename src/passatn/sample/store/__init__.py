"""The sample store: unique completions with counts, in Parquet shards that any tool reads.

store        the folder: create, open, add, merge, table, counts, verdicts, integrity
manifest     what the samples are samples of; fingerprint: hashes of models and prompts
fill         drawing what is missing; judging: verifying what has no verdict
importing    samples of lm-evaluation-harness, lighteval, plain JSON Lines
chunks, shard, sealed, rows, catalogue, files    what it is made of

Formats and guarantees: docs/sample-store.md. Nothing here imports torch.
"""

from passatn.sample.store.chunks import Chunk
from passatn.sample.store.counts import StoreCounts
from passatn.sample.store.files import StoreError
from passatn.sample.store.fill import SamplingReport, sample_into_store
from passatn.sample.store.fingerprint import model_fingerprint, prompts_fingerprint
from passatn.sample.store.importing import ImportReport, import_samples
from passatn.sample.store.integrity import IntegrityReport
from passatn.sample.store.judging import verify_store
from passatn.sample.store.manifest import Manifest
from passatn.sample.store.rows import SCHEMA
from passatn.sample.store.store import ProblemSamples, SampleStore
from passatn.sample.store.verdicts import Judged

__all__ = [
    "SCHEMA",
    "Chunk",
    "ImportReport",
    "IntegrityReport",
    "Judged",
    "Manifest",
    "ProblemSamples",
    "SampleStore",
    "SamplingReport",
    "StoreCounts",
    "StoreError",
    "import_samples",
    "model_fingerprint",
    "prompts_fingerprint",
    "sample_into_store",
    "verify_store",
]
