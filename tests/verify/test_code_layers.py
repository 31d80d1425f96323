"""The layers of confinement, one by one, for other users, and when the processes that apply them die."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from code_problems import HONEST, human_eval, mbpp

import passatn
from passatn.verify.code import CodeVerifier, ConfinementError, probe_layers
from passatn.verify.code.exam import make_exam
from passatn.verify.code.inside import layers
from passatn.verify.code.jail import LauncherWorker
from passatn.verify.process import WorkerDiedError
from passatn.verify.verdict import Outcome

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs are confined by Linux")

OPTIONAL = (layers.USER, layers.PROCESSES, layers.NETWORK, layers.MOUNTS, layers.LANDLOCK, layers.SECCOMP)


def request(code: str, test: str = "assert double(3) == 6") -> list[dict]:
    submission = mbpp(code, test)
    exam = make_exam(submission.problem, submission.completion)
    return [exam.program, exam.tests]


def test_every_layer_is_listed_with_its_purpose_or_remedy() -> None:
    found = probe_layers()
    assert [layer.name for layer in found][: len(OPTIONAL)] == list(OPTIONAL)
    assert all(layer.detail for layer in found)
    assert {layer.name for layer in found if layer.active} >= set(layers.ALWAYS)


@pytest.mark.parametrize("without", [(name,) for name in OPTIONAL[1:]] + [OPTIONAL[1:]], ids=" ".join)
def test_programs_run_without_any_one_layer(without: tuple[str, ...]) -> None:
    worker = LauncherWorker(5.0, 256, without=without)
    try:
        slow = "import time\ntime.sleep(0.3)\ndef double(x): return 2 * x"
        assert worker.ask(request(slow), 20.0)["value"]["outcome"] == "correct"
        for _ in range(2):
            assert worker.ask(request("def double(x): return 2 * x"), 20.0)["value"]["outcome"] == "correct"
        assert worker.ask(request("def double(x): return x"), 20.0)["value"]["outcome"] == "incorrect"
    finally:
        worker.kill()


@pytest.mark.parametrize(
    ("active", "reason"),
    [
        ({layers.USER, layers.LANDLOCK}, "network"),
        ({layers.SECCOMP, layers.LANDLOCK}, "as root"),
        ({layers.USER, layers.SECCOMP, layers.LANDLOCK}, ""),
        ({layers.USER, layers.NETWORK, layers.MOUNTS}, ""),
    ],
)
def test_too_few_layers_are_refused(active: set[str], reason: str) -> None:
    found = layers.missing(frozenset(active))
    assert (reason in found) if reason else found == ""


def test_a_machine_without_layers_needs_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passatn.verify.code.verifier.missing_layers", lambda: "nothing works here: do this")
    with pytest.raises(ConfinementError, match=r"nothing works here: do this.*in_container=True"):
        CodeVerifier()
    with CodeVerifier(in_container=True, num_workers=1) as verifier:
        assert verifier.verify([human_eval(HONEST)])[0].outcome is Outcome.CORRECT


def test_user_numbers_are_fresh_and_no_ones() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root takes other user numbers")
    drawn = [number for _ in range(20) for number in layers.fresh_users(2)]
    assert len(set(drawn)) == 40
    assert min(drawn) > 10_000


def test_a_program_that_cannot_be_confined_is_an_error_and_never_run(tmp_path: Path) -> None:
    script = """
import json, sys
from inside import layers, supervisor
from inside.confine import Limits
def refuse(user=None): raise OSError("no such user")
layers.drop_to_other_user = refuse
try: supervisor.supervise(0, frozenset({layers.USER}), Limits(1.0, 256), sys.argv[1])
except supervisor.SetupError as error: print(error)
"""
    if os.geteuid() != 0:
        pytest.skip("only root changes users")
    folder = Path(passatn.__file__).parent / "verify" / "code"
    command = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{script}", str(tmp_path)]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30, check=False)
    assert "OSError: no such user" in done.stdout, done.stderr


def test_a_launcher_that_dies_costs_one_start() -> None:
    worker = LauncherWorker(5.0, 256)
    os.kill(worker._process.pid, signal.SIGKILL)
    with pytest.raises(WorkerDiedError):
        worker.ask(request("def double(x): return 2 * x"), 20.0)
    worker.kill()


def test_programs_die_with_the_process_that_asked(tmp_path: Path) -> None:
    mark = "passatn-orphan"
    code = f"import ctypes, time\nctypes.CDLL(None).prctl(15, {mark.encode()!r})\ntime.sleep(60)"
    script = f"""
from passatn.verify.code.jail import LauncherWorker
worker = LauncherWorker(60.0, 256)
worker.ask({request(code)!r}, 60.0)
"""
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 30
    while not _is_running(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _is_running(mark)
    parent.kill()
    parent.wait()
    while _is_running(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(mark)


OTHER_USER = """
import json, sys, types
package = types.ModuleType("passatn.verify.code")
package.__path__ = [sys.argv[1] + "/passatn/verify/code"]
sys.modules[package.__name__] = package
sys.path.insert(0, sys.argv[1])
from passatn.verify.code.jail import LauncherWorker
worker = LauncherWorker(2.0, 256, without=json.loads(sys.argv[2]))
print(json.dumps([worker.missing, [worker.ask(each, 20.0)["value"]["outcome"] for each in json.loads(sys.argv[3])]]))
worker.kill()
"""


@pytest.mark.parametrize("without", [[], [layers.USER_NAMESPACE, *OPTIONAL[1:4]], [layers.LANDLOCK, layers.SECCOMP]])
def test_users_who_are_not_root_are_confined_too(without: list[str]) -> None:
    python = _python_for_all()
    programs = [
        "def double(x): return 2 * x",
        "def double(x): return x",
        "import os\nwhile True: os.fork()",
        f"import os\ndef double(x):\n    os.kill({os.getpid()}, 9)\n    return 2 * x",
        "def double(x):\n    open('/var/tmp/passatn-new', 'w')\n    return 2 * x",
        "import socket\ndef double(x):\n    socket.create_connection(('127.0.0.1', 22))\n    return 2 * x",
        "def double(x):\n    open('a', 'w').close()\n    return 2 * x",
    ]
    source = str(Path(passatn.__file__).parents[1])
    arguments = [source, json.dumps(without), json.dumps(list(map(request, programs)))]
    done = subprocess.run(
        [python, "-B", "-c", OTHER_USER, *arguments],
        **({"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}),
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    missing, outcomes = json.loads(done.stdout)
    if missing:
        pytest.skip(missing)
    assert outcomes == ["correct", "incorrect", "error", "incorrect", "incorrect", "incorrect", "correct"]


def _python_for_all() -> str:
    """An interpreter that users other than root can run too."""
    if os.geteuid() != 0:
        return sys.executable
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        check = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if subprocess.run(check, user=65534, cwd="/", check=False).returncode == 0:
                return python
        except OSError:
            continue
    pytest.skip("no Python 3.11 or newer that other users can run")


def _is_running(name: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == name:
                return True
        except OSError:
            continue
    return False
