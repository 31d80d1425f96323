"""Our own prelude for the embedded Lean, compiled once and kept.

prelude = compiled_prelude(embedded_lean())
text = prelude.header + "theorem t : 1 + 1 = 2 := by rfl"
run_lean(lean, text, folders=[prelude.folder], ...)
"""

import hashlib
import json
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from passatn.lean.cache import cached_folder
from passatn.lean.embedded import EmbeddedLean
from passatn.lean.errors import LeanError
from passatn.lean.olean import Declaration, read_olean

MODULE = "PassatnInit"
HEADER = f"prelude\nimport {MODULE}\n"
"""The first lines of every file that is checked by the embedded Lean."""

SOURCES = Path(__file__).with_name("modules")
_AXIOMS = "axioms.json"
_SECONDS = 300.0


@dataclass(frozen=True)
class Prelude:
    """`axioms`: for each constant of the prelude those axioms that it rests on."""

    folder: Path
    axioms: dict[str, frozenset[str]]


@lru_cache(maxsize=2)
def compiled_prelude(lean: EmbeddedLean) -> Prelude:
    """Raises LeanError if Lean refuses the prelude, which a test would have seen."""
    source = (SOURCES / f"{MODULE}.lean").read_bytes()
    key = hashlib.sha256(source + lean.sha256.encode()).hexdigest()[:24]

    def build(folder: Path) -> None:
        compile_module(lean, source, MODULE, folder)
        declarations = read_olean((folder / f"{MODULE}.olean").read_bytes())
        table = {name: sorted(axioms) for name, axioms in axioms_of(declarations, {}).items()}
        (folder / _AXIOMS).write_text(json.dumps(table), encoding="utf-8")

    folder = cached_folder(f"prelude-{key}", build)
    table = json.loads((folder / _AXIOMS).read_text(encoding="utf-8"))
    return Prelude(folder, {name: frozenset(axioms) for name, axioms in table.items()})


def compile_module(lean: EmbeddedLean, source: bytes, module: str, folder: Path, *imports: Path) -> None:
    """Compile a source of ours into `folder`, from which it can be imported; it may import from `imports`."""
    (folder / f"{module}.lean").write_bytes(source)
    command = lean.command(["-o", f"{module}.olean", f"{module}.lean"])
    done = subprocess.run(
        command,
        cwd=folder,
        env=lean.environment(*imports),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    written = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
    if done.returncode or "error" in written:
        raise LeanError(f"Lean refuses its prelude {module}: {written.splitlines()[0] if written else done.returncode}")


def axioms_of(declarations: dict[str, Declaration], known: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """For each declaration the axioms it rests on, directly or not; `known` has those of imported constants.

    A constant that is found in neither stands for itself, as an axiom would.
    """
    users: dict[str, list[str]] = defaultdict(list)
    for declaration in declarations.values():
        for used in declaration.constants:
            users[used].append(declaration.name)
    axioms: dict[str, set[str]] = {name: set() for name in declarations}
    for name in {**declarations, **users}:
        is_axiom = declarations[name].kind == "axiom" if name in declarations else name not in known
        for axiom in [name] if is_axiom else known.get(name, ()):
            stack = [name] if name in declarations else list(users[name])
            while stack:
                reached = stack.pop()
                if axiom not in axioms[reached]:
                    axioms[reached].add(axiom)
                    stack.extend(users.get(reached, ()))
    return {name: frozenset(found) for name, found in axioms.items()}
