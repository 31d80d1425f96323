"""Names for variables and hypotheses, in one of the styles that people have."""

from random import Random

from passatn.prove.generator.terms import Term

_POOLS = {
    "Prop": ("p q r s t u", "P Q R S T U", "A B C D E F", "a b c d e f"),
    "Nat": ("a b c d e f", "n m k l i j", "x y z w u v", "m n k i j l"),
    "α": ("a b c d e", "x y z w u", "u v w x y"),
    "α → Prop": ("P Q R S T", "p q r s t", "A B C D E"),
    "Nat → Prop": ("P Q R S T", "p q r s t", "A B C D E"),
    "Nat → Nat": ("f g s t", "u v w s", "F G S T"),
    "List α": ("xs ys zs ws", "l₁ l₂ l₃ l₄", "as bs cs ds", "s t u v"),
    "α → β": ("f g k",),
}
_STYLES = ("h", "h₁", "H", "of")


class Names:
    """Gives names that are not taken, in a style drawn once per theorem."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._style = rng.choice(_STYLES)
        self._pools: dict[str, list[str]] = {}

    def variable(self, kind: str, taken: set[str]) -> str:
        """A variable of that type, from the start of a pool that the theorem keeps to."""
        if kind not in self._pools:
            self._pools[kind] = self._rng.choice(_POOLS[kind]).split()
        pool = self._pools[kind]
        letters = [name for name in pool if name not in taken]
        return letters[0] if letters else _numbered(pool[0], taken)

    def hypothesis(self, term: Term, taken: set[str]) -> str:
        """A hypothesis; one style puts the proposition's letter into the name."""
        if self._style == "of" and term.head.isalnum() and not term.args and f"h{term.head}" not in taken:
            return f"h{term.head}"
        if self._style == "H":
            return _numbered("H", taken)
        if self._style == "h₁":
            return _numbered("h", taken)
        return "h" if "h" not in taken else _numbered("h", taken)


def _numbered(stem: str, taken: set[str]) -> str:
    number = 1
    while f"{stem}{number}" in taken:
        number += 1
    return f"{stem}{number}"
