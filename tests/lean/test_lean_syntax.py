"""The text of a proof before Lean sees it: comments go, words are refused, honest proofs are not."""

import time

import pytest
from lean_proofs import HONEST

from passatn.lean.syntax import indent, proof_body, why_refused


@pytest.mark.parametrize(
    ("proof", "body"),
    [
        ("rfl -- the end of it", "rfl"),
        ("-- first\nby\n  rfl", "rfl"),
        ("by -- where to begin\n  rfl", "rfl"),
        ("/- a\n open /- set -/\n b -/\nrfl", "rfl"),
        ("rw [h] /- and -/\nexact k", "rw [h]\nexact k"),
        ("· /- x -/ exact h\n  exact k", "·         exact h\n  exact k"),
        ('exact foo "-- no" \'"\' -- yes\nrfl', 'exact foo "-- no" \'"\'\nrfl'),
        ("exact «a -- b» h' -- c' '\"'", "exact «a -- b» h'"),
        ('exact "/-" -- -/', 'exact "/-"'),
        ("rfl\n\n-- by magic\n\ntrivial", "rfl\n\n\n\ntrivial"),
        ("-- by magic", ""),
        ("a - b\n-1 -/ c", "a - b\n-1 -/ c"),
    ],
)
def test_comments_are_taken_out_and_the_rest_stays_in_its_column(proof: str, body: str) -> None:
    assert proof_body(proof) == body
    assert proof_body(body) == body


@pytest.mark.parametrize("proof", ["rfl /- and so on", "rfl /- a /- b -/", "-/ trivial /-", "/- -- -/ /- /- -/"])
def test_a_comment_that_does_not_end_is_refused(proof: str) -> None:
    assert why_refused(proof_body(proof)) == "a comment that does not end"


COMMENTS = (
    *("by the previous lemma", "where it began", "open set", "2nd case", "the end of it", "sorry for the mess"),
    *("an axiom", "unsafe", "IO", "#eval 1", "@[simp]", "'", '"', "«", "\t", "\u200b"),
)


@pytest.mark.parametrize("comment", COMMENTS)
def test_nothing_in_a_comment_is_refused(comment: str) -> None:
    for proof in (f"rfl -- {comment}", f"/- {comment.replace('-/', '')} -/\nrfl", f"-- {comment}\nrfl -- {comment}"):
        assert why_refused(proof_body(proof)) == "", proof


@pytest.mark.parametrize("text", COMMENTS[:10])
def test_all_of_it_is_refused_in_a_string_that_looks_like_one(text: str) -> None:
    assert why_refused(proof_body(f'exact foo "-- {text}"'))


RUNS_CODE = (
    "simp (config := match unsafeBaseIO (IO.Process.exit 0) with | () => {})",
    "exact unsafeIO (foo 1)",
    "exact _root_.unsafeCast h",
    "exact «unsafeBaseIO» h",
    "exact ptrAddrUnsafe h",
    "exact dbgTrace h fun _ => rfl",
    "exact dbgTraceVal rfl",
    "exact (IO.println h) rfl",
    "open IO in rfl",
    "exact (h : BaseIO Unit)",
    "exact EStateM.run h ()",
    "exact eval% h",
    "exact Lean.Meta.evalExpr h",
    "run_tac Lean.logInfo h",
    "decide +native",
    "decide (config := { native := true })",
    "simp (config := f x)",
    "simp (config := f)  (config := g x)",
    "simp (config := { maxSteps := f x })",
    "simp (config := { maxSteps := 1, a := (f x) }) [h]",
    "simp (config := { f x with maxSteps := 1 })",
    "simp (config := (x))",
    "simp (config := by exact x)",
    "simp («config» := f x)",
    "simp ( config\n  := fun x => x)",
)


@pytest.mark.parametrize("proof", RUNS_CODE)
def test_what_could_run_code_is_refused(proof: str) -> None:
    assert why_refused(proof_body(proof))


HONEST_TEXTS = (
    "simp (config := { decide := true, maxSteps := 100 }) [h]",
    "simp (config := {})",
    "simp (config := .all)",
    "simp (config := Simp.neutralConfig)",
    "simp (config := { Simp.neutralConfig with zeta := false\n  beta := .all })",
    "apply (config := { allowSynthFailures := true }) h",
    "omega (config := cfg)",
    "exact foo (a := b) (n := k + 1)",
    "have config := f x\nexact config",
    "let x := f (g 1)\nexact x",
    "norm_num [h]\nexact (1e5 : Real) < 0x1F + 1.5e-3 + 0b101 + 0o17 + 1_000e2",
    "exact h.1.2",
    "open Nat Real in\nsimp",
    "open Nat (succ add) in exact h",
    "open Nat renaming succ → next in simp",
    "exact Polynomial.eval_add p",
    "exact h.eval fun x => x",
    "exact point_BIO I O",
)


@pytest.mark.parametrize("proof", HONEST_TEXTS)
def test_what_honest_proofs_hold_is_not_refused(proof: str) -> None:
    assert why_refused(proof_body(proof)) == ""


def test_honest_proofs_are_not_refused() -> None:
    assert not [proof for _, proof in HONEST if why_refused(proof_body(proof))]


@pytest.mark.parametrize("number", ["2nd", "1axiom", "0xFopen", "0x1Fend", "1e5axiom", "0b1open", "1eopen", "1e5e"])
def test_a_number_hides_no_word(number: str) -> None:
    assert why_refused(f"exact foo {number} Nat")


@pytest.mark.parametrize(
    "proof",
    [
        "open Nat",
        "open Nat\nin",
        "open Nat in'",
        "open Nat in.x",
        'open Nat "in"',
        "open Nat, «in»",
        "open Nat; x in y",
    ],
)
def test_open_is_refused_unless_it_holds_for_something(proof: str) -> None:
    assert "unless followed by 'in'" in why_refused(proof)


@pytest.mark.parametrize(
    "text",
    [
        *("(config := { " + "a := bbb" * 9000, "(config := {" + "a := b, " * 9000, "open " * 20000, "1_" * 30000),
        *("/-" * 40000, "unsaf" * 20000, "(config := some " + "some " * 20000, "-- x\n" * 20000, "x" * 90000),
        *("'" * 90000, '"' * 90001),
    ],
)
def test_long_texts_take_no_long_time(text: str) -> None:
    started = time.process_time()
    why_refused(proof_body(text))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("word", ["with_weak_namespace", "declare_config_elab", "register_label_attr", "elab_stx"])
def test_commands_that_hold_commands_or_are_mathlib_s(word: str) -> None:
    assert why_refused(f"trivial\n{word} Nat") == f"'{word}' is a command"


def test_a_proof_is_indented_as_a_whole() -> None:
    assert indent("constructor\n· rfl\n\n· rfl") == "  constructor\n  · rfl\n\n  · rfl"
