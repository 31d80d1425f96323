/- A read-eval-print loop inside the embedded Lean, over the compiled elaborator.

   There is no `import Lean` here, so the functions of the elaborator are declared anew, by name, with types that have
   the same compiled form: everything that is only passed on is an `Obj`. Structures whose fields are read are declared
   with the fields of the original, in the same order. Tied to exactly Lean 4.35.0.

   The protocol is that of the community's REPL, one JSON object per line and a blank line after each:

     {"cmd": "theorem t : 1 = 1 := by sorry", "env": 0}
     {"sorries": [{"proofState": 0, "goal": "⊢ 1 = 1"}], "messages": [{"severity": "warning", "data": "..."}], "env": 1}
     {"tactic": "rfl", "proofState": 0}
     {"proofState": 1, "goals": []}

   Nothing that is said here proves anything: proofs are checked elsewhere, without this module. -/
prelude
import PassatnInit
set_option linter.unusedVariables false

/-! ### The world, as compiled code sees it -/
instance : Inhabited (Subtype (fun α : Type => Nonempty α)) := ⟨⟨Nat, ⟨0⟩⟩⟩
opaque Void.nonemptyType (σ : Type) : Subtype (fun α : Type => Nonempty α)
def Void (σ : Type) : Type := (Void.nonemptyType σ).val
structure ST.Out (σ α : Type) where
  val : α
  state : Void σ
inductive EST.Out (ε σ α : Type)
  | ok : α → Void σ → EST.Out ε σ α
  | error : ε → Void σ → EST.Out ε σ α
inductive Except (ε α : Type)
  | error : ε → Except ε α
  | ok : α → Except ε α
def IO.RealWorld : Type := PUnit.{1}

namespace Passatn
opaque Obj.type : Subtype (fun α : Type => Nonempty α)
/-- Anything; compiled code holds a pointer. -/
def Obj : Type := Obj.type.val
abbrev W : Type := Void IO.RealWorld
abbrev Res (α : Type) : Type := EST.Out Obj IO.RealWorld α
abbrev Out (α : Type) : Type := ST.Out IO.RealWorld α
instance : Nonempty Obj := Obj.type.property
instance : Nonempty W := (Void.nonemptyType IO.RealWorld).property
instance {α : Type} : Nonempty (Res α) := ⟨.error Classical.ofNonempty Classical.ofNonempty⟩
instance {α : Type} [Nonempty α] : Nonempty (Out α) := ⟨⟨Classical.ofNonempty, Classical.ofNonempty⟩⟩
instance {α : Sort u} {β : α → Sort v} [∀ a, Nonempty (β a)] : Nonempty (∀ a, β a) := ⟨fun _ => Classical.ofNonempty⟩
instance {α β : Type} [Nonempty β] : Nonempty (Except α β) := ⟨.ok Classical.ofNonempty⟩
instance : Nonempty String := ⟨""⟩
instance : Nonempty Bool := ⟨false⟩
instance : Nonempty Nat := ⟨0⟩
instance {α : Type} : Nonempty (List α) := ⟨[]⟩
instance {α β : Type} [Nonempty α] [Nonempty β] : Nonempty (Prod α β) := ⟨⟨Classical.ofNonempty, Classical.ofNonempty⟩⟩
unsafe def unsafeCast {α β : Type} (a : α) : β := @cast α β lcProof a
end Passatn
open Passatn
def IO (α : Type) : Type := W → Res α

/-! ### Functions of Lean -/
@[extern "_"] opaque ST.Prim.mkRef {σ α : Type} (a : Obj) : W → Passatn.Out Obj
@[extern "_"] opaque ST.Prim.Ref.get {σ α : Type} (r : Obj) : W → Passatn.Out Obj
@[extern "_"] opaque ST.Prim.Ref.set {σ α : Type} (r : Obj) (a : Obj) : W → Passatn.Out Obj
@[extern "_"] opaque IO.FS.Handle.mk (path : String) (mode : Obj) : W → Res Obj
@[extern "_"] opaque IO.FS.Handle.putStr (h : Obj) (s : String) : W → Res Obj
@[extern "_"] opaque IO.FS.Handle.flush (h : Obj) : W → Res Obj
@[extern "_"] opaque IO.FS.Handle.getLine (h : Obj) : W → Res String
@[extern "_"] opaque IO.getNumHeartbeats : W → Out Nat
@[extern "_"] opaque IO.setNumHeartbeats (n : Nat) : W → Out Obj
@[extern "_"] opaque String.append (s t : String) : String
@[extern "_"] opaque String.utf8ByteSize (s : String) : Nat

@[extern "_"] opaque Std.Format.pretty (f : Obj) (width indent column : Nat) : String
namespace Lean
/-- The constructors that are used here; the layout is that of the original. -/
inductive Json
  | null
  | bool (b : Bool)
  | num (n : Obj)
  | str (s : String)
instance : Nonempty Json := ⟨.null⟩
@[extern "_"] opaque JsonNumber.fromNat (n : Nat) : Obj
@[extern "_"] opaque Json.parse (s : String) : Except String Json
@[extern "_"] opaque Json.getObjVal? (j : Json) (k : String) : Except String Json
@[extern "_"] opaque Json.getStr? (j : Json) : Except String String
@[extern "_"] opaque Json.getNat? (j : Json) : Except String Nat
@[extern "_"] opaque Json.compress (j : Json) : String
@[extern "_"] opaque Exception.toMessageData (e : Obj) : Obj
@[extern "_"] opaque MessageData.toString (d : Obj) : W → Out String
inductive MessageSeverity | information | warning | error
structure Position where
  line : Nat
  column : Nat
structure Message where
  fileName : String
  pos : Position
  endPos : Option Position
  keepFullRange : Bool
  severity : MessageSeverity
  isSilent : Bool
  caption : String
  data : Obj
@[extern "_"] opaque MessageLog.hasErrors (log : Obj) : Bool
@[extern "_"] opaque MessageLog.toList (log : Obj) : List Message
@[extern "_"] opaque Core.getMessageLog (c r : Obj) : W → Res Obj
@[extern "_"] opaque Core.resetMessageLog (c r : Obj) : W → Res Obj
@[extern "_"] opaque Meta.ppGoal (g : Obj) (mc mr c r : Obj) : W → Res Obj
structure Parser.ModuleContext where
  env : Obj
  options : Obj
  currNamespace : Obj
  openDecls : Obj
structure Parser.ModuleParserState where
  pos : Nat
  recovering : Bool
instance : Nonempty Parser.ModuleParserState := ⟨⟨0, false⟩⟩
@[extern "_"] opaque Parser.runParserCategory (env : Obj) (cat : Name) (input fileName : String) : Except String Obj
@[extern "_"] opaque Parser.mkInputContext (input fileName : String) (normalize : Bool) (endPos : Nat) (h : Obj) : Obj
@[extern "_"] opaque Parser.parseCommand (i : Obj) (c : Parser.ModuleContext) (s : Parser.ModuleParserState) (log : Obj) :
  Prod Obj (Prod Parser.ModuleParserState Obj)
@[extern "_"] opaque Parser.isTerminalCommand (stx : Obj) : Bool
@[extern "_"] opaque Syntax.isOfKind (stx : Obj) (kind : Name) : Bool
end Lean
namespace Lean.Elab
abbrev Args (α : Type) : Type := Obj → Obj → Obj → Obj → Obj → Obj → Obj → Obj → W → Res α
def Tactic.Tactic : Type := Obj → Args Obj
def Command.CommandElab : Type := Obj → Obj → Obj → W → Res Obj
@[extern "_"] opaque Tactic.evalTactic (stx : Obj) (a b c d e f g h : Obj) : W → Res Obj
@[extern "_"] opaque Tactic.withoutRecover (α : Type) (x : Args Obj) (a b c d e f g h : Obj) : W → Res Obj
@[extern "_"] opaque Tactic.saveState (a b c d e f g h : Obj) : W → Res Obj
@[extern "_"] opaque Tactic.SavedState.restore (s : Obj) (info : Bool) (a b c d e f g h : Obj) : W → Res Obj
@[extern "_"] opaque Tactic.getUnsolvedGoals (a b c d e f g h : Obj) : W → Res (List Obj)
@[extern "_"] opaque Command.elabCommand (stx c r : Obj) : W → Res Obj
end Lean.Elab

namespace Passatn
open Lean Lean.Elab

/-! ### A little monad -/
abbrev M (α : Type) : Type := W → Res α
def pure {α : Type} (a : α) : M α := fun w => .ok a w
@[inline] def bind {α β : Type} (x : M α) (f : α → M β) : M β := fun w =>
  match x w with
  | .ok a w => f a w
  | .error e w => .error e w
@[inline] def lift {α : Type} (x : W → Out α) : M α := fun w =>
  match x w with
  | ⟨a, w⟩ => .ok a w
def attempt {α : Type} (x : M α) : M (Except Obj α) := fun w =>
  match x w with
  | .ok a w => .ok (.ok a) w
  | .error e w => .ok (.error e) w
def orElse {ε α : Type} (x : Except ε α) (y : α) : α :=
  match x with
  | .ok a => a
  | .error _ => y
instance : Append String := ⟨String.append⟩

/-! ### States -/
/-- The first fields of a structure that has at least two. -/
structure Pair where
  first : Obj
  second : Obj
instance : Nonempty Pair := ⟨⟨Classical.ofNonempty, Classical.ofNonempty⟩⟩
/-- The first fields of `Command.State`. -/
structure CommandState where
  env : Obj
  messages : Obj
  scopes : List Pair
/-- The first fields of `Command.Scope`. -/
structure Scope where
  header : Obj
  opts : Obj
  currNamespace : Obj
  openDecls : Obj
instance : Nonempty CommandState := ⟨⟨Classical.ofNonempty, Classical.ofNonempty, []⟩⟩
/-- A tactic's surroundings and its saved state. -/
structure Snap where
  a : Obj
  b : Obj
  c : Obj
  d : Obj
  e : Obj
  f : Obj
  g : Obj
  h : Obj
  heartbeats : Nat
  saved : Obj
/-- A map from natural numbers, by their binary digits. -/
inductive Tree (α : Type)
  | leaf
  | node (value : Option α) (even odd : Tree α)
def Tree.find {α : Type} : Nat → Tree α → Nat → Option α
  | _, .leaf, _ => .none
  | 0, .node _ _ _, _ => .none
  | fuel + 1, .node v l r, n =>
    match Nat.beq n 0, Nat.beq (n % 2) 0 with
    | true, _ => v
    | false, true => l.find fuel (n / 2)
    | false, false => r.find fuel (n / 2)
def Tree.insert {α : Type} : Nat → Tree α → Nat → α → Tree α
  | 0, t, _, _ => t
  | fuel + 1, .leaf, n, a =>
    match Nat.beq n 0, Nat.beq (n % 2) 0 with
    | true, _ => .node (.some a) .leaf .leaf
    | false, true => .node .none (Tree.insert fuel .leaf (n / 2) a) .leaf
    | false, false => .node .none .leaf (Tree.insert fuel .leaf (n / 2) a)
  | fuel + 1, .node v l r, n, a =>
    match Nat.beq n 0, Nat.beq (n % 2) 0 with
    | true, _ => .node (.some a) l r
    | false, true => .node v (l.insert fuel (n / 2) a) r
    | false, false => .node v l (r.insert fuel (n / 2) a)

unsafe def getRef {α : Type} (r : Obj) : M α := bind (lift (ST.Prim.Ref.get (σ := Unit) (α := Unit) r)) fun a => pure (unsafeCast a)
unsafe def setRef {α : Type} (r : Obj) (a : α) : M Obj := lift (ST.Prim.Ref.set (σ := Unit) (α := Unit) r (unsafeCast a))

/-- The proof states that `sorry` has met since the list was last emptied, the latest first. -/
unsafe def mkCaptured : IO Obj := fun w =>
  lift (ST.Prim.mkRef (σ := Unit) (α := Unit) (unsafeCast ([] : List Snap))) w
@[init mkCaptured] unsafe opaque captured : Obj

unsafe def snapshot (a b c d e f g h : Obj) : M Snap :=
  bind (lift IO.getNumHeartbeats) fun n =>
  bind (Tactic.saveState a b c d e f g h) fun saved => pure ⟨a, b, c, d, e, f, g, h, n, saved⟩

def tacticCategory : Name := Name.mkSimple "tactic"

unsafe def parseTactic (text : String) (coreRef : Obj) : M (Except String Obj) :=
  bind (getRef (α := Pair) coreRef) fun state => pure (Parser.runParserCategory state.first tacticCategory text "<tactic>")

syntax (name := passatnSorry) (priority := 2000) "sorry" : tactic
/-- `sorry` remembers the goals that it closes. -/
@[tactic passatnSorry] unsafe def capture : Tactic.Tactic := fun _ a b c d e f g h =>
  bind (snapshot a b c d e f g h) fun snap =>
  bind (getRef (α := List Snap) captured) fun known =>
  bind (setRef captured (List.cons snap known)) fun _ =>
  bind (parseTactic "exact sorry" h) fun parsed =>
  match parsed with
  | .ok stx => Tactic.evalTactic stx a b c d e f g h
  | .error _ => pure (unsafeCast Unit.unit)

/-! ### Replies -/
def decimal (n : Nat) : String := Json.compress (.num (JsonNumber.fromNat n))
def quote (s : String) : String := Json.compress (.str s)
def commas : List String → String
  | .nil => ""
  | .cons s .nil => s
  | .cons s rest => s ++ ", " ++ commas rest

def goalTexts (snap : Snap) : List Obj → M (List String)
  | .nil => pure []
  | .cons goal rest =>
    bind (Meta.ppGoal goal snap.e snap.f snap.g snap.h) fun format =>
    bind (goalTexts snap rest) fun texts => pure (List.cons (Std.Format.pretty format 120 0 0) texts)

unsafe def goals (snap : Snap) : M (List String) :=
  bind (Tactic.SavedState.restore snap.saved false snap.a snap.b snap.c snap.d snap.e snap.f snap.g snap.h) fun _ =>
  bind (Tactic.getUnsolvedGoals snap.a snap.b snap.c snap.d snap.e snap.f snap.g snap.h) fun list => goalTexts snap list

def severity : MessageSeverity → String
  | .information => "info"
  | .warning => "warning"
  | .error => "error"

def messageTexts : List Message → M (List String)
  | .nil => pure []
  | .cons m rest =>
    bind (lift (MessageData.toString m.data)) fun text =>
    bind (messageTexts rest) fun texts =>
    pure (List.cons ("{\"severity\": " ++ quote (severity m.severity) ++ ", \"data\": " ++ quote text ++ "}") texts)

def errorTexts : List Message → M String
  | .nil => pure ""
  | .cons m rest =>
    bind (errorTexts rest) fun texts =>
    match m.severity with
    | .error => bind (lift (MessageData.toString m.data)) fun text => pure (text ++ "\n" ++ texts)
    | _ => pure texts

/-- The messages that come after as many as there were before. -/
def after : List Message → List Message → List Message
  | .cons _ old, .cons _ new => after old new
  | _, new => new

def failure (text : String) : String := "{\"message\": " ++ quote text ++ "}"

/-! ### Requests -/
structure Store where
  input : Obj
  output : Obj
  context : Obj
  commandRef : Obj
  noMessages : Obj
  states : Tree Snap
  numStates : Nat
  envs : Tree Obj
  numEnvs : Nat

def depth : Nat := 64

unsafe def step (snap : Snap) (text : String) : M (Except String Snap) :=
  match snap with
  | ⟨a, b, c, d, e, f, g, h, heartbeats, saved⟩ =>
  bind (lift (IO.setNumHeartbeats heartbeats)) fun _ =>
  bind (Tactic.SavedState.restore saved false a b c d e f g h) fun _ =>
  bind (Core.resetMessageLog g h) fun _ =>
  bind (parseTactic text h) fun parsed =>
  match parsed with
  | .error message => pure (.error message)
  | .ok stx =>
    bind (attempt (Tactic.withoutRecover Unit (fun a b c d e f g h => Tactic.evalTactic stx a b c d e f g h) a b c d e f g h)) fun result =>
    bind (Core.getMessageLog g h) fun log =>
    match result, MessageLog.hasErrors log with
    -- an exception without a text of its own says that the errors have been logged
    | _, true => bind (errorTexts (MessageLog.toList log)) fun text => pure (.error text)
    | .error exception, false => bind (lift (MessageData.toString (Exception.toMessageData exception))) fun text => pure (.error text)
    | .ok _, false => bind (Tactic.saveState a b c d e f g h) fun saved => pure (.ok ⟨a, b, c, d, e, f, g, h, heartbeats, saved⟩)

unsafe def onTactic (store : Store) (text : String) (id : Nat) : M (Prod Store String) :=
  match store.states.find depth id with
  | .none => pure ⟨store, failure "Unknown proof state."⟩
  | .some snap =>
    bind (step snap text) fun result =>
    match result with
    | .error message => pure ⟨store, failure ("Lean error:\n" ++ message)⟩
    | .ok next =>
      bind (goals next) fun texts =>
      let id := store.numStates
      let store := { store with states := store.states.insert depth id next, numStates := id + 1 }
      pure ⟨store, "{\"proofState\": " ++ decimal id ++ ", \"goals\": [" ++ commas (texts.map quote) ++ "]}"⟩

/-- What is wrong with a command that ends a text before its end: the rest would be lost without a word. -/
unsafe def unread (stx : Obj) : List String :=
  match Syntax.isOfKind stx (Name.mkStr4 "Lean" "Parser" "Command" "eoi") with
  | true => []
  | false => ["{\"severity\": \"error\", \"data\": " ++ quote ("nothing from here on is read: 'import' and '#exit' have " ++
      "no place here (the embedded Lean has no library but its own; Mathlib needs a Lean project)") ++ "}"]

/-- Elaborate the commands of a text, one after the other; what the parser has to say about them. -/
unsafe def elaborate (context commandRef input noMessages : Obj) : Nat → Parser.ModuleParserState → M (List String)
  | 0, _ => pure []
  | fuel + 1, position =>
    bind (getRef (α := CommandState) commandRef) fun state =>
    match state.scopes with
    | .nil => pure []
    | .cons scope _ =>
      let scope : Scope := unsafeCast scope
      match Parser.parseCommand input ⟨state.env, scope.opts, scope.currNamespace, scope.openDecls⟩ position noMessages with
      | ⟨stx, position, messages⟩ =>
        bind (messageTexts (MessageLog.toList messages)) fun texts =>
        match Parser.isTerminalCommand stx with
        | true => pure (texts ++ unread stx)
        | false =>
          bind (Command.elabCommand stx context commandRef) fun _ =>
          bind (elaborate context commandRef input noMessages fuel position) fun rest => pure (texts ++ rest)

unsafe def sorries : List Snap → Store → List String → M (Prod Store (List String))
  | .nil, store, texts => pure ⟨store, texts⟩
  | .cons snap rest, store, texts =>
    bind (goals snap) fun goals =>
    let id := store.numStates
    let store := { store with states := store.states.insert depth id snap, numStates := id + 1 }
    let text := "{\"proofState\": " ++ decimal id ++ ", \"goal\": " ++ commas (goals.map quote) ++ "}"
    sorries rest store (texts ++ [text])

unsafe def onCommand (store : Store) (text : String) (state : Obj) : M (Prod Store String) :=
  bind (setRef captured ([] : List Snap)) fun _ =>
  bind (setRef store.commandRef state) fun _ =>
  let input := Parser.mkInputContext text "<cmd>" true text.utf8ByteSize state
  bind (elaborate store.context store.commandRef input store.noMessages 1000000 ⟨0, false⟩) fun syntaxErrors =>
  bind (getRef (α := CommandState) store.commandRef) fun final =>
  let old := MessageLog.toList (unsafeCast state : CommandState).messages
  bind (messageTexts (after old (MessageLog.toList final.messages))) fun messages =>
  let messages := syntaxErrors ++ messages
  bind (getRef (α := List Snap) captured) fun snaps =>
  bind (sorries snaps.reverse store []) fun result =>
  let store := result.fst
  let id := store.numEnvs
  let env : Obj := unsafeCast final
  let store := { store with envs := store.envs.insert depth id env, numEnvs := id + 1 }
  pure ⟨store, "{\"sorries\": [" ++ commas result.snd ++ "], \"messages\": [" ++ commas messages ++ "], \"env\": " ++ decimal id ++ "}"⟩

unsafe def answer (store : Store) (line : String) : M (Prod Store String) :=
  match Json.parse line with
  | .error message => pure ⟨store, failure ("Could not parse JSON:\n" ++ message)⟩
  | .ok json =>
    match Json.getObjVal? json "tactic", Json.getObjVal? json "cmd" with
    | .ok tactic, _ =>
      match Json.getStr? tactic, Json.getNat? (orElse (Json.getObjVal? json "proofState") .null) with
      | .ok text, .ok id => onTactic store text id
      | _, _ => pure ⟨store, failure "A tactic needs the fields tactic (text) and proofState (number)."⟩
    | .error _, .ok command =>
      match Json.getStr? command, store.envs.find depth (orElse (Json.getNat? (orElse (Json.getObjVal? json "env") .null)) 0) with
      | .ok text, .some env => onCommand store text env
      | _, _ => pure ⟨store, failure "Unknown environment."⟩
    | .error _, .error _ => pure ⟨store, failure "Unknown request."⟩

unsafe def loop (store : Store) : Nat → M Obj
  | 0 => pure (unsafeCast Unit.unit)
  | fuel + 1 =>
    bind (IO.FS.Handle.getLine store.input) fun line =>
    match Nat.ble line.utf8ByteSize 0 with
    | true => pure (unsafeCast Unit.unit)
    | false =>
      match Nat.ble line.utf8ByteSize 1 with
      | true => loop store fuel
      | false =>
        bind (answer store line) fun result =>
        bind (IO.FS.Handle.putStr store.output (result.snd ++ "\n\n")) fun _ =>
        bind (IO.FS.Handle.flush store.output) fun _ => loop result.fst fuel

inductive Mode | read | write | writeNew | readWrite | append
syntax (name := passatnServe) "#passatn_serve" : command
@[command_elab passatnServe] unsafe def serve : Command.CommandElab := fun _ context commandRef =>
  bind (IO.FS.Handle.mk "/dev/stdin" (unsafeCast Mode.read)) fun input =>
  bind (IO.FS.Handle.mk "/dev/stdout" (unsafeCast Mode.append)) fun output =>
  bind (getRef (α := Obj) commandRef) fun state =>
  let noMessages := (unsafeCast state : CommandState).messages
  loop ⟨input, output, context, commandRef, noMessages, .leaf, 0, Tree.leaf.insert depth 0 state, 1⟩ 1000000000
end Passatn
