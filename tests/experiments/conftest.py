"""A tiny model, problems and trained runs that the tests of the commands share."""

from pathlib import Path
from typing import Any

import pytest

from command_line import CommandLine
from passatn.experiments.config import RunConfig
from passatn.experiments.finetune import train
from passatn.experiments.quiet import quiet_libraries
from passatn.experiments.run_directory import RunDirectory
from tiny_files import additions, save_tiny_model, write_jsonl


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds tiny/ (a model), train.jsonl and test.jsonl."""
    folder = tmp_path_factory.mktemp("workspace")
    save_tiny_model(folder / "tiny")
    write_jsonl(folder / "train.jsonl", additions(48))
    write_jsonl(folder / "test.jsonl", additions(12, seed=1))
    return folder


@pytest.fixture(scope="session")
def settings(workspace: Path) -> dict[str, Any]:
    """A run of 12 steps with replacement, in which the random model learns the form of the answers."""
    return {
        "model": str(workspace / "tiny"),
        "train_data": str(workspace / "train.jsonl"),
        "eval_data": str(workspace / "test.jsonl"),
        "template": "direct",
        "eval_ns": [1, 4, 16],
        "n_passes": 8,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
    }


@pytest.fixture(scope="session")
def finished_run(workspace: Path, settings: dict[str, Any]) -> RunDirectory:
    run = RunDirectory(workspace / "runs" / "finished")
    with quiet_libraries():
        train(RunConfig.from_mapping(settings), run, print)
    return run


@pytest.fixture
def passatn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def options(settings: dict[str, Any]) -> list[str]:
    """The settings of `finished_run` as words of a command line."""
    texts = {key: ",".join(map(str, value)) if isinstance(value, list) else value for key, value in settings.items()}
    return [word for key, value in texts.items() for word in (f"--{key}", str(value))]
