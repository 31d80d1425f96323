"""Mini-MATH: ten functions of three two-digit numbers, a task small enough to pre-train a model for on a CPU.

A problem is eight tokens `[function][A, 2 digits][B, 2 digits][C, 2 digits][=]` with A, B, C in 0…99; its completion
is the 1 to 5 digits of the answer and the end-of-sequence token. The vocabulary has 23 tokens: ten functions, ten
digits, `=`, end-of-sequence and padding. As text: `<mulmod>123456=` and `3`.

The splits are by unordered pair {A, B} (60 % pre-training, 20 % fine-tuning, 10 % validation, 10 % test): most
functions are symmetric in A and B, and one pair met with another C gives much of the answer away.

    batch = sample_problems("pretrain", 128, seed=0)   # batch.input_ids: [128, 14] int64
    tokenizer = build_tokenizer()
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from passatn.tasks.problem import Problem

Array = NDArray[np.int64]
Split = Literal["pretrain", "finetune", "validation", "test"]

SPLIT_PERCENT = MappingProxyType({"pretrain": 60, "finetune": 20, "validation": 10, "test": 10})
NUM_VALUES = 100
"""A, B and C each take the values 0 … 99."""

FUNCTIONS: MappingProxyType[str, Callable[[Array, Array, Array], Array]] = MappingProxyType(
    {
        "add3": lambda a, b, c: a + b + c,
        "mul": lambda a, b, c: a * b,
        "muladd": lambda a, b, c: a * b + c,
        "mulmod": lambda a, b, c: (a * b) % (c + 1),
        "diffmul": lambda a, b, c: np.abs(a - b) * c,
        "mulgcd": lambda a, b, c: np.gcd(a * b, c + 1),
        "sqadd": lambda a, b, c: a * a + b,
        "catmod": lambda a, b, c: (NUM_VALUES * a + b) % (c + 1),
        "addmul": lambda a, b, c: (a + b) * c,
        "median": lambda a, b, c: np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c)),
    }
)

PAD_ID, EOS_ID, EQUALS_ID = 0, 1, 2
DIGIT_IDS = tuple(range(3, 13))
FUNCTION_IDS = tuple(range(13, 13 + len(FUNCTIONS)))
"""The rows of the embedding that fine-tuning resets: the functions behind new instruction tokens."""
VOCABULARY = ("<pad>", "<eos>", "=", *map(str, range(10)), *(f"<{name}>" for name in FUNCTIONS))
PROMPT_LENGTH = 8
MAX_COMPLETION_LENGTH = 6
"""Five digits and end-of-sequence; the largest answer is (99 + 99) · 99 = 19602."""


@dataclass(frozen=True)
class MiniMathBatch:
    """Distinct problems as columns: each field is `[num_problems]` int64; `functions` indexes FUNCTIONS."""

    functions: Array
    a: Array
    b: Array
    c: Array

    def __len__(self) -> int:
        return len(self.functions)

    @cached_property
    def answers(self) -> Array:
        """`[num_problems]` int64, each in 0 … 19602."""
        columns = np.stack([function(self.a, self.b, self.c) for function in FUNCTIONS.values()])
        return np.asarray(np.take_along_axis(columns, self.functions[None], axis=0)[0])

    @cached_property
    def prompt_ids(self) -> Array:
        """`[num_problems, 8]` int64."""
        digits = [value for number in (self.a, self.b, self.c) for value in (number // 10, number % 10)]
        equals = np.full(len(self), EQUALS_ID)
        return np.stack([FUNCTION_IDS[0] + self.functions, *(DIGIT_IDS[0] + d for d in digits), equals], axis=1)

    @cached_property
    def completion_lengths(self) -> Array:
        """`[num_problems]` int64: digits of the answer plus one for end-of-sequence, 2 … 6."""
        return 2 + np.sum(self.answers[:, None] >= 10 ** np.arange(1, MAX_COMPLETION_LENGTH - 1), axis=1)

    @cached_property
    def completion_ids(self) -> Array:
        """`[num_problems, 6]` int64: digits, end-of-sequence, then padding."""
        position = np.arange(MAX_COMPLETION_LENGTH)
        power = self.completion_lengths[:, None] - 2 - position
        digits = self.answers[:, None] // 10 ** np.maximum(power, 0) % 10
        return np.where(power >= 0, DIGIT_IDS[0] + digits, np.where(power == -1, EOS_ID, PAD_ID))

    @property
    def input_ids(self) -> Array:
        """`[num_problems, 14]` int64: prompt, completion, padding on the right."""
        return np.concatenate([self.prompt_ids, self.completion_ids], axis=1)

    def problems(self) -> list[Problem]:
        """The same as Problem objects, for every part that reads text."""
        names = list(FUNCTIONS)
        columns = (column.tolist() for column in (self.functions, self.a, self.b, self.c, self.answers))
        return [_problem(names[f], a, b, c, answer) for f, a, b, c, answer in zip(*columns, strict=True)]


def sample_problems(split: Split, count: int, seed: int, *, split_seed: int = 0) -> MiniMathBatch:
    """`count` distinct problems of one split, drawn uniformly; the same arguments give the same problems.

    `split_seed` says which pairs belong to which split and must be the same throughout an experiment.
    Raises ValueError for an unknown split or more problems than the split has.
    """
    pairs = split_pairs(split, split_seed)
    shape = (len(FUNCTIONS), len(pairs), NUM_VALUES)
    if not 0 <= count <= np.prod(shape):
        raise ValueError(f"count must lie between 0 and the {np.prod(shape)} problems of split {split!r}, got {count}")
    chosen = np.random.default_rng(seed).choice(np.prod(shape), size=count, replace=False)
    functions, rows, c = np.unravel_index(chosen, shape)
    return MiniMathBatch(np.asarray(functions), pairs[rows, 0], pairs[rows, 1], np.asarray(c))


@lru_cache(maxsize=16)
def split_pairs(split: Split, split_seed: int = 0) -> Array:
    """`[num_pairs, 2]` int64: the ordered pairs (A, B) of a split; with (A, B) it always holds (B, A)."""
    if split not in get_args(Split):
        raise ValueError(f"unknown split {split!r}; there are {', '.join(get_args(Split))}")
    low, high = np.triu_indices(NUM_VALUES)
    order = np.random.default_rng(split_seed).permutation(len(low))
    ends = np.cumsum(list(SPLIT_PERCENT.values())) * len(low) // 100
    part = np.split(order, ends[:-1])[list(SPLIT_PERCENT).index(split)]
    unordered = np.stack([low[part], high[part]], axis=1)
    mirrored = unordered[unordered[:, 0] != unordered[:, 1], ::-1]
    pairs = np.concatenate([unordered, mirrored])
    pairs.flags.writeable = False
    return pairs


def build_tokenizer() -> PreTrainedTokenizerBase:
    """The task's tokenizer; text that is not in the vocabulary is an error, never an unknown token."""
    backend = Tokenizer(models.WordLevel({token: index for index, token in enumerate(VOCABULARY)}))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"<[a-z0-9]+>|[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>", clean_up_tokenization_spaces=False
    )


def _problem(function: str, a: int, b: int, c: int, answer: int) -> Problem:
    digits = f"{a:02d}{b:02d}{c:02d}"
    metadata: dict[str, Any] = {"function": function, "a": a, "b": b, "c": c}
    return Problem(f"mini-math/{function}-{digits}", f"<{function}>{digits}=", (str(answer),), metadata=metadata)
