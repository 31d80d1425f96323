"""New weights for a vLLM server: one file in a folder that both see, and a request to load it.

    VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --generation-config vllm

The weights are written once, as safetensors in the names of the checkpoint; then vLLM's development endpoints load them
in place (collective_rpc of reload_weights, on every worker of the server) and drop the prefix cache, whose keys and
values are those of the old ones. This needs one host (a folder in /dev/shm, of the memory) or a shared file system, and
works on CPUs as on GPUs. vLLM's other way, NCCL between trainer and server (what TRL's own generation layer uses under
vllm_mode="server"), needs GPUs on both sides.

A server that is restarted has the weights of its start again, and says nothing about it. So each result is followed by
the scores of a few probes: where they are not what the weights that were sent last give, the server gets these again,
and what it drew in between is drawn anew.

Development mode lets anyone who reaches the port do anything to the server: keep it to a private network.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from passatn.sample.parity import ExpectedScores, WeightParityError, Weights, named_tensors
from passatn.sample.server_client import ServerClient, ServerError

if TYPE_CHECKING:
    from passatn.sample.engine import Engine

MAX_RESTORATIONS = 20
"""Of the weights in a server; one that loses them again and again ends the run."""
_DEV_MODE = "start it with VLLM_SERVER_DEV_MODE=1 (on a private network only)"


class WeightExchange:
    """The weights that a server shall have, in a folder.

    Args:
        folder: is made where it is missing; holds one file of the size of the model, until `close`.

    Raises:
        ServerError: the folder cannot be written.
    """

    def __init__(self, client: ServerClient, folder: str | Path) -> None:
        self._client, self._folder = client, Path(folder).absolute()
        self._probe, self._weights = self._folder / "passatn-probe", self._folder / "passatn-weights"
        self._lock = threading.Lock()
        self._was_sent = False
        self._expected: ExpectedScores | None = None
        self.times_restored = 0
        with _named_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)

    def send(self, weights: Weights | str | Path) -> None:
        """Write the weights, and have the server load them."""
        tensors = dict(named_tensors(weights))
        with self._lock:
            self._expected, self._was_sent = None, True
            _write({}, self._probe)
            _write(_separate(tensors), self._weights)
            self._load()

    def expect(self, expected: ExpectedScores) -> None:
        """What the server gives for fixed probes while it has the weights that were sent last; nothing before that."""
        if self._was_sent:
            self._expected = expected

    def are_served_since(self, times_restored: int, engine: "Engine") -> bool:
        """Has the server had the weights that were sent last ever since they had been restored that often?

        If it has lost them, it is given them.

        Raises:
            ServerError: it loses them too often.
            WeightParityError: it has been given them, and has not got them.
        """
        with self._lock:
            if self._expected is not None:
                try:
                    self._expected.check(engine)
                except WeightParityError:
                    self._restore(self._expected, engine)
            return self.times_restored == times_restored

    def close(self) -> None:
        """Delete what was sent; of several processes with the folder, only one sends."""
        if self._was_sent:
            shutil.rmtree(self._probe, ignore_errors=True)
            shutil.rmtree(self._weights, ignore_errors=True)

    def _restore(self, expected: ExpectedScores, engine: "Engine") -> None:
        if self.times_restored >= MAX_RESTORATIONS:
            raise ServerError(
                f"{self._client.server} has lost its weights more than {MAX_RESTORATIONS} times: it is restarted again "
                "and again, or somebody else loads others"
            )
        self._load()
        expected.check(engine)
        # Last: what was begun while the old weights were still there counts as drawn before.
        self.times_restored += 1

    def _load(self) -> None:
        # A load that fails leaves vLLM (0.32) without weights, and the next request ends it. So first a file without
        # any: "not in checkpoint format" copies tensor by tensor, of which there are none.
        probe = {"weights_path": str(self._probe), "is_checkpoint_format": False}
        unseen = f"does it see {self._folder} under this path? weights_folder must be on its host or on a shared disk"
        self._call(probe, {404: _DEV_MODE, 500: unseen})
        unfit = "the weights may not fit the model that it serves; restart it before it is used again"
        self._call({"weights_path": str(self._weights)}, {500: unfit})
        # Requests that are still running, whose askers have given up, would keep their part of the cache.
        path = "/reset_prefix_cache?reset_running_requests=true"
        answer = self._client.run(self._client.command(path, {}, about="prefix cache", remedies={404: _DEV_MODE}))
        if isinstance(answer, dict) and answer.get("success") is False:
            raise self._client.error("prefix cache", "the server does not drop it: is anybody else using the server?")

    def _call(self, arguments: dict[str, Any], remedies: dict[int, str]) -> None:
        body = {"method": "reload_weights", "kwargs": arguments}
        self._client.run(self._client.command("/collective_rpc", body, about="new weights", remedies=remedies))


def _separate(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """On the CPU, each with memory of its own: safetensors refuses tied ones."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        copy = tensor.detach().cpu().contiguous()
        storage = copy.untyped_storage().data_ptr()
        separate[name] = copy.clone() if storage in seen else copy
        seen.add(storage)
    return separate


def _write(tensors: dict[str, torch.Tensor], folder: Path) -> None:
    """As the folder's only file, by renaming: a server that is reading the last one reads it to its end."""
    # One name, so that what a kill leaves behind is written over.
    staged = folder / "staged"
    with _named_errors(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, staged)
            staged.rename(folder / "model.safetensors")
        except BaseException:
            staged.unlink(missing_ok=True)
            raise


@contextmanager
def _named_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ServerError(f"cannot write weights into {folder} ({reason:.200}): give another weights_folder") from None
