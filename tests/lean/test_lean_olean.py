"""Reading compiled files: what is in them, and what is no such file."""

import contextlib
import random

import pytest
from lean_proofs import require_lean

from passatn.lean import LeanError, embedded_lean
from passatn.lean.olean import Declaration, read_olean
from passatn.lean.prelude import HEADER, axioms_of, compiled_prelude
from passatn.lean.process import run_lean


def compiled(text: str) -> bytes:
    require_lean()
    lean = embedded_lean()
    folder = compiled_prelude(lean).folder
    run = run_lean(lean, HEADER + text, folders=[folder], timeout_seconds=60, memory_mb=2048, want_olean=True)
    assert run.olean is not None, run.messages
    return run.olean


def declarations(text: str) -> dict[str, Declaration]:
    return read_olean(compiled(text))


def test_kinds_and_names() -> None:
    found = declarations(
        "axiom a : 1 = 2\ntheorem t : 1 = 2 := a\ndef d (n : Nat) : Nat := n\nopaque o : Nat\n"
        "inductive I | one | two (n : Nat)\nnamespace N\ntheorem «a b» : 1 = 1 := rfl\nend N\n"
    )
    kinds = {"a": "axiom", "t": "theorem", "d": "def", "o": "opaque", "I": "inductive", "I.two": "constructor"}
    assert {name: found[name].kind for name in kinds} == kinds
    assert found["I.rec"].kind == "recursor"
    assert found["N.a b"].kind == "theorem"
    assert {"a", "Eq", "Nat", "OfNat.ofNat"} <= found["t"].constants
    assert {"I.one", "I.two"} <= found["I"].constants


def test_axioms_are_followed_through_definitions_types_and_structures() -> None:
    found = declarations(
        "axiom a : Nat\naxiom b : 0 = 1\n"
        "noncomputable def d := a\ntheorem t : d = d := rfl\n"
        "structure S where\n  n : Nat\n  h : n = a\n"
        "theorem u (s : S) : s = s := rfl\ntheorem v : 0 = 1 := by\n  have h := b\n  exact h\n"
        "theorem w : 1 = 1 := rfl\n"
        "theorem x : True := (fun (_ : 0 = 1) => True.intro) b\n"
    )
    axioms = axioms_of(found, compiled_prelude(embedded_lean()).axioms)
    assert {name: set(axioms[name]) for name in "tuvwx"} == {"t": {"a"}, "u": {"a"}, "v": {"b"}, "w": set(), "x": {"b"}}


def test_axioms_of_what_is_unknown_are_the_unknown() -> None:
    found = declarations("theorem t (n m : Nat) : n + m = m + n := Nat.add_comm n m\n")
    assert "Nat.add_comm" in axioms_of(found, {})["t"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("theorem t (n : Nat) : n = n := rfl", "theorem t (m : Nat) : m = m := Eq.refl m", True),
        ("theorem t : 1 = 1 := rfl", "theorem t : 1 = 2 := sorry", False),
        ("theorem t : 1 = 2 := sorry", "theorem t : 2 = 1 := sorry", False),
        ("theorem t (p q : Prop) : p → q → p := fun x _ => x", "theorem t (p q : Prop) : q → p → p := sorry", False),
        ("theorem t : 10000000000000000000000 = 1 := sorry", "theorem t : 10000000000000000000001 = 1 := sorry", False),
        ('theorem t : "a" = "b" := sorry', 'theorem t : "a" = "c" := sorry', False),
        ("theorem t (α : Type) (a : α) : a = a := rfl", "theorem t (α : Type 1) (a : α) : a = a := rfl", False),
        ("theorem t (h : 1 = 1 ∧ True) : h.1 = h.1 := rfl", "theorem t (h : 1 = 1 ∧ True) : h.2 = h.2 := rfl", False),
    ],
)
def test_types_are_equal_up_to_the_names_of_variables(one: str, other: str, same: bool) -> None:
    first, second = declarations(one)["t"], declarations(other)["t"]
    assert (first.type_digest == second.type_digest) is same


def deep_sort(depth: int) -> str:
    """`Sort 0` with so many successors: Lean takes 20 of them in one literal."""
    twenties, rest = divmod(depth, 20)
    return f"Sort ({'(' * twenties}{rest}{' + 20)' * twenties})"


def test_universe_levels_nest_as_deep_as_a_proof_likes() -> None:
    """Beyond what Python would do by calls of itself; each of the 3,000 successors counts."""
    proofs = [f"theorem t : ∀ _ : {deep_sort(depth)}, True := fun _ => trivial" for depth in (3000, 3000, 2999)]
    same, again, other = (declarations(proof)["t"].type_digest for proof in proofs)
    assert same == again != other


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("max u v", "max v u", False),
        ("max u v", "imax u v", False),
        ("u + 1", "u", False),
        ("u + 1", "v + 1", False),
        ("max u v", "max u v", True),
    ],
)
def test_universe_levels_are_told_apart(one: str, other: str, same: bool) -> None:
    texts = (
        f"theorem t.{{u, v}} (_ : Sort u) (_ : Sort v) (_ : Sort ({level})) : True := trivial" for level in (one, other)
    )
    first, second = (declarations(text)["t"] for text in texts)
    assert (first.type_digest == second.type_digest) is same


def test_a_name_as_deep_as_a_proof_likes() -> None:
    name = ".".join(["n"] * 1500)
    assert declarations(f"theorem {name} : True := trivial")[name].kind == "theorem"


def test_the_head_of_a_value() -> None:
    found = declarations("theorem t : 1 = 2 := by\n  sorry\ntheorem u (n : Nat) : n = n := rfl\n")
    assert (found["t"].value_head, found["u"].value_head) == ("sorryAx", "rfl")


@pytest.mark.parametrize("data", [b"", b"olean", b"x" * 200, b"olean" + bytes(300)])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(LeanError, match=r"\.olean"):
        read_olean(data)


def test_damaged_files_never_hang_or_raise_anything_else() -> None:
    data = compiled("theorem t (n : Nat) : n + 0 = n := rfl\n")
    generator = random.Random(0)
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 20)):
            damaged[generator.randrange(88, len(damaged))] = generator.randrange(256)
        with contextlib.suppress(LeanError):
            read_olean(bytes(damaged))
