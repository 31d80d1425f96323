"""The table of interpolated final trainings; the trainings themselves are in test_sweep_command.py."""

import numpy as np
import pytest

from passatn.experiments.config import ConfigError
from passatn.experiments.sweep.again import Source, repeat
from passatn.experiments.sweep.wise_ft import _check_base, table


def record(arm, seed, itself, chosen, alpha):
    rows = [("α = 1", itself, 1.0), ("α chosen", chosen, alpha)]
    return {
        "arm": arm,
        "seed": seed,
        "chosen": [{"n": 1, "which": which, "alpha": a, "log_p": np.log(p).tolist()} for which, p, a in rows],
    }


def test_gains_are_paired_by_seed():
    made = [record("CE", 0, [0.1, 0.2], [0.2, 0.3], 0.5), record("CE", 1, [0.3, 0.2], [0.3, 0.2], 1.0)]
    made += [record("DCO", 1, [0.4, 0.4], [0.5, 0.5], 0.8), record("DCO", 0, [0.9, 0.9], [0.9, 0.9], 1.0)]
    shown = table(made, [1])
    assert shown.startswith("2 problems, 2 seeds\n")
    ce, dco = (line.split(" | ") for line in shown.splitlines()[4:])
    assert ce[:4] == ["| 1", "CE", "20.0 ± 7.1", "25.0 ± 0.0"]
    assert ce[4].startswith("+5.0 [")
    assert ce[5:] == ["+10.0, +0.0", "", "0.5, 1 |"]
    assert dco[4].startswith("+5.0 [")
    assert dco[5] == "+0.0, +10.0"
    assert dco[6].startswith("+45.0 [")
    assert dco[7] == "1, 0.8 |"


def test_a_base_that_cannot_be_averaged_with_is_refused_before_any_training(tmp_path):
    def check(**settings):
        _check_base(Source("CE", 0, settings, -1, 1.0))

    (tmp_path / "model.safetensors").write_bytes(b"")
    check(model=str(tmp_path), lora=None)
    with pytest.raises(ConfigError, match="CE: with lora only an adapter is trained"):
        check(model=str(tmp_path), lora={"r": 8})
    for model in ("organisation/name", str(tmp_path / "model.gguf")):
        with pytest.raises(ConfigError, match="folders of safetensors: download or convert the base"):
            check(model=model)


def written(source, folder, text):
    (folder / "said.json").write_text(text)
    return source.arm


def test_an_output_is_of_one_experiment(tmp_path):
    sources = [Source("CE", seed, {"seed": seed}, 3, 1.0) for seed in (0, 1)]
    output = tmp_path / "again"

    def run(digest="a", to=output, workers=1):
        return repeat(sources, to, digest, written, ('{"is": 1}',), written="said.json", workers=workers)

    assert run() == [{"is": 1}, {"is": 1}]
    assert run() == [{"is": 1}, {"is": 1}]
    with pytest.raises(ConfigError, match="000 was begun with another training or other problems"):
        run("b")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.json").write_text("of a run")
    with pytest.raises(ConfigError, match="other holds something else: choose another --output"):
        run(to=tmp_path / "other")
    assert (tmp_path / "other" / "results.json").read_text() == "of a run"
    with pytest.raises(ConfigError, match="--workers must be at least 1, got 0"):
        run(workers=0, to=tmp_path / "new")
    assert not (tmp_path / "new").exists()
