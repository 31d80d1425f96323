"""Chains of jobs, in this process or in several: those of one chain one after the other, chains side by side.

A worker has one thread, so that the workers together use the machine; it ends when the process that started it is
gone, so that a killed sweep leaves nothing running in its folder.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from typing import Any


@dataclass(frozen=True)
class Call:
    """function(*arguments); it can be sent to another process, and returns a note."""

    function: Callable[..., str]
    arguments: tuple[Any, ...]

    def __call__(self) -> str:
        return self.function(*self.arguments)


def run_chains(chains: Sequence[Sequence[Call]], num_workers: int, done: Callable[[str], None]) -> None:
    """Run all calls; `done` gets the note of each. The first error ends everything, and is raised here."""
    if num_workers == 1:
        for call in (call for chain in chains for call in chain):
            done(call())
        return
    left = [list(chain) for chain in chains]
    with _pool(num_workers) as pool:
        running: dict[Future[str], list[Call]] = {}
        for chain in left:
            if chain:
                running[pool.submit(chain.pop(0))] = chain
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                chain = running.pop(future)
                done(future.result())
                if chain:
                    running[pool.submit(chain.pop(0))] = chain


@contextmanager
def _pool(num_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned workers, which are ended at once if the block fails."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a worker imports torch
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=_begin)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _begin() -> None:
    """In a worker, before its first job."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)
