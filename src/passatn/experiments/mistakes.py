"""Mistakes of the user's: one line on stderr and exit code 1, in `passatn` and in the programs called as modules."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml


@contextmanager
def on_one_line() -> Iterator[None]:
    """Say what is wrong with data or files, and raise SystemExit(1); PASSATN_TRACEBACK=1 shows where it comes from."""
    try:
        yield
    except (ValueError, OSError, ImportError, RuntimeError, yaml.YAMLError) as error:
        if os.environ.get("PASSATN_TRACEBACK") or not _is_plain(error):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None


def _is_plain(error: Exception) -> bool:
    """Whether one line says it all; of RuntimeErrors, which may be anybody's, only those that engines raise."""
    from passatn.sample.engine import EngineError

    return isinstance(error, EngineError) or not isinstance(error, RuntimeError)


@contextmanager
def about(source: str | Path) -> Iterator[None]:
    """Put the file's name before what does not fit in its contents."""
    try:
        yield
    except ValueError as error:
        # Only where something is wrong: the command line does without it until then.
        from passatn.experiments.config import ConfigError

        raise ConfigError(f"{source}: {error}") from None


def from_one(text: str) -> int:
    """The value of an option that is a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)
