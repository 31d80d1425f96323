/- The prelude of the embedded Lean: what `Init` declares and the built-in tactics of Lean 4.35.0 need, and no more.

   The wheel carries the compiled Lean without the `.olean` files of its library, so this file declares anew, by name,
   what the elaborator, the tactics and the kernel look up. Names and statements are those of Lean's own library, so
   that a proof found here is a proof there; definitions and proofs are our own. Notation and tactic macros are bound to
   the compiled versions inside `libleanshared.so` through `@[extern "_"]`.

   Soundness: the kernel computes some functions on `Nat` natively, by name. All of them are defined here, with the
   meaning that the kernel gives them, so that no proof text can define one with another meaning. -/
prelude
universe u v w

set_option bootstrap.inductiveCheckResultingUniverse false in
inductive PUnit : Sort u | unit : PUnit
abbrev Unit : Type := PUnit
@[match_pattern] abbrev Unit.unit : Unit := PUnit.unit
-- markers the compiler wants to see
unsafe axiom lcErased : Type
unsafe axiom lcAny : Type
unsafe axiom lcVoid : Type
unsafe axiom lcProof {p : Prop} : p
unsafe axiom lcUnreachable {a : Sort u} : a
unsafe axiom lcCast {a : Sort u} {b : Sort v} (x : a) : b

@[inline] def id {α : Sort u} (a : α) : α := a
@[inline] def Function.const {α : Sort u} (β : Sort v) (a : α) : β → α := fun _ => a
@[reducible] def outParam (α : Sort u) : Sort u := α
set_option checkBinderAnnotations false in
@[reducible] def inferInstance {α : Sort u} [i : α] : α := i
structure PProd (α : Sort u) (β : Sort v) where
  fst : α
  snd : β
structure Prod (α : Type u) (β : Type v) where
  fst : α
  snd : β
-- logic
inductive True : Prop | intro : True
inductive False : Prop
inductive Empty : Type
structure And (a b : Prop) : Prop where
  intro ::
  left : a
  right : b
inductive Or (a b : Prop) : Prop
  | inl (h : a) : Or a b
  | inr (h : b) : Or a b
inductive Eq : α → α → Prop | refl (a : α) : Eq a a
abbrev Eq.ndrec.{u1, u2} {α : Sort u2} {a : α} {motive : α → Sort u1} (m : motive a) {b : α}
    (h : Eq a b) : motive b := h.rec m
inductive HEq : {α : Sort u} → α → {β : Sort u} → β → Prop | refl (a : α) : HEq a a
set_option linter.defProp false in
@[match_pattern] def rfl {α : Sort u} {a : α} : Eq a a := Eq.refl a
theorem Eq.symm {α : Sort u} {a b : α} (h : Eq a b) : Eq b a := h.rec (Eq.refl a)
theorem Eq.trans {α : Sort u} {a b c : α} (h : Eq a b) (k : Eq b c) : Eq a c := k.rec h
theorem Eq.subst {α : Sort u} {motive : α → Prop} {a b : α} (h : Eq a b) (m : motive a) : motive b := h.rec m
theorem congrArg {α : Sort u} {β : Sort v} {a b : α} (f : α → β) (h : Eq a b) : Eq (f a) (f b) :=
  h.rec (Eq.refl (f a))
theorem congr {α : Sort u} {β : Sort v} {f g : α → β} {a b : α} (h : Eq f g) (k : Eq a b) : Eq (f a) (g b) :=
  h.rec (k.rec (Eq.refl (f a)))
theorem congrFun {α : Sort u} {β : α → Sort v} {f g : (x : α) → β x} (h : Eq f g) (a : α) : Eq (f a) (g a) :=
  h.rec (Eq.refl (f a))
def cast {α β : Sort u} (h : Eq α β) (a : α) : β := h.rec a
abbrev Eq.mp {α β : Sort u} (h : Eq α β) (a : α) : β := h.rec a
def Eq.mpr {α β : Sort u} (h : Eq α β) (b : β) : α := h.symm.rec b
theorem HEq.symm {α β : Sort u} {a : α} {b : β} (h : HEq a b) : HEq b a := h.rec (HEq.refl a)
theorem eq_of_heq {α : Sort u} {a a' : α} (h : HEq a a') : Eq a a' :=
  have aux : ∀ (α β : Sort u) (a : α) (b : β), HEq a b → (h : Eq α β) → Eq (cast h a) b :=
    fun _ _ _ _ h₁ => h₁.rec (fun _ => Eq.refl _)
  aux α α a a' h (Eq.refl α)
theorem heq_of_eq {α : Sort u} {a a' : α} (h : Eq a a') : HEq a a' := h.rec (HEq.refl a)
def Not (a : Prop) : Prop := a → False
@[reducible] def Ne {α : Sort u} (a b : α) : Prop := Not (Eq a b)
@[macro_inline] def False.elim {C : Sort u} (h : False) : C := h.rec
@[macro_inline] def absurd {a : Prop} {b : Sort v} (h : a) (k : Not a) : b := (k h).rec
structure Iff (a b : Prop) : Prop where
  intro ::
  mp : a → b
  mpr : b → a
inductive Exists {α : Sort u} (p : α → Prop) : Prop | intro (w : α) (h : p w) : Exists p

set_option genCtorIdx false in
inductive Bool | false | true
export Bool (false true)
axiom sorryAx (α : Sort u) (synthetic : Bool) : α
class inductive Decidable (p : Prop)
  | isFalse (h : Not p) : Decidable p
  | isTrue (h : p) : Decidable p
@[inline_if_reduce, nospecialize] def Decidable.decide (p : Prop) [h : Decidable p] : Bool :=
  h.casesOn (fun _ => false) (fun _ => true)
export Decidable (isTrue isFalse decide)
@[macro_inline] def cond {α : Sort u} (c : Bool) (x y : α) : α :=
  match c with | true => x | false => y
@[macro_inline] def dite {α : Sort u} (c : Prop) [h : Decidable c] (t : c → α) (e : Not c → α) : α :=
  match h with | isTrue h => t h | isFalse h => e h
@[macro_inline] def ite {α : Sort u} (c : Prop) [h : Decidable c] (t e : α) : α :=
  match h with | isTrue _ => t | isFalse _ => e
set_option genCtorIdx false in
inductive Nat | zero | succ (n : Nat)
@[extern "lean_nat_dec_eq"] def Nat.beq : (@& Nat) → (@& Nat) → Bool
  | zero, zero => true
  | zero, succ _ => false
  | succ _, zero => false
  | succ n, succ m => beq n m
@[extern "lean_nat_dec_le"] def Nat.ble : (@& Nat) → (@& Nat) → Bool
  | zero, _ => true
  | succ _, zero => false
  | succ n, succ m => ble n m
theorem Nat.eq_of_beq_eq_true : {n m : Nat} → Eq (beq n m) true → Eq n m
  | zero, zero, _ => rfl
  | zero, succ _, h => (Bool.noConfusion h : _)
  | succ _, zero, h => (Bool.noConfusion h : _)
  | succ n, succ m, h => (eq_of_beq_eq_true h : Eq n m).rec rfl
theorem Nat.beq_self : (n : Nat) → Eq (beq n n) true
  | zero => rfl
  | succ n => beq_self n
theorem Nat.ne_of_beq_eq_false {n m : Nat} (h : Eq (beq n m) false) : Not (Eq n m) :=
  fun e => Bool.noConfusion (Eq.trans (Eq.symm (Nat.beq_self n))
    (Eq.subst (motive := fun x => Eq (beq n x) false) (Eq.symm e) h))
@[extern "lean_nat_dec_eq"] def Nat.decEq (n m : @& Nat) : Decidable (Eq n m) :=
  match h : beq n m with
  | true => isTrue (eq_of_beq_eq_true h)
  | false => isFalse (ne_of_beq_eq_false h)
structure PULift.{r, s} (α : Sort s) : Sort (max s 1 r) where
  up ::
  down : α
inductive List (α : Type u) | nil | cons (head : α) (tail : List α)
inductive Option (α : Type u) | none | some (val : α)
structure PSigma {α : Sort u} (β : α → Sort v) where
  fst : α
  snd : β fst
structure Subtype {α : Sort u} (p : α → Prop) where
  val : α
  property : p val
class Inhabited (α : Sort u) where
  default : α
class inductive Nonempty (α : Sort u) : Prop | intro (x : α) : Nonempty α
instance instNonemptyOfInhabited {α : Sort u} [i : Inhabited α] : Nonempty α := Nonempty.intro i.default
axiom propext {a b : Prop} : Iff a b → Eq a b
axiom Classical.choice {α : Sort u} : Nonempty α → α
protected noncomputable def Classical.ofNonempty {α : Sort u} [h : Nonempty α] : α := Classical.choice h
init_quot
unsafe axiom Quot.lcInv {α : Sort u} {r : α → α → Prop} (q : Quot r) : α
axiom Quot.sound : ∀ {α : Sort u} {r : α → α → Prop} {a b : α}, r a b → Eq (Quot.mk r a) (Quot.mk r b)
def applyQuot {α : Sort u} {β : α → Sort v} (q : Quot (fun (f g : (x : α) → β x) => ∀ x, Eq (f x) (g x))) (x : α) : β x :=
  Quot.lift (fun f => f x) (fun _ _ h => h x) q
theorem funext {α : Sort u} {β : α → Sort v} {f g : (x : α) → β x} (h : ∀ x, Eq (f x) (g x)) : Eq f g :=
  show Eq (applyQuot (Quot.mk _ f)) (applyQuot (Quot.mk _ g)) from congrArg applyQuot (Quot.sound h)
-- arithmetic classes
class OfNat (α : Type u) (n : Nat) where
  ofNat : α
@[default_instance 100] instance instOfNatNat (n : Nat) : OfNat Nat n := ⟨n⟩
class HAdd (α : Type u) (β : Type v) (γ : outParam (Type w)) where hAdd : α → β → γ
class HMul (α : Type u) (β : Type v) (γ : outParam (Type w)) where hMul : α → β → γ
class HSub (α : Type u) (β : Type v) (γ : outParam (Type w)) where hSub : α → β → γ
class Add (α : Type u) where add : α → α → α
class Mul (α : Type u) where mul : α → α → α
class Sub (α : Type u) where sub : α → α → α
class LE (α : Type u) where le : α → α → Prop
class LT (α : Type u) where lt : α → α → Prop
@[default_instance] instance instHAdd {α : Type u} [Add α] : HAdd α α α := ⟨fun a b => Add.add a b⟩
@[default_instance] instance instHMul {α : Type u} [Mul α] : HMul α α α := ⟨fun a b => Mul.mul a b⟩
@[default_instance] instance instHSub {α : Type u} [Sub α] : HSub α α α := ⟨fun a b => Sub.sub a b⟩
@[extern "lean_nat_add"] protected def Nat.add : (@& Nat) → (@& Nat) → Nat
  | n, zero => n
  | n, succ m => succ (Nat.add n m)
@[extern "lean_nat_mul"] protected def Nat.mul : (@& Nat) → (@& Nat) → Nat
  | _, 0 => 0
  | n, succ m => Nat.add (Nat.mul n m) n
@[extern "lean_nat_pred"] def Nat.pred : (@& Nat) → Nat
  | 0 => 0
  | succ n => n
@[extern "lean_nat_sub"] protected def Nat.sub : (@& Nat) → (@& Nat) → Nat
  | n, 0 => n
  | n, succ m => pred (Nat.sub n m)
attribute [match_pattern] Nat.add Add.add HAdd.hAdd Mul.mul HMul.hMul
instance instAddNat : Add Nat := ⟨Nat.add⟩
instance instMulNat : Mul Nat := ⟨Nat.mul⟩
instance instSubNat : Sub Nat := ⟨Nat.sub⟩
inductive Nat.le (n : Nat) : Nat → Prop
  | refl : Nat.le n n
  | step {m : Nat} : Nat.le n m → Nat.le n (succ m)
protected def Nat.lt (n m : Nat) : Prop := Nat.le (HAdd.hAdd n 1) m
instance instLENat : LE Nat := ⟨Nat.le⟩
instance instLTNat : LT Nat := ⟨Nat.lt⟩
@[reducible] def GE.ge {α : Type u} [LE α] (a b : α) : Prop := LE.le b a
@[reducible] def GT.gt {α : Type u} [LT α] (a b : α) : Prop := LT.lt b a
instance instInhabitedNat : Inhabited Nat := ⟨0⟩
instance instDecidableEqNat (n m : Nat) : Decidable (Eq n m) := Nat.decEq n m

/-! ### Division and bits

Structural recursion on a bound ("fuel") that is large enough, in place of the library's recursion on a measure. -/
class HDiv (α : Type u) (β : Type v) (γ : outParam (Type w)) where hDiv : α → β → γ
class HMod (α : Type u) (β : Type v) (γ : outParam (Type w)) where hMod : α → β → γ
class HPow (α : Type u) (β : Type v) (γ : outParam (Type w)) where hPow : α → β → γ
class HAppend (α : Type u) (β : Type v) (γ : outParam (Type w)) where hAppend : α → β → γ
class HAnd (α : Type u) (β : Type v) (γ : outParam (Type w)) where hAnd : α → β → γ
class HOr (α : Type u) (β : Type v) (γ : outParam (Type w)) where hOr : α → β → γ
class HXor (α : Type u) (β : Type v) (γ : outParam (Type w)) where hXor : α → β → γ
class HShiftLeft (α : Type u) (β : Type v) (γ : outParam (Type w)) where hShiftLeft : α → β → γ
class HShiftRight (α : Type u) (β : Type v) (γ : outParam (Type w)) where hShiftRight : α → β → γ
class Div (α : Type u) where div : α → α → α
class Mod (α : Type u) where mod : α → α → α
class Pow (α : Type u) (β : Type v) where pow : α → β → α
class NatPow (α : Type u) where pow : α → Nat → α
class Append (α : Type u) where append : α → α → α
class AndOp (α : Type u) where and : α → α → α
class OrOp (α : Type u) where or : α → α → α
class XorOp (α : Type u) where xor : α → α → α
class ShiftLeft (α : Type u) where shiftLeft : α → α → α
class ShiftRight (α : Type u) where shiftRight : α → α → α
class Dvd (α : Type u) where dvd : α → α → Prop
class Max (α : Type u) where max : α → α → α
class Min (α : Type u) where min : α → α → α
export Max (max)
export Min (min)
class BEq (α : Type u) where beq : α → α → Bool
@[default_instance] instance instHDiv {α : Type u} [Div α] : HDiv α α α := ⟨fun a b => Div.div a b⟩
@[default_instance] instance instHMod {α : Type u} [Mod α] : HMod α α α := ⟨fun a b => Mod.mod a b⟩
@[default_instance] instance instHPow {α : Type u} {β : Type v} [Pow α β] : HPow α β α := ⟨fun a b => Pow.pow a b⟩
@[default_instance] instance instHAppendOfAppend {α : Type u} [Append α] : HAppend α α α := ⟨fun a b => Append.append a b⟩
@[default_instance] instance instHAndOfAndOp {α : Type u} [AndOp α] : HAnd α α α := ⟨fun a b => AndOp.and a b⟩
@[default_instance] instance instHOrOfOrOp {α : Type u} [OrOp α] : HOr α α α := ⟨fun a b => OrOp.or a b⟩
@[default_instance] instance instHXorOfXorOp {α : Type u} [XorOp α] : HXor α α α := ⟨fun a b => XorOp.xor a b⟩
@[default_instance] instance instHShiftLeftOfShiftLeft {α : Type u} [ShiftLeft α] : HShiftLeft α α α := ⟨fun a b => ShiftLeft.shiftLeft a b⟩
@[default_instance] instance instHShiftRightOfShiftRight {α : Type u} [ShiftRight α] : HShiftRight α α α := ⟨fun a b => ShiftRight.shiftRight a b⟩
@[default_instance 10000] instance instPowNat {α : Type u} [NatPow α] : Pow α Nat := ⟨fun a n => NatPow.pow a n⟩
@[reducible] def DecidableEq (α : Sort u) : Sort (max 1 u) := (a b : α) → Decidable (Eq a b)
instance instBEqOfDecidableEq {α : Type u} [DecidableEq α] : BEq α := ⟨fun a b => decide (Eq a b)⟩

/-- Quotient and remainder by repeated subtraction, at most `fuel` times. -/
def Nat.divModFuel : Nat → Nat → Nat → Prod Nat Nat
  | 0, x, _ => ⟨0, x⟩
  | succ fuel, x, y => cond (ble y x)
      ((fun q => (⟨succ q.fst, q.snd⟩ : Prod Nat Nat)) (divModFuel fuel (Nat.sub x y) y)) ⟨0, x⟩
@[extern "lean_nat_div"] protected def Nat.div (x y : @& Nat) : Nat :=
  cond (beq y 0) 0 (divModFuel x x y).fst
@[extern "lean_nat_mod"] protected def Nat.mod (x y : @& Nat) : Nat :=
  cond (beq y 0) x (divModFuel x x y).snd
def Nat.gcdFuel : Nat → Nat → Nat → Nat
  | 0, _, n => n
  | succ fuel, m, n => cond (beq m 0) n (gcdFuel fuel (Nat.mod n m) m)
@[extern "lean_nat_gcd"] def Nat.gcd (m n : @& Nat) : Nat := gcdFuel (succ m) m n
@[extern "lean_nat_pow"] protected def Nat.pow (m : @& Nat) : (@& Nat) → Nat
  | 0 => 1
  | succ n => Nat.mul (Nat.pow m n) m
def Nat.bitwiseFuel (f : Bool → Bool → Bool) : Nat → Nat → Nat → Nat
  | 0, _, _ => 0
  | succ fuel, m, n =>
    Nat.add (cond (f (beq (Nat.mod m 2) 1) (beq (Nat.mod n 2) 1)) 1 0)
      (Nat.mul 2 (bitwiseFuel f fuel (Nat.div m 2) (Nat.div n 2)))
def Bool.and (x y : Bool) : Bool := cond x y false
def Bool.or (x y : Bool) : Bool := cond x true y
def Bool.not (x : Bool) : Bool := cond x false true
def Bool.xor (x y : Bool) : Bool := cond x y.not y
@[extern "lean_nat_land"] def Nat.land (m n : @& Nat) : Nat := bitwiseFuel Bool.and (Nat.add m n) m n
@[extern "lean_nat_lor"] def Nat.lor (m n : @& Nat) : Nat := bitwiseFuel Bool.or (Nat.add m n) m n
@[extern "lean_nat_lxor"] def Nat.xor (m n : @& Nat) : Nat := bitwiseFuel Bool.xor (Nat.add m n) m n
@[extern "lean_nat_shiftl"] def Nat.shiftLeft (m n : @& Nat) : Nat := Nat.mul m (Nat.pow 2 n)
@[extern "lean_nat_shiftr"] def Nat.shiftRight (m n : @& Nat) : Nat := Nat.div m (Nat.pow 2 n)
def Nat.log2Fuel : Nat → Nat → Nat
  | 0, _ => 0
  | succ fuel, n => cond (ble 2 n) (succ (log2Fuel fuel (Nat.div n 2))) 0
@[extern "lean_nat_log2"] def Nat.log2 (n : @& Nat) : Nat := log2Fuel n n
instance Nat.instDiv : Div Nat := ⟨Nat.div⟩
instance Nat.instMod : Mod Nat := ⟨Nat.mod⟩
instance instNatPowNat : NatPow Nat := ⟨Nat.pow⟩
instance Nat.instAndOp : AndOp Nat := ⟨Nat.land⟩
instance Nat.instOrOp : OrOp Nat := ⟨Nat.lor⟩
instance Nat.instXorOp : XorOp Nat := ⟨Nat.xor⟩
instance Nat.instShiftLeft : ShiftLeft Nat := ⟨Nat.shiftLeft⟩
instance Nat.instShiftRight : ShiftRight Nat := ⟨Nat.shiftRight⟩
instance Nat.instDvd : Dvd Nat := ⟨fun a b => Exists fun c => Eq b (HMul.hMul a c)⟩
/-- Constructors of an enumeration differ when their numbers do; used by `cases` and `nomatch`. -/
theorem noConfusion_of_Nat {α : Sort u} (f : α → Nat) {a b : α} (h : Eq a b) : (Nat.beq (f a) (f b)).rec False True :=
  have key : (t : Bool) → Eq t true → Bool.rec (motive := fun _ => Prop) False True t := fun t e =>
    @Eq.ndrec.{0, 1} Bool true (fun t => Bool.rec (motive := fun _ => Prop) False True t) True.intro t (Eq.symm e)
  key _ (@Eq.ndrec.{0, u} α a (fun c => Eq (Nat.beq (f a) (f c)) true) (Nat.beq_self (f a)) b h)
def Nat.ctorIdx (n : Nat) : Nat := n.casesOn Nat.zero fun _ => Nat.succ Nat.zero
def Bool.ctorIdx (b : Bool) : Nat := b.casesOn Nat.zero (Nat.succ Nat.zero)
-- lemmas by name that `decide` and `simp` produce
theorem of_decide_eq_true {p : Prop} [i : Decidable p] : Eq (decide p) true → p := fun h =>
  match (generalizing := true) i, h with
  | isTrue k, _ => k
  | isFalse _, h => Bool.noConfusion h
theorem of_decide_eq_false {p : Prop} [i : Decidable p] : Eq (decide p) false → Not p := fun h =>
  match (generalizing := true) i, h with
  | isFalse k, _ => k
  | isTrue _, h => Bool.noConfusion h
theorem of_eq_true {p : Prop} (h : Eq p True) : p := h.symm.rec True.intro
theorem of_eq_false {p : Prop} (h : Eq p False) : Not p := fun k => h.rec (motive := fun q _ => q) k
theorem eq_true {p : Prop} (h : p) : Eq p True := propext ⟨fun _ => True.intro, fun _ => h⟩
theorem eq_false {p : Prop} (h : Not p) : Eq p False := propext ⟨h, fun k => k.rec⟩
theorem congrFun' {α : Sort u} {β : Sort v} {f g : α → β} (h : Eq f g) (a : α) : Eq (f a) (g a) := congrFun h a
theorem iff_self (p : Prop) : Eq (Iff p p) True := eq_true ⟨fun h => h, fun h => h⟩
theorem eq_self {α : Sort u} (a : α) : Eq (Eq a a) True := eq_true rfl
theorem implies_congr {p₁ p₂ : Sort u} {q₁ q₂ : Sort v} (h : Eq p₁ p₂) (k : Eq q₁ q₂) : Eq (p₁ → q₁) (p₂ → q₂) :=
  h.rec (k.rec rfl)
theorem forall_congr {α : Sort u} {p q : α → Prop} (h : ∀ a, Eq (p a) (q a)) : Eq (∀ a, p a) (∀ a, q a) :=
  (funext h : Eq p q).rec rfl
theorem implies_true (α : Sort u) : Eq (∀ _ : α, True) True := eq_true fun _ => True.intro
instance instDecidableTrue : Decidable True := isTrue True.intro
instance instDecidableFalse : Decidable False := isFalse fun h => h
instance instDecidableAnd {p q : Prop} [a : Decidable p] [b : Decidable q] : Decidable (And p q) :=
  match a, b with
  | isTrue x, isTrue y => isTrue ⟨x, y⟩
  | isFalse x, _ => isFalse fun h => x h.left
  | _, isFalse y => isFalse fun h => y h.right
instance instDecidableNot {p : Prop} [a : Decidable p] : Decidable (Not p) :=
  match a with
  | isTrue x => isFalse fun h => h x
  | isFalse x => isTrue x
export Option (none some)
class CoeFun (α : Sort u) (γ : outParam (α → Sort v)) where coe : (f : α) → γ f
class CoeSort (α : Sort u) (β : outParam (Sort v)) where coe : α → β
class Membership (α : outParam (Type u)) (γ : Type v) where mem : γ → α → Prop
-- enough meta-level data types for the `syntax` command
structure Array (α : Type u) where
  mk ::
  toList : List α
structure Char where
  code : Nat
def Char.ofNat (n : Nat) : Char := ⟨n⟩
structure String where
  ofList ::
  toList : List Char
namespace Lean
structure Parser.Category
inductive Name
  | anonymous
  | str (pre : Name) (s : String)
  | num (pre : Name) (i : Nat)
@[extern "lean_name_mk_string"] abbrev Name.mkStr (p : Name) (s : String) : Name := Name.str p s
@[extern "_"] def Name.mkSimple (a : String) : Name := .str .anonymous a
@[extern "_"] def Name.mkStr1 (a : String) : Name := .str .anonymous a
@[extern "_"] def Name.mkStr2 (a b : String) : Name := .str (mkStr1 a) b
@[extern "_"] def Name.mkStr3 (a b c : String) : Name := .str (mkStr2 a b) c
@[extern "_"] def Name.mkStr4 (a b c d : String) : Name := .str (mkStr3 a b c) d
@[extern "_"] def Name.mkStr5 (a b c d e : String) : Name := .str (mkStr4 a b c d) e
abbrev SyntaxNodeKind := Name
inductive ParserDescr
  | const (name : Name)
  | unary (name : Name) (p : ParserDescr)
  | binary (name : Name) (p q : ParserDescr)
  | node (kind : SyntaxNodeKind) (prec : Nat) (p : ParserDescr)
  | trailingNode (kind : SyntaxNodeKind) (prec lhsPrec : Nat) (p : ParserDescr)
  | symbol (val : String)
  | nonReservedSymbol (val : String) (includeIdent : Bool)
  | cat (catName : Name) (rbp : Nat)
  | parser (declName : Name)
  | nodeWithAntiquot (name : String) (kind : SyntaxNodeKind) (p : ParserDescr)
  | sepBy (p : ParserDescr) (sep : String) (psep : ParserDescr) (allowTrailingSep : Bool)
  | sepBy1 (p : ParserDescr) (sep : String) (psep : ParserDescr) (allowTrailingSep : Bool)
  | unicodeSymbol (val asciiVal : String) (preserveForPP : Bool)
abbrev TrailingParserDescr := ParserDescr
structure NativeObj
/-- A macro is a compiled function of three arguments (syntax, context, state). -/
def Macro : Type := NativeObj → NativeObj → NativeObj → NativeObj
def PrettyPrinter.Unexpander : Type := NativeObj → NativeObj → NativeObj → NativeObj
instance : Inhabited Macro := ⟨fun a _ _ => a⟩
instance : Inhabited PrettyPrinter.Unexpander := ⟨fun a _ _ => a⟩
syntax binderIdent := orelse(ident, hole)
end Lean
declare_syntax_cat rawStx (behavior := both)
syntax:35 (name := «term_∧_») term:36 " ∧ " term:35 : term
@[macro «term_∧_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_∧__1» : Lean.Macro
@[app_unexpander And, extern "_"] opaque «_aux_Init_Notation___unexpand_And_1» : Lean.PrettyPrinter.Unexpander
syntax:30 (name := «term_∨_») term:31 " ∨ " term:30 : term
@[macro «term_∨_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_∨__1» : Lean.Macro
@[app_unexpander Or, extern "_"] opaque «_aux_Init_Notation___unexpand_Or_1» : Lean.PrettyPrinter.Unexpander
syntax:1024 (name := «term¬_») "¬" term:40 : term
@[macro «term¬_», extern "_"] opaque «_aux_Init_Notation___macroRules_term¬__1» : Lean.Macro
@[app_unexpander Not, extern "_"] opaque «_aux_Init_Notation___unexpand_Not_1» : Lean.PrettyPrinter.Unexpander
syntax:50 (name := «term_=_») term:51 " = " term:51 : term
@[macro «term_=_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_=__2» : Lean.Macro
@[app_unexpander Eq, extern "_"] opaque «_aux_Init_Notation___unexpand_Eq_1» : Lean.PrettyPrinter.Unexpander
syntax:50 (name := «term_≠_») term:51 " ≠ " term:51 : term
@[macro «term_≠_», extern "_"] opaque «_aux_Init_Core___macroRules_term_≠__2» : Lean.Macro
@[app_unexpander Ne, extern "_"] opaque «_aux_Init_Core___unexpand_Ne_1» : Lean.PrettyPrinter.Unexpander
syntax:20 (name := «term_↔_») term:21 " ↔ " term:21 : term
@[macro «term_↔_», extern "_"] opaque «_aux_Init_Core___macroRules_term_↔__1» : Lean.Macro
@[app_unexpander Iff, extern "_"] opaque «_aux_Init_Core___unexpand_Iff_2» : Lean.PrettyPrinter.Unexpander
syntax:65 (name := «term_+_») term:65 " + " term:66 : term
@[macro «term_+_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_+__2» : Lean.Macro
@[app_unexpander HAdd.hAdd, extern "_"] opaque «_aux_Init_Notation___unexpand_HAdd_hAdd_1» : Lean.PrettyPrinter.Unexpander
syntax:65 (name := «term_-_») term:65 " - " term:66 : term
@[macro «term_-_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_-__2» : Lean.Macro
@[app_unexpander HSub.hSub, extern "_"] opaque «_aux_Init_Notation___unexpand_HSub_hSub_1» : Lean.PrettyPrinter.Unexpander
syntax:70 (name := «term_*_») term:70 " * " term:71 : term
@[macro «term_*_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_*__2» : Lean.Macro
@[app_unexpander HMul.hMul, extern "_"] opaque «_aux_Init_Notation___unexpand_HMul_hMul_1» : Lean.PrettyPrinter.Unexpander
syntax:50 (name := «term_<_») term:51 " < " term:51 : term
@[macro «term_<_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_<__2» : Lean.Macro
@[app_unexpander LT.lt, extern "_"] opaque «_aux_Init_Notation___unexpand_LT_lt_1» : Lean.PrettyPrinter.Unexpander
syntax:50 (name := «term_≤_») term:51 " ≤ " term:51 : term
@[macro «term_≤_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_≤__2» : Lean.Macro
@[app_unexpander LE.le, extern "_"] opaque «_aux_Init_Notation___unexpand_LE_le_2» : Lean.PrettyPrinter.Unexpander
syntax:50 (name := «term_∈_») term:51 " ∈ " term:51 : term
@[macro «term_∈_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_∈__1» : Lean.Macro
@[app_unexpander Membership.mem, extern "_"] opaque «_aux_Init_Notation___unexpand_Membership_mem_1» : Lean.PrettyPrinter.Unexpander
@[app_unexpander Prod.mk, extern "_"] opaque unexpandProdMk : Lean.PrettyPrinter.Unexpander
syntax:67 (name := «term_::_») term:68 " :: " term:67 : term
@[macro «term_::_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_::__1» : Lean.Macro
@[app_unexpander List.cons, extern "_"] opaque «_aux_Init_Notation___unexpand_List_cons_1» : Lean.PrettyPrinter.Unexpander
syntax:35 (name := «term_×_») term:36 " × " term:35 : term
@[macro «term_×_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_×__1» : Lean.Macro
@[app_unexpander Prod, extern "_"] opaque «_aux_Init_Notation___unexpand_Prod_1» : Lean.PrettyPrinter.Unexpander
-- division, powers, order the other way round, Booleans, lists, quantifiers
syntax:70 (name := «term_/_») term:70 " / " term:71 : term
@[macro «term_/_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_/__2» : Lean.Macro
@[app_unexpander HDiv.hDiv, extern "_"] opaque «_aux_Init_Notation___unexpand_HDiv_hDiv_1» : Lean.PrettyPrinter.Unexpander
syntax:70 (name := «term_%_») term:70 " % " term:71 : term
@[macro «term_%_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_%__2» : Lean.Macro
@[app_unexpander HMod.hMod, extern "_"] opaque «_aux_Init_Notation___unexpand_HMod_hMod_1» : Lean.PrettyPrinter.Unexpander
syntax:75 (name := «term_^_») term:76 " ^ " term:75 : term
@[macro «term_^_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_^__2» : Lean.Macro
@[app_unexpander HPow.hPow, extern "_"] opaque «_aux_Init_Notation___unexpand_HPow_hPow_1» : Lean.PrettyPrinter.Unexpander
syntax:65 (name := «term_++_») term:65 " ++ " term:66 : term
@[macro «term_++_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_++__2» : Lean.Macro
@[app_unexpander HAppend.hAppend, extern "_"] opaque «_aux_Init_Notation___unexpand_HAppend_hAppend_1» : Lean.PrettyPrinter.Unexpander
syntax:50 (name := «term_∣_») term:51 " ∣ " term:51 : term
@[macro «term_∣_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_∣__1» : Lean.Macro
@[app_unexpander Dvd.dvd, extern "_"] opaque «_aux_Init_Notation___unexpand_Dvd_dvd_1» : Lean.PrettyPrinter.Unexpander
syntax:50 (name := «term_≥_») term:51 " ≥ " term:51 : term
@[macro «term_≥_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_≥__2» : Lean.Macro
@[app_unexpander GE.ge, extern "_"] opaque «_aux_Init_Notation___unexpand_GE_ge_2» : Lean.PrettyPrinter.Unexpander
syntax:50 (name := «term_>_») term:51 " > " term:51 : term
@[macro «term_>_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_>__2» : Lean.Macro
@[app_unexpander GT.gt, extern "_"] opaque «_aux_Init_Notation___unexpand_GT_gt_1» : Lean.PrettyPrinter.Unexpander
syntax:50 (name := «term_<=_») term:51 " <= " term:51 : term
@[macro «term_<=_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_<=__2» : Lean.Macro
syntax:50 (name := «term_>=_») term:51 " >= " term:51 : term
@[macro «term_>=_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_>=__2» : Lean.Macro
syntax:50 (name := «term_==_») term:51 " == " term:51 : term
@[macro «term_==_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_==__2» : Lean.Macro
@[app_unexpander BEq.beq, extern "_"] opaque «_aux_Init_Notation___unexpand_BEq_beq_1» : Lean.PrettyPrinter.Unexpander
syntax:35 (name := «term_&&_») term:35 " && " term:36 : term
@[macro «term_&&_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_&&__1» : Lean.Macro
syntax:30 (name := «term_||_») term:30 " || " term:31 : term
@[macro «term_||_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_||__1» : Lean.Macro
syntax:1024 (name := «term!_») "!" term:40 : term
@[macro «term!_», extern "_"] opaque «_aux_Init_Notation___macroRules_term!__1» : Lean.Macro
syntax:10 (name := «term_<|_») term:11 " <| " term:10 : term
@[macro «term_<|_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_<|__1» : Lean.Macro
syntax:10 (name := «term_|>_») term:10 " |> " term:11 : term
@[macro «term_|>_», extern "_"] opaque «_aux_Init_Notation___macroRules_term_|>__1» : Lean.Macro
syntax:1023 (name := termIfThenElse) "if " term " then " term " else " term : term
@[macro termIfThenElse, extern "_"] opaque «_aux_Init_Notation___macroRules_termIfThenElse_1» : Lean.Macro
syntax:1023 (name := termDepIfThenElse) "if " Lean.binderIdent " : " term " then " term " else " term : term
@[macro termDepIfThenElse, extern "_"] opaque «_aux_Init_Notation___macroRules_termDepIfThenElse_1» : Lean.Macro
syntax (name := «term[_]») "[" withoutPosition(sepBy(term, ",", ", ", allowTrailingSep)) "]" : term
@[macro «term[_]», extern "_"] opaque Lean.«_aux_Init_Data_List_Notation___macroRules_term[_]_1» : Lean.Macro
@[app_unexpander List.nil, extern "_"] opaque unexpandListNil : Lean.PrettyPrinter.Unexpander
@[app_unexpander List.cons, extern "_"] opaque unexpandListCons : Lean.PrettyPrinter.Unexpander
namespace Lean
syntax unbracketedExplicitBinders := many1(ppSpace binderIdent) optional(" : " term)
syntax bracketedExplicitBinders := "(" withoutPosition(many1(binderIdent ppSpace) ": " term) ")"
syntax explicitBinders := orelse(many1(ppSpace bracketedExplicitBinders), unbracketedExplicitBinders)
end Lean
open Lean (explicitBinders)
syntax (name := «term∃_,_») "∃" explicitBinders ", " term : term
@[macro «term∃_,_», extern "_"] opaque «_aux_Init_NotationExtra___macroRules_term∃_,__1» : Lean.Macro
@[app_unexpander Exists, extern "_"] opaque unexpandExists : Lean.PrettyPrinter.Unexpander
namespace Lean.Parser.Tactic
syntax (name := exact) "exact " term : tactic
syntax (name := assumption) "assumption" : tactic
syntax (name := intro) "intro" many(ppSpace colGt term:1024) : tactic
end Lean.Parser.Tactic
open Lean (binderIdent)
namespace Lean.Parser.Tactic
syntax (name := intros) "intros" many(ppSpace colGt orelse(ident, hole)) : tactic
syntax (name := apply) "apply " term : tactic
syntax (name := refine) "refine " term : tactic
syntax (name := refine') "refine' " term : tactic
syntax (name := constructor) "constructor" : tactic
syntax (name := left) "left" : tactic
syntax (name := right) "right" : tactic
syntax (name := skip) "skip" : tactic
syntax (name := done) "done" : tactic
syntax (name := fail) "fail" optional(ppSpace str) : tactic
syntax (name := contradiction) "contradiction" : tactic
syntax (name := traceState) "trace_state" : tactic
syntax (name := eqRefl) "eq_refl" : tactic
syntax (name := applyRfl) "apply_rfl" : tactic
syntax (name := paren) "(" withoutPosition(tacticSeq) ")" : tactic
syntax (name := withReducible) "with_reducible " tacticSeq : tactic
syntax (name := withAnnotateState) "with_annotate_state " rawStx ppSpace tactic : tactic
syntax (name := first) "first " withPosition(many1(ppDedent(ppLine) colGe "| " tacticSeq)) : tactic
syntax (name := tacticTry_) "try " tacticSeq : tactic
@[macro tacticTry_, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTry__1 : Lean.Macro
syntax:1 (name := «tactic_<;>_») tactic:1 " <;> " tactic:2 : tactic
@[macro «tactic_<;>_», extern "_"] opaque «_aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tactic_<;>__1» : Lean.Macro
syntax (name := allGoals) "all_goals " tacticSeq : tactic
syntax (name := anyGoals) "any_goals " tacticSeq : tactic
syntax (name := focus) "focus " tacticSeq : tactic
syntax (name := clear) "clear" many1(ppSpace colGt term:1024) : tactic
syntax (name := revert) "revert" many1(ppSpace colGt term:1024) : tactic
syntax (name := subst) "subst" many1(ppSpace colGt term:1024) : tactic
syntax (name := substVars) "subst_vars" : tactic
syntax (name := specialize) "specialize " term : tactic
syntax (name := renameI) "rename_i" many1(ppSpace colGt binderIdent) : tactic
syntax (name := tacticExfalso) "exfalso" : tactic
@[macro tacticExfalso, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticExfalso_1 : Lean.Macro
syntax (name := tacticRfl) "rfl" : tactic
@[macro tacticRfl, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticRfl_1 : Lean.Macro
@[macro tacticRfl, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticRfl_2 : Lean.Macro
syntax locationWildcard := " *"
syntax locationHyp := many1(ppSpace colGt term:1024) optional(patternIgnore(ppSpace "⊢"))
syntax location := withPosition(" at" orelse(locationWildcard, locationHyp))
syntax (name := unfold) "unfold" many1(ppSpace colGt ident) optional(location) : tactic
syntax (name := change) "change " term optional(location) : tactic
syntax posConfigItem := " +" noWs ident
syntax negConfigItem := " -" noWs ident
syntax configItem := orelse(posConfigItem, negConfigItem)
syntax optConfig := many(colGt configItem)
syntax (name := injection) "injection " term optional(" with" many1(ppSpace colGt orelse(ident, hole))) : tactic
syntax (name := «tacticSorry») "sorry" : tactic
@[macro tacticSorry, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticSorry_1 : Lean.Macro
syntax caseArg := binderIdent many(ppSpace binderIdent)
syntax (name := «case») "case " sepBy1(caseArg, " | ") " => " tacticSeq : tactic
syntax (name := decide) "decide" optConfig : tactic
end Lean.Parser.Tactic

namespace Lean
syntax cdotTk := patternIgnore("· ")
syntax (name := cdot) cdotTk withPosition(many1(colGe tactic)) : tactic
end Lean
-- more tactics
namespace Lean.Parser.Tactic
syntax (name := tacticHave__) "have" letConfig letDecl : tactic
@[macro tacticHave__, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticHave___1 : Lean.Macro
syntax (name := tacticRefine_lift_) "refine_lift " term : tactic
@[macro tacticRefine_lift_, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticRefine_lift__1 : Lean.Macro
syntax (name := rotateRight) "rotate_right" optional(ppSpace num) : tactic
syntax (name := «show») "show " term : tactic
syntax (name := tacticSuffices_) "suffices " sufficesDecl : tactic
@[macro tacticSuffices_, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticSuffices__1 : Lean.Macro
syntax (name := «tacticExists_,,») "exists " sepBy1(term, ", ") : tactic
@[macro «tacticExists_,,», extern "_"] opaque «_aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticExists_,,_1» : Lean.Macro
syntax (name := tacticTrivial) "trivial" : tactic
@[macro tacticTrivial, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_1 : Lean.Macro
@[macro tacticTrivial, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_2 : Lean.Macro
@[macro tacticTrivial, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_3 : Lean.Macro
@[macro tacticTrivial, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_4 : Lean.Macro
@[macro tacticTrivial, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_5 : Lean.Macro
syntax (name := tacticRepeat_) "repeat " tacticSeq : tactic
end Lean.Parser.Tactic
-- rewriting, simplification, induction
namespace Lean.Parser.Tactic
syntax rwRule := optional(patternIgnore(orelse("← ", "<- "))) term
syntax rwRuleSeq := " [" withoutPosition(sepBy(rwRule, ",", ", ", allowTrailingSep)) "]"
syntax (name := rewriteSeq) "rewrite" optConfig rwRuleSeq optional(location) : tactic
syntax (name := rwSeq) "rw " optConfig rwRuleSeq optional(location) : tactic
@[macro rwSeq, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_rwSeq_1 : Lean.Macro
syntax simpPre := "↓"
syntax simpPost := "↑"
syntax simpLemma := optional(orelse(simpPre, simpPost)) optional(patternIgnore(orelse("← ", "<- "))) term
syntax simpErase := "-" term:1024
syntax simpStar := "*"
syntax discharger := atomic(" (" patternIgnore(orelse(&"discharger", &"disch"))) " := " withoutPosition(tacticSeq) ")"
syntax (name := simp) "simp" optConfig optional(discharger) optional(&" only")
  optional(" [" withoutPosition(sepBy(orelse(simpStar, orelse(simpErase, simpLemma)), ",", ", ", allowTrailingSep)) "]")
  optional(location) : tactic
syntax (name := simpAll) "simp_all" optConfig optional(discharger) optional(&" only")
  optional(" [" withoutPosition(sepBy(orelse(simpErase, simpLemma), ",", ", ", allowTrailingSep)) "]") : tactic
syntax (name := dsimp) "dsimp" optConfig optional(discharger) optional(&" only")
  optional(" [" withoutPosition(sepBy(orelse(simpErase, simpLemma), ",", ", ", allowTrailingSep)) "]")
  optional(location) : tactic
syntax elimTarget := atomic(optional(binderIdent " : ")) term
syntax inductionAltLHS := "| " orelse(group(optional("@") ident), hole) many(colGt orelse(ident, hole))
syntax inductionAlt := ppDedent(ppLine) many1(inductionAltLHS) optional(" => " orelse(hole, orelse(syntheticHole, tacticSeq)))
syntax inductionAlts := " with" optional(ppSpace colGt tactic) withPosition(many(colGe inductionAlt))
syntax (name := induction) "induction " sepBy1(elimTarget, ", ") optional(" using " term)
  optional(" generalizing" many1(ppSpace colGt term:1024)) optional(inductionAlts) : tactic
syntax (name := cases) "cases " sepBy1(elimTarget, ", ") optional(" using " term) optional(inductionAlts) : tactic
syntax generalizeArg := optional(atomic(binderIdent " : ")) term:51 " = " ident
syntax (name := generalize) "generalize " sepBy1(generalizeArg, ", ") optional(location) : tactic
syntax (name := symm) "symm" optional(location) : tactic
syntax (name := congr) "congr" optional(ppSpace num) : tactic
syntax (name := split) "split" optional(ppSpace colGt term) optional(location) : tactic
syntax (name := delta) "delta" many1(ppSpace colGt ident) optional(location) : tactic
syntax (name := repeat') "repeat' " tacticSeq : tactic
syntax (name := case') "case' " sepBy1(caseArg, " | ") " => " tacticSeq : tactic
syntax (name := «tacticNext_=>_») "next " many(binderIdent) " => " tacticSeq : tactic
@[macro «tacticNext_=>_», extern "_"] opaque «_aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticNext_=>__1» : Lean.Macro
syntax (name := tacticAdmit) "admit" : tactic
@[macro tacticAdmit, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticAdmit_1 : Lean.Macro
syntax (name := replace) "replace" letDecl : tactic
syntax (name := tacticAnd_intros) "and_intros" : tactic
@[macro tacticAnd_intros, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticAnd_intros_1 : Lean.Macro
syntax simpArg := orelse(simpStar, orelse(simpErase, simpLemma))
syntax simpArgs := " [" sepBy(simpArg, ",", ", ", allowTrailingSep) "]"
syntax simpaArgsRest := optConfig optional(discharger) optional(&" only ") optional(simpArgs) optional(" using " term)
syntax (name := simpa) "simpa" optional("?") optional("!") simpaArgsRest : tactic
syntax (name := rwa) "rwa " rwRuleSeq : tactic
syntax (name := tacticLet__) "let " letConfig letDecl : tactic
@[macro tacticLet__, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticLet___1 : Lean.Macro
end Lean.Parser.Tactic
namespace Lean.Parser.Attr
syntax (name := simp) "simp" optional(orelse(Tactic.simpPre, Tactic.simpPost)) optional(patternIgnore(orelse("← ", "<- "))) optional(prio) : attr
end Lean.Parser.Attr

-- patterns, case distinction, chains of equations
namespace Lean.Parser.Tactic
declare_syntax_cat rcasesPat
syntax rcasesPatMed := sepBy1(rcasesPat, " | ")
syntax rcasesPatLo := rcasesPatMed optional(" : " term)
syntax (name := rcasesPat.one) ident : rcasesPat
syntax (name := rcasesPat.ignore) "_" : rcasesPat
syntax (name := rcasesPat.clear) "-" : rcasesPat
syntax (name := rcasesPat.explicit) "@" noWs rcasesPat : rcasesPat
syntax (name := rcasesPat.tuple) "⟨" sepBy(rcasesPatLo, ", ") "⟩" : rcasesPat
syntax (name := rcasesPat.paren) "(" rcasesPatLo ")" : rcasesPat
declare_syntax_cat rintroPat
syntax (name := rintroPat.one) rcasesPat : rintroPat
syntax (name := rintroPat.binder) (priority := 1001) "(" many1(rintroPat) optional(" : " term) ")" : rintroPat
syntax (name := rcases) "rcases" sepBy(elimTarget, ", ") optional(" with " rcasesPatLo) : tactic
syntax (name := obtain) "obtain" optional(ppSpace rcasesPatMed) optional(" : " term) optional(" := " sepBy1(term, ", ")) : tactic
syntax (name := rintro) "rintro" many1(ppSpace colGt rintroPat) optional(" : " term) : tactic
syntax (name := tacticNofun) "nofun" : tactic
@[macro tacticNofun, extern "_"] opaque _aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticNofun_1 : Lean.Macro
syntax (name := «tacticNomatch_,,») "nomatch " sepBy1(term, ", ") : tactic
@[macro «tacticNomatch_,,», extern "_"] opaque «_aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticNomatch_,,_1» : Lean.Macro
end Lean.Parser.Tactic
syntax (name := «tacticBy_cases_:_») "by_cases " optional(atomic(ident " : ")) term : tactic
@[macro «tacticBy_cases_:_», extern "_"] opaque «_aux_Init_ByCases___macroRules_tacticBy_cases_:__1» : Lean.Macro
@[macro «tacticBy_cases_:_», extern "_"] opaque «_aux_Init_ByCases___macroRules_tacticBy_cases_:__2» : Lean.Macro
syntax (name := tacticFunext___) "funext " many(colGt term:1024) : tactic
@[macro tacticFunext___, extern "_"] opaque _aux_Init_NotationExtra___macroRules_tacticFunext____1 : Lean.Macro
namespace Lean
syntax calcFirstStep := ppIndent(colGe term optional(" := " term))
syntax calcStep := ppIndent(colGe term " := " term)
syntax calcSteps := ppLine withPosition(calcFirstStep) withPosition(many(calcStep ppLine))
syntax (name := calc) "calc" calcSteps : term
syntax (name := calcTactic) "calc" calcSteps : tactic
end Lean
class Trans.{r1, r2, r3, t1, t2, t3} {α : Sort t1} {β : Sort t2} {γ : Sort t3} (r : α → β → Sort r1) (s : β → γ → Sort r2)
    (t : outParam (α → γ → Sort r3)) where
  trans {a : α} {b : β} {c : γ} : r a b → s b c → t a c
export Trans (trans)
instance instTransEq {α : Sort u} {γ : Sort v} (r : α → γ → Sort w) : Trans Eq r r := ⟨fun h k => h.symm.rec (motive := fun x _ => r x _) k⟩
instance instTransEq_1 {α : Sort u} {β : Sort v} (r : α → β → Sort w) : Trans r Eq r := ⟨fun h k => k.rec (motive := fun x _ => r _ x) h⟩

/-! ### Logic -/
attribute [simp] eq_self iff_self implies_true
attribute [symm] Eq.symm
theorem Ne.symm {α : Sort u} {a b : α} (h : a ≠ b) : b ≠ a := fun e => h e.symm
theorem Ne.elim {α : Sort u} {a b : α} (h : a ≠ b) : a = b → False := h
theorem ne_of_eq_of_ne {α : Sort u} {a b c : α} (h : a = b) (k : b ≠ c) : a ≠ c := h ▸ k
theorem And.symm {a b : Prop} (h : a ∧ b) : b ∧ a := ⟨h.right, h.left⟩
theorem And.imp {a b c d : Prop} (f : a → c) (g : b → d) (h : a ∧ b) : c ∧ d := ⟨f h.left, g h.right⟩
theorem Or.symm {a b : Prop} (h : a ∨ b) : b ∨ a := h.rec Or.inr Or.inl
theorem Or.elim {c : Prop} {a b : Prop} (h : a ∨ b) (left : a → c) (right : b → c) : c := h.rec left right
theorem Or.resolve_left {a b : Prop} (h : a ∨ b) (na : ¬a) : b := h.elim (fun x => absurd x na) id
theorem Or.resolve_right {a b : Prop} (h : a ∨ b) (nb : ¬b) : a := h.elim id (fun x => absurd x nb)
theorem Or.imp {a b c d : Prop} (f : a → c) (g : b → d) (h : a ∨ b) : c ∨ d := h.elim (fun x => .inl (f x)) (fun x => .inr (g x))
theorem Exists.elim {α : Sort u} {p : α → Prop} {b : Prop} (h₁ : ∃ x, p x) (h₂ : ∀ a, p a → b) : b := h₁.rec h₂
theorem Iff.refl (a : Prop) : a ↔ a := ⟨id, id⟩
theorem Iff.rfl {a : Prop} : a ↔ a := Iff.refl a
theorem Iff.symm {a b : Prop} (h : a ↔ b) : b ↔ a := ⟨h.mpr, h.mp⟩
theorem Iff.trans {a b c : Prop} (h₁ : a ↔ b) (h₂ : b ↔ c) : a ↔ c := ⟨fun x => h₂.mp (h₁.mp x), fun x => h₁.mpr (h₂.mpr x)⟩
theorem Iff.comm {a b : Prop} : (a ↔ b) ↔ (b ↔ a) := ⟨Iff.symm, Iff.symm⟩
attribute [refl] Iff.refl
attribute [symm] Iff.symm HEq.symm
theorem iff_of_true {a b : Prop} (ha : a) (hb : b) : a ↔ b := ⟨fun _ => hb, fun _ => ha⟩
theorem iff_of_false {a b : Prop} (ha : ¬a) (hb : ¬b) : a ↔ b := ⟨fun x => absurd x ha, fun x => absurd x hb⟩
theorem iff_of_eq {a b : Prop} (h : a = b) : a ↔ b := h ▸ Iff.rfl
theorem not_not_intro {p : Prop} (h : p) : ¬¬p := fun k => k h
theorem mt {a b : Prop} (h₁ : a → b) (h₂ : ¬b) : ¬a := fun x => h₂ (h₁ x)
theorem trivial : True := True.intro
theorem false_of_ne {α : Sort u} {a : α} (h : a ≠ a) : False := h rfl
theorem ne_of_apply_ne {α : Sort u} {β : Sort v} (f : α → β) {x y : α} (h : f x ≠ f y) : x ≠ y := fun e => h (congrArg f e)
theorem not_and_self {a : Prop} : ¬(¬a ∧ a) := fun h => h.left h.right
theorem and_not_self {a : Prop} : ¬(a ∧ ¬a) := fun h => h.right h.left
theorem and_comm {a b : Prop} : a ∧ b ↔ b ∧ a := ⟨And.symm, And.symm⟩
theorem or_comm {a b : Prop} : a ∨ b ↔ b ∨ a := ⟨Or.symm, Or.symm⟩
theorem and_assoc {a b c : Prop} : (a ∧ b) ∧ c ↔ a ∧ b ∧ c :=
  ⟨fun h => ⟨h.left.left, h.left.right, h.right⟩, fun h => ⟨⟨h.left, h.right.left⟩, h.right.right⟩⟩
theorem or_assoc {a b c : Prop} : (a ∨ b) ∨ c ↔ a ∨ b ∨ c :=
  ⟨fun h => h.elim (fun k => k.elim .inl (fun x => .inr (.inl x))) (fun x => .inr (.inr x)),
   fun h => h.elim (fun x => .inl (.inl x)) (fun k => k.elim (fun x => .inl (.inr x)) .inr)⟩
theorem and_left_comm {a b c : Prop} : a ∧ b ∧ c ↔ b ∧ a ∧ c :=
  ⟨fun h => ⟨h.2.1, h.1, h.2.2⟩, fun h => ⟨h.2.1, h.1, h.2.2⟩⟩
theorem and_or_left {a b c : Prop} : a ∧ (b ∨ c) ↔ (a ∧ b) ∨ (a ∧ c) :=
  ⟨fun h => h.2.elim (fun x => .inl ⟨h.1, x⟩) (fun x => .inr ⟨h.1, x⟩),
   fun h => h.elim (fun x => ⟨x.1, .inl x.2⟩) (fun x => ⟨x.1, .inr x.2⟩)⟩
theorem or_and_left {a b c : Prop} : a ∨ (b ∧ c) ↔ (a ∨ b) ∧ (a ∨ c) :=
  ⟨fun h => h.elim (fun x => ⟨.inl x, .inl x⟩) (fun x => ⟨.inr x.1, .inr x.2⟩),
   fun h => h.1.elim .inl (fun x => h.2.elim .inl (fun y => .inr ⟨x, y⟩))⟩
@[simp] theorem not_or {p q : Prop} : ¬(p ∨ q) ↔ ¬p ∧ ¬q :=
  ⟨fun h => ⟨fun x => h (.inl x), fun x => h (.inr x)⟩, fun h k => k.elim h.1 h.2⟩
@[simp] theorem not_and {a b : Prop} : ¬(a ∧ b) ↔ (a → ¬b) := ⟨fun h x y => h ⟨x, y⟩, fun h k => h k.1 k.2⟩
@[simp] theorem and_imp {a b c : Prop} : (a ∧ b → c) ↔ (a → b → c) := ⟨fun h x y => h ⟨x, y⟩, fun h k => h k.1 k.2⟩
theorem or_imp {a b c : Prop} : (a ∨ b → c) ↔ (a → c) ∧ (b → c) :=
  ⟨fun h => ⟨fun x => h (.inl x), fun x => h (.inr x)⟩, fun h k => k.elim h.1 h.2⟩
theorem imp_false {a : Prop} : (a → False) ↔ ¬a := Iff.rfl
@[simp] theorem not_exists {α : Sort u} {p : α → Prop} : (¬∃ x, p x) ↔ ∀ x, ¬p x :=
  ⟨fun h x y => h ⟨x, y⟩, fun h k => k.elim h⟩
@[simp] theorem exists_imp {α : Sort u} {p : α → Prop} {b : Prop} : ((∃ x, p x) → b) ↔ ∀ x, p x → b :=
  ⟨fun h x y => h ⟨x, y⟩, fun h k => k.elim h⟩
theorem exists_or {α : Sort u} {p q : α → Prop} : (∃ x, p x ∨ q x) ↔ (∃ x, p x) ∨ ∃ x, q x :=
  ⟨fun h => h.elim fun x k => k.elim (fun y => .inl ⟨x, y⟩) (fun y => .inr ⟨x, y⟩),
   fun h => h.elim (fun k => k.elim fun x y => ⟨x, .inl y⟩) (fun k => k.elim fun x y => ⟨x, .inr y⟩)⟩
theorem forall_and {α : Sort u} {p q : α → Prop} : (∀ x, p x ∧ q x) ↔ (∀ x, p x) ∧ ∀ x, q x :=
  ⟨fun h => ⟨fun x => (h x).1, fun x => (h x).2⟩, fun h x => ⟨h.1 x, h.2 x⟩⟩
@[simp] theorem and_true (p : Prop) : (p ∧ True) = p := propext ⟨And.left, fun h => ⟨h, .intro⟩⟩
@[simp] theorem true_and (p : Prop) : (True ∧ p) = p := propext ⟨And.right, fun h => ⟨.intro, h⟩⟩
@[simp] theorem and_false (p : Prop) : (p ∧ False) = False := eq_false And.right
@[simp] theorem false_and (p : Prop) : (False ∧ p) = False := eq_false And.left
@[simp] theorem and_self (p : Prop) : (p ∧ p) = p := propext ⟨And.left, fun h => ⟨h, h⟩⟩
@[simp] theorem or_self (p : Prop) : (p ∨ p) = p := propext ⟨fun h => h.elim id id, .inl⟩
@[simp] theorem or_true (p : Prop) : (p ∨ True) = True := eq_true (.inr .intro)
@[simp] theorem true_or (p : Prop) : (True ∨ p) = True := eq_true (.inl .intro)
@[simp] theorem or_false (p : Prop) : (p ∨ False) = p := propext ⟨fun h => h.elim id False.elim, .inl⟩
@[simp] theorem false_or (p : Prop) : (False ∨ p) = p := propext ⟨fun h => h.elim False.elim id, .inr⟩
@[simp] theorem iff_true (p : Prop) : (p ↔ True) = p := propext ⟨fun h => h.mpr .intro, fun h => iff_of_true h .intro⟩
@[simp] theorem true_iff (p : Prop) : (True ↔ p) = p := propext ⟨fun h => h.mp .intro, fun h => iff_of_true .intro h⟩
@[simp] theorem iff_false (p : Prop) : (p ↔ False) = ¬p := propext ⟨fun h => h.mp, fun h => iff_of_false h id⟩
@[simp] theorem false_iff (p : Prop) : (False ↔ p) = ¬p := propext ⟨fun h => h.mpr, fun h => iff_of_false id h⟩
@[simp] theorem false_implies (p : Prop) : (False → p) = True := eq_true False.elim
@[simp] theorem true_implies (p : Prop) : (True → p) = p := propext ⟨fun h => h .intro, fun h _ => h⟩
@[simp] theorem imp_self {a : Prop} : (a → a) ↔ True := ⟨fun _ => .intro, fun _ => id⟩
@[simp] theorem not_true_eq_false : (¬True) = False := eq_false fun h => h .intro
@[simp] theorem not_false_eq_true : (¬False) = True := eq_true id
@[simp] theorem ne_eq {α : Sort u} (a b : α) : (a ≠ b) = ¬(a = b) := rfl
@[simp] theorem ge_iff_le {α : Type u} [LE α] {x y : α} : x ≥ y ↔ y ≤ x := Iff.rfl
@[simp] theorem gt_iff_lt {α : Type u} [LT α] {x y : α} : x > y ↔ y < x := Iff.rfl
@[simp] theorem forall_const {b : Prop} (α : Sort u) [i : Nonempty α] : (α → b) ↔ b :=
  ⟨fun h => i.rec h, fun h _ => h⟩
@[simp] theorem exists_const {b : Prop} (α : Sort u) [i : Nonempty α] : (∃ _ : α, b) ↔ b :=
  ⟨fun h => h.elim fun _ => id, fun h => i.rec fun x => ⟨x, h⟩⟩
@[simp] theorem exists_false {α : Sort u} : ¬∃ _ : α, False := fun h => h.elim fun _ => id
@[simp] theorem exists_eq {α : Sort u} {a' : α} : ∃ a, a = a' := ⟨a', rfl⟩
@[simp] theorem exists_eq' {α : Sort u} {a' : α} : ∃ a, a' = a := ⟨a', rfl⟩
theorem not_congr {a b : Prop} (h : a ↔ b) : ¬a ↔ ¬b := ⟨mt h.mpr, mt h.mp⟩
theorem and_congr {a b c d : Prop} (h₁ : a ↔ c) (h₂ : b ↔ d) : a ∧ b ↔ c ∧ d := ⟨And.imp h₁.mp h₂.mp, And.imp h₁.mpr h₂.mpr⟩
theorem or_congr {a b c d : Prop} (h₁ : a ↔ c) (h₂ : b ↔ d) : a ∨ b ↔ c ∨ d := ⟨Or.imp h₁.mp h₂.mp, Or.imp h₁.mpr h₂.mpr⟩
theorem implies_congr_ctx {p₁ p₂ q₁ q₂ : Prop} (h₁ : p₁ = p₂) (h₂ : p₂ → q₁ = q₂) : (p₁ → q₁) = (p₂ → q₂) :=
  propext ⟨fun h x => h₂ x ▸ h (h₁ ▸ x), fun h x => (h₂ (h₁ ▸ x)).symm ▸ h (h₁ ▸ x)⟩
theorem eq_false' {p : Prop} (h : p → False) : p = False := eq_false h
theorem Eq.substr {α : Sort u} {p : α → Prop} {a b : α} (h₁ : b = a) (h₂ : p a) : p b := h₁ ▸ h₂
theorem Eq.mpr_prop {p q : Prop} (h₁ : p = q) (h₂ : q) : p := h₁ ▸ h₂
theorem Eq.mpr_not {p q : Prop} (h₁ : p = q) (h₂ : ¬q) : ¬p := h₁ ▸ h₂
theorem implies_dep_congr_ctx {p₁ p₂ q₁ : Prop} (h₁ : p₁ = p₂) {q₂ : p₂ → Prop} (h₂ : (h : p₂) → q₁ = q₂ h) :
    (p₁ → q₁) = ((h : p₂) → q₂ h) :=
  propext ⟨fun f h => h₂ h ▸ f (h₁ ▸ h), fun f h => (h₂ (h₁ ▸ h)).symm ▸ f (h₁ ▸ h)⟩
theorem forall_prop_congr_dom {p₁ p₂ : Prop} (h : p₁ = p₂) (q : p₁ → Prop) :
    (∀ a : p₁, q a) = (∀ a : p₂, q (h.substr (p := fun x : Prop => x) a)) :=
  propext ⟨fun f _ => f _, fun f a => f (h ▸ a)⟩
theorem Decidable.em (p : Prop) [h : Decidable p] : p ∨ ¬p := h.rec .inr .inl
theorem Decidable.byContradiction {p : Prop} [dec : Decidable p] (h : ¬p → False) : p := (Decidable.em p).elim id fun k => (h k).elim
theorem Decidable.not_not {p : Prop} [h : Decidable p] : ¬¬p ↔ p := ⟨Decidable.byContradiction, not_not_intro⟩
theorem Decidable.of_not_not {p : Prop} [h : Decidable p] : ¬¬p → p := Decidable.byContradiction
theorem decide_eq_true {p : Prop} [inst : Decidable p] : p → decide p = true := fun h =>
  inst.rec (motive := fun i => @decide p i = true) (fun k => absurd h k) (fun _ => rfl)
theorem decide_eq_false {p : Prop} [inst : Decidable p] : ¬p → decide p = false := fun h =>
  inst.rec (motive := fun i => @decide p i = false) (fun _ => rfl) (fun k => absurd k h)
@[simp] theorem decide_eq_true_eq {p : Prop} [Decidable p] : (decide p = true) = p := propext ⟨of_decide_eq_true, decide_eq_true⟩
theorem Bool.eq_false_or_eq_true (b : Bool) : b = true ∨ b = false := b.rec (.inr rfl) (.inl rfl)
@[simp] theorem Bool.false_eq_true : (false = true) = False := eq_false fun h => nomatch h
@[simp] theorem Bool.true_eq_false : (true = false) = False := eq_false fun h => nomatch h
instance instDecidableOr {p q : Prop} [a : Decidable p] [b : Decidable q] : Decidable (p ∨ q) :=
  match a, b with
  | isTrue x, _ => isTrue (.inl x)
  | isFalse _, isTrue y => isTrue (.inr y)
  | isFalse x, isFalse y => isFalse fun h => h.elim x y
instance instDecidableIff {p q : Prop} [a : Decidable p] [b : Decidable q] : Decidable (p ↔ q) :=
  match a, b with
  | isTrue x, isTrue y => isTrue (iff_of_true x y)
  | isTrue x, isFalse y => isFalse fun h => y (h.mp x)
  | isFalse x, isTrue y => isFalse fun h => x (h.mpr y)
  | isFalse x, isFalse y => isTrue (iff_of_false x y)
instance instDecidableForall {p q : Prop} [a : Decidable p] [b : Decidable q] : Decidable (p → q) :=
  match a, b with
  | _, isTrue y => isTrue fun _ => y
  | isFalse x, _ => isTrue fun h => absurd h x
  | isTrue x, isFalse y => isFalse fun h => y (h x)
instance instDecidableEqBool (a b : Bool) : Decidable (a = b) :=
  match a, b with
  | false, false => isTrue rfl
  | true, true => isTrue rfl
  | false, true => isFalse fun h => nomatch h
  | true, false => isFalse fun h => nomatch h
theorem if_pos {c : Prop} {h : Decidable c} (hc : c) {α : Sort u} {t e : α} : ite c t e = t :=
  h.rec (motive := fun i => @ite α c i t e = t) (fun k => absurd hc k) (fun _ => rfl)
theorem if_neg {c : Prop} {h : Decidable c} (hnc : ¬c) {α : Sort u} {t e : α} : ite c t e = e :=
  h.rec (motive := fun i => @ite α c i t e = e) (fun _ => rfl) (fun k => absurd k hnc)
theorem ite_eq_left {α : Sort u} {c : Prop} {d : Decidable c} (hc : c) {a b : α} : (if c then a else b) = a := if_pos hc
theorem ite_eq_right {α : Sort u} {c : Prop} {d : Decidable c} (hnc : ¬c) {a b : α} : (if c then a else b) = b := if_neg hnc
theorem dif_pos {c : Prop} {h : Decidable c} (hc : c) {α : Sort u} {t : c → α} {e : ¬c → α} : dite c t e = t hc :=
  h.rec (motive := fun i => @dite α c i t e = t hc) (fun k => absurd hc k) (fun _ => rfl)
theorem dif_neg {c : Prop} {h : Decidable c} (hnc : ¬c) {α : Sort u} {t : c → α} {e : ¬c → α} : dite c t e = e hnc :=
  h.rec (motive := fun i => @dite α c i t e = e hnc) (fun _ => rfl) (fun k => absurd k hnc)
theorem dite_eq_left {α : Sort u} {c : Prop} {d : Decidable c} (hc : c) {a : c → α} {b : ¬c → α} : dite c a b = a hc := dif_pos hc
theorem dite_eq_right {α : Sort u} {c : Prop} {d : Decidable c} (hnc : ¬c) {a : c → α} {b : ¬c → α} : dite c a b = b hnc := dif_neg hnc
theorem ite_cond_eq_true {α : Sort u} {c : Prop} {_ : Decidable c} (a b : α) (h : c = True) : (if c then a else b) = a := if_pos (of_eq_true h)
theorem ite_cond_eq_false {α : Sort u} {c : Prop} {_ : Decidable c} (a b : α) (h : c = False) : (if c then a else b) = b := if_neg (of_eq_false h)
theorem ite_eq_left_of_eq_true {α : Sort u} {c : Prop} {_ : Decidable c} (a b : α) (h : c = True) : (if c then a else b) = a := if_pos (of_eq_true h)
theorem ite_eq_right_of_eq_false {α : Sort u} {c : Prop} {_ : Decidable c} (a b : α) (h : c = False) : (if c then a else b) = b := if_neg (of_eq_false h)
@[simp] theorem ite_true {α : Sort u} (a b : α) : (if True then a else b) = a := rfl
@[simp] theorem ite_false {α : Sort u} (a b : α) : (if False then a else b) = b := rfl
theorem eq_true_of_decide {p : Prop} [Decidable p] (h : decide p = true) : p = True := eq_true (of_decide_eq_true h)
theorem eq_false_of_decide {p : Prop} [Decidable p] (h : decide p = false) : p = False := eq_false (of_decide_eq_false h)

/-! ### Classical logic -/
namespace Classical
theorem exists_true_of_nonempty {α : Sort u} : Nonempty α → ∃ _ : α, True := fun h => h.rec fun x => ⟨x, .intro⟩
noncomputable def indefiniteDescription {α : Sort u} (p : α → Prop) (h : ∃ x, p x) : Subtype p :=
  choice (h.elim fun x px => ⟨⟨x, px⟩⟩)
noncomputable def choose {α : Sort u} {p : α → Prop} (h : ∃ x, p x) : α := (indefiniteDescription p h).val
theorem choose_spec {α : Sort u} {p : α → Prop} (h : ∃ x, p x) : p (choose h) := (indefiniteDescription p h).property
/-- Diaconescu's argument: the choices from two sets that agree if `p` holds can be compared. -/
theorem em (p : Prop) : p ∨ ¬p :=
  have hu : ∃ x : Prop, x = True ∨ p := ⟨True, .inl rfl⟩
  have hv : ∃ x : Prop, x = False ∨ p := ⟨False, .inl rfl⟩
  (choose_spec hu).elim
    (fun eu => (choose_spec hv).elim
      (fun ev => .inr fun hp =>
        have same : (fun x : Prop => x = True ∨ p) = (fun x => x = False ∨ p) :=
          funext fun x => propext ⟨fun _ => .inr hp, fun _ => .inr hp⟩
        have agree : ∀ (q : Prop → Prop), (fun x : Prop => x = True ∨ p) = q → ∀ h : ∃ x, q x, choose hu = choose h :=
          by intro q e; subst e; intro h; rfl
        have clash : True = False := eu.symm.trans ((agree _ same hv).trans ev)
        clash.rec (motive := fun q _ => q) True.intro)
      .inl)
    .inl
theorem byContradiction {p : Prop} (h : ¬p → False) : p := (em p).elim id fun k => (h k).elim
theorem byCases {p q : Prop} (hpq : p → q) (hnpq : ¬p → q) : q := (em p).elim hpq hnpq
noncomputable scoped instance (priority := 10) propDecidable (a : Prop) : Decidable a :=
  choice ((em a).elim (fun h => ⟨isTrue h⟩) (fun h => ⟨isFalse h⟩))
@[simp] theorem not_not {a : Prop} : ¬¬a ↔ a := ⟨byContradiction, not_not_intro⟩
@[simp] theorem not_forall {α : Sort u} {p : α → Prop} : (¬∀ x, p x) ↔ ∃ x, ¬p x :=
  ⟨fun h => byContradiction fun k => h fun x => byContradiction fun l => k ⟨x, l⟩, fun h k => h.elim fun x l => l (k x)⟩
theorem not_imp {a b : Prop} : ¬(a → b) ↔ a ∧ ¬b :=
  ⟨fun h => ⟨byContradiction fun k => h fun x => absurd x k, fun y => h fun _ => y⟩, fun h k => h.2 (k h.1)⟩
theorem not_and_iff_not_or_not {a b : Prop} : ¬(a ∧ b) ↔ ¬a ∨ ¬b :=
  ⟨fun h => (em a).elim (fun x => .inr fun y => h ⟨x, y⟩) .inl, fun h k => h.elim (fun x => x k.1) (fun x => x k.2)⟩
end Classical
theorem ite_cond_congr {α : Sort u} {c c' : Prop} {i : Decidable c} {i' : Decidable c'} {a b : α} (h : c = c') : ite c a b = ite c' a b := by
  subst h; cases i <;> cases i' <;> first | rfl | contradiction
theorem dite_cond_congr {α : Sort u} {c c' : Prop} {i : Decidable c} {i' : Decidable c'} {a : c → α} {b : ¬c → α} (h : c = c') :
    dite c a b = dite c' (fun x => a (h ▸ x)) (fun x => b (h ▸ x)) := by
  subst h; cases i <;> cases i' <;> first | rfl | contradiction
@[congr] theorem ite_congr {b c : Prop} {α : Sort u} {x y u v : α} {s : Decidable b} [Decidable c]
    (h₁ : b = c) (h₂ : c → x = u) (h₃ : ¬c → y = v) : ite b x y = ite c u v := by
  by_cases h : c
  · rw [if_pos h, if_pos (h₁ ▸ h), h₂ h]
  · rw [if_neg h, if_neg (h₁ ▸ h), h₃ h]
class Subsingleton (α : Sort u) : Prop where
  intro ::
  allEq : ∀ a b : α, a = b
protected theorem Subsingleton.elim {α : Sort u} [h : Subsingleton α] : ∀ a b : α, a = b := h.allEq
instance instSubsingleton (p : Prop) : Subsingleton p := ⟨fun _ _ => rfl⟩
instance instSubsingletonDecidable (p : Prop) : Subsingleton (Decidable p) :=
  ⟨fun a b => by cases a <;> cases b <;> first | rfl | contradiction⟩

/-! ### Natural numbers -/
namespace Nat
theorem zero_eq : Nat.zero = 0 := rfl
theorem succ_eq_add_one (n : Nat) : succ n = n + 1 := rfl
theorem add_one (n : Nat) : n + 1 = succ n := rfl
@[elab_as_elim, induction_eliminator] protected noncomputable def recAux {motive : Nat → Sort u} (zero : motive 0)
    (succ : ∀ n, motive n → motive (n + 1)) (t : Nat) : motive t := Nat.rec zero succ t
@[elab_as_elim, cases_eliminator] protected def casesAuxOn {motive : Nat → Sort u} (t : Nat) (zero : motive 0)
    (succ : ∀ n, motive (n + 1)) : motive t := Nat.casesOn t zero succ
theorem one_eq_succ_zero : 1 = succ 0 := rfl
theorem succ_ne_zero (n : Nat) : succ n ≠ 0 := fun h => nomatch h
@[simp] theorem add_one_ne_zero (n : Nat) : n + 1 ≠ 0 := fun h => nomatch h
theorem zero_ne_one : 0 ≠ (1 : Nat) := fun h => nomatch h
theorem succ.inj' {m n : Nat} : succ m = succ n → m = n := fun h => congrArg pred h
theorem succ_inj {a b : Nat} : succ a = succ b ↔ a = b := ⟨succ.inj', congrArg succ⟩
theorem add_one_inj {a b : Nat} : a + 1 = b + 1 ↔ a = b := succ_inj
@[simp] theorem pred_zero : pred 0 = 0 := rfl
@[simp] theorem pred_succ (n : Nat) : pred (succ n) = n := rfl

/-! addition -/
@[simp] protected theorem add_zero (n : Nat) : n + 0 = n := rfl
theorem add_succ (n m : Nat) : n + succ m = succ (n + m) := rfl
@[simp] protected theorem zero_add (n : Nat) : 0 + n = n := by
  induction n with
  | zero => rfl
  | succ n ih => exact congrArg succ ih
theorem succ_add (n m : Nat) : succ n + m = succ (n + m) := by
  induction m with
  | zero => rfl
  | succ m ih => exact congrArg succ ih
theorem succ_add_eq_add_succ (a b : Nat) : succ a + b = a + succ b := succ_add a b
theorem one_add (n : Nat) : 1 + n = succ n := by rw [succ_add 0 n, Nat.zero_add]
protected theorem add_comm (n m : Nat) : n + m = m + n := by
  induction m with
  | zero => exact (Nat.zero_add n).symm
  | succ m ih => rw [← succ_eq_add_one, add_succ, succ_add, ih]
protected theorem add_assoc (n m k : Nat) : n + m + k = n + (m + k) := by
  induction k with
  | zero => rfl
  | succ k ih => exact congrArg succ ih
protected theorem add_left_comm (n m k : Nat) : n + (m + k) = m + (n + k) := by
  rw [← Nat.add_assoc, Nat.add_comm n m, Nat.add_assoc]
protected theorem add_right_comm (n m k : Nat) : n + m + k = n + k + m := by
  rw [Nat.add_assoc, Nat.add_comm m k, ← Nat.add_assoc]
protected theorem add_add_add_comm (a b c d : Nat) : (a + b) + (c + d) = (a + c) + (b + d) := by
  rw [Nat.add_assoc, Nat.add_left_comm b c d, ← Nat.add_assoc]
protected theorem add_left_cancel {n m k : Nat} : n + m = n + k → m = k := by
  induction n with
  | zero => intro h; rw [Nat.zero_add, Nat.zero_add] at h; exact h
  | succ n ih => intro h; apply ih; rw [succ_add, succ_add] at h; exact succ.inj' h
protected theorem add_right_cancel {n m k : Nat} (h : n + m = k + m) : n = k := by
  rw [Nat.add_comm n m, Nat.add_comm k m] at h; exact Nat.add_left_cancel h
@[simp] protected theorem add_left_cancel_iff {m k n : Nat} : n + m = n + k ↔ m = k := ⟨Nat.add_left_cancel, fun h => h ▸ rfl⟩
@[simp] protected theorem add_right_cancel_iff {m k n : Nat} : m + n = k + n ↔ m = k := ⟨Nat.add_right_cancel, fun h => h ▸ rfl⟩
protected theorem eq_zero_of_add_eq_zero_left {n m : Nat} (h : n + m = 0) : m = 0 := by
  cases m with
  | zero => rfl
  | succ m => exact absurd h (succ_ne_zero _)
protected theorem eq_zero_of_add_eq_zero_right {n m : Nat} (h : n + m = 0) : n = 0 :=
  Nat.eq_zero_of_add_eq_zero_left (Nat.add_comm n m ▸ h)
@[simp] protected theorem add_eq_zero_iff {n m : Nat} : n + m = 0 ↔ n = 0 ∧ m = 0 :=
  ⟨fun h => ⟨Nat.eq_zero_of_add_eq_zero_right h, Nat.eq_zero_of_add_eq_zero_left h⟩, fun h => by rw [h.1, h.2]⟩

/-! multiplication -/
@[simp] protected theorem mul_zero (n : Nat) : n * 0 = 0 := rfl
theorem mul_succ (n m : Nat) : n * succ m = n * m + n := rfl
theorem mul_add_one (n m : Nat) : n * (m + 1) = n * m + n := rfl
@[simp] protected theorem zero_mul (n : Nat) : 0 * n = 0 := by
  induction n with
  | zero => rfl
  | succ n ih => rw [mul_add_one, ih]
theorem succ_mul (n m : Nat) : succ n * m = n * m + m := by
  induction m with
  | zero => rfl
  | succ m ih => rw [mul_add_one, mul_add_one, ih, add_succ, ← succ_eq_add_one, add_succ, Nat.add_right_comm]
theorem add_one_mul (n m : Nat) : (n + 1) * m = n * m + m := succ_mul n m
protected theorem mul_comm (n m : Nat) : n * m = m * n := by
  induction m with
  | zero => rw [Nat.mul_zero, Nat.zero_mul]
  | succ m ih => rw [mul_add_one, add_one_mul, ih]
@[simp] protected theorem mul_one (n : Nat) : n * 1 = n := Nat.zero_add n
@[simp] protected theorem one_mul (n : Nat) : 1 * n = n := by rw [Nat.mul_comm, Nat.mul_one]
protected theorem left_distrib (n m k : Nat) : n * (m + k) = n * m + n * k := by
  induction k with
  | zero => rfl
  | succ k ih => rw [← Nat.add_assoc, mul_add_one, mul_add_one, ih, Nat.add_assoc]
protected theorem mul_add (n m k : Nat) : n * (m + k) = n * m + n * k := Nat.left_distrib n m k
protected theorem right_distrib (n m k : Nat) : (n + m) * k = n * k + m * k := by
  rw [Nat.mul_comm, Nat.left_distrib, Nat.mul_comm k n, Nat.mul_comm k m]
protected theorem add_mul (n m k : Nat) : (n + m) * k = n * k + m * k := Nat.right_distrib n m k
protected theorem mul_assoc (n m k : Nat) : n * m * k = n * (m * k) := by
  induction k with
  | zero => rfl
  | succ k ih => rw [mul_add_one, mul_add_one, ih, Nat.left_distrib]
protected theorem mul_left_comm (n m k : Nat) : n * (m * k) = m * (n * k) := by
  rw [← Nat.mul_assoc, Nat.mul_comm n m, Nat.mul_assoc]
protected theorem mul_right_comm (n m k : Nat) : n * m * k = n * k * m := by
  rw [Nat.mul_assoc, Nat.mul_comm m k, ← Nat.mul_assoc]
protected theorem mul_two (n : Nat) : n * 2 = n + n := by rw [mul_succ, Nat.mul_one]
protected theorem two_mul (n : Nat) : 2 * n = n + n := by rw [Nat.mul_comm, Nat.mul_two]
@[simp] protected theorem mul_eq_zero {m n : Nat} : n * m = 0 ↔ n = 0 ∨ m = 0 := by
  constructor
  · intro h
    cases m with
    | zero => right; rfl
    | succ m =>
      left
      rw [mul_add_one] at h
      exact Nat.eq_zero_of_add_eq_zero_left h
  · intro h
    cases h with
    | inl h => rw [h, Nat.zero_mul]
    | inr h => rw [h, Nat.mul_zero]

/-! order -/
theorem le.dest' {n m : Nat} (h : n ≤ m) : ∃ k, n + k = m := by
  induction h with
  | refl => exact ⟨0, rfl⟩
  | step _ ih =>
    cases ih with
    | intro k hk => exact ⟨k + 1, congrArg succ hk⟩
theorem le.dest {n m : Nat} : n ≤ m → ∃ k, n + k = m := le.dest'
@[simp] theorem le_add_right (n k : Nat) : n ≤ n + k := by
  induction k with
  | zero => exact le.refl
  | succ k ih => exact le.step ih
theorem le_add_left (n m : Nat) : n ≤ m + n := by rw [Nat.add_comm]; exact le_add_right n m
theorem le.intro {n m k : Nat} (h : n + k = m) : n ≤ m := h ▸ le_add_right n k
@[simp] protected theorem le_refl (n : Nat) : n ≤ n := le.refl
protected theorem le_rfl {n : Nat} : n ≤ n := le.refl
attribute [refl] Nat.le_refl
protected theorem le_of_eq {n m : Nat} (h : n = m) : n ≤ m := h ▸ le.refl
protected theorem le_trans {n m k : Nat} (h : n ≤ m) (k' : m ≤ k) : n ≤ k := by
  induction k' with
  | refl => exact h
  | step _ ih => exact le.step ih
@[simp] theorem zero_le (n : Nat) : 0 ≤ n := le.intro (Nat.zero_add n)
theorem succ_le_succ {n m : Nat} (h : n ≤ m) : succ n ≤ succ m := by
  induction h with
  | refl => exact le.refl
  | step _ ih => exact le.step ih
theorem pred_le_pred {n m : Nat} (h : n ≤ m) : pred n ≤ pred m := by
  induction h with
  | refl => exact le.refl
  | @step m _ ih =>
    cases m with
    | zero => exact ih
    | succ m => exact le.step ih
theorem le_of_succ_le_succ {n m : Nat} (h : succ n ≤ succ m) : n ≤ m := pred_le_pred h
theorem succ_le_succ_iff {a b : Nat} : succ a ≤ succ b ↔ a ≤ b := ⟨le_of_succ_le_succ, succ_le_succ⟩
@[simp] theorem add_one_le_add_one_iff {a b : Nat} : a + 1 ≤ b + 1 ↔ a ≤ b := succ_le_succ_iff
theorem le_step {n m : Nat} (h : n ≤ m) : n ≤ succ m := le.step h
theorem le_succ (n : Nat) : n ≤ succ n := le.step le.refl
theorem le_add_one (n : Nat) : n ≤ n + 1 := le_succ n
theorem le_succ_of_le {n m : Nat} (h : n ≤ m) : n ≤ succ m := le.step h
theorem le_of_succ_le {n m : Nat} (h : succ n ≤ m) : n ≤ m := Nat.le_trans (le_succ n) h
theorem not_succ_le_zero (n : Nat) : ¬succ n ≤ 0 := by intro h; cases h
@[simp] theorem not_lt_zero (n : Nat) : ¬n < 0 := not_succ_le_zero n
theorem not_succ_le_self (n : Nat) : ¬succ n ≤ n := by
  induction n with
  | zero => exact not_succ_le_zero 0
  | succ n ih => exact fun h => ih (le_of_succ_le_succ h)
@[simp] protected theorem lt_irrefl (n : Nat) : ¬n < n := not_succ_le_self n
theorem lt_succ_self (n : Nat) : n < succ n := le.refl
theorem lt_add_one (n : Nat) : n < n + 1 := le.refl
theorem zero_lt_succ (n : Nat) : 0 < succ n := succ_le_succ (zero_le n)
theorem succ_pos (n : Nat) : 0 < succ n := zero_lt_succ n
theorem zero_lt_one : 0 < (1 : Nat) := zero_lt_succ 0
@[simp] theorem zero_lt_add_one (n : Nat) : 0 < n + 1 := zero_lt_succ n
theorem lt_of_lt_of_le {n m k : Nat} (h : n < m) (k' : m ≤ k) : n < k := Nat.le_trans h k'
theorem lt_of_le_of_lt {n m k : Nat} (h : n ≤ m) (k' : m < k) : n < k := Nat.le_trans (succ_le_succ h) k'
protected theorem lt_trans {n m k : Nat} (h : n < m) (k' : m < k) : n < k := Nat.le_trans h (le_of_succ_le k')
theorem le_of_lt {n m : Nat} (h : n < m) : n ≤ m := le_of_succ_le h
theorem le_of_lt_succ {m n : Nat} (h : m < succ n) : m ≤ n := le_of_succ_le_succ h
theorem lt_succ_of_le {n m : Nat} (h : n ≤ m) : n < succ m := succ_le_succ h
theorem lt_succ_iff {m n : Nat} : m < succ n ↔ m ≤ n := ⟨le_of_lt_succ, lt_succ_of_le⟩
theorem lt_add_one_iff {m n : Nat} : m < n + 1 ↔ m ≤ n := lt_succ_iff
theorem succ_le_of_lt {n m : Nat} (h : n < m) : succ n ≤ m := h
theorem lt_of_succ_le {n m : Nat} (h : succ n ≤ m) : n < m := h
theorem succ_le_iff {m n : Nat} : succ m ≤ n ↔ m < n := ⟨id, id⟩
theorem succ_lt_succ {n m : Nat} (h : n < m) : succ n < succ m := succ_le_succ h
theorem lt_of_succ_lt_succ {n m : Nat} (h : succ n < succ m) : n < m := le_of_succ_le_succ h
theorem lt_succ_of_lt {a b : Nat} (h : a < b) : a < succ b := le_step h
theorem lt_of_succ_lt {n m : Nat} (h : succ n < m) : n < m := le_of_succ_le h
protected theorem le_antisymm {n m : Nat} (h₁ : n ≤ m) (h₂ : m ≤ n) : n = m := by
  cases h₁ with
  | refl => rfl
  | step h => exact absurd (Nat.le_trans h₂ h) (not_succ_le_self _)
protected theorem le_antisymm_iff {a b : Nat} : a = b ↔ a ≤ b ∧ b ≤ a :=
  ⟨fun h => ⟨Nat.le_of_eq h, Nat.le_of_eq h.symm⟩, fun h => Nat.le_antisymm h.1 h.2⟩
protected theorem eq_or_lt_of_le {n m : Nat} (h : n ≤ m) : n = m ∨ n < m := by
  cases h with
  | refl => left; rfl
  | step h => right; exact succ_le_succ h
protected theorem lt_or_eq_of_le {n m : Nat} (h : n ≤ m) : n < m ∨ n = m := (Nat.eq_or_lt_of_le h).symm
protected theorem lt_or_ge (n m : Nat) : n < m ∨ n ≥ m := by
  induction m with
  | zero => right; exact zero_le n
  | succ m ih =>
    cases ih with
    | inl h => left; exact le_step h
    | inr h =>
      cases Nat.eq_or_lt_of_le h with
      | inl e => left; rw [e]; exact lt_succ_self n
      | inr l => right; exact l
protected theorem le_total (m n : Nat) : m ≤ n ∨ n ≤ m := (Nat.lt_or_ge m n).imp le_of_lt id
protected theorem lt_or_gt_of_ne {a b : Nat} (ne : a ≠ b) : a < b ∨ a > b :=
  (Nat.lt_or_ge a b).imp id fun h => (Nat.lt_or_eq_of_le h).resolve_right fun e => ne e.symm
protected theorem lt_trichotomy (a b : Nat) : a < b ∨ a = b ∨ b < a :=
  (Nat.lt_or_ge a b).imp id fun h => (Nat.lt_or_eq_of_le h).elim .inr fun e => .inl e.symm
protected theorem ne_of_lt {a b : Nat} (h : a < b) : a ≠ b := fun e => absurd (e ▸ h) (Nat.lt_irrefl _)
protected theorem ne_of_gt {a b : Nat} (h : b < a) : a ≠ b := fun e => absurd (e ▸ h) (Nat.lt_irrefl _)
protected theorem not_le_of_gt {n m : Nat} (h : n > m) : ¬n ≤ m := fun k => absurd (Nat.lt_of_le_of_lt k h) (Nat.lt_irrefl _)
protected theorem not_lt_of_ge {n m : Nat} (h : n ≥ m) : ¬n < m := fun k => absurd (Nat.lt_of_lt_of_le k h) (Nat.lt_irrefl _)
protected theorem gt_of_not_le {n m : Nat} (h : ¬n ≤ m) : n > m := (Nat.lt_or_ge m n).resolve_right h
protected theorem lt_of_not_ge {n m : Nat} (h : ¬m ≤ n) : n < m := Nat.gt_of_not_le h
protected theorem ge_of_not_lt {n m : Nat} (h : ¬n < m) : n ≥ m := (Nat.lt_or_ge n m).resolve_left h
protected theorem le_of_not_lt {a b : Nat} (h : ¬b < a) : a ≤ b := Nat.ge_of_not_lt h
@[simp] protected theorem not_le {n m : Nat} : ¬n ≤ m ↔ m < n := ⟨Nat.gt_of_not_le, Nat.not_le_of_gt⟩
@[simp] protected theorem not_lt {n m : Nat} : ¬n < m ↔ m ≤ n := ⟨Nat.ge_of_not_lt, Nat.not_lt_of_ge⟩
protected theorem lt_asymm {a b : Nat} (h : a < b) : ¬b < a := Nat.not_lt_of_ge (le_of_lt h)
protected theorem lt_iff_le_not_le {m n : Nat} : m < n ↔ m ≤ n ∧ ¬n ≤ m :=
  ⟨fun h => ⟨le_of_lt h, Nat.not_le_of_gt h⟩, fun h => Nat.gt_of_not_le h.2⟩
protected theorem lt_iff_le_and_ne {m n : Nat} : m < n ↔ m ≤ n ∧ m ≠ n :=
  ⟨fun h => ⟨le_of_lt h, Nat.ne_of_lt h⟩, fun h => (Nat.lt_or_eq_of_le h.1).resolve_right h.2⟩
protected theorem lt_of_le_of_ne {n m : Nat} (h₁ : n ≤ m) (h₂ : ¬n = m) : n < m := Nat.lt_iff_le_and_ne.mpr ⟨h₁, h₂⟩
protected theorem pos_of_ne_zero {n : Nat} (h : n ≠ 0) : 0 < n := Nat.lt_of_le_of_ne (zero_le n) h.symm
protected theorem pos_iff_ne_zero {n : Nat} : 0 < n ↔ n ≠ 0 := ⟨Nat.ne_of_gt, Nat.pos_of_ne_zero⟩
theorem eq_zero_or_pos (n : Nat) : n = 0 ∨ 0 < n := (Nat.eq_or_lt_of_le (zero_le n)).imp Eq.symm id
theorem eq_zero_of_le_zero {n : Nat} (h : n ≤ 0) : n = 0 := Nat.le_antisymm h (zero_le n)
@[simp] protected theorem le_zero_eq (n : Nat) : (n ≤ 0) = (n = 0) := propext ⟨eq_zero_of_le_zero, Nat.le_of_eq⟩
theorem exists_eq_succ_of_ne_zero {n : Nat} (h : n ≠ 0) : ∃ k, n = succ k := by
  cases n with
  | zero => exact absurd rfl h
  | succ n => exact ⟨n, rfl⟩
theorem exists_eq_add_of_le {m n : Nat} (h : m ≤ n) : ∃ k, n = m + k :=
  (le.dest h).elim fun k e => ⟨k, e.symm⟩

/-! order and addition -/
protected theorem add_le_add_left {n m : Nat} (h : n ≤ m) (k : Nat) : k + n ≤ k + m := by
  cases le.dest h with
  | intro d e => rw [← e, ← Nat.add_assoc]; exact le_add_right _ _
protected theorem add_le_add_right {n m : Nat} (h : n ≤ m) (k : Nat) : n + k ≤ m + k := by
  rw [Nat.add_comm n k, Nat.add_comm m k]; exact Nat.add_le_add_left h k
protected theorem add_le_add {a b c d : Nat} (h₁ : a ≤ b) (h₂ : c ≤ d) : a + c ≤ b + d :=
  Nat.le_trans (Nat.add_le_add_right h₁ c) (Nat.add_le_add_left h₂ b)
protected theorem add_lt_add_left {n m : Nat} (h : n < m) (k : Nat) : k + n < k + m := Nat.add_le_add_left h k
protected theorem add_lt_add_right {n m : Nat} (h : n < m) (k : Nat) : n + k < m + k := by
  rw [Nat.add_comm n k, Nat.add_comm m k]; exact Nat.add_lt_add_left h k
protected theorem add_lt_add {a b c d : Nat} (h₁ : a < b) (h₂ : c < d) : a + c < b + d :=
  Nat.lt_trans (Nat.add_lt_add_right h₁ c) (Nat.add_lt_add_left h₂ b)
protected theorem add_lt_add_of_le_of_lt {a b c d : Nat} (h₁ : a ≤ b) (h₂ : c < d) : a + c < b + d :=
  lt_of_le_of_lt (Nat.add_le_add_right h₁ c) (Nat.add_lt_add_left h₂ b)
protected theorem add_lt_add_of_lt_of_le {a b c d : Nat} (h₁ : a < b) (h₂ : c ≤ d) : a + c < b + d :=
  lt_of_lt_of_le (Nat.add_lt_add_right h₁ c) (Nat.add_le_add_left h₂ b)
protected theorem le_of_add_le_add_left {a b c : Nat} (h : a + b ≤ a + c) : b ≤ c := by
  cases le.dest h with
  | intro d e => rw [Nat.add_assoc] at e; exact le.intro (Nat.add_left_cancel e)
protected theorem le_of_add_le_add_right {a b c : Nat} (h : a + b ≤ c + b) : a ≤ c := by
  rw [Nat.add_comm a b, Nat.add_comm c b] at h; exact Nat.le_of_add_le_add_left h
@[simp] protected theorem add_le_add_iff_left {m k n : Nat} : n + m ≤ n + k ↔ m ≤ k :=
  ⟨Nat.le_of_add_le_add_left, fun h => Nat.add_le_add_left h n⟩
@[simp] protected theorem add_le_add_iff_right {m k n : Nat} : m + n ≤ k + n ↔ m ≤ k :=
  ⟨Nat.le_of_add_le_add_right, fun h => Nat.add_le_add_right h n⟩
protected theorem lt_of_add_lt_add_left {k n m : Nat} (h : n + k < n + m) : k < m := Nat.le_of_add_le_add_left h
protected theorem lt_of_add_lt_add_right {k n m : Nat} (h : k + n < m + n) : k < m := by
  rw [Nat.add_comm k n, Nat.add_comm m n] at h; exact Nat.lt_of_add_lt_add_left h
@[simp] protected theorem add_lt_add_iff_left {k n m : Nat} : k + n < k + m ↔ n < m :=
  ⟨Nat.lt_of_add_lt_add_left, fun h => Nat.add_lt_add_left h k⟩
@[simp] protected theorem add_lt_add_iff_right {k n m : Nat} : n + k < m + k ↔ n < m :=
  ⟨Nat.lt_of_add_lt_add_right, fun h => Nat.add_lt_add_right h k⟩
protected theorem le_add_right_of_le {n m k : Nat} (h : n ≤ m) : n ≤ m + k := Nat.le_trans h (le_add_right m k)
protected theorem le_add_left_of_le {n m k : Nat} (h : n ≤ m) : n ≤ k + m := Nat.le_trans h (le_add_left m k)
protected theorem lt_add_right {a b : Nat} (c : Nat) (h : a < b) : a < b + c := lt_of_lt_of_le h (le_add_right b c)
protected theorem lt_add_left {a b : Nat} (c : Nat) (h : a < b) : a < c + b := lt_of_lt_of_le h (le_add_left b c)
protected theorem lt_add_of_pos_right {k n : Nat} (h : 0 < k) : n < n + k := Nat.add_lt_add_left h n

/-! order and multiplication -/
protected theorem mul_le_mul_left {m n : Nat} (k : Nat) (h : m ≤ n) : k * m ≤ k * n := by
  cases le.dest h with
  | intro d e => rw [← e, Nat.left_distrib]; exact le_add_right _ _
protected theorem mul_le_mul_right {m n : Nat} (k : Nat) (h : m ≤ n) : m * k ≤ n * k := by
  rw [Nat.mul_comm m k, Nat.mul_comm n k]; exact Nat.mul_le_mul_left k h
protected theorem mul_le_mul {p q m n : Nat} (h₁ : p ≤ m) (h₂ : q ≤ n) : p * q ≤ m * n :=
  Nat.le_trans (Nat.mul_le_mul_right q h₁) (Nat.mul_le_mul_left m h₂)
protected theorem mul_lt_mul_of_pos_left {n m k : Nat} (h : n < m) (hk : k > 0) : k * n < k * m :=
  lt_of_lt_of_le (Nat.add_lt_add_left hk (k * n)) (Nat.mul_le_mul_left k h)
protected theorem mul_pos {n m : Nat} (ha : n > 0) (hb : m > 0) : n * m > 0 := Nat.mul_lt_mul_of_pos_left hb ha
protected theorem eq_of_mul_eq_mul_left {m k n : Nat} (hm : 0 < m) (h : m * k = m * n) : k = n := by
  cases Nat.lt_trichotomy k n with
  | inl l => exact absurd h (Nat.ne_of_lt (Nat.mul_lt_mul_of_pos_left l hm))
  | inr r =>
    cases r with
    | inl e => exact e
    | inr l => exact absurd h.symm (Nat.ne_of_lt (Nat.mul_lt_mul_of_pos_left l hm))

/-! subtraction -/
@[simp] protected theorem sub_zero (n : Nat) : n - 0 = n := rfl
theorem sub_succ (n m : Nat) : n - succ m = pred (n - m) := rfl
theorem succ_sub_succ_eq_sub (n m : Nat) : succ n - succ m = n - m := by
  induction m with
  | zero => rfl
  | succ m ih => exact congrArg pred ih
theorem succ_sub_succ (n m : Nat) : succ n - succ m = n - m := succ_sub_succ_eq_sub n m
@[simp] protected theorem add_sub_add_right (n k m : Nat) : (n + k) - (m + k) = n - m := by
  induction k with
  | zero => rfl
  | succ k ih => rw [← Nat.add_assoc, ← Nat.add_assoc]; exact (succ_sub_succ_eq_sub _ _).trans ih
@[simp] protected theorem add_sub_add_left (k n m : Nat) : (k + n) - (k + m) = n - m := by
  rw [Nat.add_comm k n, Nat.add_comm k m, Nat.add_sub_add_right]
@[simp] protected theorem sub_self (n : Nat) : n - n = 0 := by
  induction n with
  | zero => rfl
  | succ n ih => exact (succ_sub_succ_eq_sub n n).trans ih
@[simp] protected theorem zero_sub (n : Nat) : 0 - n = 0 := by
  induction n with
  | zero => rfl
  | succ n ih => exact congrArg pred ih
@[simp] protected theorem add_sub_cancel (n m : Nat) : n + m - m = n := by
  induction m with
  | zero => rfl
  | succ m ih => exact (succ_sub_succ_eq_sub (n + m) m).trans ih
@[simp] protected theorem add_sub_cancel_left (n m : Nat) : n + m - n = m := by rw [Nat.add_comm, Nat.add_sub_cancel]
theorem pred_le (n : Nat) : pred n ≤ n := by
  cases n with
  | zero => exact le.refl
  | succ n => exact le_succ n
theorem sub_le (n m : Nat) : n - m ≤ n := by
  induction m with
  | zero => exact le.refl
  | succ m ih => exact Nat.le_trans (pred_le _) ih
theorem sub_lt {n m : Nat} (h : 0 < n) (k : 0 < m) : n - m < n := by
  cases n with
  | zero => exact absurd h (Nat.lt_irrefl 0)
  | succ n =>
    cases m with
    | zero => exact absurd k (Nat.lt_irrefl 0)
    | succ m => exact lt_of_le_of_lt (Nat.le_of_eq (succ_sub_succ_eq_sub n m)) (lt_succ_of_le (sub_le n m))
protected theorem add_sub_of_le {a b : Nat} (h : a ≤ b) : a + (b - a) = b := by
  cases le.dest h with
  | intro k e => rw [← e, Nat.add_sub_cancel_left]
protected theorem sub_add_cancel {n m : Nat} (h : m ≤ n) : n - m + m = n := by rw [Nat.add_comm, Nat.add_sub_of_le h]
protected theorem sub_eq_zero_of_le {n m : Nat} (h : n ≤ m) : n - m = 0 := by
  induction h with
  | refl => exact Nat.sub_self n
  | step _ ih => exact congrArg pred ih
protected theorem le_of_sub_eq_zero {n m : Nat} (h : n - m = 0) : n ≤ m := by
  cases Nat.le_total n m with
  | inl l => exact l
  | inr l => have e := Nat.sub_add_cancel l; rw [h, Nat.zero_add] at e; exact Nat.le_of_eq e.symm
protected theorem sub_eq_zero_iff_le {n m : Nat} : n - m = 0 ↔ n ≤ m := ⟨Nat.le_of_sub_eq_zero, Nat.sub_eq_zero_of_le⟩
protected theorem sub_sub (n m k : Nat) : n - m - k = n - (m + k) := by
  induction k with
  | zero => rfl
  | succ k ih => exact congrArg pred ih

/-! powers, comparison -/
@[simp] protected theorem pow_zero (b : Nat) : b ^ 0 = 1 := rfl
protected theorem pow_succ {b n : Nat} : b ^ (n + 1) = b ^ n * b := rfl
protected theorem pow_add_one {b n : Nat} : b ^ (n + 1) = b ^ n * b := rfl
@[simp] protected theorem pow_one (a : Nat) : a ^ 1 = a := Nat.one_mul a
protected theorem pow_two (b : Nat) : b ^ 2 = b * b := congrArg (fun x => x * b) (Nat.pow_one b)
protected theorem one_pow (n : Nat) : 1 ^ n = 1 := by
  induction n with
  | zero => rfl
  | succ n ih => rw [Nat.pow_succ, ih]
protected theorem pow_add (a m n : Nat) : a ^ (m + n) = a ^ m * a ^ n := by
  induction n with
  | zero => exact (Nat.mul_one (a ^ m)).symm
  | succ n ih => rw [← Nat.add_assoc, Nat.pow_succ, Nat.pow_succ, ih, Nat.mul_assoc]
theorem le_of_ble_eq_true {n m : Nat} (h : ble n m = true) : n ≤ m := by
  induction n generalizing m with
  | zero => exact zero_le m
  | succ n ih =>
    cases m with
    | zero => exact nomatch h
    | succ m => exact succ_le_succ (ih h)
theorem ble_self_eq_true (n : Nat) : ble n n = true := by
  induction n with
  | zero => rfl
  | succ n ih => exact ih
theorem ble_succ_eq_true {n m : Nat} (h : ble n m = true) : ble n (succ m) = true := by
  induction n generalizing m with
  | zero => rfl
  | succ n ih =>
    cases m with
    | zero => exact nomatch h
    | succ m => exact ih (m := m) h
theorem ble_eq_true_of_le {n m : Nat} (h : n ≤ m) : ble n m = true := by
  induction h with
  | refl => exact ble_self_eq_true n
  | step _ ih => exact ble_succ_eq_true ih
theorem not_le_of_not_ble_eq_true {n m : Nat} (h : ¬ble n m = true) : ¬n ≤ m := fun k => h (ble_eq_true_of_le k)
@[extern "lean_nat_dec_le"] instance decLe (n m : @& Nat) : Decidable (n ≤ m) :=
  match h : ble n m with
  | true => isTrue (le_of_ble_eq_true h)
  | false => isFalse (not_le_of_not_ble_eq_true fun k => nomatch h.symm.trans k)
@[extern "lean_nat_dec_lt"] instance decLt (n m : @& Nat) : Decidable (n < m) := decLe (succ n) m
instance instMax : Max Nat := ⟨fun n m => if n ≤ m then m else n⟩
protected theorem max_def {n m : Nat} : max n m = if n ≤ m then m else n := rfl

/-! divisibility -/
protected theorem dvd_refl (a : Nat) : a ∣ a := ⟨1, (Nat.mul_one a).symm⟩
protected theorem dvd_zero (a : Nat) : a ∣ 0 := ⟨0, rfl⟩
protected theorem one_dvd (n : Nat) : 1 ∣ n := ⟨n, (Nat.one_mul n).symm⟩
protected theorem dvd_mul_left (a b : Nat) : a ∣ b * a := ⟨b, Nat.mul_comm b a⟩
protected theorem dvd_mul_right (a b : Nat) : a ∣ a * b := ⟨b, rfl⟩
protected theorem dvd_trans {a b c : Nat} (h₁ : a ∣ b) (h₂ : b ∣ c) : a ∣ c := by
  cases h₁ with
  | intro x ex =>
    cases h₂ with
    | intro y ey => exact ⟨x * y, by rw [ey, ex, Nat.mul_assoc]⟩
protected theorem dvd_add {m n k : Nat} (h₁ : k ∣ m) (h₂ : k ∣ n) : k ∣ m + n := by
  cases h₁ with
  | intro x ex =>
    cases h₂ with
    | intro y ey => exact ⟨x + y, by rw [ex, ey, Nat.left_distrib]⟩
protected theorem eq_zero_of_zero_dvd {a : Nat} (h : 0 ∣ a) : a = 0 := h.elim fun c e => e.trans (Nat.zero_mul c)
instance _root_.instMinNat : Min Nat := ⟨fun n m => if n ≤ m then n else m⟩
protected theorem min_def {n m : Nat} : min n m = if n ≤ m then n else m := rfl
end Nat
attribute [refl] Nat.dvd_refl

/-! bounded quantifiers, chains -/
namespace Nat
instance instTransLe : Trans (α := Nat) (β := Nat) (γ := Nat) LE.le LE.le LE.le := ⟨Nat.le_trans⟩
instance instTransLt : Trans (α := Nat) (β := Nat) (γ := Nat) LT.lt LT.lt LT.lt := ⟨Nat.lt_trans⟩
instance instTransLtLe : Trans (α := Nat) (β := Nat) (γ := Nat) LT.lt LE.le LT.lt := ⟨Nat.lt_of_lt_of_le⟩
instance instTransLeLt : Trans (α := Nat) (β := Nat) (γ := Nat) LE.le LT.lt LT.lt := ⟨Nat.lt_of_le_of_lt⟩
instance instTransIff : Trans Iff Iff Iff := ⟨Iff.trans⟩
instance decidableBallLT : (n : Nat) → (p : ∀ k, k < n → Prop) → [∀ k h, Decidable (p k h)] → Decidable (∀ k h, p k h)
  | 0, _, _ => isTrue fun k h => absurd h (Nat.not_lt_zero k)
  | n + 1, p, inst =>
    match decidableBallLT n (fun k h => p k (Nat.lt_succ_of_lt h)) with
    | isFalse f => isFalse fun all => f fun k h => all k (Nat.lt_succ_of_lt h)
    | isTrue t =>
      match inst n (Nat.lt_succ_self n) with
      | isFalse f => isFalse fun all => f (all n (Nat.lt_succ_self n))
      | isTrue last => isTrue fun k h =>
          (Nat.eq_or_lt_of_le (Nat.le_of_lt_succ h)).elim
            (fun e => by subst e; exact last) (fun l => t k l)
instance decidableForallLe (n : Nat) (p : ∀ k, k ≤ n → Prop) [inst : ∀ k h, Decidable (p k h)] : Decidable (∀ k h, p k h) :=
  match decidableBallLT (n + 1) (fun k h => p k (Nat.le_of_lt_succ h)) with
  | isTrue t => isTrue fun k h => t k (Nat.lt_succ_of_le h)
  | isFalse f => isFalse fun all => f fun k h => all k (Nat.le_of_lt_succ h)
end Nat

/-! ### What the simplification procedures for numerals cite -/
namespace Nat.Simproc
theorem add_eq_gt (a : Nat) {b c : Nat} (h : b > c) : (a + b = c) = False :=
  eq_false (Nat.ne_of_gt (Nat.lt_of_lt_of_le h (Nat.le_add_left b a)))
theorem eq_add_gt (a : Nat) {b c : Nat} (h : c > a) : (a = b + c) = False := eq_false fun e => of_eq_false (add_eq_gt b h) e.symm
theorem add_eq_add_le (a c : Nat) {b d : Nat} (h : b ≤ d) : (a + b = c + d) = (a = c + (d - b)) := by
  cases Nat.le.dest h with
  | intro k e =>
    rw [← e, Nat.add_sub_cancel_left, Nat.add_comm b k, ← Nat.add_assoc]
    exact propext Nat.add_right_cancel_iff
theorem add_eq_add_ge (a c : Nat) {b d : Nat} (h : b ≥ d) : (a + b = c + d) = (a + (b - d) = c) := by
  apply propext
  constructor
  · intro e; exact ((add_eq_add_le c a h).mp e.symm).symm
  · intro e; exact ((add_eq_add_le c a h).mpr e.symm).symm
theorem add_eq_le (a : Nat) {b c : Nat} (h : b ≤ c) : (a + b = c) = (a = c - b) := by
  have r := add_eq_add_le a 0 h
  rw [Nat.zero_add, Nat.zero_add] at r
  exact r
theorem eq_add_le {a : Nat} (b : Nat) {c : Nat} (h : c ≤ a) : (a = b + c) = (b = a - c) := by
  apply propext
  constructor
  · intro e; exact (add_eq_le b h).mp e.symm
  · intro e; exact ((add_eq_le b h).mpr e).symm
theorem add_le_add_le (a c : Nat) {b d : Nat} (h : b ≤ d) : (a + b ≤ c + d) = (a ≤ c + (d - b)) := by
  cases Nat.le.dest h with
  | intro k e =>
    rw [← e, Nat.add_sub_cancel_left, Nat.add_comm b k, ← Nat.add_assoc]
    exact propext Nat.add_le_add_iff_right
theorem add_le_add_ge (a c : Nat) {b d : Nat} (h : b ≥ d) : (a + b ≤ c + d) = (a + (b - d) ≤ c) := by
  cases Nat.le.dest h with
  | intro k e =>
    rw [← e, Nat.add_sub_cancel_left, Nat.add_comm d k, ← Nat.add_assoc]
    exact propext Nat.add_le_add_iff_right
theorem add_le_le (a : Nat) {b c : Nat} (h : b ≤ c) : (a + b ≤ c) = (a ≤ c - b) := by
  have r := add_le_add_le a 0 h
  rw [Nat.zero_add, Nat.zero_add] at r
  exact r
theorem add_le_gt (a : Nat) {b c : Nat} (h : b > c) : (a + b ≤ c) = False :=
  eq_false (Nat.not_le_of_gt (Nat.lt_of_lt_of_le h (Nat.le_add_left b a)))
theorem le_add_le (a : Nat) {b c : Nat} (h : a ≤ c) : (a ≤ b + c) = True := eq_true (Nat.le_trans h (Nat.le_add_left c b))
theorem le_add_ge (a : Nat) {b c : Nat} (h : a ≥ c) : (a ≤ b + c) = (a - c ≤ b) := by
  have r := add_le_add_ge 0 b h
  rw [Nat.zero_add, Nat.zero_add] at r
  exact r
end Nat.Simproc

/-! ### Lists -/
namespace List
variable {α : Type u} {β : Type v}
protected def append : List α → List α → List α
  | nil, bs => bs
  | cons a as, bs => cons a (List.append as bs)
instance instAppend : Append (List α) := ⟨List.append⟩
def length : List α → Nat
  | nil => 0
  | cons _ as => length as + 1
def map (f : α → β) : List α → List β
  | nil => nil
  | cons a as => cons (f a) (map f as)
def reverseAux : List α → List α → List α
  | nil, bs => bs
  | cons a as, bs => reverseAux as (cons a bs)
def reverse (as : List α) : List α := reverseAux as nil
@[simp] theorem nil_append (as : List α) : [] ++ as = as := rfl
@[simp] theorem cons_append {a : α} {as bs : List α} : (a :: as) ++ bs = a :: (as ++ bs) := rfl
@[simp] theorem append_nil (as : List α) : as ++ [] = as := by
  induction as with
  | nil => rfl
  | cons a as ih => rw [cons_append, ih]
@[simp] theorem append_assoc (as bs cs : List α) : (as ++ bs) ++ cs = as ++ (bs ++ cs) := by
  induction as with
  | nil => rfl
  | cons a as ih => rw [cons_append, cons_append, cons_append, ih]
@[simp] theorem length_nil : length ([] : List α) = 0 := rfl
@[simp] theorem length_cons {a : α} {as : List α} : (a :: as).length = as.length + 1 := rfl
@[simp] theorem length_append {as bs : List α} : (as ++ bs).length = as.length + bs.length := by
  induction as with
  | nil => exact (Nat.zero_add _).symm
  | cons a as ih => rw [cons_append, length_cons, length_cons, ih, Nat.add_right_comm]
@[simp] theorem map_nil {f : α → β} : map f [] = [] := rfl
@[simp] theorem map_cons {f : α → β} {a : α} {l : List α} : map f (a :: l) = f a :: map f l := rfl
@[simp] theorem map_append {f : α → β} {l₁ l₂ : List α} : map f (l₁ ++ l₂) = map f l₁ ++ map f l₂ := by
  induction l₁ with
  | nil => rfl
  | cons a as ih => rw [cons_append, map_cons, map_cons, cons_append, ih]
@[simp] theorem length_map {as : List α} (f : α → β) : (as.map f).length = as.length := by
  induction as with
  | nil => rfl
  | cons a as ih => rw [map_cons, length_cons, length_cons, ih]
inductive Mem (a : α) : List α → Prop
  | head (as : List α) : Mem a (a :: as)
  | tail (b : α) {as : List α} : Mem a as → Mem a (b :: as)
instance instMembership : Membership α (List α) := ⟨fun l a => Mem a l⟩
@[simp] theorem not_mem_nil {a : α} : ¬a ∈ [] := fun h => nomatch h
@[simp] theorem mem_cons {a b : α} {l : List α} : a ∈ b :: l ↔ a = b ∨ a ∈ l := by
  constructor
  · intro h
    cases h with
    | head => left; rfl
    | tail _ k => right; exact k
  · intro h
    cases h with
    | inl e => subst e; exact Mem.head l
    | inr k => exact Mem.tail b k
theorem mem_cons_self {a : α} {l : List α} : a ∈ a :: l := Mem.head l
theorem mem_cons_of_mem (y : α) {a : α} {l : List α} : a ∈ l → a ∈ y :: l := Mem.tail y
@[simp] theorem mem_append {a : α} {s t : List α} : a ∈ s ++ t ↔ a ∈ s ∨ a ∈ t := by
  induction s with
  | nil => simp
  | cons b s ih => rw [cons_append, mem_cons, mem_cons, ih, or_assoc]
theorem reverseAux_eq_append {as bs : List α} : reverseAux as bs = reverseAux as [] ++ bs := by
  induction as generalizing bs with
  | nil => rfl
  | cons a as ih => rw [reverseAux, reverseAux, ih (bs := a :: bs), ih (bs := [a]), append_assoc]; rfl
@[simp] theorem reverse_nil : reverse ([] : List α) = [] := rfl
@[simp] theorem reverse_cons {a : α} {as : List α} : reverse (a :: as) = reverse as ++ [a] := reverseAux_eq_append (as := as) (bs := [a])
@[simp] theorem reverse_append {as bs : List α} : (as ++ bs).reverse = bs.reverse ++ as.reverse := by
  induction as with
  | nil => exact (append_nil _).symm
  | cons a as ih => rw [cons_append, reverse_cons, reverse_cons, ih, append_assoc]
@[simp] theorem reverse_reverse (as : List α) : as.reverse.reverse = as := by
  induction as with
  | nil => rfl
  | cons a as ih => rw [reverse_cons, reverse_append, ih]; rfl
@[simp] theorem length_reverse {as : List α} : (as.reverse).length = as.length := by
  induction as with
  | nil => rfl
  | cons a as ih => rw [reverse_cons, length_append, ih]; rfl
end List
