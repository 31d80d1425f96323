"""Speaks the REPL's protocol, in the manner of the community's (several lines per reply), and knows two tactics.

`skip` (with anything after it) changes nothing, `sleep 1` takes a second, `crash` ends the process, `crash once` only
the first time, `slow second` is slow the second time, as when it is replayed; `until FILE` waits for a file,
`meet 8 FOLDER/NAME` for eight of them, of which it writes one; every request is noted in a file.
"""

import json
import sys
import time
from pathlib import Path

LOG = Path(sys.argv[-1])


def answer(request: dict[str, object], num_states: int) -> dict[str, object]:
    if "cmd" in request:
        if "error" in str(request["cmd"]):
            return {"messages": [{"severity": "error", "data": "an error", "pos": {"line": 1, "column": 0}}], "env": 1}
        sorry = {"proofState": num_states, "goal": "⊢ P", "pos": {"line": 1, "column": 0}}
        return {"sorries": [sorry], "messages": [{"severity": "warning", "data": "declaration uses 'sorry'"}], "env": 1}
    tactic = request["tactic"]
    if tactic == "crash" or (tactic == "crash once" and LOG.read_text().count("crash once") == 1):
        sys.exit(3)
    if str(tactic).startswith("sleep"):
        time.sleep(float(str(tactic).split()[1]))
    if str(tactic).startswith("until"):
        file = Path(str(tactic).split()[1])
        while not file.exists():
            time.sleep(0.02)
    if str(tactic).startswith("meet"):
        number, file = int(str(tactic).split()[1]), Path(str(tactic).split()[2])
        file.touch()
        while len(list(file.parent.iterdir())) < number:
            time.sleep(0.02)
    if tactic == "crash once" or str(tactic).split()[0] in ("skip", "sleep", "until", "meet"):
        return {"proofState": num_states, "goals": ["⊢ P"]}
    if tactic == "messages":
        return {"messages": [{"severity": "error", "data": "by message"}], "proofState": num_states, "goals": []}
    if tactic == "half a message":
        return {"messages": [{"severity": "error"}]}
    if tactic == "slow second":
        time.sleep(9 if LOG.read_text().count("slow second") == 2 else 0)
        return {"proofState": num_states, "goals": ["⊢ P"]}
    if tactic == "rubbish":
        return {"proofState": "rubbish"}
    return {"message": f"Lean error:\nunknown tactic {tactic}"}


def main() -> None:
    num_states, lines = 0, ""
    for line in sys.stdin:
        if line.strip():
            lines += line
            continue
        if not lines:
            continue
        with LOG.open("a", encoding="utf-8") as file:
            file.write(lines)
        reply = answer(json.loads(lines), num_states)
        num_states += 1
        lines = ""
        print(json.dumps(reply, indent=1, ensure_ascii=False) + "\n", flush=True)


if __name__ == "__main__":
    main()
