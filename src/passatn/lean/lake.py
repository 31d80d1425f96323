"""Lean projects of the user, and Lake, with which their Lean is called."""

import shutil
from pathlib import Path

from passatn.lean.errors import LeanUnavailableError

ELAN_HINT = "install Lean with elan, see https://lean-lang.org/install"
PROJECT_STEPS = (
    "2. 'lake new NAME math', 'cd NAME', 'lake exe cache get', 'lake build'; "
    "3. for 'passatn prove --project NAME' pip install 'passatn[lean]', which builds the REPL on first use; "
    "4. for --replay lean4checker require it in the lakefile, 'lake build lean4checker' "
    "(docs/lean.md, 'Mathlib, step by step')"
)
MATHLIB_STEPS = f"1. {ELAN_HINT}; {PROJECT_STEPS}"


def project_folder(project: str | Path) -> Path:
    """The folder of a Lean project. Raises LeanUnavailableError where it is none."""
    folder = Path(project).absolute()
    if not any((folder / name).is_file() for name in ("lakefile.lean", "lakefile.toml")):
        raise LeanUnavailableError(f"{folder} is no Lean project: it has no lakefile.lean and no lakefile.toml")
    return folder


def find_lake() -> str:
    """On the PATH, or where elan puts it. Raises LeanUnavailableError."""
    lake = find_program("lake")
    if lake is None:
        raise LeanUnavailableError(f"lake was not found: {ELAN_HINT}")
    return lake


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=str(Path.home() / ".elan" / "bin"))
