"""A stand-in for the REPL of a Lean project: knows one goal, `P`, and a few tactics; needs no Lean.

`finish` and `classical` prove it, `cheat` does so step by step only, `doubt` leaves a sorry, `foreign` rests on an
axiom of its own, `mumble` hides what it rests on, `hang` and `crash` do so when a whole file has them.
"""

import json
import sys
import time
from typing import Any

CLOSING = ("finish", "classical", "cheat", "doubt", "foreign", "mumble", "hang", "crash")
AXIOMS = {
    "finish": "'t' does not depend on any axioms",
    "classical": "'t' depends on axioms: [propext, Classical.choice]",
    "foreign": "'t' depends on axioms: [propext, mine]",
    "mumble": "well",
}


class Loop:
    def __init__(self) -> None:
        self._environments: list[str] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "tactic" in request:
            tactic = request["tactic"]
            if tactic in CLOSING:
                return {"proofState": 1, "goals": []}
            return (
                {"proofState": 1, "goals": ["⊢ P"]} if tactic == "wait" else {"message": "Lean error:\nunknown tactic"}
            )
        text = request["cmd"]
        if text.startswith("#print axioms"):
            return self._reply(AXIOMS[self._environments[request["env"]]], "info")
        if text.startswith("import"):
            return (
                self._reply("", "info", word="import")
                if "Missing" not in text
                else self._reply("no such file", "error")
            )
        word = text.split()[-1]
        if word == "hang":
            time.sleep(60)
        if word == "crash":
            sys.exit(3)
        reply = self._reply("does not type-check" if word == "cheat" else "", "error", word=word)
        if word in ("sorry", "doubt"):
            reply["sorries"] = [{"proofState": 0, "goal": "⊢ P"}]
        return reply

    def _reply(self, message: str, severity: str, word: str = "") -> dict[str, Any]:
        self._environments.append(word)
        messages = [{"severity": severity, "data": message}] if message else []
        return {"env": len(self._environments) - 1, "messages": messages}


def main() -> None:
    loop, lines = Loop(), ""
    for line in sys.stdin:
        lines += line
        if not line.strip() and lines.strip():
            print(json.dumps(loop.answer(json.loads(lines))) + "\n", flush=True)
            lines = ""


if __name__ == "__main__":
    main()
