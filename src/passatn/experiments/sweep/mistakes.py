"""Mistakes in the programs that are called as modules: as in `passatn`, one line on stderr and exit code 1."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passatn.experiments.config import ConfigError


@contextmanager
def on_one_line() -> Iterator[None]:
    """Say what is wrong with data or files, and raise SystemExit(1); PASSATN_TRACEBACK=1 shows where it comes from."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("PASSATN_TRACEBACK"):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Put the file's name before what does not fit in its contents."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def from_one(text: str) -> int:
    """The value of an option that is a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)
