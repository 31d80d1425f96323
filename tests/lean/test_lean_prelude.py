"""The prelude: statements as in Lean's library, and functions on Nat that mean what the kernel makes of them."""

import math
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lean_proofs import require_lean

from passatn.lean import ALLOWED_AXIOMS, Goal, LeanPool, check_file, embedded_lean
from passatn.lean.olean import read_olean
from passatn.lean.prelude import HEADER, MODULE, SOURCES, axioms_of, compiled_prelude

PAIRS = [(m, n) for m in (0, 1, 2, 3, 5, 6, 7, 8, 12) for n in (0, 1, 2, 3, 4, 7, 8)]
NATIVE = {
    "add": lambda m, n: m + n,
    "sub": lambda m, n: max(m - n, 0),
    "mul": lambda m, n: m * n,
    "div": lambda m, n: m // n if n else 0,
    "mod": lambda m, n: m % n if n else m,
    "gcd": math.gcd,
    "beq": lambda m, n: str(m == n).lower(),
    "ble": lambda m, n: str(m <= n).lower(),
    "land": lambda m, n: m & n,
    "lor": lambda m, n: m | n,
    "xor": lambda m, n: m ^ n,
    "shiftLeft": lambda m, n: m << n,
    "shiftRight": lambda m, n: m >> n,
    "pow": lambda m, n: m**n,
}
"""What Python makes of the functions of two arguments that the kernel computes by name; log2 has one."""


@pytest.fixture(autouse=True, scope="module")
def _lean() -> None:
    require_lean()


def errors(text: str) -> list[str]:
    return [message.text for message in check_file(text) if message.is_error]


def log2(n: int) -> int:
    return max(n.bit_length() - 1, 0)


def test_the_kernel_computes_these_functions_as_python_does() -> None:
    lines = [f"example : Nat.{name} {m} {n} = {f(m, n)} := by decide" for name, f in NATIVE.items() for m, n in PAIRS]
    lines += [f"example : Nat.log2 {n} = {log2(n)} := by decide" for n in range(70)]
    lines.append(f"example : 2 ^ 200 % 1000007 = {2**200 % 1000007} := by decide")
    assert errors("\n".join(lines)) == []


def test_the_definitions_agree_with_what_the_kernel_computes() -> None:
    """Copies under other names, which the kernel has to unfold."""
    source = (SOURCES / f"{MODULE}.lean").read_text(encoding="utf-8")
    copied = ("add", "mul", "sub", "pred", "beq", "ble", "div", "mod", "gcd", "pow", "land", "lor", "xor", "log2")
    copied += ("shiftLeft", "shiftRight", "divModFuel", "gcdFuel", "bitwiseFuel", "log2Fuel")
    definitions = [definition(source, name) for name in copied]
    names = "|".join(sorted(copied, key=len, reverse=True))
    text = re.sub(rf"(?<![\w.])(?:Nat\.)?({names})(?![\w'])", r"Copy.\1", "\n".join(order(definitions)))
    text = re.sub(r"\b(zero|succ)\b", r"Nat.\1", text)
    lines = [
        f"example : Copy.{name} {m} {n} = {f(m, n)} := by decide"
        for name, f in NATIVE.items()
        for m, n in PAIRS
        if isinstance(f(m, n), str) or f(m, n) < 40
    ]
    lines += [f"example : Copy.log2 {n} = {log2(n)} := by decide" for n in range(20)]
    assert errors(f"{text}\nset_option maxRecDepth 50000\n" + "\n".join(lines)) == []


def definition(source: str, name: str) -> str:
    match = re.search(
        rf"^(?:@\[[^\]]*\] )?(?:protected )?def Nat\.{name}\b.*?(?=^\S)", source, re.MULTILINE | re.DOTALL
    )
    assert match is not None, name
    return (
        re.sub(r"^@\[[^\]]*\] (?:protected )?|^protected ", "", match[0]).replace("(@& Nat)", "Nat").replace("@& ", "")
    )


def order(definitions: list[str]) -> list[str]:
    """Each after those that it uses."""
    rank = (
        "pred",
        "beq",
        "ble",
        "add",
        "mul",
        "sub",
        "divModFuel",
        "div",
        "mod",
        "gcdFuel",
        "gcd",
        "pow",
        "bitwiseFuel",
    )
    rank += ("land", "lor", "xor", "shiftLeft", "shiftRight", "log2Fuel", "log2")
    return sorted(definitions, key=lambda text: rank.index(re.search(r"def Nat\.(\w+)", text)[1]))  # type: ignore[index]


def test_no_native_function_is_left_to_be_defined() -> None:
    names = [*NATIVE, "log2"]
    assert all("already been declared" in message for message in errors(defining(names)))
    assert len(errors(defining(names))) == len(names)


def defining(names: list[str]) -> str:
    return "\n".join(f"def Nat.{name} (a b : Nat) : Nat := 0" for name in names)


def test_characters_and_strings_are_what_the_kernel_takes_them_for() -> None:
    assert errors('example : "ab" = String.ofList [Char.ofNat 97, Char.ofNat 98] := by rfl') == []
    assert errors('example : "ab" = String.ofList [Char.ofNat 98, Char.ofNat 98] := by rfl') != []


STATEMENTS = {
    "Nat.add_comm": "∀ n m : Nat, n + m = m + n",
    "Nat.add_assoc": "∀ n m k : Nat, n + m + k = n + (m + k)",
    "Nat.add_left_comm": "∀ n m k : Nat, n + (m + k) = m + (n + k)",
    "Nat.add_right_comm": "∀ n m k : Nat, n + m + k = n + k + m",
    "Nat.zero_add": "∀ n : Nat, 0 + n = n",
    "Nat.add_zero": "∀ n : Nat, n + 0 = n",
    "Nat.succ_add": "∀ n m : Nat, Nat.succ n + m = Nat.succ (n + m)",
    "Nat.add_succ": "∀ n m : Nat, n + Nat.succ m = Nat.succ (n + m)",
    "Nat.mul_comm": "∀ n m : Nat, n * m = m * n",
    "Nat.mul_assoc": "∀ n m k : Nat, n * m * k = n * (m * k)",
    "Nat.left_distrib": "∀ n m k : Nat, n * (m + k) = n * m + n * k",
    "Nat.right_distrib": "∀ n m k : Nat, (n + m) * k = n * k + m * k",
    "Nat.mul_one": "∀ n : Nat, n * 1 = n",
    "Nat.one_mul": "∀ n : Nat, 1 * n = n",
    "Nat.mul_zero": "∀ n : Nat, n * 0 = 0",
    "Nat.zero_mul": "∀ n : Nat, 0 * n = 0",
    "@Nat.add_left_cancel": "∀ {n m k : Nat}, n + m = n + k → m = k",
    "@Nat.add_right_cancel": "∀ {n m k : Nat}, n + m = k + m → n = k",
    "Nat.le_refl": "∀ n : Nat, n ≤ n",
    "@Nat.le_trans": "∀ {n m k : Nat}, n ≤ m → m ≤ k → n ≤ k",
    "@Nat.le_antisymm": "∀ {n m : Nat}, n ≤ m → m ≤ n → n = m",
    "Nat.zero_le": "∀ n : Nat, 0 ≤ n",
    "@Nat.succ_le_succ": "∀ {n m : Nat}, n ≤ m → Nat.succ n ≤ Nat.succ m",
    "@Nat.le_of_succ_le_succ": "∀ {n m : Nat}, Nat.succ n ≤ Nat.succ m → n ≤ m",
    "Nat.lt_irrefl": "∀ n : Nat, ¬n < n",
    "@Nat.lt_trans": "∀ {n m k : Nat}, n < m → m < k → n < k",
    "@Nat.lt_of_lt_of_le": "∀ {n m k : Nat}, n < m → m ≤ k → n < k",
    "@Nat.lt_of_le_of_lt": "∀ {n m k : Nat}, n ≤ m → m < k → n < k",
    "Nat.le_succ": "∀ n : Nat, n ≤ Nat.succ n",
    "Nat.lt_succ_self": "∀ n : Nat, n < Nat.succ n",
    "Nat.le_add_right": "∀ n k : Nat, n ≤ n + k",
    "@Nat.add_le_add_left": "∀ {n m : Nat}, n ≤ m → ∀ k : Nat, k + n ≤ k + m",
    "@Nat.add_le_add": "∀ {a b c d : Nat}, a ≤ b → c ≤ d → a + c ≤ b + d",
    "Nat.le_total": "∀ m n : Nat, m ≤ n ∨ n ≤ m",
    "Nat.sub_self": "∀ n : Nat, n - n = 0",
    "Nat.succ_ne_zero": "∀ n : Nat, Nat.succ n ≠ 0",
    "@And.comm'": "",
    "@And.intro": "∀ {a b : Prop}, a → b → a ∧ b",
    "@And.left": "∀ {a b : Prop}, a ∧ b → a",
    "@Or.elim": "∀ {c a b : Prop}, a ∨ b → (a → c) → (b → c) → c",
    "@Iff.trans": "∀ {a b c : Prop}, (a ↔ b) → (b ↔ c) → (a ↔ c)",
    "@and_comm": "∀ {a b : Prop}, a ∧ b ↔ b ∧ a",
    "@or_assoc": "∀ {a b c : Prop}, (a ∨ b) ∨ c ↔ a ∨ b ∨ c",
    "@not_or": "∀ {p q : Prop}, ¬(p ∨ q) ↔ ¬p ∧ ¬q",
    "@Exists.intro": "∀ {α : Sort 1} {p : α → Prop} (w : α), p w → Exists p",
    "Classical.em": "∀ p : Prop, p ∨ ¬p",
    "@Classical.byContradiction": "∀ {p : Prop}, (¬p → False) → p",
    "List.append_nil": "∀ as : List Nat, as ++ [] = as",
    "List.reverse_reverse": "∀ as : List Nat, as.reverse.reverse = as",
}
del STATEMENTS["@And.comm'"]


def test_statements_are_those_of_lean_s_library() -> None:
    assert errors("\n".join(f"example : {text} := {name}" for name, text in STATEMENTS.items())) == []


def test_the_prelude_proves_all_that_it_states() -> None:
    prelude = compiled_prelude(embedded_lean())
    declarations = read_olean((prelude.folder / f"{MODULE}.olean").read_bytes())
    theorems = [name for name, declaration in declarations.items() if declaration.kind == "theorem"]
    assert len(theorems) > 300
    assert all(prelude.axioms[name] <= ALLOWED_AXIOMS for name in theorems)
    assert axioms_of(declarations, {}) == prelude.axioms


@pytest.mark.slow
def test_the_prelude_is_compiled_once_whoever_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(lambda _: compiled_prelude.__wrapped__(embedded_lean()), range(2)))
    assert made[0] == made[1]
    assert [path.name for path in (tmp_path / "passatn" / "lean").iterdir()] == [made[0].folder.name]
    before = os.stat(made[0].folder / f"{MODULE}.olean")
    compiled_prelude.__wrapped__(embedded_lean())
    assert os.stat(made[0].folder / f"{MODULE}.olean") == before


def test_the_header_is_two_lines() -> None:
    assert HEADER == "prelude\nimport PassatnInit\n"


def test_notation_is_printed_as_it_is_written() -> None:
    """In the words of Lean's own library, whose states a model may have been trained on."""
    formulas = (
        "(p ↔ q) → (q ↔ p)", "p ∧ q ∨ ¬p", "∀ (x : Nat), x ≤ a", "∃ x, x ≥ a ∧ x > b", "a < b ∨ a ≠ b", "a ∣ b * a + 0",
        "a - b = a / b % 2 ^ b", "l ++ [a, b] = b :: l", "a ∈ l",
    )  # fmt: skip
    with LeanPool(num_workers=1) as lean:
        for number, formula in enumerate(formulas):
            state = lean.start(Goal(f"theorem t{number} (p q : Prop) (a b : Nat) (l : List Nat) : {formula}"))
            assert state.text.rpartition("⊢ ")[2] == formula
