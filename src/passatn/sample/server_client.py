"""The connection to an OpenAI-compatible server: the `openai` client on an asyncio loop of its own, errors in one line.

The loop runs in a thread, so that the caller may be in any thread and may have a running loop. The client repeats what
fails for a passing reason (a lost connection, no answer in time, HTTP 408, 409, 429 or 5xx) after pauses of 0.5 s that
double up to 8 s, or as long as the server asks.
"""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar
from urllib.parse import urlsplit

from passatn.sample.engine import EngineError

CHECK_SECONDS = 30.0
"""How long the list of models may take."""
NO_KEY = "EMPTY"
"""What servers without keys are sent for one."""

Result = TypeVar("Result")


class ServerError(EngineError):
    """The server is not there, refuses a request, or answers something unusable; one line, without the API key."""


class ServerClient:
    """Posts JSON to a server, a limited number of requests at a time.

    Raises:
        ImportError: the openai package is not installed; names the extra.
        ValueError: an address that is not one of HTTP, or a key that cannot be sent.
    """

    def __init__(self, base_url: str, *, api_key: str, max_concurrency: int, max_retries: int, timeout: float) -> None:
        self.server = _printable(base_url)
        self._api_key = _valid_key(api_key)
        self._timeout = timeout
        self._openai = _import_openai()
        self._client = self._openai.AsyncOpenAI(
            base_url=base_url, api_key=self._api_key, max_retries=max_retries, timeout=timeout
        )
        self._slots = asyncio.Semaphore(max_concurrency)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="passatn-server", daemon=True)
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Run it on the loop."""
        if self._loop.is_closed():
            coroutine.close()
            raise RuntimeError("the server engine is closed")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run it on the loop, and wait for its result."""
        future = self.start(coroutine)
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("the server engine was closed") from None
        except BaseException:
            future.cancel()
            raise

    async def post(self, path: str, body: Mapping[str, Any], *, about: str) -> Any:
        """The answer, decoded JSON.

        Raises:
            ServerError: the server, `about` and the server's own message.
        """
        return await self._post(self._client, path, body, about, {})

    async def command(self, path: str, body: Mapping[str, Any], *, about: str, remedies: Mapping[int, str]) -> Any:
        """As `post`, to a path beside OpenAI's protocol, and not repeated.

        Args:
            remedies: what to do about an HTTP status, for the error's message.
        """
        url = str(self._client.base_url).rstrip("/").removesuffix("/v1") + path
        return await self._post(self._client.with_options(max_retries=0), url, body, about, remedies)

    async def _post(
        self, client: Any, path: str, body: Mapping[str, Any], about: str, remedies: Mapping[int, str]
    ) -> Any:
        try:
            async with self._slots:
                return await client.post(path, cast_to=object, body=body)
        except self._openai.APIError as error:
            remedy = remedies.get(getattr(error, "status_code", 0))
            reason = self._reason(error) + (f"; {remedy}" if remedy else self._advice(error, body))
        except ValueError as error:
            reason = f"the answer is not JSON ({error})"
        raise self.error(about, reason)

    def check(self, model: str) -> None:
        """Ask for the list of models; a server that refuses to give one passes.

        Raises:
            ServerError: there is no server, it does not accept the key, or its list lacks the model.
        """
        client = self._client.with_options(max_retries=0, timeout=min(self._timeout, CHECK_SECONDS))
        try:
            answer = self.run(client.get("/models", cast_to=object))
        except self._openai.APIConnectionError as error:
            raise ServerError(f"no server at {self.server} ({self._cause(error)})") from None
        except self._openai.AuthenticationError as error:
            raise self.error("list of models", self._reason(error)) from None
        except (self._openai.APIStatusError, ValueError):
            return
        listed = answer.get("data") if isinstance(answer, dict) else None
        entries = listed if isinstance(listed, list) else []
        names = [entry["id"] for entry in entries if isinstance(entry, dict) and "id" in entry]
        if names and model not in names:
            shown = ", ".join(map(str, names[:10])) + (", …" if len(names) > 10 else "")
            raise ServerError(f"{self.server} does not have the model {model!r}: it has {shown}")

    def error(self, about: str, reason: str) -> ServerError:
        """An error about a request."""
        return ServerError(f"{self.server}: {about}: {self._one_line(reason)}")

    def close(self) -> None:
        """Cancel what runs, so that nobody waits for it for ever, drop the connections and end the thread."""
        if self._loop.is_closed():
            return
        self.run(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _finish(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    def _reason(self, error: Any) -> str:
        retries = int(error.request.headers.get("x-stainless-retry-count", 0))
        attempts = f" ({retries + 1} attempts)" if retries else ""
        if isinstance(error, self._openai.APITimeoutError):
            return f"no answer within {self._timeout:g} s{attempts}: raise timeout, or lower samples_per_request"
        if not isinstance(error, self._openai.APIStatusError):
            return f"the connection failed: {self._cause(error)}{attempts}"
        said = error.body
        if isinstance(said, dict):
            said = said.get("message") or said.get("detail") or said
        return f"HTTP {error.status_code}: {self._one_line(said or error.message):.300}{attempts}"

    def _advice(self, error: Any, body: Mapping[str, Any]) -> str:
        status = getattr(error, "status_code", None)
        if status == 404 and urlsplit(self.server).path in ("", "/"):
            return "; should the address end in /v1?"
        if status in (400, 403, 404, 422) and "logprobs" in body and "logprob" in str(error.body).lower():
            return "; logprobs=False asks for none"
        return ""

    def _cause(self, error: BaseException) -> str:
        cause = error.__cause__ or error
        return self._one_line(cause) or type(cause).__name__

    def _one_line(self, said: object) -> str:
        line = " ".join(str(said).split())
        if self._api_key != NO_KEY:
            line = line.replace(self._api_key, "***")
        return f"{line:.500}"


def _import_openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise ImportError(
            f"the server engine needs the openai client ({error}): pip install 'passatn[server]'"
        ) from None
    return openai


def _valid_key(api_key: str) -> str:
    """The key without the line break that a file may have added; an error about the header would show the key."""
    api_key = api_key.strip()
    if not api_key or not api_key.isascii() or not api_key.isprintable():
        raise ValueError("the API key is empty or holds characters that an HTTP header cannot carry")
    return api_key


def _printable(base_url: str) -> str:
    """The address without a user's name, password or query."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("base_url must be like http://127.0.0.1:8000/v1")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
