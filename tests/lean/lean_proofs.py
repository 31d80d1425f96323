"""Honest proofs and attacks, and a pool that loses its processes, for the tests of what relies on Lean."""

import contextlib
import os
import signal
import threading
from collections import Counter

import pytest

from passatn.lean import LeanPool, LeanUnavailableError, Step, embedded_lean
from passatn.lean.worker import Task


def require_lean() -> None:
    """Skip the test, with the reason, where there is no embedded Lean."""
    try:
        embedded_lean()
    except LeanUnavailableError as error:
        pytest.skip(str(error))


class EndangeredPool(LeanPool):
    """Loses each process after so many answers, over the tactics it had ahead: none of them is struck three times."""

    def __init__(self, num_answers: int) -> None:
        super().__init__(num_workers=2)
        self.killed: list[int] = []
        self._each = num_answers
        self._num_answers: Counter[str] = Counter()

    def _finish(self, task: Task, step: Step | Exception) -> None:
        super()._finish(task, step)
        name = threading.current_thread().name
        self._num_answers[name] += 1
        pid = next(w.pid for w, t in zip(self._workers, self._threads, strict=True) if t.name == name)
        if self._num_answers[name] % self._each == 0 and pid is not None:
            self.killed.append(pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


HONEST: tuple[tuple[str, str], ...] = (
    ("theorem t (a b c : Nat) (h : a = b) (k : b = c) : a = c", "rw [h, k]"),
    ("theorem t (a b : Nat) : a + b = b + a", "exact Nat.add_comm a b"),
    (
        "theorem t (a b : Nat) : a + b = b + a",
        "induction b with\n| zero => simp\n| succ b ih => rw [← Nat.add_assoc, ih]; exact (Nat.succ_add b a).symm",
    ),
    ("theorem t (n : Nat) : 0 + n = n", "induction n with\n  | zero => rfl\n  | succ n ih => rw [← Nat.add_assoc, ih]"),
    ("theorem t (p q : Prop) (h : p ∧ q) : q ∧ p", "cases h with\n| intro hp hq => exact ⟨hq, hp⟩"),
    ("theorem t (p q : Prop) : p ∧ q → q ∧ p", "intro ⟨hp, hq⟩\nconstructor\n· exact hq\n· exact hp"),
    ("theorem t (p q : Prop) : p ∨ q → q ∨ p", "rintro (h | h)\n· right; assumption\n· left; assumption"),
    ("theorem t (p q r : Prop) (h : p ∧ q ∧ r) : r", "obtain ⟨_, _, hr⟩ := h\nexact hr"),
    ("theorem t : ∃ x : Nat, x > 3", "exists 4"),
    ("theorem t : ∃ x y : Nat, x = y + 2", "refine ⟨2, 0, ?_⟩\nrfl"),
    ("theorem t : 17 / 5 = 3 ∧ 17 % 5 = 2 ∧ 2 ^ 10 = 1024", "decide"),
    ("theorem t : ∀ x, x < 5 → x * x < 25", "decide"),
    ("theorem t (a b : Nat) (h : a = b) : b = a", "simp [h]"),
    ("theorem t (a b : Nat) (h : a = b) : b = a", "symm; exact h"),
    ("theorem t (a b : Nat) (h : a = b) (p : Nat → Prop) (hp : p b) : p a", "rw [← h] at hp\nassumption"),
    ("theorem t (a b c : Nat) : a + b + c = a + c + b", "simp only [Nat.add_assoc, Nat.add_comm b c]"),
    ("theorem t (p q : Prop) (hp : p) (hn : ¬p) : q", "contradiction"),
    ("theorem t (p q : Prop) (hp : p) (hn : ¬p) : q", "exfalso\napply hn\nexact hp"),
    ("theorem t (a b : Nat) (h : a + 1 = b + 1) : a = b", "injection h"),
    ("theorem t (f : Nat → Nat) (a b : Nat) (h : a = b) : f a = f b", "subst h; rfl"),
    ("theorem t (p : Nat → Prop) (h : ∀ x, p x) : p 3", "specialize h 3; exact h"),
    ("theorem t (a b : Nat) : a * b = b * a", "suffices h : b * a = a * b from h.symm\nexact Nat.mul_comm b a"),
    ("theorem t (a b : Nat) (h : a ≤ b) : a ≤ b + 1", "have k : b ≤ b + 1 := Nat.le_succ b\nexact Nat.le_trans h k"),
    ("theorem t (a b c : Nat) (h : a < b) (k : b ≤ c) : a < c", "calc a < b := h\n  _ ≤ c := k"),
    ("theorem t (a b : Nat) : a = b ∨ a ≠ b", "by_cases h : a = b\n· left; assumption\n· right; assumption"),
    ("theorem t (p : Prop) : ¬¬p → p", "intro h\napply Classical.byContradiction\nintro k\nexact h k"),
    ("theorem t (p q : Prop) : (p ↔ q) → (q ↔ p)", "intro h\nconstructor\nexact h.2\nexact h.1"),
    ("theorem t (l m : List Nat) : (l ++ m).length = m.length + l.length", "rw [List.length_append, Nat.add_comm]"),
    ("theorem t (l : List Nat) : l.reverse.reverse = l", "simp"),
    ("theorem t (f g : Nat → Nat) (h : ∀ x, f x = g x) : f = g", "funext x\nexact h x"),
    ("theorem t : True ∧ 1 = 1", "constructor <;> trivial"),
    ("theorem t (p q : Prop) (hp : p) (hq : q) : p ∧ q", "apply And.intro\nall_goals assumption"),
    ("theorem t (a b : Nat) (h : a = b) : (if a = b then 1 else 2) = 1", "split\n· rfl\n· contradiction"),
    ("theorem t (n : Nat) : n + 3 ≠ 2", "simp"),
    ("theorem t (n : Nat) : n < n + 1", "show n + 1 ≤ n + 1\nexact Nat.le_refl _"),
    ("theorem t (p q : Prop) : p → q → p", "intros hp _\nexact hp"),
    ("theorem t (p q : Prop) (hp : p) : p ∨ q", "first | right; assumption | left; assumption"),
    ("theorem t (p q : Prop) (hq : q) (hp : p) : p", "revert hp\nclear hq\nintro h\ntry rfl\nexact h"),
    ("theorem t (p q : Prop) (h : p ∨ q) : q ∨ p", "cases h\ncase inl h => exact .inr h\ncase inr h => exact .inl h"),
    ("theorem t (p q : Prop) (h : p ∧ q) : p", "cases h\nrename_i hp _\nexact hp"),
    ("theorem t (p : Prop) (h : p) : ¬¬p", "unfold Not\nintro k\nexact k h"),
    ("theorem t (a b : Nat) (h : a = b) : a + 0 = b", "change a = b\nexact h"),
    ("theorem t (f : Nat → Nat) (h : ∀ x, f x = x) : f (f 2) = 2", "simp_all"),
    ("theorem t {α : Type} (xs : List α) : [] ++ xs = xs", "dsimp"),
    ("theorem t (p q : Prop) (h : p ∧ q) : q ∧ p", "exact { left := h.2, right := h.1 }"),
    ("theorem t (a b : Nat) : max a b = max a b", "generalize max a b = m\nrfl"),
    ("theorem t (a b : Nat) (h : a + 0 = b) : b = a", "simpa using h.symm"),
    ("theorem t (a b c : Nat) (h : a = b) (k : b = c) : a = c", "rwa [h]"),
    ("theorem t (x : Nat) (h : x ∈ [1, 2]) : x = 1 ∨ x = 2", "simp at h\nexact h"),
    ("theorem t (p q : Prop) : (p → p ∧ q) = (p → q)", "simp +contextual"),
    ("theorem t (p q : Prop) (h : p ∧ q) : q", "replace h := h.2\nexact h"),
    ("theorem t (p q : Prop) (hp : p) (hq : q) : p ∧ q", "constructor\ncase' right => skip\nany_goals assumption"),
    ("theorem t (p q : Prop) (h : p ∨ q) : q ∨ p", "cases h\nnext h => exact .inr h\nnext h => exact .inl h"),
    ("theorem t (p q r : Prop) (h : p) (k : q) (l : r) : p ∧ q ∧ r", "repeat' constructor\nall_goals assumption"),
    ("theorem t (p q r : Prop) (h : p) (k : q) (l : r) : p ∧ q ∧ r", "and_intros <;> assumption"),
    ("theorem t (a b : Nat) (h : a = b) : b = a", "rewrite [h]\nrfl"),
    ("theorem t (p : Prop) (h : p) : ¬¬p", "delta Not\nexact fun k => k h"),
    ("theorem t (a b : Nat) (h : a = b) (k : b = 2) : a = 2", "subst_vars\nrfl"),
    ("theorem t (f : Nat → Nat) (a b : Nat) (h : a = b) : f a = f b", "congr"),
    ("theorem t : ¬(1 = 2)", "nofun"),
    ("theorem t (p : Prop) (h : 1 = 2) : p", "nomatch h"),
    ("theorem t : ∃ x : Nat, x + 1 = 4", "let y := 3\nrefine' ⟨y, ?_⟩\nfocus rfl"),
    ("theorem t (p q : Prop) (h : p ∧ q) : q", "let ⟨_, k⟩ := h\nexact k"),
    ("theorem t (a b c : Nat) (h : a = b ∧ b = c) : a = c", "exact match h with\n  | ⟨x, y⟩ => x ▸ y"),
    (
        "theorem t : ∀ n : Nat, n = 0 ∨ n > 0",
        "intro n\ninduction n using Nat.recAux with\n| zero => simp\n| succ n => simp",
    ),
    ("theorem t (a b : Nat) (h : ∀ n, n + a = n + b) : a = b", "have k := h 0\nsimp only [Nat.zero_add] at k\nexact k"),
    ("theorem t (a b : Nat) (h : a ∣ b) : a ∣ b * 2", "rcases h with ⟨c, rfl⟩\nexact ⟨c * 2, Nat.mul_assoc a c 2⟩"),
)
"""Statement and proof, over most of the tactics."""

FALSE = "theorem t : False"
CLASH = "\ntheorem u : True := by trivial"

ATTACKS: dict[str, tuple[str, str]] = {
    "sorry": (FALSE, "sorry"),
    "sorry inside have": (FALSE, "have h : False := by sorry\nexact h"),
    "sorry in a term": (FALSE, "exact (sorry : False)"),
    "sorry by its constant": (FALSE, "exact sorryAx False false"),
    "sorry by a quoted constant": (FALSE, "exact «sorryAx» False false"),
    "sorry through the root": (FALSE, "exact _root_.sorryAx _ true"),
    "admit": (FALSE, "admit"),
    "native_decide": ("theorem t : 2 + 2 = 5", "native_decide"),
    "native evaluation": ("theorem t : 2 + 2 = 5", "decide +native"),
    "native evaluation of the truth": ("theorem t : 2 + 2 = 4", "decide +native"),
    "an axiom after the proof": (FALSE, "exact bad\naxiom bad : False"),
    "an axiom of the compiler": (FALSE, "exact lcProof"),
    "an axiom by error recovery": (FALSE, "exact foo ..axiom bad : False\ntheorem u : False := bad"),
    "an axiom glued to a number": (FALSE, "exact foo 1axiom bad : False"),
    "another theorem with the name": (FALSE, "exact u\ntheorem t' : True := trivial\ntheorem t : True := trivial"),
    "the proof ended early": ("theorem t : 1 = 2", "skip\ntheorem u : 1 = 1 := by rfl"),
    "its own name": (FALSE, "exact t"),
    "recursion without a measure": (
        "theorem t (n : Nat) : n = n + 1",
        "exact absurd (t n) (fun h => nomatch t (n + 1))",
    ),
    "notation redefined": ("theorem t : 1 = 2", 'trivial\nlocal notation:50 a " = " b => True'),
    "a macro for a tactic": (FALSE, 'foo\nmacro "foo" : tactic => `(tactic| sorry)'),
    "a native function redefined": (
        FALSE,
        "exact bad\ndef Nat.gcd (a b : Nat) : Nat := 0",
    ),
    "a native function by another name": (
        FALSE,
        "exact bad\nnamespace Lean\ndef reduceBool (b : Bool) : Bool := true\nend Lean",
    ),
    "set_option inside the proof": (FALSE, "set_option debug.skipKernelTC true in decide"),
    "set_option before another theorem": (FALSE, "trivial\nset_option debug.skipKernelTC true"),
    "unsafe": (FALSE, "exact f 0\nunsafe def f (n : Nat) : False := f n"),
    "implemented_by": (FALSE, "exact f\n@[implemented_by g] opaque f : False"),
    "extern": (FALSE, 'exact f\n@[extern "lean_panic_fn"] opaque f : False'),
    "init": (FALSE, "trivial\ninitialize foo : Unit ← pure ()"),
    "partial": (FALSE, "exact f 0\npartial def f (n : Nat) : False := f n"),
    "opaque": (FALSE, "exact f\nopaque f : False"),
    "an instance": ("theorem t : 1 = 2", "decide\ninstance : Decidable (1 = 2) := isTrue sorry"),
    "look-alike letters": (FALSE, "sоrry"),
    "an invisible letter": (FALSE, "so\u200brry"),
    "letters that run backwards": (FALSE, "trivial /- \u202e -/"),
    "a comment left open": (FALSE, "trivial /- and so on"),
    "a comment that hides the goal": (FALSE, "-/ trivial /-"),
    "a string that hides the goal": (FALSE, 'exact absurd "'),
    "eval": (FALSE, "trivial\n#eval 1"),
    "run_cmd": (FALSE, "trivial\nrun_cmd Lean.logInfo m!\"'t' does not depend on any axioms\""),
    "run_tac": (FALSE, "run_tac Lean.Elab.Tactic.closeMainGoal"),
    "a message that lies": (FALSE, "trace \"'t' does not depend on any axioms\""),
    "end and namespace": (FALSE, "trivial\nend\nnamespace Foo\ntheorem t : True := trivial\nend Foo"),
    "a section that shadows False": (
        FALSE,
        "trivial\nnamespace Shadow\ndef False : Prop := True\ntheorem t : False := trivial",
    ),
    "open of a namespace": (FALSE, "trivial\nopen Nat"),
    "init_quot": (FALSE, "trivial\ninit_quot"),
    "let rec": (FALSE, "let rec f (n : Nat) : False := f n\nexact f 0"),
    "where": (FALSE, "exact f 0\nwhere f (n : Nat) : False := f n"),
    "a hole": (FALSE, "exact ?_"),
    "an unassigned goal": (FALSE, "refine ?x"),
    "any_goals with an error": (FALSE, "all_goals (try trivial)"),
    "nothing": (FALSE, ""),
    "a comment alone": (FALSE, "-- by magic"),
    "a term": ("theorem t : 1 = 1", ":= rfl"),
    "another statement": ("theorem t : 1 = 2", "(h : 1 = 2) : 1 = 2 := h"),
    "a wrong proof": ("theorem t (a b : Nat) : a + b = a", "simp"),
    "an open goal": ("theorem t (p q : Prop) (hp : p) : p ∧ q", "constructor\nexact hp"),
    "no tactic": (FALSE, "obviously"),
}
"""Statement and what is tried; some would need no trick if Lean accepted them."""

COMMANDS_AFTER: dict[str, str] = {
    "open on a deeper first line": "    trivial\nopen Nat -- in",
    "open and a second line": "    trivial\nopen Nat\nopen Nat List",
    "register_tactic_tag": 'trivial\nregister_tactic_tag finishing "finishing"',
    "recommended_spelling": 'trivial\nrecommended_spelling "and" for "∧" in [And]',
    "universe": "trivial\nuniverse u",
    "variable": "trivial\nvariable (h : 1 = 2)",
    "attribute": "trivial\nattribute [local simp] Nat.add_comm",
    "exit": "trivial\n#exit",
    "unlock_limits": "trivial\nunlock_limits",
    "export": "trivial\nexport Nat (succ)",
    "assert_not_exists": "trivial\nassert_not_exists Foo",
    "section": "trivial\nsection",
    "recall": "trivial\nrecall Nat",
}
"""Proofs of `True` with a command after them that leaves no trace in the compiled file: only words are against them."""
