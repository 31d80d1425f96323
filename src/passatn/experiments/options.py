"""Options that several commands share, as one dataclass that a decorator spreads over a command's signature.

@app.command()
@spread(ProblemOptions)
def score(options: ProblemOptions, ...) -> None: ...
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, get_type_hints

import typer


@dataclass(frozen=True, kw_only=True)
class ProblemOptions:
    """A model, and the problems to ask it; the meaning of each is that of the setting in `RunConfig`."""

    model: Annotated[str, typer.Option(help="Folder (of a model or an adapter), Hub id or .gguf file.")]
    data: Annotated[str, typer.Option(help="Problems: file, Hub id, reasoning-gym:FAMILY or preset.")]
    preset: Annotated[
        str | None, typer.Option(help="How to read the rows: math, gsm8k, aime, mbpp, humaneval, leandojo, tactics …")
    ] = None
    template: Annotated[str, typer.Option(help="raw, direct, alpaca, chat, r1, code or tactic.")] = "direct"
    split: Annotated[str | None, typer.Option(help="Split of a Hub data set.")] = None
    column: Annotated[list[str] | None, typer.Option(help="Where a field is: prompt=question (may be repeated).")] = (
        None
    )
    limit: Annotated[int | None, typer.Option(min=1, help="Keep the first so many problems.")] = None
    max_prompt_tokens: Annotated[int | None, typer.Option(min=1, help="Keep problems no longer than this.")] = None
    max_answer_tokens: Annotated[int | None, typer.Option(min=1, help="Keep answers no longer than this.")] = None
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave out (and count) rows that cannot be used.")
    ] = False
    dtype: Annotated[str, typer.Option(help="Of the weights: auto (as stored), float32, bfloat16 or float16.")] = "auto"
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that the model's repository brings.")
    ] = False

    def describe(self) -> dict[str, Any]:
        """What was asked for, without what was left at its default, as results.json keeps it."""
        given = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "trust_remote_code"}
        required = ("model", "data", "template")
        changed = {item.name for item in fields(self) if getattr(self, item.name) != item.default}
        kept = {name: value for name, value in given.items() if name in required or (name in changed and value)}
        return {name: value for name, value in kept.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(ProblemOptions):
    """As `ProblemOptions`, for a command that can do without a model, or without both."""

    model: Annotated[str | None, typer.Option(help="Folder (of a model or an adapter), Hub id or .gguf file.")] = None  # type: ignore[assignment]
    data: Annotated[str | None, typer.Option(help="Problems: file, Hub id, reasoning-gym:FAMILY or preset.")] = None  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class VerifierOptions:
    """A verifier and its limits."""

    verifier: Annotated[
        str | None, typer.Option(help='exact, math, code, lean, python:MODULE:FUNCTION or "cmd COMMAND".')
    ] = None
    timeout: Annotated[float | None, typer.Option(help="Seconds of wall clock per completion.")] = None
    memory_mb: Annotated[int | None, typer.Option(help="Memory of each worker process.")] = None
    workers: Annotated[int | None, typer.Option(help="Worker processes of the verifier.")] = None

    def limits(self) -> dict[str, Any]:
        return {"timeout": self.timeout, "memory_mb": self.memory_mb, "workers": self.workers}


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Who draws the samples, and where."""

    engine: Annotated[str, typer.Option(help="hf, vllm or server (OpenAI-compatible).")] = "hf"
    engine_option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for the engine, such as tensor_parallel_size=2 (repeatable).")
    ] = None
    ray_workers: Annotated[int | None, typer.Option(min=1, help="Run so many engines behind Ray.")] = None
    ray_address: Annotated[str | None, typer.Option(help="A running Ray cluster, such as auto (default: local).")] = (
        None
    )
    base_url: Annotated[str | None, typer.Option(help="Of the server, such as http://127.0.0.1:8000/v1.")] = None
    tokenizer: Annotated[
        str | None, typer.Option(help="Tokenizer of the server's model: prompts are then sent as token ids.")
    ] = None


def spread(options_class: type[Any], name: str = "options") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's parameter `options` (or another) by one keyword parameter per field of `options_class`."""
    hints = get_type_hints(options_class, include_extras=True)
    spread_out = [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if item.default is MISSING else item.default,
            annotation=hints[item.name],
        )
        for item in fields(options_class)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            values = {parameter.name: arguments.pop(parameter.name) for parameter in spread_out}
            command(**{name: options_class(**values)}, **arguments)

        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for key, parameter in inspect.signature(command, eval_str=True).parameters.items()
            if key != name
        ]
        run.__signature__ = inspect.Signature([*spread_out, *own])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*spread_out, *own]}
        return run

    return decorate
