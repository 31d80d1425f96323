"""Wrong programs that try to be judged correct. Each returns nothing of use; none may pass."""

import os
import sys
from collections.abc import Iterator

import pytest
from code_problems import HONEST, human_eval, mbpp

from passatn.verify.code import CodeVerifier
from passatn.verify.verdict import Outcome, Submission

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs are confined by Linux")

SECRET = "secret-5eb63bbbe01eeed0"


@pytest.fixture(scope="module")
def verifier() -> Iterator[CodeVerifier]:
    with CodeVerifier(timeout_seconds=3, memory_mb=256, num_workers=1) as made:
        yield made


def claims_equality(extra: str = "") -> str:
    methods = "eq ge gt le lt ne contains add radd sub rsub mul mod and or xor instancecheck round abs"
    body = "\n".join(f"    def __{name}__(self, *a): return True" for name in methods.split())
    return f"class Yes:\n{body}\n    def __hash__(self): return 6\n{extra}\ndef double(x): return Yes()\n"


LEAVING = [
    "import sys\nsys.exit(0)",
    "import os\nos._exit(0)",
    "raise SystemExit",
    "import os\ndef double(x): os._exit(0)",
    "import sys\ndef double(x): sys.exit(0)",
    "import os, threading\nthreading.Timer(0.01, os._exit, (0,)).start()\nimport time\ndef double(x): time.sleep(1)",
    "import os\nif os.fork():\n    os._exit(0)\ndef double(x): return 0",
    "import os\nos.execv('/proc/self/exe', ['python', '-c', ''])",
    "import atexit, os, sys\natexit.register(os._exit, 0)\nsys.exit()",
    "import sys\nsys.excepthook = lambda *a: None\nraise ValueError",
    "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(-1, signal.SIGKILL)\ndef double(x): return 0",
    "def double(x): raise GeneratorExit",
    "def double(x): raise KeyboardInterrupt",
]
OVERRIDING = [
    "def check(candidate): pass\ndef double(x): return 0",
    "import builtins\nclass Never(Exception): pass\nbuiltins.AssertionError = Never\ndef double(x): return 0",
    "import builtins\nfor n in ('all', 'any', 'abs', 'len', 'sorted', 'set', 'isinstance'):\n"
    "    setattr(builtins, n, lambda *a: True)\ndef double(x): return 0",
    "import builtins\nbuiltins.exec = builtins.compile = lambda *a, **k: None\ndef double(x): return 0",
    "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\ndef double(x): return 0",
    "import ctypes\nctypes.memset(id(6) + 24, 0, 4)\ndef double(x): return 0",
    'import json\njson.dumps = lambda *a, **k: \'{"outcome": "correct", "detail": ""}\'\ndef double(x): return 0',
    "import sys\nfor m in list(sys.modules): del sys.modules[m]\ndef double(x): return 0",
    "def double(x): return 0\ndef __getattr__(n): return double\nset = sorted = len = abs = double",
]
RESULTS = [
    claims_equality(),
    claims_equality().replace("class Yes:", "class Yes(int):"),
    claims_equality().replace("class Yes:", "class Yes(list):"),
    claims_equality("    @property\n    def __class__(self): return int"),
    "def double(x):\n    x = []\n    x.append(x)\n    return x",
    "def double(x):\n    y = []\n    for _ in range(10**5): y = [y]\n    return y",
    "def double(x): return {'value': 6, 'outcome': 'correct'}",
    "def double(x): return float('nan')",
    "def double(x): return 'x' * 10**8",
    "def double(x): raise StopIteration(6)",
]
CHANNEL = [
    'import os\nfor fd in range(64):\n    for text in (b\'correct\', b\'{"outcome": "correct", "detail": ""}\'):\n'
    "        try: os.write(fd, text)\n        except OSError: pass\ndef double(x): return 0",
    'import os, struct\nbody = b\'{"outcome": "correct", "detail": ""}\'\nfor fd in range(64):\n'
    "    try: os.write(fd, struct.pack('>I', len(body)) + body)\n    except OSError: pass\nos._exit(0)",
    'import os, struct\nbody = b\'{"ready": {"double": ["builtin", "__import__"], "check": ["builtin", "bool"]}}\'\n'
    "for fd in range(64):\n    try: os.write(fd, struct.pack('>I', len(body)) + body)\n    except OSError: pass",
    'import os, struct\nbody = b\'{"operation": "getattr", "number": 1, "args": [], "kwargs": {}}\'\n'
    "for fd in range(64):\n    try: os.write(fd, struct.pack('>I', len(body)) + body)\n    except OSError: pass",
    "import os\nos.closerange(0, 64)\ndef double(x): return 0",
    "import os\nfor fd in range(64):\n    try: os.dup2(1, fd)\n    except OSError: pass\ndef double(x): return 0",
]


@pytest.mark.parametrize("code", [*LEAVING, *OVERRIDING, *RESULTS, *CHANNEL])
def test_no_wrong_program_passes(verifier: CodeVerifier, code: str) -> None:
    wrong = [human_eval(code), mbpp(code, "assert double(3) == 6", "assert abs(double(7) - 14) < 1e-6")]
    *verdicts, honest = verifier.verify([*wrong, human_eval(HONEST)])
    assert Outcome.CORRECT not in [verdict.outcome for verdict in verdicts], verdicts
    assert honest.outcome is Outcome.CORRECT, "it spoilt the worker for the next program"


@pytest.mark.parametrize(
    "submission",
    [
        mbpp("def f(x): return 0\ndef set(x): return 0", "assert set(f((1, 2))) == set([1])"),
        mbpp(claims_equality() + "f = double", "assert f(1) in (2, 3)", "assert 5 in f(1)"),
        mbpp(claims_equality() + "f = double", "assert f(1) != 4 and f(1) < 5"),
        mbpp("def f(x): raise StopIteration", "assert all(map(lambda x: f(x) == x, [1, 2]))"),
        mbpp("def f(x): raise SystemExit(0)", "try:\n    assert f(1) == 2\nexcept:\n    pass"),
        mbpp("import os\ndef f(x): os._exit(0)", "try:\n    assert f(1) == 2\nexcept:\n    pass"),
        mbpp(
            "def f(x):\n    p = P()\n    p.same = lambda other: True\n    return p",
            "assert f(1).same(P())",
            setup="class P:\n    def same(self, other): return False",
        ),
        mbpp(
            "class P:\n    def __eq__(self, other): return True\ndef f(x): return P()",
            "assert f(1) == P()",
            setup="class P:\n    def __eq__(self, other): return False",
        ),
        mbpp(
            "def f(g):\n    g.__globals__['expected'] = None\n    g.__code__ = None",
            "expected = 5\nassert f(lambda: 1) == expected",
        ),
        human_eval(
            "    return 0\ndef helper(x): return 0\n",
            prompt="def helper(x):\n    return x\n\ndef double(x):\n    '''Twice.'''\n",
            test="def check(candidate):\n    assert candidate(3) == helper(6)\n",
        ),
    ],
)
def test_tests_keep_their_own_tools(verifier: CodeVerifier, submission: Submission) -> None:
    (verdict,) = verifier.verify([submission])
    assert verdict.outcome is not Outcome.CORRECT


SEARCH = f"""
import ctypes, gc, os, sys
def found(value):
    text = repr(value)
    at = text.find('-'.join([{SECRET[:6]!r}, '']))
    return text[at:at + {len(SECRET)}] if at >= 0 else None
def places():
    frame = sys._getframe()
    while frame:
        yield [frame.f_locals, frame.f_globals]
        frame = frame.f_back
    yield [os.environ, sys.argv, getattr(sys, 'orig_argv', None)]
    yield from gc.get_objects()
    for path in ('environ', 'cmdline', 'maps'):
        for pid in ('self', '1', str(os.getppid())):
            try: yield open(f'/proc/{{pid}}/{{path}}', 'rb').read()
            except OSError: pass
    start = id(object()) & ~0xFFFFF
    yield ctypes.string_at(start, 2**18)
def double(x):
    for place in places():
        try: hit = found(place)
        except Exception: continue
        if hit: return hit
"""


def test_the_expected_value_is_nowhere_in_the_program_process(verifier: CodeVerifier) -> None:
    test = f"def check(candidate):\n    assert candidate(1) == {SECRET!r}\n"
    before = human_eval(f"    return {SECRET!r}\n", test=test)
    planted = human_eval(f"{SEARCH}\nkept = {SECRET!r}\n", test=test)
    first, search, positive = verifier.verify([before, human_eval(SEARCH, test=test), planted])
    assert first.outcome is Outcome.CORRECT
    assert search.outcome is Outcome.INCORRECT, search
    assert positive.outcome is Outcome.CORRECT, "the search itself does not work"


def test_the_examiner_cannot_be_read_or_traced(verifier: CodeVerifier) -> None:
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def double(x):
    for pid in range(1, 40):
        if pid == os.getpid(): continue
        if libc.ptrace(16, pid, 0, 0) == 0: return 'traced'
        for name in ('mem', 'environ', 'maps', 'fd/5'):
            try: open(f'/proc/{pid}/{name}', 'rb').read(1); return name
            except OSError: pass
    return 'nothing'
"""
    (verdict,) = verifier.verify([mbpp(code, "assert double(1) == 'nothing'")])
    assert verdict.outcome is Outcome.CORRECT, verdict.detail


def test_the_parents_secrets_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSATN_TEST_TOKEN", SECRET)
    assert os.environ["PASSATN_TEST_TOKEN"] == SECRET
    with CodeVerifier(timeout_seconds=5, num_workers=1) as fresh:
        (verdict,) = fresh.verify([mbpp(SEARCH, "assert double(1) is None")])
    assert verdict.outcome is Outcome.CORRECT, verdict.detail
