"""A process that fills a store of made-up samples and verifies them, and that can be killed at any moment.

    python tests/faults/store_writer.py STORE write
    python tests/faults/store_writer.py STORE kill SEED     SIGKILL at random moments, until one child gets through
    python tests/faults/store_writer.py STORE points        SIGKILL between every two steps of writing a file
    python tests/faults/store_writer.py STORE limit BYTES   no file may become larger

The mode `kill` prints how many children were killed. The parent process forks and does nothing else with pyarrow.
"""

import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from passatn.sample.store import SampleStore, StoreError, verify_store
from passatn.tasks import Problem
from passatn.verify.verdict import Outcome, Submission, Verdict
from store_samples import IDS, MANIFEST, fill

NUM_SAMPLES = 64
# What writing a file consists of, in `passatn.sample.store.files`, and at which calls to die; one manifest is linked.
STEPS = {
    "os.link": (1,),
    "os.fsync": (1, 2),
    "file.write": (1, 2),
    "Path.replace": (1,),
    "Path.unlink": (1,),
}


class Ones:
    """A verifier to which only 1 is correct."""

    name, version = "ones", "1"

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        return [Verdict(Outcome.CORRECT if s.completion == "1" else Outcome.INCORRECT) for s in submissions]

    def close(self) -> None: ...


def write(path: str) -> None:
    """Everything: samples, then verdicts in steps."""
    store = SampleStore.open_or_create(path, MANIFEST)
    fill(store, NUM_SAMPLES)
    problems = {problem_id: Problem(problem_id, "?", ("1",)) for problem_id in IDS}
    verify_store(store, Ones(), problems, batch_size=100, save_every_seconds=0)


def forked(work: Callable[[], None]) -> int:
    """The process id of a child that does the work."""
    if child := os.fork():
        return child
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def kill_at_random(path: str, seed: int) -> int:
    rng, num_killed = random.Random(seed), 0
    while num_killed < 100:
        child = forked(lambda: write(path))
        # The more often, the later, so that some child comes to the end.
        time.sleep(rng.uniform(0, 0.02 * 1.2**num_killed))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                raise SystemExit("a child failed by itself")
            return num_killed
        num_killed += 1
    raise SystemExit("no child came to the end")


def kill_between_steps(path: str) -> int:
    num_killed = 0
    for step, counts in STEPS.items():
        for before in (True, False):
            for count in counts:
                child = forked(lambda step=step, before=before, count=count: die_at(path, step, before, count))
                num_killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    return num_killed


def die_at(path: str, step: str, before: bool, count: int) -> None:
    """Write with a step replaced by one that kills the process at its call number `count`, before or after it acts."""
    calls = 0

    def dying(real: Callable) -> Callable:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls == count and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if calls == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    if step == "file.write":
        real_open = Path.open

        def open_half(self: Path, *args: object, **kwargs: object) -> object:
            file = real_open(self, *args, **kwargs)  # type: ignore[call-overload]
            return Half(file, dying) if "xb" in args else file

        Path.open = open_half  # type: ignore[method-assign, assignment]
    else:
        owner, name = (os, step[3:]) if step.startswith("os.") else (Path, step[5:])
        setattr(owner, name, dying(getattr(owner, name)))
    write(path)


class Half:
    """A file that writes its data in two parts, the process dying between them at the chosen call."""

    def __init__(self, file: object, dying: Callable) -> None:
        self._file = file
        self._second = dying(file.write)  # type: ignore[attr-defined]

    def __enter__(self) -> "Half":
        return self

    def __exit__(self, *args: object) -> None:
        self._file.close()  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])  # type: ignore[attr-defined]
        self._file.flush()  # type: ignore[attr-defined]
        self._second(data[len(data) // 2 :])


def main() -> None:
    path, mode, *rest = sys.argv[1:]
    if mode == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(rest[0]), int(rest[0])))
    if mode == "kill":
        print(kill_at_random(path, int(rest[0])))
    elif mode == "points":
        print(kill_between_steps(path))
    else:
        try:
            write(path)
        except StoreError as error:
            print(error, file=sys.stderr)
            raise SystemExit(3) from None


if __name__ == "__main__":
    main()
