"""A server on 127.0.0.1 that speaks OpenAI's protocol as `vllm serve` documents it, over a tiny model, with faults.

It takes weights as vLLM does in development mode: what has been drawn is remembered, as by a prefix cache, until that
is dropped, and a load that fails ends the server.

    with FakeServer() as server:
        server.faults.extend([500, "drop"])
        ServerEngine(server.url, "tiny")

As in vLLM, child i of a request has the request's seed plus i, and the log-probabilities include the token that ends
the completion. Choices come in reverse, since the protocol has an index for their order.
"""

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from passatn.sample import Completion, HFEngine, SampleRequest, SamplingParams
from tiny import build_model, build_tokenizer

MAX_MODEL_LEN = 64

Fault = int | str | Callable[[dict[str, Any]], Any]
"""What happens to one request: an HTTP status; "drop", no answer; "late", none after the work is done; "cut", half an
answer; "hang", none for a long time; "html", a page; "garbage", broken JSON; or a function that spoils the answer."""


class RefusedError(Exception):
    """An answer with an HTTP status of 4xx or 5xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class FakeServer:
    """Listens from `with` on."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.model = build_model(initializer_range=0.5).eval()
        self.asked: list[dict[str, Any]] = []
        """The bodies of all requests for completions, with their `path`, in the order of their arrival."""
        self.most_in_flight = 0
        self.faults: deque[Fault] = deque()
        """Taken one per request for completions."""
        self.delay = 0.0
        """Seconds that each answer takes at least."""
        self.models_status = 200
        self.api_key: str | None = None
        self.has_logprobs: bool | None = True
        """False refuses them, None leaves them out in silence."""
        self.seeds_children = True
        """False gives all children the request's seed."""
        self.has_dev_mode = True
        self.hidden_folder = ""
        """Weights below this path are not seen."""
        self.is_deaf = False
        """Says that it has loaded weights, and does not."""
        self.num_loads = 0
        self.is_broken = False
        self._start_weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self._engine = HFEngine(self.model, build_tokenizer())
        self._tokenizer = build_tokenizer()
        self._drawn: dict[Any, Completion] = {}
        self._lock = threading.Lock()
        self._generating = threading.Lock()
        self._in_flight = 0
        self._unseeded = count()
        self._stopping = threading.Event()

    def __enter__(self) -> "FakeServer":
        self._http = _Server(("127.0.0.1", self._port), type("Handler", (_Handler,), {"fake": self}))
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def is_over(self) -> bool:
        """Connections that are still open get no more answers."""
        return self._stopping.is_set()

    def restart(self) -> None:
        """Lose everything that has happened since the start."""
        with self._generating:
            self.model.load_state_dict(self._start_weights)
            self._drawn.clear()

    def command(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """vLLM's endpoints for development."""
        if not self.has_dev_mode:
            raise RefusedError(404, "Not Found")
        if path.startswith("/reset_prefix_cache"):
            with self._generating:
                self._drawn.clear()
            return {"success": True}
        assert body["method"] == "reload_weights"
        folder, is_checkpoint = Path(body["kwargs"]["weights_path"]), body["kwargs"].get("is_checkpoint_format", True)
        files = [] if self.hidden_folder and folder.is_relative_to(self.hidden_folder) else folder.glob("*.safetensors")
        tensors = [load_file(file) for file in files]
        if not tensors:
            self.is_broken = is_checkpoint
            raise RefusedError(500, "Cannot find any model weights with `<path>`")
        if is_checkpoint:
            self.num_loads += 1
            if not self.is_deaf:
                with self._generating:
                    self.model.load_state_dict(tensors[0])
        return {"results": [None]}

    def children(self, prompt_ids: tuple[int, ...], seeds: list[str], params: dict[str, Any]) -> list[Completion]:
        """The completions with these seeds; what the model samples depends on them and the prompt alone."""
        keys = {seed: (prompt_ids, seed, *sorted(params.items())) for seed in seeds}
        with self._generating:
            requests = [SampleRequest(seed, prompt_ids) for seed in keys if keys[seed] not in self._drawn]
            for child in self._engine.sample(requests, SamplingParams(n=1, seed=0, **params)) if requests else ():
                self._drawn[keys[child.problem_id]] = child
        return [self._drawn[keys[seed]] for seed in seeds]

    def models(self) -> dict[str, Any]:
        if self.models_status != 200:
            raise RefusedError(self.models_status, "no list here")
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in ("base", "tiny")]}

    def completions(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], Fault | None]:
        """The answer, and what shall go wrong with it."""
        with self._lock:
            self.asked.append({"path": path, **body})
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            fault = self.faults.popleft() if self.faults else None
        try:
            if isinstance(fault, int):
                raise RefusedError(fault, "not now")
            if fault == "hang":
                self._stopping.wait(30)
            time.sleep(self.delay)
            answer = self._answer(path, body)
            if callable(fault):
                answer = fault(answer) or answer
            return answer, fault
        finally:
            with self._lock:
                self._in_flight -= 1

    def _answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.is_broken:
            raise RefusedError(500, "EngineCore encountered an issue.")
        if body["model"] != "tiny":
            raise RefusedError(404, f"The model `{body['model']}` does not exist.")
        if body.get("logprobs") and self.has_logprobs is False:
            raise RefusedError(400, "This model does not support `logprobs`.")
        is_chat = path == "/v1/chat/completions"
        prompt_ids = self._chat_ids(body["messages"]) if is_chat else self._prompt_ids(body["prompt"])
        if len(prompt_ids) + body["max_tokens"] > MAX_MODEL_LEN:
            raise RefusedError(
                400, f"This model's maximum context length is {MAX_MODEL_LEN} tokens.\nPlease reduce it."
            )
        seed = body.get("seed")
        first = f"unseeded {next(self._unseeded)} " if seed is None else ""
        seeds = [f"{first}{(seed or 0) + child * self.seeds_children}" for child in range(body.get("n", 1))]
        names = ("temperature", "top_p", "top_k")
        params = {"max_new_tokens": body["max_tokens"]} | {name: body[name] for name in names if name in body}
        drawn = self.children(prompt_ids, seeds, params)
        log_p = self._token_log_p(prompt_ids, drawn) if body.get("logprobs") else [[]] * len(drawn)
        prompt_log_p = self._prompt_log_p(prompt_ids) if "prompt_logprobs" in body else None
        choices = [
            self._choice(index, child, values, body, is_chat=is_chat)
            for index, (child, values) in enumerate(zip(drawn, log_p, strict=True))
        ]
        if prompt_log_p is not None and self.has_logprobs:
            choices[0]["prompt_logprobs"] = prompt_log_p
        return {"id": "cmpl-0", "model": "tiny", "choices": choices[::-1], "usage": {"prompt_tokens": len(prompt_ids)}}

    def _prompt_ids(self, prompt: Any) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(prompt) if isinstance(prompt, str) else prompt)

    def _chat_ids(self, messages: list[dict[str, str]]) -> tuple[int, ...]:
        """The template of this model: the contents, and an equals sign."""
        return self._prompt_ids("".join(message["content"] for message in messages) + "=")

    def _choice(
        self, index: int, child: Completion, log_p: list[float], body: dict[str, Any], *, is_chat: bool
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "finish_reason": "stop" if child.finished else "length"}
        choice |= {"message": {"role": "assistant", "content": child.text}} if is_chat else {"text": child.text}
        if not body.get("logprobs") or self.has_logprobs is None:
            choice["logprobs"] = None
        elif is_chat:
            choice["logprobs"] = {"content": [{"token": "", "logprob": value, "top_logprobs": []} for value in log_p]}
        else:
            choice["logprobs"] = {"tokens": [""] * len(log_p), "token_logprobs": log_p}
        if body.get("return_token_ids"):
            choice["token_ids"] = list(child.token_ids)
        return choice

    def _prompt_log_p(self, prompt_ids: tuple[int, ...]) -> list[Any]:
        with torch.no_grad(), self._generating:
            log_p = self.model(torch.tensor([prompt_ids])).logits[0, :-1].log_softmax(-1)
        pairs = zip(log_p, prompt_ids[1:], strict=True)
        return [None, *({str(token): {"logprob": float(row[token]), "rank": 1}} for row, token in pairs)]

    def _token_log_p(self, prompt_ids: tuple[int, ...], drawn: list[Completion]) -> list[list[float]]:
        """Of each sampled token; the padding stands behind, where a causal model does not see it."""
        width = max(len(child.token_ids) for child in drawn)
        tokens = torch.tensor([child.token_ids + (0,) * (width - len(child.token_ids)) for child in drawn])
        prompts = torch.tensor(prompt_ids).expand(len(drawn), -1)
        with torch.no_grad(), self._generating:
            logits = self.model(torch.cat([prompts, tokens], dim=1)).logits[:, len(prompt_ids) - 1 : -1]
        log_p = logits.log_softmax(-1).gather(2, tokens[..., None])[..., 0].tolist()
        return [values[: len(child.token_ids)] for values, child in zip(log_p, drawn, strict=True)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that did not wait is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve(lambda: (self.fake.models() if self.path == "/v1/models" else self._unknown(), None))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith(("/collective_rpc", "/reset_prefix_cache")):
            self._serve(lambda: (self.fake.command(self.path, body), None))
            return
        known = self.path in ("/v1/completions", "/v1/chat/completions")
        self._serve(lambda: self.fake.completions(self.path, body) if known else self._unknown())

    def _serve(self, work: Callable[[], tuple[dict[str, Any], Fault | None]]) -> None:
        fault: Fault | None = None
        if self.fake.is_over:
            self.close_connection = True
            return
        try:
            self._check_key()
            answer, fault = work()
            status = 200
        except RefusedError as refused:
            answer, status = {"error": {"message": str(refused), "code": refused.status}}, refused.status
        content = json.dumps(answer).encode()
        if fault in ("drop", "late", "hang"):
            self.close_connection = True
            return
        if fault in ("html", "garbage"):
            content = b"<html>\nwelcome" if fault == "html" else content[:-1]
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if fault == "html" else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status >= 429:
            self.send_header("Retry-After-Ms", "1")
        self.end_headers()
        if fault == "cut":
            content = content[: len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)

    def _check_key(self) -> None:
        given = self.headers.get("Authorization")
        if self.fake.api_key is not None and given != f"Bearer {self.fake.api_key}":
            # Some servers are as careless as this.
            raise RefusedError(401, f"wrong key: {given}")

    def _unknown(self) -> Any:
        raise RefusedError(404, "Not Found")

    def log_message(self, *_: object) -> None:
        """Say nothing."""
