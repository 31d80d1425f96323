"""A Lean project with a stand-in for Lake: it runs the real embedded Lean, and `checker` for anything else."""

import os
import sys
from pathlib import Path

from lean_proofs import require_lean

from passatn.lean import LeanProject, embedded_lean, lean_project
from passatn.lean.embedded import LAUNCHER
from passatn.lean.prelude import compiled_prelude

LAKE = """#!/bin/sh
echo "$@" >> {calls}
pwd > {where}
if [ "$1" = exe ] || [ "$2" != lean ]; then
    test "$1" = exe && shift; test "$1" = env && shift
    exec {checker} "$@"
fi
shift 2
export LEAN_PATH={prelude}:$LEAN_PATH
exec {python} -I -S {launcher} {library} 0 0 0 "$@"
"""


def standin_project(folder: Path) -> LeanProject:
    """In `folder/project`, with `folder/lake`, which writes what it is asked into `folder/calls`."""
    require_lean()
    (folder / "project").mkdir()
    (folder / "project" / "lakefile.toml").touch()
    lake = executable(
        folder / "lake",
        LAKE.format(
            calls=folder / "calls",
            where=folder / "where",
            checker=folder / "checker",
            prelude=compiled_prelude(embedded_lean()).folder,
            python=sys.executable,
            launcher=LAUNCHER,
            library=embedded_lean().library,
        ),
    )
    return lean_project(folder / "project", lake=str(lake))


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    os.chmod(path, 0o755)
    return path
