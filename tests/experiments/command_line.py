"""Call `passatn` in this process, as a shell would: torch is imported once for all tests."""

import sys
from typing import Any, NamedTuple

import pytest

from passatn.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a mistake: nothing on stdout, no traceback, exit code 1."""
        assert self.code == 1, self
        assert self.out == ""
        last = self.err.strip().splitlines()[-1]
        assert last.startswith("error: "), self.err
        assert "Traceback" not in self.err
        return last.removeprefix("error: ")


class CommandLine:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: Any) -> Outcome:
        """Run `passatn ARGUMENTS`; each argument is one word."""
        self._monkeypatch.setattr(sys, "argv", ["passatn", *map(str, arguments)])
        self._capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code
        captured = self._capsys.readouterr()
        return Outcome(code or 0, captured.out, captured.err)
