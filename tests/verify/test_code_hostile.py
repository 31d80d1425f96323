"""Programs that attack the machine: each costs its own verdict, and nothing else. All are bounded by the limits that
test_code_verdicts.py checks with harmless programs."""

import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from code_problems import HONEST, human_eval, mbpp

from passatn.verify.code import CodeVerifier
from passatn.verify.code.exam import make_exam
from passatn.verify.code.inside import layers
from passatn.verify.code.jail import LauncherWorker
from passatn.verify.verdict import Outcome

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs are confined by Linux")

NAME = "passatn-left"
LEAVE = f"""
import ctypes, os, signal, time
def double(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
            ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
            ctypes.CDLL(None).prctl(15, {NAME.encode()!r})
            time.sleep(60)
        os._exit(0)
    return 2 * x
"""
Judge = Callable[[str], tuple[str, str]]


@pytest.fixture(scope="module")
def verifier() -> Iterator[CodeVerifier]:
    with CodeVerifier(timeout_seconds=1.5, memory_mb=256, num_workers=1) as made:
        yield made


@pytest.fixture(scope="module")
def patient() -> Iterator[CodeVerifier]:
    """For what another limit has to end, also on a busy machine."""
    with CodeVerifier(timeout_seconds=15, memory_mb=256, num_workers=1) as made:
        yield made


def variants() -> list[tuple[str, ...]]:
    """Sets of layers to leave out: each of the layers that keep files safe must do so without the other."""
    namespaces = (layers.PROCESSES, layers.MOUNTS)
    return [(), (layers.LANDLOCK, layers.SECCOMP), namespaces, (*namespaces, layers.NETWORK)]


@pytest.fixture(scope="module", params=variants(), ids=lambda without: "without " + (",".join(without) or "nothing"))
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    """Outcome and detail of an MBPP program, on a launcher without some of the layers."""
    worker = LauncherWorker(1.5, 256, without=request.param)
    if worker.missing:
        worker.kill()
        pytest.skip(worker.missing)

    def ask(code: str) -> tuple[str, str]:
        submission = mbpp(code)
        exam = make_exam(submission.problem, submission.completion)
        report = worker.ask((exam.program, exam.tests), 20.0)["value"]
        assert not worker.retired, report
        return report["outcome"], report["detail"]

    yield ask
    worker.kill()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Outside of /tmp, and open to every user, so that permissions alone would not save what is in it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        os.chmod(name, 0o777)
        yield Path(name)


BOMBS = {
    "fork bomb": ("import os\nwhile True: os.fork()", {"error"}),
    "patient fork bomb": (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        {"timeout"},
    ),
    "thread bomb": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
        {"error"},
    ),
    "memory bomb": ("l = []\nwhile True: l.append(bytearray(2**20))", {"error"}),
    "shared memory bomb": (
        "import os, time\nfor _ in range(7):\n    if not os.fork():\n        b = bytes(range(256)) * 2**18\n"
        "        c = bytearray(b)\n        time.sleep(9)\ntime.sleep(9)",
        {"error", "timeout"},
    ),
    "endless loop": ("while True: pass", {"timeout"}),
    "endless output": ("while True: print('x' * 10**6)", {"timeout"}),
    "endless file": ("f = open('a', 'wb')\nwhile True: f.write(bytes(2**20))", {"error"}),
    "endless files": ("i = 0\nwhile True:\n    i += 1\n    open(str(i), 'w').close()", {"error", "timeout"}),
    "deep folders": ("import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')", {"error", "timeout", "incorrect"}),
    "huge recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return [f() for _ in '1']\nf()",
        {"error", "incorrect"},
    ),
    "huge source": ("x = " + "(" * 10**5 + ")" * 10**5, {"error", "incorrect"}),
    "huge number": ("x = 9 ** 9 ** 9", {"timeout", "error"}),
    "stubborn": (
        "import signal\nfor n in (1, 2, 3, 14, 15, 24): signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
        {"timeout"},
    ),
}


SLOW_BOMBS = ("deep folders", "huge number", "stubborn", "endless files", "shared memory bomb")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW_BOMBS)) for name in BOMBS]
)
def test_bombs_cost_their_own_verdict(verifier: CodeVerifier, patient: CodeVerifier, name: str) -> None:
    code, outcomes = BOMBS[name]
    start = time.monotonic()
    bomb, honest = (verifier if "timeout" in outcomes else patient).verify([mbpp(code), human_eval(HONEST)])
    assert bomb.outcome in outcomes, bomb
    assert honest.outcome is Outcome.CORRECT
    assert time.monotonic() - start < 60


def test_files_outside_survive(judge: Judge, open_folder: Path) -> None:
    victim = open_folder
    canary = victim / "canary"
    canary.write_text("alive")
    code = f"""
import os, shutil
def attempt(action, *arguments):
    try: action(*arguments)
    except OSError: pass
for action in (os.remove, os.unlink, lambda p: os.truncate(p, 0), lambda p: open(p, 'w'), lambda p: os.chmod(p, 0o777),
               lambda p: os.rename(p, 'moved'), lambda p: os.link(p, 'linked'), lambda p: os.symlink(p, 'soft')):
    attempt(action, {str(canary)!r})
attempt(lambda: open('soft', 'w'))
attempt(os.symlink, {str(victim)!r}, 'folder')
shutil.rmtree({str(victim)!r}, ignore_errors=True)
attempt(os.rename, os.getcwd(), os.getcwd() + '-old')
attempt(os.symlink, {str(victim)!r}, os.getcwd())
def double(x): return 2 * x
"""
    outcome, detail = judge(code)
    assert (outcome, canary.read_text()) == ("correct", "alive"), detail
    assert [path.name for path in victim.iterdir()] == ["canary"]


def test_files_open_to_all_survive(judge: Judge, open_folder: Path) -> None:
    """Not even reading; and nothing new where every user may write."""
    canary = open_folder / "canary"
    canary.write_text("alive")
    canary.chmod(0o666)
    code = f"""
import os
def double(x):
    places = '/dev/shm/passatn-new', '/var/tmp/passatn-new', {str(open_folder / "new")!r}
    for path in ({str(canary)!r}, *places):
        for action in (os.remove, lambda p: open(p, 'w').write('dead'), os.mkdir):
            try: action(path)
            except OSError: continue
            return path
    return 2 * x
"""
    outcome, detail = judge(code)
    assert canary.read_text() == "alive"
    assert outcome == "correct", detail


def test_files_outside_cannot_be_read(verifier: CodeVerifier, open_folder: Path) -> None:
    (open_folder / "canary").write_text("alive")
    paths = [str(open_folder / "canary"), __file__, "/etc/passwd", "/proc/1/status", "/proc/self/environ"]
    code = f"""
import os
def double(x):
    for path in {paths}:
        try: open(path).read()
        except OSError: continue
        return path
    return 2 * x
"""
    (verdict,) = verifier.verify([mbpp(code)])
    assert verdict.outcome is Outcome.CORRECT, verdict.detail


REACH = """
import ctypes, socket
def reached(family, address):
    try:
        with socket.socket(family) as s:
            s.settimeout(0.3)
            s.connect(address)
        return True
    except OSError:
        return False
"""


def test_no_network(judge: Judge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        outcome, detail = judge(f"{REACH}def double(x): return 0 if reached(socket.AF_INET, {address}) else 2 * x")
        assert outcome == "correct", detail
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_sockets_of_this_machine(verifier: CodeVerifier, tmp_path: Path) -> None:
    _open_to_all(tmp_path)
    path, abstract = str(tmp_path / "socket"), f"\0passatn-{os.getpid()}"
    for address in (path, abstract):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            server.listen()
            if address == path:
                os.chmod(path, 0o777)
            code = f"{REACH}def double(x): return 0 if reached(socket.AF_UNIX, {address!r}) else 2 * x"
            (verdict,) = verifier.verify([mbpp(code)])
            assert verdict.outcome is Outcome.CORRECT, verdict.detail


def test_no_process_is_left_behind(judge: Judge) -> None:
    outcome, detail = judge(LEAVE)
    assert outcome == "correct", detail
    assert not _processes_named(NAME)


def test_nothing_is_left_after_a_timeout(judge: Judge) -> None:
    outcome, _ = judge(LEAVE + "double(1)\ntime.sleep(60)")
    assert outcome == "timeout"
    assert not _processes_named(NAME)


def test_folders_are_deleted(judge: Judge) -> None:
    before = set(Path("/tmp").glob("passatn-code-*"))
    judge("import os\nos.mkdir('a', 0o000)\nopen('b', 'w').close()\nos.symlink('/', 'c')\ndef double(x): return 2 * x")
    assert set(Path("/tmp").glob("passatn-code-*")) <= before


def test_the_parent_and_the_launcher_are_out_of_reach(judge: Judge) -> None:
    code = f"""
import os
def double(x):
    for pid in ({os.getpid()}, {os.getppid()}, os.getppid(), -1):
        try: os.kill(pid, 9)
        except OSError: pass
    return 2 * x
"""
    first, _ = judge(code)
    assert first in ("correct", "incorrect", "error")
    assert judge("def double(x): return 2 * x") == ("correct", "")


def test_closing_the_verifier_ends_programs_at_work() -> None:
    verifier = CodeVerifier(timeout_seconds=60, num_workers=1)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            verifier.verify([mbpp(LEAVE + "double(1)\ntime.sleep(60)")])
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 20
    while not _processes_named(NAME) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _processes_named(NAME)
    verifier.close()
    thread.join(20)
    assert "closed" in str(failures[0])
    _wait_until_gone(NAME)


def _open_to_all(folder: Path) -> None:
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)


def _processes_named(name: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            found += [path.parent.name] if path.read_text().strip() == name else []
        except OSError:
            continue
    return found


def _wait_until_gone(name: str) -> None:
    deadline = time.monotonic() + 30
    while _processes_named(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _processes_named(name)
