"""Which verdict for which program, and what travels between a program and its tests."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from code_problems import HONEST, PROMPT, human_eval, mbpp

from passatn.verify.code import CodeVerifier, ConfinementError
from passatn.verify.verdict import Outcome, Submission, Verdict

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs are confined by Linux")

P = "class P:\n    def __init__(self, y): self.y = y\n    def __eq__(self, other): return self.y == other.y\n"


@pytest.fixture(scope="module")
def verifier() -> Iterator[CodeVerifier]:
    with CodeVerifier(timeout_seconds=3, memory_mb=256, num_workers=1) as made:
        yield made


def judge(verifier: CodeVerifier, submission: Submission) -> Verdict:
    return verifier.verify([submission])[0]


@pytest.mark.parametrize(
    "submission",
    [
        human_eval(HONEST),
        human_eval(f"```python\n{PROMPT}{HONEST}```\nThis doubles."),
        human_eval("    return 2 * x\n\nif __name__ == '__main__':\n    input()\n"),
        mbpp("def double(x): return x + x"),
        mbpp("def f(x): return x.y", "assert f(P(3)) == 3", setup=P),
        mbpp("def f(x): return P(x)", "assert f(3) == P(3)", setup=P),
        mbpp(
            "class S:\n    def __init__(self): self.n = 0\n    def __len__(self): return self.n", "assert len(S()) == 0"
        ),
        mbpp("class N:\n    n = None\ndef f(x): return x.n", "a = N()\na.n = N()\na.n.n = 5\nassert f(a.n) == 5"),
        mbpp("def f(x): x.append(x.pop(0))", "a = [1, 2]\nf(a)\nassert a == [2, 1]"),
        mbpp("def f(g, x): return g(g(x))", "assert f(lambda x: x * 3, 1) == 9"),
        mbpp("def f(g, x): return list(map(g, x))", "assert f(str, [1, 2]) == ['1', '2']"),
        mbpp("def f(n): yield from range(n)", "assert list(f(2)) == [0, 1] and next(f(1)) == 0"),
        mbpp(
            "def f(x): raise ValueError('bad')",
            "try:\n    f(1)\nexcept ValueError as e:\n    assert str(e) == 'bad'\nelse:\n    assert False",
        ),
        mbpp("import threading\ndef f():\n    t = threading.Thread(target=len, args=('',))\n    t.start()", "f()"),
        mbpp("def f():\n    open('a', 'w').write('ab')\n    return open('a').read()", "assert f() == 'ab'"),
        mbpp("import sqlite3, zoneinfo, hashlib\ndef f(): return hashlib.md5(b'').hexdigest()[0]", "assert f() == 'd'"),
    ],
)
def test_correct(verifier: CodeVerifier, submission: Submission) -> None:
    verdict = judge(verifier, submission)
    assert verdict.outcome is Outcome.CORRECT, verdict.detail


@pytest.mark.parametrize(
    "value",
    [
        "None",
        "True",
        "-0.5",
        "float('inf')",
        "10**5000",
        "-(2**60)",
        "1j",
        "'é\\ud800'",
        "b'\\xff'",
        "bytearray(b'a')",
        "[1, (2.5, 'x'), {3}, frozenset({4})]",
        "{'a': [1], (1, 2): None}",
        "range(3)",
        "{1: 2}.keys()",
        "int",
        "collections.Counter('aab')",
        "collections.deque([1, 2])",
        "collections.OrderedDict(a=1)",
        "decimal.Decimal('1.10')",
        "fractions.Fraction(1, 3)",
        "datetime.date(2020, 2, 29)",
        "datetime.timedelta(hours=30)",
        "array.array('i', [1, 2])",
    ],
)
def test_values_travel_both_ways(verifier: CodeVerifier, value: str) -> None:
    modules = "import array, collections, datetime, decimal, fractions"
    tests = f"{modules}\nvalue = {value}\nassert f(value) == (value, True) and type(f(value)[0]) is type(value)"
    verdict = judge(verifier, mbpp(f"{modules}\ndef f(x): return x, x == {value}", tests))
    assert verdict.outcome is Outcome.CORRECT, verdict.detail


@pytest.mark.parametrize(
    ("code", "outcome", "detail"),
    [
        ("def double(x): return x", Outcome.INCORRECT, "AssertionError at `assert double(3) == 6`"),
        ("def double(x): return", Outcome.INCORRECT, "AssertionError"),
        ("def double(x): raise KeyError(x)", Outcome.INCORRECT, "KeyError: 3 at `assert"),
        ("def triple(x): return 3", Outcome.INCORRECT, "NameError: name 'double' is not defined"),
        ("def double(x: return", Outcome.INCORRECT, "SyntaxError"),
        ("I cannot do that.", Outcome.INCORRECT, "SyntaxError"),
        ("x = 1 / 0", Outcome.INCORRECT, "ZeroDivisionError: division by zero during loading"),
        ("double = 5", Outcome.INCORRECT, "TypeError: 'int' object is not callable"),
        ("import numpy", Outcome.INCORRECT, "ModuleNotFoundError"),
        ("def double(x): return double(x)", Outcome.INCORRECT, "RecursionError"),
        ("def double(x): input()", Outcome.INCORRECT, "EOFError"),
        ("import os\ndef double(x): os.abort()", Outcome.INCORRECT, "SIGABRT"),
        ("import os\ndef double(x): os.kill(os.getpid(), 9)", Outcome.INCORRECT, "SIGKILL"),
        ("import ctypes\ndef double(x): ctypes.string_at(0)", Outcome.INCORRECT, "SIGSEGV"),
        ("def double(x): return bytes(2**30)", Outcome.ERROR, "memory limit"),
        ("l = []\nwhile True: l.append(bytearray(2**16))", Outcome.ERROR, "memory limit"),
        ("def double(x): open('a', 'wb').write(bytes(2**25))", Outcome.ERROR, "file size limit"),
        ("def double(x): return [open('/dev/null') for _ in range(99)]", Outcome.ERROR, "open files limit"),
        (
            "def double(x):\n    for i in range(6): open(str(i), 'wb').write(bytes(15 * 2**20))",
            Outcome.ERROR,
            "disk space limit",
        ),
    ],
)
def test_not_correct(verifier: CodeVerifier, code: str, outcome: Outcome, detail: str) -> None:
    verdict = judge(verifier, mbpp(code))
    assert verdict.outcome is outcome, verdict
    assert detail in verdict.detail
    assert "\n" not in verdict.detail
    assert len(verdict.detail) <= 200


def test_wall_clock_and_cpu_limits_are_timeouts() -> None:
    sleeping = mbpp("import time\ndef double(x): time.sleep(60)")
    busy = mbpp("def double(x):\n    while True: pass")
    threads = mbpp("import hashlib, threading\ndef work():\n    while True: hashlib.sha1(bytes(2**20))\nwork()")
    with CodeVerifier(timeout_seconds=1, num_workers=1) as quick:
        verdicts = quick.verify([sleeping, busy, threads])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.TIMEOUT] * 3
    assert "1 s" in verdicts[0].detail


def test_what_the_tests_cannot_send_is_the_tests_fault(verifier: CodeVerifier) -> None:
    verdict = judge(verifier, mbpp("def f(x): return 1", "import threading\nassert f(threading.Lock()) == 1"))
    assert verdict.outcome is Outcome.ERROR
    assert "cannot be sent to the program" in verdict.detail


def test_problems_without_tests_are_errors_and_others_go_on(verifier: CodeVerifier) -> None:
    verdicts = verifier.verify([human_eval(HONEST, entry_point=""), human_eval(HONEST), human_eval("    return x\n")])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.ERROR, Outcome.CORRECT, Outcome.INCORRECT]
    assert "entry_point" in verdicts[0].detail
    assert verdicts[1].extracted == HONEST


def test_random_numbers_are_the_same_each_time(verifier: CodeVerifier) -> None:
    code = "import random\nseen = []\ndef f(): return random.random()"
    first, second = verifier.verify(
        [mbpp(code, "assert str(f()) == ''"), mbpp(code, "assert f() == 0.8444218515250481")]
    )
    assert first.outcome is Outcome.INCORRECT
    assert second.outcome is Outcome.CORRECT


def test_any_thread_and_order() -> None:
    submissions = [human_eval(f"    return {k} * x\n") for k in (1, 2, 3, 2)]
    expected = [Outcome.INCORRECT, Outcome.CORRECT, Outcome.INCORRECT, Outcome.CORRECT]
    with CodeVerifier(num_workers=2) as verifier, ThreadPoolExecutor(3) as threads:
        for verdicts in threads.map(verifier.verify, [submissions] * 3):
            assert [verdict.outcome for verdict in verdicts] == expected
        verifier.close()
    verifier.close()


def test_the_version_changes_with_the_limits() -> None:
    versions = set()
    for arguments in ({}, {"timeout_seconds": 5}, {"memory_mb": 512}):
        with CodeVerifier(**arguments) as verifier:
            assert verifier.name == "code"
            versions.add(verifier.version)
    assert len(versions) == 3


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="timeout_seconds must be positive, got 0"):
        CodeVerifier(timeout_seconds=0)
    with pytest.raises(ValueError, match="memory_mb"):
        CodeVerifier(memory_mb=0)


def test_a_memory_limit_too_small_for_python_is_refused_and_the_smallest_allowed_one_works() -> None:
    for memory_mb in (1, 4, 31):
        with pytest.raises(ValueError, match=f"memory_mb must be at least 32 for the code verifier, got {memory_mb}: "):
            CodeVerifier(memory_mb=memory_mb)
    imports = "import collections, functools, heapq, itertools, math, re, typing\n"
    with CodeVerifier(memory_mb=32, num_workers=1) as smallest:
        assert judge(smallest, mbpp(f"{imports}def double(x): return x + x")).outcome is Outcome.CORRECT


def test_other_systems_are_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfinementError, match=r"code verifier needs Linux or a container.*run passatn inside"):
        CodeVerifier()
