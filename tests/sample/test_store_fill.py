"""Filling a store from an engine, interrupted and not; fingerprints of models and prompts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from sample_models import random_model

from passatn.sample import HFEngine, SampleRequest, SamplingParams
from passatn.sample.store import (
    Manifest,
    SampleStore,
    StoreError,
    model_fingerprint,
    prompts_fingerprint,
    sample_into_store,
)
from store_samples import MANIFEST, PARAMS, REQUESTS, FakeEngine, expected_rows, files_of, stored_rows
from tiny import build_tokenizer

SHAPE = {"problems_per_chunk": 3, "samples_per_chunk": 16}


def test_only_what_is_missing_is_drawn(tmp_path: Path) -> None:
    store, engine = SampleStore.create(tmp_path, MANIFEST), FakeEngine()
    report = sample_into_store(engine, REQUESTS, PARAMS, store, **SHAPE)
    assert (report.num_drawn, report.num_present, engine.num_drawn) == (400, 0, 400)
    report = sample_into_store(engine, REQUESTS, replace(PARAMS, n=50), store, **SHAPE)
    assert (report.num_drawn, report.num_present, engine.num_drawn) == (100, 400, 500)
    assert stored_rows(store) == expected_rows(50)
    share = sample_into_store(engine, REQUESTS[::2], replace(PARAMS, n=60), store, **SHAPE)
    assert share.num_drawn == 50


@pytest.mark.parametrize("fail_at", [1, 2, 7, 12])
def test_an_engine_that_fails_loses_only_its_chunk(tmp_path: Path, fail_at: int) -> None:
    sample_into_store(FakeEngine(), REQUESTS, PARAMS, SampleStore.create(tmp_path / "whole", MANIFEST), **SHAPE)
    store = SampleStore.create(tmp_path / "store", MANIFEST)
    with pytest.raises(RuntimeError, match="the engine died"):
        sample_into_store(FakeEngine(fail_at), REQUESTS, PARAMS, store, **SHAPE)
    resumed = FakeEngine()
    sample_into_store(resumed, REQUESTS, PARAMS, SampleStore.open(tmp_path / "store", expect=MANIFEST), **SHAPE)
    assert resumed.num_calls == 12 - (fail_at - 1)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "whole")


def test_other_parameters_than_the_stores_are_refused(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    for params, message in [
        (replace(PARAMS, temperature=0.7), "temperature = 1.0, asked for 0.7"),
        (replace(PARAMS, seed=4), "seed = 3, asked for 4"),
        (replace(PARAMS, first_index=4), "first_index must be 0, got 4"),
    ]:
        with pytest.raises(StoreError, match=message):
            sample_into_store(FakeEngine(), REQUESTS, params, store)


def test_a_model_interrupted_at_any_chunk_gives_the_samples_of_the_whole_run(tmp_path: Path) -> None:
    requests = [SampleRequest(f"p{i}", tuple(range(3, 4 + i))) for i in range(5)]
    params = SamplingParams(n=24, max_new_tokens=5, seed=11, temperature=0.8)
    manifest = Manifest.for_run("tiny", requests, params, engine="hf")
    shape = {"problems_per_chunk": 2, "samples_per_chunk": 8}

    class Dying(HFEngine):
        calls = 0

        def sample(self, *args: object, **kwargs: object) -> list:
            Dying.calls += 1
            if Dying.calls in (3, 4, 8):
                raise RuntimeError("out of memory")
            return super().sample(*args, **kwargs)

    engine = HFEngine(random_model(vocab_size=20), build_tokenizer())
    sample_into_store(engine, requests, params, SampleStore.create(tmp_path / "whole", manifest), **shape)
    dying = Dying(random_model(vocab_size=20), build_tokenizer())
    num_attempts = 0
    while num_attempts < 10:
        num_attempts += 1
        try:
            store = SampleStore.open_or_create(tmp_path / "store", manifest)
            sample_into_store(dying, requests, params, store, **shape)
            break
        except RuntimeError:
            continue
    assert num_attempts == 4
    assert files_of(tmp_path / "store") == files_of(tmp_path / "whole")
    in_memory = engine.sample(requests, params)
    assert store.counts().num_truncated.sum() == sum(not c.finished for c in in_memory)
    counted = {(r["problem_id"], r["completion"], r["num_tokens"]): r["count"] for r in store.table().to_pylist()}
    assert sum(counted.values()) == 120
    for c in in_memory:
        assert (c.problem_id, c.text, c.num_tokens) in counted


def test_prompts_in_any_order_have_one_fingerprint_and_others_another() -> None:
    assert prompts_fingerprint(REQUESTS) == prompts_fingerprint(REQUESTS[::-1])
    longer = SampleRequest(REQUESTS[0].problem_id, (*REQUESTS[0].prompt_ids, 9))
    renamed = SampleRequest("other", REQUESTS[0].prompt_ids)
    for changed in (REQUESTS[1:], [longer, *REQUESTS[1:]], [renamed, *REQUESTS[1:]]):
        assert prompts_fingerprint(changed) != prompts_fingerprint(REQUESTS)


def test_a_models_fingerprint_is_that_of_its_weights_and_configuration(tmp_path: Path) -> None:
    model = random_model()
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "shards", max_shard_size="10KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    one = model_fingerprint(tmp_path / "one")
    assert one == model_fingerprint(str(tmp_path / "shards"))
    # What transformers writes about itself does not matter; what changes the model does.
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    (tmp_path / "one" / "config.json").write_text(json.dumps(config | {"transformers_version": "9.9"}))
    assert model_fingerprint(tmp_path / "one") == one
    (tmp_path / "one" / "config.json").write_text(json.dumps(config | {"rope_theta": 5.0}))
    assert model_fingerprint(tmp_path / "one") != one
    weights = load_file(tmp_path / "shards" / sorted((tmp_path / "shards").glob("*.safetensors"))[0].name)
    name = next(iter(weights))
    weights[name].view(-1)[-1] += 1
    save_file(weights, sorted((tmp_path / "shards").glob("*.safetensors"))[0], metadata={"format": "pt"})
    assert model_fingerprint(tmp_path / "shards") != one


def test_an_adapters_fingerprint_follows_its_base_model_and_not_the_bases_path(tmp_path: Path) -> None:
    for name, seed in (("base", 0), ("moved", 0), ("other", 1)):
        random_model(seed=seed).save_pretrained(tmp_path / name)
    adapter = get_peft_model(random_model(), LoraConfig(r=2, target_modules=["q_proj"]))
    prints = {}
    for name in ("base", "moved", "other"):
        adapter.peft_config["default"].base_model_name_or_path = str(tmp_path / name)
        adapter.save_pretrained(tmp_path / f"on {name}")
        prints[name] = model_fingerprint(tmp_path / f"on {name}")
    assert prints["base"] == prints["moved"] != prints["other"]


def test_the_fingerprint_of_a_model_in_memory_follows_its_weights() -> None:
    model = random_model()
    before = model_fingerprint(model)
    assert model_fingerprint(random_model()) == before
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1
    assert model_fingerprint(model) != before
    assert model_fingerprint(random_model(dtype=torch.bfloat16)) != before


def test_models_that_cannot_be_hashed(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no .safetensors files"):
        model_fingerprint(tmp_path)
    with pytest.raises(StoreError, match="neither a path nor"):
        model_fingerprint("nobody/has-this-model")
    for content in (b"", b"\xff" * 20, (2).to_bytes(8, "little") + b"{}"[:1]):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(StoreError, match="not a safetensors file"):
            model_fingerprint(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert model_fingerprint(tmp_path / "m.gguf") != model_fingerprint(__file__)
