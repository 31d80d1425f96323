"""A progress bar with an estimate, on stderr, so that standard output stays machine-readable."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress_bar(description: str, total: int, *, show: bool) -> Iterator[Callable[[int], None]]:
    """Yield `advance(count)`, which moves the bar; with `show=False` nothing is written."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not show) as progress:
        task = progress.add_task(description, total=total)
        yield lambda count: progress.advance(task, count)
