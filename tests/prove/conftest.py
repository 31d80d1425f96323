"""What tests of proof search share: the command line in this process, a tiny tactic model."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "experiments"))
sys.path.append(str(Path(__file__).parents[1] / "lean"))


@pytest.fixture
def passatn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    from command_line import CommandLine

    return CommandLine(monkeypatch, capsys)


@pytest.fixture(scope="session")
def tactic_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tactic_files import save_tactic_model

    return save_tactic_model(tmp_path_factory.mktemp("tactics") / "model")
