/- Many files elaborated by one process, each as if it were alone, and written as compiled files.

   Lean's environments are values: a request begins at a state that an earlier one left behind and changes nothing in it.
   State 0 is what `import PassatnInit` gives, made anew: nothing of this module or of `PassatnRepl` is in it. A request
   without `olean` leaves a new state, one with it leaves that file, unless there was an error. Lines count from the
   text's own first. As in `PassatnRepl`, functions of Lean 4.35.0 are declared by name; the protocol is the same.

     {"text": "def two := 2", "from": 0}
     {"messages": [], "state": 1}
     {"text": "theorem t : two = 2 := foo", "from": 1, "olean": "FOLDER/1.olean"}
     {"messages": [{"severity": "error", "data": "Unknown identifier `foo`", "pos": {"line": 1, "column": 22}}]}

   What is in a file is for others to judge. -/
prelude
import PassatnRepl
set_option linter.unusedVariables false
open Passatn Lean Lean.Elab

@[extern "_"] opaque Array.empty (α : Type) : Obj
@[extern "_"] opaque Lean.enableInitializersExecution : W → Res Obj
@[extern "_"] opaque Lean.Parser.parseHeader (i : Obj) : W → Res Pair
@[extern "_"] opaque Lean.Elab.processHeader (stx opts messages i trust plugins leak mainModule : Obj) : W → Res (Prod Obj Obj)
@[extern "_"] opaque Lean.Elab.Command.mkState (env messages opts : Obj) : Obj
@[extern "_"] opaque Lean.Elab.IO.processCommands (i : Obj) (p : Parser.ModuleParserState) (state : Obj) : W → Res Pair
@[extern "_"] opaque Lean.writeModule (env : Obj) (path : String) (writeIR : Obj) : W → Res Obj

namespace Passatn
unsafe def number (n : Nat) : Obj := unsafeCast n

/-- The state after the imports; the text of the error where there is one. -/
unsafe def imported (messages opts anything : Obj) : M (Except String Obj) :=
  let text := "prelude\nimport PassatnInit\n"
  let input := Parser.mkInputContext text "Main.lean" true text.utf8ByteSize anything
  let main : Obj := unsafeCast (Name.mkSimple "Main")
  bind enableInitializersExecution fun _ =>
  bind (Parser.parseHeader input) fun header =>
  bind (processHeader header.first opts messages input (number 0) (Array.empty Obj) (number 1) main) fun done =>
  match MessageLog.hasErrors done.snd with
  | true => bind (errorTexts (MessageLog.toList done.snd)) fun text => pure (.error text)
  | false => pure (.ok (Command.mkState done.fst messages opts))

def placed : List Message → M (List String)
  | .nil => pure []
  | .cons m rest =>
    bind (lift (MessageData.toString m.data)) fun text =>
    bind (placed rest) fun texts =>
    pure (List.cons ("{\"severity\": " ++ quote (severity m.severity) ++ ", \"data\": " ++ quote text ++
      ", \"pos\": {\"line\": " ++ decimal m.pos.line ++ ", \"column\": " ++ decimal m.pos.column ++ "}}") texts)

structure Files where
  states : Tree Obj
  numStates : Nat

unsafe def onText (files : Files) (text : String) (state : Obj) (path : Except String String) : M (Prod Files String) :=
  let input := Parser.mkInputContext text "Main.lean" true text.utf8ByteSize state
  bind (IO.processCommands input ⟨0, false⟩ state) fun final =>
  let after : CommandState := unsafeCast final.first
  bind (placed (MessageLog.toList after.messages)) fun messages =>
  let reply := "{\"messages\": [" ++ commas messages ++ "]"
  match path, MessageLog.hasErrors after.messages with
  | .ok path, false => bind (writeModule after.env path (number 1)) fun _ => pure ⟨files, reply ++ "}"⟩
  | .ok _, true => pure ⟨files, reply ++ "}"⟩
  | .error _, _ =>
    let id := files.numStates
    pure ⟨⟨files.states.insert depth id final.first, id + 1⟩, reply ++ ", \"state\": " ++ decimal id ++ "}"⟩

unsafe def onFile (files : Files) (line : String) : M (Prod Files String) :=
  match Json.parse line with
  | .error message => pure ⟨files, failure ("Could not parse JSON:\n" ++ message)⟩
  | .ok json =>
    let text := Json.getStr? (orElse (Json.getObjVal? json "text") .null)
    let number := orElse (Json.getNat? (orElse (Json.getObjVal? json "from") .null)) files.numStates
    match text, files.states.find depth number with
    | .ok text, .some state => onText files text state (Json.getStr? (orElse (Json.getObjVal? json "olean") .null))
    | _, _ => pure ⟨files, failure "A request needs the fields text (text) and from (the number of a state)."⟩

unsafe def filesLoop (input output : Obj) (files : Files) : Nat → M Obj
  | 0 => pure (number 0)
  | fuel + 1 =>
    bind (IO.FS.Handle.getLine input) fun line =>
    match Nat.ble line.utf8ByteSize 0 with
    | true => pure (number 0)
    | false =>
      match Nat.ble line.utf8ByteSize 1 with
      | true => filesLoop input output files fuel
      | false =>
        bind (onFile files line) fun result =>
        bind (IO.FS.Handle.putStr output (result.snd ++ "\n\n")) fun _ =>
        bind (IO.FS.Handle.flush output) fun _ => filesLoop input output result.fst fuel

syntax (name := passatnCheck) "#passatn_check" : command
@[command_elab passatnCheck] unsafe def check : Command.CommandElab := fun _ context commandRef =>
  bind (IO.FS.Handle.mk "/dev/stdin" (unsafeCast Mode.read)) fun input =>
  bind (IO.FS.Handle.mk "/dev/stdout" (unsafeCast Mode.append)) fun output =>
  bind (getRef (α := CommandState) commandRef) fun state =>
  match state.scopes with
  | .nil => pure (number 0)
  | .cons scope _ =>
    let scope : Scope := unsafeCast scope
    bind (imported state.messages scope.opts commandRef) fun first =>
    match first with
    | .error text => bind (IO.FS.Handle.putStr output (failure text ++ "\n\n")) fun _ => IO.FS.Handle.flush output
    | .ok first => filesLoop input output ⟨Tree.leaf.insert depth 0 first, 1⟩ 1000000000
end Passatn
