"""Hashes of what samples depend on: the weights and the prompts.

Every byte of every weight is hashed, about a second per gigabyte on one core: two checkpoints of one training in
bfloat16 can agree in most of their elements, so hashing a part of them could miss the difference. Names, order of the
tensors within a file and the number of shards do not matter in a folder, only what the tensors are.
"""

import hashlib
import json
import struct
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passatn.sample.store.files import StoreError, one_line

if TYPE_CHECKING:
    from passatn.sample.engine import SampleRequest

_BLOCK = 2**22
# What transformers writes about itself, not about the model.
_VOLATILE = ("transformers_version", "_name_or_path", "torch_dtype", "dtype")
_CONFIG, _ADAPTER_CONFIG, _BASE = "config.json", "adapter_config.json", "base_model_name_or_path"


def prompts_fingerprint(requests: Iterable["SampleRequest"]) -> str:
    """Hex SHA-256 over the ids and prompts (token ids, else text or messages) of all requests, in any order."""
    lines = sorted(
        json.dumps([request.problem_id, list(request.prompt_ids) or request.text or request.messages])
        for request in requests
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def model_fingerprint(model: Any) -> str:
    """Hex SHA-256 over a model's weights and, for a path, its configuration.

    Args:
        model: a folder with safetensors files (a model's, or an adapter's: its base model is hashed too), a single
            .safetensors or .gguf file, the Hub id of a model that has been downloaded, or a torch module. A module and
            the folder it was loaded from have different fingerprints: use the same kind each time.

    Raises:
        StoreError: there is no such path, or it has no weights that can be hashed.
    """
    if hasattr(model, "state_dict"):
        return _of_tensors(_module_tensors(model))
    path = Path(model)
    if path.is_file():
        return _of_tensors(_file_tensors(path)) if path.suffix == ".safetensors" else _of_file(path)
    folder = path if path.is_dir() else _downloaded(str(model))
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise StoreError(f"{folder}: no .safetensors files to hash; save the model with save_pretrained")
    tensors = [entry for file in files for entry in _file_tensors(file)]
    return _of_tensors([*tensors, *_configurations(folder)])


def _of_tensors(entries: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest()


def _module_tensors(module: Any) -> Iterable[tuple[str, str]]:
    """(name, hash) of every tensor, copied to the CPU one at a time."""
    import torch

    for name, tensor in module.state_dict().items():
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        head = f"{tensor.dtype} {list(tensor.shape)} ".encode()
        yield name, hashlib.sha256(head + data.tobytes()).hexdigest()


def _file_tensors(path: Path) -> list[tuple[str, str]]:
    stat = path.stat()
    return list(_safetensors_hashes(path.resolve(), stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=1024)
def _safetensors_hashes(path: Path, size: int, modified: int) -> tuple[tuple[str, str], ...]:
    """(name, hash) of every tensor; read anew in the same process only if the file's size or time has changed."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size:
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
            return tuple(
                (name, _tensor_hash(file, 8 + length, about))
                for name, about in header.items()
                if name != "__metadata__"
            )
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise StoreError(f"{path}: not a safetensors file ({one_line(error):.120})") from None


def _tensor_hash(file: Any, start: int, about: dict[str, Any]) -> str:
    first, last = about["data_offsets"]
    sha = hashlib.sha256(f"{about['dtype']} {about['shape']} ".encode())
    file.seek(start + first)
    remaining = last - first
    while remaining:
        block = file.read(min(_BLOCK, remaining))
        if not block:
            raise ValueError("it ends within a tensor")
        sha.update(block)
        remaining -= len(block)
    return sha.hexdigest()


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _configurations(folder: Path) -> list[tuple[str, str]]:
    """(file, settings) of what belongs to the weights; an adapter's base model counts by its own fingerprint."""
    entries = []
    for name in (_CONFIG, _ADAPTER_CONFIG):
        if (folder / name).is_file():
            settings = json.loads((folder / name).read_text(encoding="utf-8"))
            base = settings.pop(_BASE, None) if name == _ADAPTER_CONFIG else None
            if base:
                entries.append((_BASE, model_fingerprint(base)))
            kept = {key: value for key, value in settings.items() if key not in _VOLATILE}
            entries.append((name, json.dumps(kept, sort_keys=True)))
    return entries


def _downloaded(name: str) -> Path:
    """The folder of a Hub model in the local cache."""
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(name, _CONFIG)
    except Exception as error:  # the Hub's own checks of a repository's name
        raise StoreError(f"{name}: neither a path nor a Hub id ({one_line(error):.120})") from None
    if not isinstance(found, str):
        raise StoreError(f"{name}: neither a path nor a model that has been downloaded; load it once, then hash it")
    return Path(found).parent
