"""Problems that appear twice: in training and test data, or several times in the training data.

Two problems match when their prompts have the same letters and digits in the same order, whatever their case, spacing
and punctuation. That finds re-typeset copies, and also different problems that differ in a sign only (x² + 1 and
x² − 1), so a match is a candidate to look at; `same_answer` says whether the accepted answers are the same too.

    print(find_overlap(load_problems("train.jsonl"), load_problems("test.jsonl")).describe())
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from passatn.tasks.problem import Problem

_NOT_ASCII_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Match:
    """Two problems with the same normalised prompt, by id: (train, test), or (first, later) within train."""

    first_id: str
    second_id: str
    same_answer: bool


@dataclass(frozen=True)
class Overlap:
    """`pairs`: a test problem with each training problem it matches; `duplicates`: each later copy within train."""

    pairs: tuple[Match, ...]
    duplicates: tuple[Match, ...]

    def describe(self) -> str:
        """One line for a log or a report."""
        num_test = len({match.second_id for match in self.pairs})
        return (
            f"{num_test} test {_noun(num_test)} also in the training data ({_num_same(self.pairs)}), "
            f"{len(self.duplicates)} repeated {_noun(len(self.duplicates))} within it ({_num_same(self.duplicates)})"
        )


def find_overlap(train: Sequence[Problem], test: Sequence[Problem]) -> Overlap:
    """Compare the prompts of two sets of problems, and of the first with itself."""
    by_text: dict[str, list[Problem]] = {}
    for problem in train:
        by_text.setdefault(normalise_text(problem.prompt), []).append(problem)
    pairs = [_match(first, problem) for problem in test for first in by_text.get(normalise_text(problem.prompt), [])]
    copies = [_match(group[0], later) for group in by_text.values() for later in group[1:]]
    return Overlap(tuple(pairs), tuple(copies))


def normalise_text(text: str) -> str:
    """Letters, digits and their combining marks in compatibility form, lower-cased; all else is dropped.

    A text without any letter or digit is compared as it stands, without its outer white space.
    """
    if text.isascii():
        return _NOT_ASCII_WORD.sub("", text.lower()) or text.strip()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(character for character in folded if unicodedata.category(character)[0] in "LMN") or text.strip()


def _match(first: Problem, second: Problem) -> Match:
    return Match(first.id, second.id, same_answer=set(first.answers) == set(second.answers))


def _num_same(matches: Sequence[Match]) -> str:
    return f"{sum(match.same_answer for match in matches)} with the same answer"


def _noun(count: int) -> str:
    return "problem" if count == 1 else "problems"
