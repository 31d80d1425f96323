"""Weights of a model's folder, one tensor at a time: read as safetensors, in one file or several, and written so.

`safetensors.torch.save_file` takes all tensors of a file at once. `write_tensors` takes them one after the other, so
that a model is written with one of its tensors in memory.
"""

import json
import os
import struct
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class TensorInfo(NamedTuple):
    """What is known of a tensor without reading it."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return torch.Size(self.shape).numel() * self.dtype.itemsize


class WeightFiles:
    """The weights in a folder; a context manager, which holds the files open.

    Attributes:
        folder: where they are.
        files: the name of the file of each tensor.
        info: dtype and shape of each tensor.

    Raises:
        ValueError: no weights as safetensors are there, or they cannot be read; one line that names the file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, str] = {}
        self.info: dict[str, TensorInfo] = {}
        self._open: dict[str, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            for name in _file_names(self.folder):
                self._read_header(name)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def tensor(self, name: str) -> Tensor:
        """One tensor, read now."""
        return self._open[self.files[name]].get_tensor(name)

    def _read_header(self, file: str) -> None:
        path = self.folder / file
        try:
            opened = self._stack.enter_context(safe_open(path, framework="pt"))
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{path}: cannot be read as safetensors: {' '.join(str(error).split())}") from None
        self._open[file] = opened
        for name in opened.keys():  # noqa: SIM118 (not a mapping)
            part = opened.get_slice(name)
            if part.get_dtype() not in DTYPES:
                raise ValueError(f"{path}: {name} has the dtype {part.get_dtype()}, which cannot be averaged")
            self.files[name] = file
            self.info[name] = TensorInfo(DTYPES[part.get_dtype()], tuple(part.get_shape()))


def _file_names(folder: Path) -> list[str]:
    if (folder / INDEX_FILE).is_file():
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        return sorted(set(index["weight_map"].values()))
    if not (folder / SINGLE_FILE).is_file():
        raise ValueError(f"{folder}: no {SINGLE_FILE} is there (expected a folder written by save_pretrained)")
    return [SINGLE_FILE]


def write_tensors(path: Path, infos: Mapping[str, TensorInfo], tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Write a safetensors file whose tensors are made as they are written.

    Args:
        infos: of every tensor, in the order of `file_order`.
        tensors: their names and values, in that order.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, info in infos.items():
        start, end = end, end + info.num_bytes
        header[name] = {"dtype": _NAMES[info.dtype], "shape": list(info.shape), "data_offsets": [start, end]}
    encoded = json.dumps(header).encode()
    # The data begins at a multiple of 8 bytes, as the format asks.
    encoded += b" " * (-len(encoded) % 8)
    with path.open("xb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for name, tensor in tensors:
            assert TensorInfo(tensor.dtype, tuple(tensor.shape)) == infos[name], name
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())


def file_order(infos: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Large elements first, so that each tensor begins at a multiple of its element's size."""
    return dict(sorted(infos.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))
