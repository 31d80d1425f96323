"""Progress bars of long commands, on stderr."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback


def make_progress(description_width: int = 28, bar_width: int = 30) -> Progress:
    """A bar with an estimate of the time left; it stays silent where stderr is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn(f"{{task.description:<{description_width}}}"),
        BarColumn(bar_width=bar_width),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )


class TrainingBar(TrainerCallback):
    """A bar over optimizer steps, with the latest loss or reward and pass@N, at the largest N, beside it."""

    def __init__(self) -> None:
        self._progress = make_progress(description_width=0, bar_width=16)
        self._notes: dict[str, str] = {}

    def stop(self) -> None:
        """Give the terminal back, also after an error; may be called twice."""
        self._progress.stop()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._progress.start()
            self._task = self._progress.add_task("training", total=state.max_steps, note="")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        for name, value in (logs or {}).items():
            if name in ("loss", "surrogate_loss"):
                self._notes["loss"] = f"loss {value:.3f}"
            elif name == "reward":
                self._notes["reward"] = f"reward {value:.3f}"
            elif name.startswith("eval_pass@"):
                self._notes["pass@N"] = f"{name.removeprefix('eval_')} {100 * value:.1f} %"
        if state.is_world_process_zero:
            self._progress.update(self._task, completed=state.global_step, note="  ".join(self._notes.values()))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._progress.stop()
