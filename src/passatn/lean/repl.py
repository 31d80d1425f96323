"""How to start a REPL: the embedded Lean with our loop (`modules/PassatnRepl.lean`), or that of a Lean project.

The embedded loop keeps all states in one process and can go on from any of them, at about a millisecond per tactic. In
a terminal, `python -m passatn.lean` runs it on standard input and output.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from passatn.lean.cache import cached_folder
from passatn.lean.client import ReplClient
from passatn.lean.embedded import EmbeddedLean, embedded_lean
from passatn.lean.errors import LeanUnavailableError
from passatn.lean.lake import find_lake, project_folder
from passatn.lean.prelude import HEADER, SOURCES, compile_module, compiled_prelude

StartRepl = Callable[[], ReplClient]
_MODULE = "PassatnRepl"
DRIVER = "Driver.lean"
_DRIVER = f"{HEADER}import {_MODULE}\nset_option Elab.async false\n#passatn_serve\n"


def embedded_repl(memory_mb: int = 2048) -> StartRepl:
    """Starts the embedded Lean's loop, as often as it is called. Raises LeanError where there is none."""
    lean = embedded_lean()
    prelude, loop = compiled_prelude(lean).folder, compiled_loop(lean)

    def start() -> ReplClient:
        command = lean.command(["-j1", str(loop / DRIVER)], memory_mb=memory_mb)
        return ReplClient(command, lean.environment(prelude, loop))

    return start


def project_repl(project: str | Path, repl: str | Path | None = None) -> StartRepl:
    """Starts the community's REPL in a Lean project, by `lake env REPL`.

    REPL is the path of that program (leanprover-community/repl, built with the project's version of Lean). Without it,
    lean-interact fetches and builds it. Raises LeanUnavailableError, one line that says what to do.
    """
    folder = project_folder(project)
    command = _built_repl(folder) if repl is None else [find_lake(), "env", str(repl)]

    def start() -> ReplClient:
        return ReplClient(command, folder=folder)

    return start


def _built_repl(folder: Path) -> list[str]:
    """The command that lean-interact would start."""
    try:
        from lean_interact import LeanREPLConfig, LocalProject
    except ImportError:
        raise LeanUnavailableError(
            f"no REPL for {folder}: give the path of a built one, or pip install 'passatn[lean]' for lean-interact"
        ) from None
    config = LeanREPLConfig(project=LocalProject(directory=str(folder)))
    return [str(config.lake_path), str(config.lake_command), str(config.lake_env_repl_path)]


@lru_cache(maxsize=2)
def compiled_loop(lean: EmbeddedLean) -> Path:
    source = (SOURCES / f"{_MODULE}.lean").read_bytes()
    prelude = compiled_prelude(lean).folder
    key = hashlib.sha256(source + _DRIVER.encode() + prelude.name.encode()).hexdigest()[:24]

    def build(folder: Path) -> None:
        compile_module(lean, source, _MODULE, folder, prelude)
        (folder / DRIVER).write_text(_DRIVER, encoding="utf-8")

    return cached_folder(f"repl-{key}", build)
