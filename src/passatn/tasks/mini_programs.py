"""Mini-programs: Python functions on lists, to be found from three of their tests; small enough to train for on a CPU.

    assert f([3, 1, 2, 7]) == [3, 4, 8]          def f(xs):
    assert f([5, 9, 0, 4]) == [5, 6, 10]             xs = sorted(xs)
    assert f([8, 8, 6, 1, 2]) == [3, 7, 9, 9]        xs = xs[1:]
                                                     xs = [x + 1 for x in xs]
                                                     return xs

The prompt shows three assertions, nine more are hidden, and a program is right if all twelve hold:
`metadata["test_list"]` is what the code verifier runs (MBPP's format).

All programs of at most three statements are known, 1 + S + S² + S³ of them, and so is which of them pass the tests of a
problem. These are its `answers`: pass@N is exact but for right programs that are longer or written with other words.

A function is what a program does to 64 lists. Those that need three statements are split by function; a problem that a
program of another split's functions would solve too is left out. So no program of a test problem is trained on, nor one
that does the same. Base models learn the functions of one or two statements.

    problems = sample_problems("finetune", 1000, seed=0)
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from passatn.tasks.problem import Problem

Array = NDArray[np.int32]
Split = Literal["pretrain", "finetune", "validation", "test"]
Values = tuple[int, ...]

STATEMENTS = (
    "sorted(xs)",
    "xs[::-1]",
    "xs[1:]",
    "xs[:-1]",
    "xs[1:] + xs[:1]",
    "xs[::2]",
    "xs[1::2]",
    "list(dict.fromkeys(xs))",
    "[x for x in xs if x % 2 == 0]",
    "[x for x in xs if x % 2 == 1]",
    "[x for x in xs if x > 4]",
    "[x for x in xs if x < 5]",
    "[x for x in xs if xs.count(x) == 1]",
    "[x + 1 for x in xs]",
    "[x * 2 for x in xs]",
    "[x // 2 for x in xs]",
    "[x % 3 for x in xs]",
    "[abs(x - 5) for x in xs]",
    "[x * x for x in xs]",
    "[sum(xs[: i + 1]) for i in range(len(xs))]",
    "[x + y for x, y in zip(xs, xs[1:])]",
    "[abs(x - y) for x, y in zip(xs, xs[1:])]",
    "[max(x, y) for x, y in zip(xs, xs[1:])]",
    "[min(x, y) for x, y in zip(xs, xs[1:])]",
)
"""What a statement assigns to `xs`."""

LONGEST = 3
NUM_SHOWN, NUM_HIDDEN = 3, 9
NUM_LISTS = 200
"""The tests of a split are about so many lists; no other split has them."""
LARGEST = 99
"""Problems with larger numbers in their tests are left out: a tokenizer has the others as one token each."""
MOST_ANSWERS = 24
"""Problems that more programs solve are left out: their tests hardly say anything."""
SPLITS: dict[str, range] = {"finetune": range(0, 50), "validation": range(50, 75), "test": range(75, 100)}
"""Percent of the functions of three statements."""
PIECES = r"assert f\(\[|, \d+|\d+|\]\) == \[|\]\n?|def f\(xs\):\n|    [^\n]*\n?"
"""What a tokenizer need not cut further: numbers with their comma, and whole statements."""


def program(statements: Sequence[int]) -> str:
    """The Python text of these statements, indices into STATEMENTS, in order."""
    lines = "".join(f"    xs = {STATEMENTS[index]}\n" for index in statements)
    return f"def f(xs):\n{lines}    return xs"


@cache
def programs() -> tuple[tuple[int, ...], ...]:
    """All of at most LONGEST statements: shorter ones first, and those that begin alike side by side."""
    found: list[tuple[int, ...]] = [()]
    level: list[tuple[int, ...]] = [()]
    for _ in range(LONGEST):
        level = [(*one, index) for one in level for index in range(len(STATEMENTS))]
        found += level
    return tuple(found)


@cache
def _steps() -> tuple[Callable[[list[int]], list[int]], ...]:
    # The text of a statement is its meaning: there is no second definition that could differ.
    return tuple(eval(f"lambda xs: {text}") for text in STATEMENTS)


class Pool:
    """What every program makes of some lists.

    Attributes:
        lists: the inputs.
        results: the outputs that occur.
        outputs: `[num_programs, num_lists]`, indices into `results`.
    """

    def __init__(self, lists: Sequence[Values]) -> None:
        self.lists = tuple(lists)
        self.results: list[Values] = []
        self._known: dict[Values, int] = {}
        # Of each statement, the result it makes of each result.
        self._next: list[dict[int, int]] = [{} for _ in STATEMENTS]
        level = np.array([[self._index(values) for values in self.lists]], dtype=np.int32)
        rows = [level]
        for _ in range(LONGEST):
            level = np.stack([self._apply(step, level) for step in range(len(STATEMENTS))], axis=1)
            level = level.reshape(-1, len(self.lists))
            rows.append(level)
        self.outputs: Array = np.concatenate(rows)

    def _index(self, values: Values) -> int:
        if values not in self._known:
            self._known[values] = len(self.results)
            self.results.append(values)
        return self._known[values]

    def _apply(self, step: int, results: Array) -> Array:
        """What one statement makes of many results, `[…]`; each is computed once."""
        values, inverse = np.unique(results, return_inverse=True)
        found = np.array([self._after(step, int(index)) for index in values], dtype=np.int32)
        return found[inverse].reshape(results.shape)

    def _after(self, step: int, index: int) -> int:
        known = self._next[step]
        if index not in known:
            known[index] = self._index(tuple(_steps()[step](list(self.results[index]))))
        return known[index]

    def accepted(self, chosen: int, columns: NDArray[np.intp]) -> NDArray[np.intp]:
        """The programs that do with these lists what the chosen one does."""
        same = (self.outputs[:, columns] == self.outputs[chosen, columns]).all(axis=1)
        return np.flatnonzero(same)


def random_lists(count: int, seed: int) -> list[Values]:
    """Distinct lists of four to six digits."""
    generator = np.random.default_rng([seed, 4])
    found: dict[Values, None] = {}
    while len(found) < count:
        found[tuple(generator.integers(0, 10, generator.integers(4, 7)).tolist())] = None
    return list(found)


@cache
def functions() -> tuple[Array, Array]:
    """`[num_programs]` each: the function of a program, and the fewest statements that any program with it has."""
    reference = Pool(random_lists(64, 0))
    _, first, of_program = np.unique(reference.outputs, axis=0, return_index=True, return_inverse=True)
    lengths = np.array([len(one) for one in programs()])
    # Shorter programs come first, so the first one with a function is a shortest one; functions are numbered in that
    # order, which no detail of the enumeration changes.
    numbers = np.empty_like(first)
    numbers[np.argsort(first)] = np.arange(len(first))
    return numbers[of_program.ravel()].astype(np.int32), lengths[first][of_program.ravel()].astype(np.int32)


@cache
def _pool(number: int) -> Pool:
    """That of the split with this number."""
    lists = random_lists(len(get_args(Split)) * NUM_LISTS, 1)
    return Pool(lists[number * NUM_LISTS : (number + 1) * NUM_LISTS])


@cache
def belongs(split: Split) -> NDArray[np.bool_]:
    """`[num_programs]`: whether the function of a program is one of this split's."""
    function, fewest = functions()
    if split == "pretrain":
        return (fewest == 1) | (fewest == 2)
    place = np.random.default_rng(3).permutation(function.max() + 1) % 100
    return (fewest == LONGEST) & np.isin(place[function], SPLITS[split])


def _by_function(split: Split) -> list[NDArray[np.intp]]:
    """The programs that a problem can be made from, for each function."""
    function = functions()[0]
    lengths = np.array([len(one) for one in programs()])
    chosen = np.flatnonzero(belongs(split) & (lengths <= (2 if split == "pretrain" else LONGEST)))
    order = chosen[np.argsort(function[chosen], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(function[order])) + 1)


def sample_problems(split: Split, count: int, *, seed: int) -> list[Problem]:
    """`count` problems with distinct prompts; the same arguments give the same ones.

    A problem is a function of the split, drawn uniformly, one of its programs, and twelve lists. `answers` has that
    program, then the other accepted ones in random order, all of them of the split's functions; `metadata` has
    `test_list`.

    Raises:
        ValueError: an unknown split.
    """
    if split not in get_args(Split):
        raise ValueError(f"unknown split {split!r}; there are {', '.join(get_args(Split))}")
    number = get_args(Split).index(split)
    generator = np.random.default_rng([seed, number, 5])
    pool, own, by_function = _pool(number), belongs(split), _by_function(split)
    found: dict[str, Problem] = {}
    while len(found) < count:
        chosen = int(generator.choice(by_function[generator.integers(len(by_function))]))
        columns = generator.choice(len(pool.lists), NUM_SHOWN + NUM_HIDDEN, replace=False)
        if (tests := _tests(pool, chosen, columns)) is None:
            continue
        right = pool.accepted(chosen, columns)
        if len(right) > MOST_ANSWERS or not own[right].all():
            continue
        others = generator.permutation(right[right != chosen])
        answers = tuple(program(programs()[index]) for index in (chosen, *others))
        prompt = "\n".join(tests[:NUM_SHOWN]) + "\n"
        found.setdefault(prompt, Problem(f"{split}-{len(found)}", prompt, answers, None, {"test_list": tests}))
    return list(found.values())


def _tests(pool: Pool, chosen: int, columns: NDArray[np.intp]) -> list[str] | None:
    """None where they say too little, or have too large numbers."""
    results = [pool.results[index] for index in pool.outputs[chosen, columns]]
    if not all(results[:NUM_SHOWN]) or len(set(results)) < NUM_SHOWN or max(map(max, filter(None, results))) > LARGEST:
        return None
    return [
        f"assert f({list(pool.lists[column])}) == {list(result)}"
        for column, result in zip(columns, results, strict=True)
    ]
