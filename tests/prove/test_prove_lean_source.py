"""A Lean file as its commands: which theorems, under which names, with which blocks of tactics."""

import re

import pytest

from passatn.prove.lean_source import imports_of, split_commands


def theorems(text):
    return [command.theorem for command in split_commands(text) if command.theorem]


FILE = """/- Copyright
theorem no : False := by simp
/-- nor this -/
-/
import A.B

/-! def x -/
open Nat

/-- Doc. -/
@[simp]
protected
theorem a : p := by
  simp

  -- done
  rfl

/-- Twice. -/
def f := 1
| x

open Nat in
-- why
set_option x 1 in
lemma b : p := by rfl
#eval 1
mutual
theorem c : p := a
end
theorem d : p := x"""


def test_the_commands_are_the_file():
    commands = split_commands(FILE)
    assert "".join(command.text for command in commands) == FILE
    firsts = [command.text.strip().splitlines()[0] for command in commands]
    assert firsts[:5] == ["/- Copyright", "open Nat", "/-- Doc. -/", "/-- Twice. -/", "open Nat in"]
    assert firsts[5:] == ["#eval 1", "mutual", "theorem d : p := x"]
    found = [(item.name, item.line, item.opening, item.head, item.proof) for item in theorems(FILE)]
    assert found == [
        ("a", 13, "@[simp]\nprotected", "theorem a : p", "  simp\n\n  -- done\n  rfl"),
        ("b", 26, "open Nat in\n\nset_option x 1 in", "lemma b : p", " rfl"),
        ("c", 28, "", "", None),
        ("d", 31, "", "theorem d : p", None),
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("namespace A.B|theorem x|end B|theorem y|end A|theorem z", ["A.B.x", "A.y", "z"]),
        ("namespace A|section|theorem x|end|theorem y|end A|theorem z", ["A.x", "A.y", "z"]),
        ("noncomputable section S|namespace A|end A|theorem x|end S|theorem y", ["x", "y"]),
        ("namespace A|theorem _root_.B.x.{u}|theorem «a b»|theorem x.y", ["B.x", "A.«a b»", "A.x.y"]),
        ("-- namespace A|/-|namespace B|-/|theorem x", ["x"]),
        ("end|theorem x", ["x"]),
    ],
)
def test_full_names(text, names):
    text = re.sub(r"(theorem [^|]*)", r"\1 : p := h", text).replace("|", "\n")
    assert [theorem.name for theorem in theorems(text)] == names


@pytest.mark.parametrize(
    ("proof", "block"),
    [
        (":= by\n  simp\n  rfl\n\n", "  simp\n  rfl"),
        (":= by simp", " simp"),
        (":=\n  by\n    simp", "\n    simp"),
        # only where the lines below stand under the first tactic is it put where it stood
        (f":= by simp\n{' ' * 20}rfl", f"{' ' * 20}simp\n{' ' * 20}rfl"),
        (f":= by simp\n{' ' * 21}rfl", f" simp\n{' ' * 21}rfl"),
        (":= by simp [a,\n    b]", " simp [a,\n    b]"),
    ],
)
def test_blocks(proof, block):
    (theorem,) = theorems(f"theorem t : p {proof}")
    assert theorem.proof == block


@pytest.mark.parametrize(
    ("text", "why_not"),
    [
        ("theorem t : p := h", "by a term"),
        ("theorem t : p := by' h", "by a term"),
        ("theorem t : ∀ n, p n\n  | 0 => h\n  | n + 1 => k", "by equations"),
        ("theorem t : p := by\n  exact x\nwhere\n  x := h", "with where or termination_by"),
        ("theorem t : p := by\n  exact t\n  termination_by x => x", "with where or termination_by"),
        ("mutual\ntheorem t : p := by simp\nend", "in a mutual block"),
    ],
)
def test_what_is_no_block(text, why_not):
    (theorem,) = theorems(text)
    assert (theorem.proof, theorem.why_not) == (None, why_not)


def test_what_are_no_theorems():
    text = "def theorem_ := 1\n-- theorem x : p := h\n/- theorem y : p := by\n  z -/\nexample : p := by rfl"
    assert theorems(f"{text}\ninstance : T := h") == []


def test_imports():
    text = "-- import No\nmodule\nprelude\npublic import A.B\nimport all C\nimport D -- E\n/- import F -/\n"
    assert imports_of(f"{text}theorem t : p := h") == ["A.B", "C", "D"]
