"""`passatn sample`: many samples of a model into a store, judged, and pass@N from their counts.

passatn sample --model runs/ce/model --data test.jsonl --num-samples 256 --verifier exact --output samples/ce
"""

import warnings
from collections.abc import Mapping
from typing import Any

import yaml

from passatn.experiments.config import ConfigError
from passatn.experiments.options import EngineOptions, VerifierOptions
from passatn.experiments.problems import PromptedProblems
from passatn.experiments.quiet import quiet_libraries
from passatn.sample import Engine, SamplingParams
from passatn.sample.spec import EngineSpec
from passatn.sample.store import (
    Manifest,
    SampleStore,
    SamplingReport,
    model_fingerprint,
    sample_into_store,
    verify_store,
)
from passatn.tasks import Problem, get_template
from passatn.verify.registry import get_verifier
from passatn.verify.stated import StatedAnswer
from passatn.verify.verdict import Verifier


def engine_spec(options: EngineOptions, model: str, *, dtype: str, trust_remote_code: bool) -> EngineSpec:
    """What the options of a command line ask for.

    Raises:
        ConfigError: an unknown engine, or options that do not go together.
    """
    given: dict[str, Any] = {}
    for pair in options.engine_option or []:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise ConfigError(f"--engine-option {pair}: expected KEY=VALUE, such as tensor_parallel_size=2")
        given[key.replace("-", "_")] = yaml.safe_load(value)
    if options.engine == "server":
        if options.base_url is None:
            raise ConfigError("--engine server needs --base-url, such as http://127.0.0.1:8000/v1")
        given |= {"base_url": options.base_url} | ({"tokenizer": options.tokenizer} if options.tokenizer else {})
    elif options.base_url is not None or options.tokenizer is not None:
        raise ConfigError("--base-url and --tokenizer belong to --engine server")
    elif dtype != "auto":
        given["dtype"] = dtype
    if options.engine == "server" and (options.ray_address is not None or options.ray_workers is not None):
        raise ConfigError("--engine server needs no Ray: the server does its own batching")
    try:
        return EngineSpec(options.engine, model, trust_remote_code, given)
    except ValueError as error:
        raise ConfigError(f"--{error}") from None


def open_engine(options: EngineOptions, spec: EngineSpec) -> Engine:
    """The engine, in this process or behind Ray."""
    if options.ray_workers is None and options.ray_address is None:
        try:
            with quiet_libraries():
                return spec.build()
        except TypeError as error:
            raise ConfigError(f"--engine-option: {error}") from None
    from passatn.sample.ray import RayEngine

    gpus = int(spec.options.get("tensor_parallel_size", 1)) * int(spec.options.get("pipeline_parallel_size", 1))
    resources = {"num_gpus": gpus} if gpus > 1 else None
    return RayEngine(spec, num_workers=options.ray_workers, address=options.ray_address, resources=resources)


def manifest_of(
    problems: PromptedProblems, params: SamplingParams, output: str, *, spec: EngineSpec, template: str
) -> Manifest:
    """What the samples will be samples of; a store that is at `output` already must have the very same.

    Raises:
        StoreError: it was begun with another model, other prompts or other parameters; names the difference.
    """
    fingerprint = None if spec.kind == "server" else model_fingerprint(spec.model)
    manifest = Manifest.for_run(
        spec.model,
        problems.requests,
        params,
        model_hash=fingerprint,
        template=template,
        engine=spec.kind,
        **shaping_options(spec),
    )
    if SampleStore.exists(output):
        SampleStore.open(output, expect=manifest)
    return manifest


def shaping_options(spec: EngineSpec) -> dict[str, Any]:
    """The engine's options that may change the distribution of its samples."""
    return {name: value for name, value in spec.options.items() if name not in _SPEED_ONLY}


_SPEED_ONLY = frozenset(
    {
        "api_key",
        "base_url",
        "check",
        "gpu_memory_utilization",
        "max_batch_size",
        "max_concurrency",
        "max_num_batched_tokens",
        "max_num_seqs",
        "max_retries",
        "pipeline_parallel_size",
        "samples_per_request",
        "sleep",
        "tensor_parallel_size",
        "timeout",
        "tokenizer",
    }
)
"""Options of engines that change how samples are drawn, and not which distribution they are drawn from."""


def fill(engine: Engine, problems: PromptedProblems, params: SamplingParams, store: SampleStore) -> SamplingReport:
    """Draw what the store lacks of `params.n` samples per problem; the report says what was set aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return sample_into_store(engine, problems.requests, params, store, progress=True)


def open_verifier(options: VerifierOptions, template: str) -> Verifier:
    """The verifier that the options name; `exact` compares the answer that a completion states in its template."""
    verifier = get_verifier(options.verifier or "", **options.limits())
    return StatedAnswer(verifier, get_template(template)) if options.verifier == "exact" else verifier


def judge(store: SampleStore, problems: Mapping[str, Problem], options: VerifierOptions, template: str) -> str:
    """Give every completion that has none a verdict; returns the verifier as the store calls it, "name@version"."""
    verifier = open_verifier(options, template)
    try:
        verify_store(store, verifier, problems, progress=True)
    finally:
        verifier.close()
    return f"{verifier.name}@{verifier.version}"
