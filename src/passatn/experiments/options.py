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
    preset: Annotated[str | None, typer.Option(help="How to read the rows: math, gsm8k or aime.")] = None
    template: Annotated[str, typer.Option(help="raw, direct, alpaca, chat, r1 or tactic.")] = "direct"
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
        return {name: value for name, value in given.items() if name in required or (name in changed and value)}


def spread(options_class: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's parameter `options` by one keyword parameter per field of `options_class`."""
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
            command(options=options_class(**values), **arguments)

        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
            if name != "options"
        ]
        run.__signature__ = inspect.Signature([*spread_out, *own])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*spread_out, *own]}
        return run

    return decorate
