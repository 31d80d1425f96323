"""What `passatn report` needs of folders of `passatn prove`: records, found proofs step by step, the split of samples.

A record holds tactics and no states. The proofs that the page shows are replayed once, in the Lean they were found
with, and kept as `proof_steps.jsonl` in the folder of the search: one line a proof, with the state before each tactic.
Where that Lean is not at hand the page shows the tactics only.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from passatn.evaluate import Results, write_atomically
from passatn.experiments.candidates import pool_of
from passatn.experiments.recommend import recommend
from passatn.lean import Goal, LeanError, LeanPool, LeanUnavailableError
from passatn.lean.repl import project_repl
from passatn.prove.analysis import choose_proofs
from passatn.prove.record_files import read_records
from passatn.prove.records import SearchRecord, merge
from passatn.prove.trace import trace_proof
from passatn.report.proofs import BudgetAdvice, ProofRun
from passatn.report.proofs_browser import PROOFS_PER_THEOREM

STEPS_FILE = "proof_steps.jsonl"
_REPLAY_SECONDS = 10.0

Key = tuple[str, tuple[str, ...]]
Say = Callable[[str], None]


def read_proof_run(folder: Path, say: Say) -> ProofRun | None:
    """The search in a folder, its proofs replayed; None if there are no records."""
    records = merge(read_records(folder / "records"))
    if not records:
        return None
    file = folder / "results.json"
    run = Results.load(file).run if file.exists() else {}
    return ProofRun(records, proof_steps(folder / STEPS_FILE, records, say, run.get("project"), run.get("repl")))


def proof_steps(
    file: Path, records: Sequence[SearchRecord], say: Say, project: str | None = None, repl: str | None = None
) -> dict[Key, tuple[str, ...]]:
    """The states before each tactic of the proofs that are shown; what the file lacks is replayed and added to it.

    By the embedded Lean, or by the REPL of a project.
    """
    goals = {record.theorem: Goal(record.statement, record.header) for record in records}
    wanted = [
        (record.theorem, proof.tactics)
        for record in records
        for proof in choose_proofs(record, limit=PROOFS_PER_THEOREM)
    ]
    known = _read(file)
    missing = [key for key in wanted if key not in known]
    if missing and (replayed := _replay(missing, goals, say, project, repl)):
        known |= replayed
        lines = [{"theorem": key[0], "tactics": list(key[1]), "states": list(states)} for key, states in known.items()]
        write_atomically(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    # An empty line of states stands for a proof that could not be replayed, so that it is not tried each time.
    return {key: known[key] for key in wanted if known.get(key)}


def _read(file: Path) -> dict[Key, tuple[str, ...]]:
    """A file that is damaged is made anew."""
    if not file.is_file():
        return {}
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return {(line["theorem"], tuple(line["tactics"])): tuple(line["states"]) for line in lines}
    except (ValueError, KeyError, TypeError):
        return {}


def _replay(
    keys: Sequence[Key], goals: dict[str, Goal], say: Say, project: str | None, repl: str | None
) -> dict[Key, tuple[str, ...]]:
    replayed: dict[Key, tuple[str, ...]] = {}
    failures = []
    try:
        start = None if project is None else project_repl(project, repl)
        with LeanPool(num_workers=1 if project else 2, timeout_seconds=_REPLAY_SECONDS, start_repl=start) as lean:
            for theorem, tactics in keys:
                try:
                    replayed[theorem, tactics] = trace_proof(lean, goals[theorem], tactics).texts[:-1]
                except LeanError as error:
                    replayed[theorem, tactics] = ()
                    failures.append(str(error))
    except LeanUnavailableError as error:
        say(f"proofs are shown without their states: {error}")
        return {}
    if failures:
        say(f"{len(failures)} of {len(keys)} proofs do not replay here, their states are not shown; {failures[0]:.200}")
    return replayed


def budget_advice(results: Sequence[Results], proofs: Sequence[ProofRun | None]) -> list[BudgetAdvice]:
    """The split of each N that all searches have samples for, if there are several searches of the same theorems."""
    searched = [run for run, proof in zip(results, proofs, strict=True) if proof is not None]
    same = len({frozenset(run.ids) for run in searched}) == 1
    if len(searched) < 2 or not same or len(searched[0].problems) < 2:
        return []
    counts = [run.column("num_samples") for run in searched]
    fewest = min((int(count.min()) for count in counts if count is not None), default=0)
    totals = [n for n in searched[0].pass_at_n[0].ns if len(searched) <= n <= fewest]
    advice = []
    for n in totals:
        advised = recommend(pool_of(searched), n)
        best = advised.best_split
        assert best.gain is not None
        split = [(run.name, best.split.get(index, 0)) for index, run in enumerate(searched)]
        advice.append(BudgetAdvice(n, split, (advised.single.curve, advised.even.curve, best.curve), best.gain))
    return advice
