"""A stand-in for the REPL of a Lean project: believes that `trivial` and `cheat` close any goal; needs no Lean."""

import json
import sys
from typing import Any


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "tactic" not in request:
        return {"env": 0, "sorries": [{"proofState": 0, "goal": "⊢ True"}] if "sorry" in request["cmd"] else []}
    goals = {"trivial": [], "cheat": [], "skip": ["⊢ True"]}.get(request["tactic"])
    return {"message": "Lean error:\nunknown tactic"} if goals is None else {"proofState": 1, "goals": goals}


def main() -> None:
    lines = ""
    for line in sys.stdin:
        lines += line
        if not line.strip() and lines.strip():
            print(json.dumps(answer(json.loads(lines))) + "\n", flush=True)
            lines = ""


if __name__ == "__main__":
    main()
