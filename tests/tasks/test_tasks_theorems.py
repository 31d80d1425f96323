"""Statements of theorems out of Lean text, and MiniF2F as theorems to prove."""

import json
import re

import pytest

from passatn.lean.syntax import theorem_name
from passatn.tasks import ProblemError, load_problems
from passatn.tasks.lean_text import find_definition, masked, split_theorem, without_comments


@pytest.mark.parametrize(
    ("text", "statement", "proof"),
    [
        ("theorem t : 1 = 1 := by\n", "theorem t : 1 = 1", "by"),
        ("theorem t : 1 = 1", "theorem t : 1 = 1", None),
        ("lemma t.{u} (α : Type u) : α = α :=\n  rfl", "theorem t.{u} (α : Type u) : α = α", "rfl"),
        (
            '/-- Doc := by -/\n@[simp, to_additive (attr := norm_cast) "a ]"]\nprotected theorem t : p := h',
            "theorem t : p",
            "h",
        ),
        (
            "theorem t (n : Nat := 3) {m := 4} : n = m := by simp",
            "theorem t (n : Nat := 3) {m := 4} : n = m",
            "by simp",
        ),
        ("theorem t : let x := 3; x = 3 := by rfl", "theorem t : let x := 3; x = 3", "by rfl"),
        ("theorem t : have h := 3; let y := h; y = 3 := rfl", "theorem t : have h := 3; let y := h; y = 3", "rfl"),
        ("theorem t -- a := b\n  : p /- := /- := -/ -/ := by rfl", "theorem t\n  : p", "by rfl"),
        ('theorem t : "(:=" = "(:=" := rfl', 'theorem t : "(:=" = "(:="', "rfl"),
        (
            "theorem t (f : α → β) : f ⁻¹' {x} = f '' {'('} := rfl",
            "theorem t (f : α → β) : f ⁻¹' {x} = f '' {'('}",
            "rfl",
        ),
        ("private nonrec theorem «a := b» : p := h", "theorem «a := b» : p", "h"),
        ("theorem t : (fun x => let y := x; y) 1 = 1 := rfl", "theorem t : (fun x => let y := x; y) 1 = 1", "rfl"),
        ("theorem t : x.let = 1 := rfl", "theorem t : x.let = 1", "rfl"),
        ("theorem t : p\n| 0 => a\n| n + 1 => b", "theorem t : p\n| 0 => a\n| n + 1 => b", None),
    ],
)
def test_split_theorem(text, statement, proof):
    assert split_theorem(text) == (statement, proof)


@pytest.mark.parametrize("text", ["def x := 1", "example : p := h", "", "theorem", "-- theorem t : p"])
def test_what_is_no_theorem(text):
    with pytest.raises(ValueError, match=r"expected 'theorem NAME … : …', got"):
        split_theorem(text)


def test_comments_and_masks():
    text = 'a -- b "\nc /- d /- e -/ f -- -/ g "-- no \\" /- no" h /- open'
    assert without_comments(text) == 'a\nc   g "-- no \\" /- no" h'
    mask = masked(text)
    assert (len(mask), mask.count("\n")) == (len(text), 1)
    assert re.sub(" +", " ", mask) == f"a \nc g {'x' * 16} h "
    assert find_definition("(:=) ⟨:=⟩ -- :=\n:=") == 16
    assert find_definition("(:=") == -1


def rows_of(folder, *rows):
    path = folder / "theorems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_names_of_columns(tmp_path):
    rows = [
        {"name": "t", "formal_statement": "theorem t : p := by\n", "header": "variable (p : Prop)\n"},
        {"statement": "lemma u : q", "metadata": {"family": "logic"}},
    ]
    rows[0] |= {"informal_prefix": "/-- P. -/\n", "split": "test"}
    first, second = load_problems(rows_of(tmp_path, *rows), preset="theorems")
    assert (first.id, first.prompt, first.answers) == ("t", "theorem t : p", ())
    assert first.metadata == {
        "split": "test",
        "statement": "theorem t : p",
        "header": "variable (p : Prop)\n",
        "informal": "P.",
    }
    assert (second.id, second.metadata) == ("theorems-2", {"family": "logic", "statement": "theorem u : q"})
    with pytest.raises(ProblemError, match="row 1: expected 'theorem NAME … : …', got 'def x := 1'"):
        load_problems(rows_of(tmp_path, {"statement": "def x := 1"}), preset="theorems")
    with pytest.raises(ProblemError, match="columns 'formal_statement' or 'statement' are missing"):
        load_problems(rows_of(tmp_path, {"problem": "p"}), preset="theorems")


@pytest.mark.parametrize("split", ["valid", "test"])
def test_real_minif2f(test_data, split):
    path = test_data / f"minif2f_lean4_{split}.jsonl"
    problems = load_problems(path, preset="minif2f")
    sources = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert (len(problems), problems.num_skipped, len({problem.id for problem in problems})) == (244, 0, 244)
    for problem, source in zip(problems, sources, strict=True):
        statement = problem.metadata["statement"]
        assert f"{statement} := by".split() == source["formal_statement"].split()
        assert theorem_name(statement) == problem.id == source["name"]
        assert problem.metadata["header"] == source["header"]
        assert problem.metadata["header"].startswith("import Mathlib")
        assert problem.metadata["informal"] in source["informal_prefix"]
        assert problem.metadata["split"] == split


def test_real_statements_of_mathlib(test_data):
    problems = load_problems(test_data / "leandojo4_statement_proof_10000.jsonl.gz", preset="theorems")
    assert (len(problems), problems.num_skipped) == (10_000, 0)
    statements = [problem.metadata["statement"] for problem in problems]
    assert all(find_definition(statement) == -1 for statement in statements)
    plain = [statement for statement in statements if ":= by" not in statement]  # 12 have one in a binder or a term
    assert len(plain) > 9_900
    assert all(theorem_name(statement) for statement in plain)
    assert not any("@[" in statement for statement in statements)
