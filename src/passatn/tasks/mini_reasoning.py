"""Mini-reasoning: chains of two operations with the step between them written out, small enough to train for on a CPU.

    <mul><mod>37,58,12=      2146;1      37 · 58 = 2146, and 2146 mod 13 = 1

A chain applies one operation to two numbers A, B in 0 … 99, and another to the result and C. Its reasoning is the
result of the first, its answer that of the second. A model is pre-trained on single operations, `<mod>2146,12=1`, so it
has the skills and not the chains: these are learnt from few examples, and a wrong first step spoils the answer.

The splits are those of mini-MATH, by unordered pair {A, B}; single operations on two small numbers are taken from the
pre-training pairs only.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from passatn.tasks.mini_math import NUM_VALUES, Split, split_pairs
from passatn.tasks.problem import Problem
from passatn.tasks.prompts import PromptTemplate

Array = NDArray[np.int64]

OPERATIONS: MappingProxyType[str, Callable[[Array, Array], Array]] = MappingProxyType(
    {
        "add": lambda x, y: x + y,
        "diff": lambda x, y: np.abs(x - y),
        "mul": lambda x, y: x * y,
        "mod": lambda x, y: x % (y + 1),
        "gcd": lambda x, y: np.gcd(x, y + 1),
        "rev": lambda x, y: np.abs(NUM_VALUES * y - x),
    }
)
SECOND = tuple(name for name in OPERATIONS if name != "mul")
"""Operations on the result of another: all but the one that would make numbers of six digits."""
LARGEST_FIRST = 9999
"""The largest number that a single operation of the pre-training starts from."""

VOCABULARY = ("<pad>", "<eos>", "=", ",", ";", *map(str, range(10)), *(f"<{name}>" for name in OPERATIONS))
TEMPLATE = PromptTemplate("mini-reasoning", "{prompt}", "{reasoning};{answer}")
LONGEST_COMPLETION = 12
"""Five digits, the semicolon, five digits, end of sequence."""


def chains(split: Split, count: int, seed: int) -> list[Problem]:
    """`count` distinct chains of one split, drawn uniformly; the same arguments give the same ones."""
    pairs = split_pairs(split)
    shape = (len(OPERATIONS), len(SECOND), len(pairs), NUM_VALUES)
    chosen = np.random.default_rng(seed).choice(np.prod(shape), size=count, replace=False)
    first, second, rows, c = np.unravel_index(chosen, shape)
    names = list(OPERATIONS)
    return [
        _chain(names[f], SECOND[g], int(pairs[row, 0]), int(pairs[row, 1]), int(number))
        for f, g, row, number in zip(first, second, rows, c, strict=True)
    ]


def singles(count: int, seed: int) -> list[Problem]:
    """`count` single operations, half on two small numbers and half on a result of up to four digits, any repeated."""
    rng = np.random.default_rng(seed)
    pairs = split_pairs("pretrain")[rng.integers(len(split_pairs("pretrain")), size=count)]
    large = np.exp(rng.uniform(0, np.log(LARGEST_FIRST + 1), size=count)).astype(np.int64)
    names, is_small = list(OPERATIONS), rng.random(count) < 0.5
    problems = []
    for number in range(count):
        small = bool(is_small[number])
        name = names[rng.integers(len(names))] if small else SECOND[rng.integers(len(SECOND))]
        x, y = pairs[number] if small else (large[number], rng.integers(NUM_VALUES))
        problems.append(_single(name, int(x), int(y)))
    return problems


def build_tokenizer() -> PreTrainedTokenizerBase:
    """The task's tokenizer; text that is not in the vocabulary is an error, never an unknown token."""
    backend = Tokenizer(models.WordLevel({token: index for index, token in enumerate(VOCABULARY)}))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"<[a-z]+>|[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>", clean_up_tokenization_spaces=False
    )


def _single(name: str, x: int, y: int) -> Problem:
    answer = _apply(name, x, y)
    return Problem(f"single/{name}-{x}-{y}", f"<{name}>{x},{y}=", (str(answer),))


def _chain(first: str, second: str, a: int, b: int, c: int) -> Problem:
    between = _apply(first, a, b)
    metadata: dict[str, Any] = {"first": first, "second": second}
    return Problem(
        f"chain/{first}-{second}-{a}-{b}-{c}",
        f"<{first}><{second}>{a},{b},{c}=",
        (str(_apply(second, between, c)),),
        reasoning=str(between),
        metadata=metadata,
    )


def _apply(name: str, x: int, y: int) -> int:
    return int(OPERATIONS[name](np.array(x), np.array(y)))
