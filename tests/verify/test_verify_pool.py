"""A hang, a crash or a memory bomb costs one result; order, threads, limits and the death of the parent."""

import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from passatn.verify.pool import PoolError, WorkerPool
from passatn.verify.verdict import Outcome

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def functions_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(HERE)


@pytest.fixture
def pool(functions_on_the_path):
    with WorkerPool("verify_functions:load", timeout_seconds=1.5, memory_mb=200, num_workers=2) as pool:
        yield pool


def payloads(results):
    return [result.value[0] if result.failure is None else result.failure for result in results]


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_order_is_preserved(pool):
    assert payloads(pool.map(range(2000))) == list(range(2000))


def test_misfortune_costs_one_result(pool):
    bad = {
        "hang": (Outcome.TIMEOUT, "no verdict within 1.5 s"),
        "spin": (Outcome.TIMEOUT, "no verdict within 1.5 s"),
        "exit": (Outcome.ERROR, "exit code 0"),
        "segfault": (Outcome.ERROR, "SIGSEGV"),
        "bomb": (Outcome.ERROR, "memory limit"),
        "system exit": (Outcome.ERROR, "SystemExit: 3"),
        "raise": (Outcome.ERROR, "ValueError: no such thing"),
        "close": (Outcome.ERROR, ""),
        "object": (Outcome.ERROR, "not JSON serializable"),
        "huge": (Outcome.ERROR, "exceeds 16 MiB"),
    }
    tasks = [task for name in bad for task in (f"before {name}", name, f"after {name}")]
    results = dict(zip(tasks, pool.map(tasks), strict=True))
    for name, (failure, detail) in bad.items():
        assert results[name].failure == failure, name
        assert detail in results[name].detail
        for good in (f"before {name}", f"after {name}"):
            assert results[good].value[0] == good


def test_printing_does_not_disturb_the_protocol(pool):
    assert payloads(pool.map([1, "print", 2])) == [1, "print", 2]


def test_payloads_that_are_not_json_are_errors_and_large_ones_arrive(pool):
    large = "x" * 2**20
    results = pool.map([object(), large, 5])
    assert payloads(results) == [Outcome.ERROR, large, 5]


def test_a_result_does_not_depend_on_what_ran_before(functions_on_the_path):
    with WorkerPool("verify_functions:load", timeout_seconds=5, memory_mb=250, num_workers=1) as pool:
        assert payloads(pool.map(["leak"] * 6)) == ["leak"] * 6


def test_several_threads_share_the_pool(pool):
    answers = {}

    def work(name):
        answers[name] = payloads(pool.map([f"{name} {i}" for i in range(100)] + ["exit"]))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {name: [f"{name} {i}" for i in range(100)] + [Outcome.ERROR] for name in "abcd"}


def test_workers_outlive_the_thread_that_first_needed_them(pool):
    found = []
    thread = threading.Thread(target=lambda: found.extend(pool.map([1])))
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert pool.map([2])[0].value[1] == found[0].value[1]


def test_no_more_workers_than_tasks_and_no_more_than_allowed(pool):
    assert len({result.value[1] for result in pool.map([1])}) == 1
    assert len({result.value[1] for result in pool.map(range(200))}) <= 2


def test_arguments_reach_the_factory():
    with WorkerPool("verify_functions:load", ["a", 2], num_workers=1) as pool:
        assert pool.map([1])[0].value[2:] == ["a", 2]


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("verify_functions:nothing", "nothing"),
        ("no_such_module:f", "no_such_module"),
        ("verify_functions:load_nothing", "not today"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_an_error_of_the_call(factory, message):
    with WorkerPool(factory, num_workers=1) as pool, pytest.raises(PoolError, match=message):
        pool.map([1, 2])


@pytest.mark.parametrize(
    "limits", [{"timeout_seconds": 0}, {"memory_mb": 0}, {"num_workers": 0}, {"timeout_seconds": float("nan")}]
)
def test_limits_are_positive(limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        WorkerPool("verify_functions:load", **limits)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"timeout_seconds": float("inf")}, "^timeout_seconds must be finite, got inf$"),
        ({"memory_mb": 2**24 + 1}, "^memory_mb must be at most 16777216, got 16777217$"),
    ],
)
def test_limits_are_neither_endless_nor_absurd(limits, message):
    with pytest.raises(ValueError, match=message):
        WorkerPool("verify_functions:load", **limits)


def test_the_largest_memory_limit_works():
    with WorkerPool("verify_functions:load", memory_mb=2**24, num_workers=1) as pool:
        assert payloads(pool.map([1])) == [1]


def test_close_kills_the_workers_and_those_they_started(functions_on_the_path):
    others = {process.pid for process in psutil.Process().children()}
    pool = WorkerPool("verify_functions:load", num_workers=2)
    orphan = pool.map(["orphan"])[0].value
    workers = [process.pid for process in psutil.Process().children() if process.pid not in others]
    assert workers
    pool.close()
    pool.close()
    assert wait_until(lambda: not any(_runs(pid) for pid in [orphan, *workers]))
    with pytest.raises(PoolError, match="closed"):
        pool.map([1])


def test_close_interrupts_tasks_in_flight(functions_on_the_path):
    pool = WorkerPool("verify_functions:load", timeout_seconds=100, num_workers=1)
    threading.Timer(1.0, pool.close).start()
    with pytest.raises(PoolError, match="closed"):
        pool.map(["hang"] * 20)


def test_a_forgotten_pool_is_closed():
    pool = WorkerPool("verify_functions:load", num_workers=1)
    pid = pool.map([1])[0].value[1]
    del pool
    assert wait_until(lambda: not _runs(pid))


@pytest.mark.parametrize("task", ["1", "'hang'", "'spin'"])
def test_workers_die_with_their_parent(task):
    program = (
        "import sys, threading, psutil, time; from passatn.verify.pool import WorkerPool\n"
        "pool = WorkerPool('verify_functions:load', timeout_seconds=100, num_workers=2)\n"
        f"threading.Thread(target=lambda: pool.map([1, {task}]), daemon=True).start()\n"
        "time.sleep(1)\n"
        "print(*[child.pid for child in psutil.Process().children()], flush=True); time.sleep(1000)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([HERE, *filter(None, sys.path)])}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: not any(_runs(pid) for pid in workers))


def test_the_pool_starts_again_in_a_fork(pool):
    assert payloads(pool.map([1])) == [1]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, repr(payloads(pool.map([7, 8]))).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"[7, 8]"
    os.close(reader)
    os.close(writer)
    assert payloads(pool.map([2])) == [2]


def test_workers_of_the_mathematical_verifier_load_what_they_need():
    with WorkerPool("verify_functions:load_modules", num_workers=1) as pool:
        assert pool.map([["torch", "numpy", "pandas", "transformers", "passatn.verify.worker"]])[0].value == [
            "passatn.verify.worker"
        ]
    program = "import sys, passatn.verify.registry as r; r.get_verifier('math').close(); print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout == "False\n"


def test_verifiers_survive_pickling():
    from passatn.verify.math import MathVerifier

    verifier = pickle.loads(pickle.dumps(MathVerifier(timeout_seconds=3, num_workers=1)))
    assert verifier.name == "math"
    verifier.close()


def test_the_version_of_the_mathematical_verifier_changes_with_the_limits():
    from passatn.verify.math import MathVerifier

    versions = []
    for limits in ({}, {"timeout_seconds": 0.5}, {"memory_mb": 512}, {"num_workers": 3}):
        verifier = MathVerifier(**limits)
        versions.append(verifier.version)
        verifier.close()
    assert versions[0].endswith("; timeout=5; memory=2048")
    assert versions[1].endswith("; timeout=0.5; memory=2048")
    assert versions[2].endswith("; timeout=5; memory=512")
    assert versions[3] == versions[0]


def _runs(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
