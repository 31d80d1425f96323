"""The demo's runs side by side in worker processes; each finished stage is a file, so an interrupted demo goes on."""

import hashlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import torch

from passatn.experiments.mini_math import Arm, Settings, arm_fingerprint, pretrain, run_arm
from passatn.experiments.progress import make_progress
from passatn.experiments.quiet import quiet_libraries

NUM_WORKERS = 2


def arm_file(folder: Path, arm: Arm, settings: Settings) -> Path:
    """Where an arm's arrays are stored; other settings, another file."""
    digest = hashlib.sha256(arm_fingerprint(arm, settings).encode()).hexdigest()[:8]
    name = "".join(letter if letter.isalnum() else "-" for letter in arm.name.lower())
    return folder / f"{name}-seed{arm.seed}-{digest}.npz"


def run_arms(arms: list[Arm], settings: Settings, folder: Path) -> None:
    """Pre-train the base model, then fine-tune every arm, two at a time; what is already there is not run again."""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / f"base-{settings.pretrain_steps}"
    # One thread per process: OpenMP threads of two processes on the same cores wait for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(NUM_WORKERS, mp_context=context, initializer=_start_worker) as pool,
    ):
        messages: Any = manager.Queue()
        with _bars(messages) as follow:
            warm_up = pool.submit(_start_worker)
            follow([pool.submit(_pretrain, settings, base, messages)])
            warm_up.result()
            follow([pool.submit(_run, arm, settings, base, arm_file(folder, arm, settings), messages) for arm in arms])


@contextmanager
def _bars(messages: Any) -> Iterator[Any]:
    """Progress bars fed by the workers' messages; `follow(futures)` waits for futures and re-raises their errors."""
    tasks: dict[str, Any] = {}
    with make_progress() as progress:

        def follow(futures: list[Future[None]]) -> None:
            while not all(future.done() for future in futures) or not messages.empty():
                try:
                    name, done, total = messages.get(timeout=0.2)
                except Empty:
                    continue
                if name not in tasks:
                    tasks[name] = progress.add_task(name, total=total, note="")
                progress.update(tasks[name], completed=done, total=total)
            for future in futures:
                future.result()

        yield follow


def _start_worker() -> None:
    torch.set_num_threads(1)


def _pretrain(settings: Settings, base: Path, messages: Any) -> None:
    with quiet_libraries():
        pretrain(settings, base, lambda done, total: messages.put(("base model", done, total)))


def _run(arm: Arm, settings: Settings, base: Path, file: Path, messages: Any) -> None:
    name = f"{arm.name}, seed {arm.seed}"
    with quiet_libraries():
        run_arm(arm, settings, base, file, lambda done, total: messages.put((name, done, total)))
