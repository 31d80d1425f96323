"""A call for `run_chains`, in a module that worker processes import at once."""

from pathlib import Path


def append(path: Path, text: str) -> str:
    with path.open("a") as file:
        file.write(text)
    if text == "bad":
        raise ValueError("this one fails")
    return text
