"""The lemmas of the library that the makers of proofs know, as data."""

from dataclasses import dataclass
from functools import cached_property

from passatn.prove.generator.terms import Term, parse, variables_of

VARIABLES = frozenset("abcdnmkxyzfg")


@dataclass(frozen=True)
class Lemma:
    """`name` proves `conclusion` from `premises`; `arguments` are the explicit ones: digits for premises, or variables.

    With `is_shown`, a `have` needs its type written out: without it Lean shows another form of it.
    """

    name: str
    premises: tuple[Term, ...]
    conclusion: Term
    arguments: str
    is_shown: bool = False

    @cached_property
    def free(self) -> frozenset[str]:
        """Variables that no premise determines."""
        known = frozenset().union(*(variables_of(premise, VARIABLES) for premise in self.premises))
        return variables_of(self.conclusion, VARIABLES) - known

    @cached_property
    def hidden(self) -> frozenset[str]:
        """Variables that the conclusion does not determine."""
        known = frozenset().union(*(variables_of(premise, VARIABLES) for premise in self.premises))
        return known - variables_of(self.conclusion, VARIABLES)


def _lemma(name: str, text: str, arguments: str, *, is_shown: bool = False) -> Lemma:
    *premises, conclusion = (parse(part) for part in text.split("⟹"))
    return Lemma(name, tuple(premises), conclusion, arguments, is_shown)


ORDER = tuple(
    _lemma(name, text, arguments, is_shown=name in ("Nat.succ_le_succ", "Nat.succ_lt_succ", "Nat.lt_succ_of_le"))
    for name, text, arguments in (
        ("Nat.le_trans", "a ≤ b ⟹ b ≤ c ⟹ a ≤ c", "01"),
        ("Nat.lt_trans", "a < b ⟹ b < c ⟹ a < c", "01"),
        ("Nat.lt_of_lt_of_le", "a < b ⟹ b ≤ c ⟹ a < c", "01"),
        ("Nat.lt_of_le_of_lt", "a ≤ b ⟹ b < c ⟹ a < c", "01"),
        ("Nat.le_of_lt", "a < b ⟹ a ≤ b", "0"),
        ("Nat.le_of_eq", "a = b ⟹ a ≤ b", "0"),
        ("Nat.le_antisymm", "a ≤ b ⟹ b ≤ a ⟹ a = b", "01"),
        ("Nat.lt_of_le_of_ne", "a ≤ b ⟹ a ≠ b ⟹ a < b", "01"),
        ("Nat.ne_of_lt", "a < b ⟹ a ≠ b", "0"),
        ("Nat.ne_of_gt", "b < a ⟹ a ≠ b", "0"),
        ("Nat.not_lt_of_ge", "b ≤ a ⟹ ¬a < b", "0"),
        ("Nat.not_le_of_gt", "b < a ⟹ ¬a ≤ b", "0"),
        ("Nat.lt_of_not_ge", "¬b ≤ a ⟹ a < b", "0"),
        ("Nat.le_of_not_lt", "¬b < a ⟹ a ≤ b", "0"),
        ("Nat.lt_asymm", "a < b ⟹ ¬b < a", "0"),
        ("Eq.symm", "a = b ⟹ b = a", "0"),
        ("Eq.trans", "a = b ⟹ b = c ⟹ a = c", "01"),
        ("Nat.add_le_add", "a ≤ b ⟹ c ≤ d ⟹ a + c ≤ b + d", "01"),
        ("Nat.add_lt_add", "a < b ⟹ c < d ⟹ a + c < b + d", "01"),
        ("Nat.add_lt_add_of_le_of_lt", "a ≤ b ⟹ c < d ⟹ a + c < b + d", "01"),
        ("Nat.add_lt_add_of_lt_of_le", "a < b ⟹ c ≤ d ⟹ a + c < b + d", "01"),
        ("Nat.add_le_add_left", "a ≤ b ⟹ k + a ≤ k + b", "0k"),
        ("Nat.add_le_add_right", "a ≤ b ⟹ a + k ≤ b + k", "0k"),
        ("Nat.add_lt_add_left", "a < b ⟹ k + a < k + b", "0k"),
        ("Nat.add_lt_add_right", "a < b ⟹ a + k < b + k", "0k"),
        ("Nat.le_of_add_le_add_left", "k + a ≤ k + b ⟹ a ≤ b", "0"),
        ("Nat.le_of_add_le_add_right", "a + k ≤ b + k ⟹ a ≤ b", "0"),
        ("Nat.lt_of_add_lt_add_left", "k + a < k + b ⟹ a < b", "0"),
        ("Nat.lt_of_add_lt_add_right", "a + k < b + k ⟹ a < b", "0"),
        ("Nat.add_left_cancel", "k + a = k + b ⟹ a = b", "0"),
        ("Nat.add_right_cancel", "a + k = b + k ⟹ a = b", "0"),
        ("Nat.mul_le_mul", "a ≤ b ⟹ c ≤ d ⟹ a * c ≤ b * d", "01"),
        ("Nat.mul_le_mul_left", "a ≤ b ⟹ k * a ≤ k * b", "k0"),
        ("Nat.mul_le_mul_right", "a ≤ b ⟹ a * k ≤ b * k", "k0"),
        ("Nat.succ_le_succ", "a ≤ b ⟹ a + 1 ≤ b + 1", "0"),
        ("Nat.succ_lt_succ", "a < b ⟹ a + 1 < b + 1", "0"),
        ("Nat.lt_succ_of_le", "a ≤ b ⟹ a < b + 1", "0"),
        ("Nat.succ_le_of_lt", "a < b ⟹ a + 1 ≤ b", "0"),
        ("Nat.lt_of_succ_le", "a + 1 ≤ b ⟹ a < b", "0"),
        ("Nat.le_of_lt_succ", "a < b + 1 ⟹ a ≤ b", "0"),
        ("Nat.pos_of_ne_zero", "a ≠ 0 ⟹ 0 < a", "0"),
        ("Nat.mul_pos", "0 < a ⟹ 0 < b ⟹ 0 < a * b", "01"),
        ("Nat.le_refl", "a ≤ a", "a"),
        ("Nat.zero_le", "0 ≤ a", "a"),
        ("Nat.le_add_right", "a ≤ a + b", "ab"),
        ("Nat.le_add_left", "a ≤ b + a", "ab"),
    )
)
DIVISIBILITY = tuple(
    _lemma(name, text, arguments)
    for name, text, arguments in (
        ("Nat.dvd_trans", "a ∣ b ⟹ b ∣ c ⟹ a ∣ c", "01"),
        ("Nat.dvd_add", "k ∣ a ⟹ k ∣ b ⟹ k ∣ a + b", "01"),
        ("Nat.dvd_mul_left", "a ∣ b * a", "ab"),
        ("Nat.dvd_mul_right", "a ∣ a * b", "ab"),
        ("Nat.dvd_refl", "a ∣ a", "a"),
        ("Nat.dvd_zero", "a ∣ 0", "a"),
        ("Nat.one_dvd", "1 ∣ a", "a"),
    )
)
