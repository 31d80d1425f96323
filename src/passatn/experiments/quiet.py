"""Silence for the libraries' own progress bars and notices, where a command shows its own."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import transformers
from transformers import Trainer
from transformers.trainer_callback import PrinterCallback, ProgressCallback


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within it, transformers, datasets and TRL report errors only; passatn's own messages are not affected."""
    verbosity, bars = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
    datasets_bars = not datasets.are_progress_bars_disabled()
    levels = {name: logging.getLogger(name).level for name in ("trl", "accelerate", "passatn.train.prepare")}
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            transformers.logging.set_verbosity(verbosity)
            if bars:
                transformers.logging.enable_progress_bar()
            if datasets_bars:
                datasets.enable_progress_bars()
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def silence_trainer(trainer: Trainer) -> None:
    """Remove the callbacks that print every log entry on stdout."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
