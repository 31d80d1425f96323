"""Drawing what a store lacks, chunk by chunk: each is on the disk as soon as the engine has finished it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from passatn.sample.store.files import StoreError
from passatn.sample.store.manifest import sampling_settings

if TYPE_CHECKING:
    from passatn.sample.engine import Engine, SampleRequest, SamplingParams
    from passatn.sample.store.store import SampleStore


@dataclass(frozen=True)
class SamplingReport:
    """What `sample_into_store` did."""

    num_drawn: int
    """Samples drawn and stored in this call."""
    num_present: int
    """Samples that were in the store already, of those asked for."""
    set_aside: tuple[str, ...] = ()
    """One line for each damaged shard that was moved away and drawn again."""


def sample_into_store(
    engine: "Engine",
    requests: Sequence["SampleRequest"],
    params: "SamplingParams",
    store: "SampleStore",
    *,
    problems_per_chunk: int = 16,
    samples_per_chunk: int = 256,
    progress: bool = False,
) -> SamplingReport:
    """Draw until each problem has `params.n` samples; what the store holds already is not drawn again.

    An interruption, by a kill too, loses at most the chunks at work: one, behind Ray up to two per worker, from a
    server those in flight. An engine whose samples depend on the seed, the problem and the index alone gives the same
    store then as without the interruption. Several machines can fill one store: each takes its share of the requests
    (`requests[k::machines]`), all with the manifest of the whole.

    Args:
        params: `n` is the number of samples that each problem shall have in the end; `first_index` must be 0. The rest
            must agree with the store's manifest.
        problems_per_chunk, samples_per_chunk: a shard has the product of both samples. Many samples per chunk make
            small stores, since a completion has one row per shard; few make small losses.

    Raises:
        StoreError: other parameters than the store's, or a shard that cannot be written.
    """
    from passatn.sample.engine import sample_jobs
    from passatn.sample.progress import progress_bar

    _check(params, store)
    store.remove_leftovers()
    set_aside = tuple(store.set_aside_damaged().values())
    for line in set_aside:
        warnings.warn(f"{line}; moved to damaged/, its samples are drawn again", stacklevel=2)
    by_id = {request.problem_id: request for request in requests}
    chunks = store.missing_chunks(
        list(by_id), params.n, problems_per_chunk=problems_per_chunk, samples_per_chunk=samples_per_chunk
    )
    num_missing = sum(chunk.num_samples * len(chunk.problem_ids) for chunk in chunks)
    with progress_bar("sampling", num_missing, show=progress) as advance:
        jobs = [
            (
                [by_id[problem_id] for problem_id in chunk.problem_ids],
                replace(params, n=chunk.num_samples, first_index=chunk.first_index),
            )
            for chunk in chunks
        ]
        for number, completions in sample_jobs(engine, jobs):
            store.add(chunks[number], completions)
            advance(len(completions))
    return SamplingReport(num_missing, len(by_id) * params.n - num_missing, set_aside)


def _check(params: "SamplingParams", store: "SampleStore") -> None:
    if params.first_index != 0:
        raise StoreError(
            f"first_index must be 0, got {params.first_index}: n is how many samples there shall be in all"
        )
    for name, value in sampling_settings(params).items():
        stored = store.manifest.sampling.get(name, value)
        if stored != value:
            raise StoreError(f"{store.folder.name}: its samples have {name} = {stored!r}, asked for {value!r}")
