"""Averages of weights: against the sums by hand, in every dtype and layout, and what cannot be averaged."""

import json
import multiprocessing
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from passatn.sample.models import load_model
from passatn.train import averaging
from passatn.train.averaging import average_models
from passatn.train.weight_files import TensorInfo, WeightFiles, file_order, write_tensors
from tiny import build_model, build_tokenizer


def save(folder, seed, dtype=torch.float32, **options):
    model = build_model(seed).to(dtype)
    model.save_pretrained(folder, **options)
    build_tokenizer().save_pretrained(folder)
    return {name: value.double().numpy() for name, value in model.state_dict().items()}


def weights_in(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    return dict(model.state_dict())


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("dtype", "step"), [(torch.float32, 2**-24), (torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_interpolation_is_the_weighted_sum_rounded_once(alpha, dtype, step, tmp_path):
    base, tuned = save(tmp_path / "base", 0, dtype), save(tmp_path / "tuned", 1, dtype)
    average_models([tmp_path / "base", tmp_path / "tuned"], tmp_path / "out", alpha=alpha)
    found = weights_in(tmp_path / "out")
    assert found.keys() == base.keys()
    for name, value in found.items():
        assert value.dtype == dtype
        exact = (1 - alpha) * base[name] + alpha * tuned[name]
        # Half a unit in the last place, plus the error of the float32 sum of 16-bit weights.
        np.testing.assert_allclose(value.double(), exact, rtol=step * 1.01, atol=1e-7 if dtype != torch.float32 else 0)
        if alpha in (0, 1):
            np.testing.assert_array_equal(value.double(), exact)


def test_the_mean_of_three_checkpoints_loads_with_its_tokenizer(tmp_path):
    folders = [tmp_path / f"checkpoint-{seed}" for seed in range(3)]
    weights = [save(folder, seed) for seed, folder in enumerate(folders)]
    for name in ("optimizer.pt", "trainer_state.json", "training_args.bin", "coverage_state.json"):
        (folders[2] / name).write_text("state of a training")
    average_models(folders, tmp_path / "new" / "mean")
    model, tokenizer = load_model(str(tmp_path / "new" / "mean"))
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value.double(), sum(w[name] for w in weights) / 3, rtol=1e-7, atol=1e-12)
    assert tokenizer("1+2=")["input_ids"] == build_tokenizer()("1+2=")["input_ids"]
    record = json.loads((tmp_path / "new" / "mean" / "averaging.json").read_text())
    assert [entry["weight"] for entry in record] == [1 / 3] * 3
    assert [entry["model"] for entry in record] == [str(folder) for folder in folders]
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= {
        *files_of(tmp_path / "new" / "mean")
    }
    assert not {"optimizer.pt", "trainer_state.json", "training_args.bin"} & {*files_of(tmp_path / "new" / "mean")}
    assert files_of(tmp_path / "new") == ["mean"]


def test_shards_are_kept_and_models_in_other_shards_fit(tmp_path):
    base = save(tmp_path / "base", 0, max_shard_size="10KB")
    tuned = save(tmp_path / "tuned", 1)
    average_models([tmp_path / "base", tmp_path / "tuned"], tmp_path / "out", alpha=0.5)
    shards = [name for name in files_of(tmp_path / "out") if name.startswith("model-")]
    assert len(shards) > 2
    assert shards == [name for name in files_of(tmp_path / "base") if name.startswith("model-")]
    for name, value in weights_in(tmp_path / "out").items():
        np.testing.assert_allclose(value.double(), (base[name] + tuned[name]) / 2, rtol=1e-7, atol=1e-12)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(4 * value.size for value in base.values())


def test_the_dtype_of_a_mixed_average_holds_both(tmp_path):
    base, tuned = save(tmp_path / "base", 0, torch.bfloat16), save(tmp_path / "tuned", 1)
    for order in (["base", "tuned"], ["tuned", "base"]):
        average_models([tmp_path / name for name in order], tmp_path / "out", overwrite=True)
        found = weights_in(tmp_path / "out")
        assert {value.dtype for value in found.values()} == {torch.float32}
        for name, value in found.items():
            np.testing.assert_allclose(value.double(), (base[name] + tuned[name]) / 2, rtol=1e-7, atol=1e-12)


def test_a_model_without_a_share_leaves_no_trace(tmp_path):
    base = save(tmp_path / "base", 0)
    save(tmp_path / "tuned", 1)
    file = tmp_path / "tuned" / "model.safetensors"
    save_file({name: torch.full_like(value, float("nan")) for name, value in load_file(file).items()}, file)
    average_models([tmp_path / "base", tmp_path / "tuned"], tmp_path / "out", alpha=0.0)
    for name, value in weights_in(tmp_path / "out").items():
        np.testing.assert_array_equal(value.double(), base[name])


def test_the_written_file_is_what_safetensors_writes(tmp_path):
    """Odd sizes of several element widths, a scalar and an empty tensor."""
    tensors = {
        "a": torch.arange(3, dtype=torch.uint8),
        "b": torch.randn(3, 5),
        "c": torch.randn(7).bfloat16(),
        "d": torch.tensor(2.5, dtype=torch.float64),
        "e": torch.zeros(0, 4),
        "f": torch.tensor([True, False]),
        "g": torch.randn(6, 4).T,
    }
    infos = file_order({name: TensorInfo(value.dtype, tuple(value.shape)) for name, value in tensors.items()})
    write_tensors(tmp_path / "model.safetensors", infos, ((name, tensors[name]) for name in infos))
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert torch.equal(found[name], value)
        assert found[name].dtype == value.dtype
    data = (tmp_path / "model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    assert size % 8 == 0
    header = json.loads(data[8 : 8 + size])
    for name, value in tensors.items():
        assert header[name]["data_offsets"][0] % value.itemsize == 0, "a tensor can be mapped where it lies"
    with WeightFiles(tmp_path) as files:
        assert files.info == infos
        assert torch.equal(files.tensor("g"), tensors["g"])


def test_integers_have_to_agree(tmp_path):
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        save(tmp_path / name, 0)
        file = tmp_path / name / "model.safetensors"
        save_file({**load_file(file), "steps": torch.tensor([value])}, file, metadata={"format": "pt"})
    average_models([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert load_file(tmp_path / "out" / "model.safetensors")["steps"].tolist() == [1]
    with pytest.raises(ValueError, match="'steps' holds integers that differ"):
        average_models([tmp_path / "a", tmp_path / "c"], tmp_path / "other")
    assert files_of(tmp_path) == ["a", "b", "c", "out"], "nothing half-written is left"


def spoil(folder, how):
    if how == "shape":
        build_model(0, vocab_size=21).save_pretrained(folder)
    elif how == "missing tensor":
        file = folder / "model.safetensors"
        kept = {name: value for name, value in load_file(file).items() if name != "lm_head.weight"}
        save_file(kept, file)
    elif how == "type":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "qwen2"}))
    elif how == "adapter":
        (folder / "adapter_config.json").write_text("{}")
    elif how == "truncated":
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-9])
    elif how == "no weights":
        (folder / "model.safetensors").unlink()
    elif how == "no config":
        (folder / "config.json").unlink()
    else:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("shape", r"'lm_head.weight' is \[21, 16\] in .*tuned and \[20, 16\] in .*base|'model.embed.* is \[21, 16\]"),
        ("missing tensor", "tuned has no tensor 'lm_head.weight', .*base has: they cannot be averaged"),
        ("type", "tuned is of type 'qwen2', .*base of type 'llama'"),
        ("adapter", "tuned holds an adapter"),
        ("truncated", "tuned/model.safetensors: cannot be read as safetensors"),
        ("no weights", "tuned: no model.safetensors is there"),
        ("no config", "tuned: no config.json is there"),
        ("no folder", "tuned: no such folder"),
    ],
)
def test_what_cannot_be_averaged_is_named_and_nothing_is_written(how, message, tmp_path):
    save(tmp_path / "base", 0)
    save(tmp_path / "tuned", 1)
    spoil(tmp_path / "tuned", how)
    with pytest.raises(ValueError, match=message):
        average_models([tmp_path / "base", tmp_path / "tuned"], tmp_path / "out")
    assert not any("out" in name for name in files_of(tmp_path))


def test_shares_and_outputs_that_make_no_sense(tmp_path):
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    save(base, 0)
    save(tuned, 1)
    (tmp_path / "other").mkdir()
    for models, output, alpha, message in (
        ([base], "out", None, "two models or more, got 1"),
        ([base, tuned, base], "out", 0.5, "alpha interpolates between two models, got 3"),
        ([base, tuned], "out", 1.5, r"alpha must be in \[0, 1\], got 1\.5"),
        ([base, tuned], "out", float("nan"), r"alpha must be in \[0, 1\], got nan"),
        ([base, tuned], "tuned", 0.5, "tuned is one of the models"),
        ([base, tuned], "other", 0.5, "other exists and is not an average of models"),
    ):
        with pytest.raises(ValueError, match=message):
            average_models(models, tmp_path / output, alpha=alpha, overwrite=True)
    average_models([base, tuned], tmp_path / "out", alpha=0.5)
    before = load_file(tmp_path / "out" / "model.safetensors")
    with pytest.raises(ValueError, match="out exists: choose another output, or overwrite it"):
        average_models([base, tuned], tmp_path / "out", alpha=1.0)
    average_models([base, tuned], tmp_path / "out", alpha=1.0, overwrite=True)
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert not torch.equal(before["lm_head.weight"], after["lm_head.weight"])
    assert files_of(tmp_path) == ["base", "other", "out", "tuned"]


def test_only_one_average_is_in_memory_at_a_time(tmp_path, monkeypatch):
    """Each tensor is written before the next one is made."""
    save(tmp_path / "base", 0)
    save(tmp_path / "tuned", 1)
    order = []
    average, write = averaging._average, averaging.write_tensors

    def averaged(opened, weights, name, info):
        order.append(("made", name))
        return average(opened, weights, name, info)

    def written(path, infos, tensors):
        def spy():
            for name, tensor in tensors:
                yield name, tensor
                order.append(("written", name))

        write(path, infos, spy())

    monkeypatch.setattr(averaging, "_average", averaged)
    monkeypatch.setattr(averaging, "write_tensors", written)
    average_models([tmp_path / "base", tmp_path / "tuned"], tmp_path / "out")
    assert len(order) > 10
    assert [kind for kind, _ in order] == ["made", "written"] * (len(order) // 2)


def average_and_be_killed(folder):
    average = averaging._average

    def killed(opened, weights, name, info):
        if name.endswith("norm.weight"):
            os.kill(os.getpid(), signal.SIGKILL)
        return average(opened, weights, name, info)

    averaging._average = killed
    average_models([folder / "base", folder / "tuned"], folder / "out")


def test_a_kill_in_the_middle_leaves_no_model_and_the_next_try_works(tmp_path):
    save(tmp_path / "base", 0)
    save(tmp_path / "tuned", 1)
    process = multiprocessing.get_context("fork").Process(target=average_and_be_killed, args=[tmp_path])
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert files_of(tmp_path) == [".out.partial", "base", "tuned"]
    average_models([tmp_path / "base", tmp_path / "tuned"], tmp_path / "out")
    assert files_of(tmp_path) == ["base", "out", "tuned"]
    assert weights_in(tmp_path / "out")
