"""Where rows come from: local files, datasets on the Hub, reasoning-gym's generators.

Each reader gives `Row`s, numbered from 1 as a person counts them (JSON Lines by line of the file). A row that cannot
be read is part of the stream, with its error, so that the caller decides whether to stop or to skip it; a source that
cannot be read at all raises ProblemError. fsspec paths (s3://…, hf://…, memory://…) work wherever a file does.
"""

import ast
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TextIO
from urllib.parse import parse_qsl

import fsspec

from passatn.tasks.json_list import JsonListError, read_json_list
from passatn.tasks.problem import ProblemError

FILE_SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
_GYM = "reasoning-gym:"


@dataclass(frozen=True)
class Row:
    """One row of a source: its number, counted from 1, and either its fields or what is wrong with it."""

    number: int
    fields: Any = None
    error: str | None = None


@dataclass(frozen=True)
class RowSource:
    """A source that has been opened: its name for messages, the stem of generated ids, and its rows."""

    name: str
    stem: str
    rows: Iterable[Row]


def open_source(source: str, *, split: str | None = None) -> RowSource:
    """Find out what `source` is and open it; `split` selects a split of a Hub dataset."""
    if source.startswith(_GYM):
        _refuse_split(source, split)
        return _open_gym(source)
    if source.endswith(FILE_SUFFIXES):
        _refuse_split(source, split)
        return _open_file(source)
    filesystem, path = _filesystem(source)
    if filesystem.isdir(path) or (_HUB_ID.fullmatch(source) and not filesystem.exists(path)):
        return _open_dataset(source, split)
    raise ProblemError(
        f"{source}: not a source of problems; give a file ({', '.join(FILE_SUFFIXES)}), a Hub dataset (org/name or "
        f"org/name:config), {_GYM}FAMILY?size=500&seed=0, or the name of a preset"
    )


def _refuse_split(source: str, split: str | None) -> None:
    if split is not None:
        raise ProblemError(f"{source}: split={split!r} applies to Hub datasets only; leave it out")


def _filesystem(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        filesystem, plain = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise ProblemError(f"{path}: cannot be opened ({_one_line(error)})") from None
    return filesystem, plain


def _open_file(path: str) -> RowSource:
    filesystem, plain = _filesystem(path)
    if not filesystem.isfile(plain):
        raise ProblemError(f"{path}: no such file")
    if filesystem.size(plain) == 0:
        raise ProblemError(f"{path}: the file is empty")
    name = plain.rpartition("/")[2]
    suffix = next(suffix for suffix in FILE_SUFFIXES if name.endswith(suffix))
    reader = _read_parquet if suffix == ".parquet" else _read_jsonl if ".jsonl" in suffix else _read_json
    return RowSource(path, name.removesuffix(suffix), reader(path))


def _read_jsonl(path: str) -> Iterator[Row]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            try:
                yield Row(number, json.loads(line))
            except ValueError as error:
                yield Row(number, error=f"malformed JSON ({error})")


def _read_json(path: str) -> Iterator[Row]:
    with _open_text(path) as file:
        try:
            yield from (Row(number, row) for number, row in enumerate(read_json_list(file), start=1))
        except JsonListError as error:
            raise ProblemError(f"{path}: {error}") from None


def _read_parquet(path: str) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet as parquet

    with fsspec.open(path, "rb") as file:
        try:
            rows = parquet.read_table(file).to_pylist()
        except pyarrow.ArrowException as error:
            raise ProblemError(f"{path}: not a readable Parquet file ({_one_line(error)})") from None
    yield from (Row(number, row) for number, row in enumerate(rows, start=1))


def _text(path: str) -> str:
    with _open_text(path) as file:
        return file.read()


@contextmanager
def _open_text(path: str) -> Iterator[TextIO]:
    """A text file, compressed or not; what goes wrong while it is read is one line."""
    try:
        with fsspec.open(path, "rt", encoding="utf-8-sig", compression="infer") as file:
            yield file
    except UnicodeDecodeError as error:
        raise ProblemError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (EOFError, OSError, zlib.error) as error:
        raise ProblemError(f"{path}: cannot be read ({_one_line(error)})") from None


def _open_dataset(source: str, split: str | None) -> RowSource:
    """A Hub dataset, `org/name` or `org/name:config`, or a local folder that datasets.load_dataset understands."""
    import datasets

    path, _, config = source.partition(":") if _HUB_ID.fullmatch(source) else (source, "", "")
    try:
        loaded = datasets.load_dataset(path, config or None, split=split)
    except Exception as error:
        raise ProblemError(f"{source}: datasets could not load it ({_one_line(error)})") from error
    if isinstance(loaded, Mapping):
        if len(loaded) > 1:
            raise ProblemError(f"{source}: choose a split with split=…, it has {', '.join(map(str, loaded))}")
        loaded = next(iter(loaded.values()))
    stem = re.sub(r"[/:]", "-", source.strip("/").rpartition("/")[2] + (f"-{split}" if split else ""))
    return RowSource(source, stem, (Row(number, row) for number, row in enumerate(loaded, start=1)))


def _open_gym(source: str) -> RowSource:
    """`reasoning-gym:FAMILY?size=500&seed=0&…`: further options go to the family's own configuration."""
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise ProblemError(f"{source}: needs reasoning-gym; pip install passatn[reasoning-gym]") from None
    family, _, query = source.removeprefix(_GYM).partition("?")
    if family not in DATASETS:
        close = get_close_matches(family, DATASETS, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else f"it has {len(DATASETS)} families, such as chain_sum"
        raise ProblemError(f"{source}: reasoning-gym has no family {family!r}; {hint}")
    options = {"size": 500, "seed": 0, **{key: _option(value) for key, value in parse_qsl(query)}}
    try:
        entries = list(reasoning_gym.create_dataset(family, **options))
    except Exception as error:
        raise ProblemError(f"{source}: reasoning-gym refused ({_one_line(error)})") from error
    rows = (Row(number, _gym_record(entry)) for number, entry in enumerate(entries, start=1))
    return RowSource(source, f"{family}-seed{options['seed']}", rows)


def _gym_record(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"prompt": entry["question"], "answer": entry["answer"], "metadata": entry["metadata"]}


def _option(text: str) -> Any:
    """A value in a query: a Python literal where it reads as one, the text itself where it does not."""
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        return text


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
