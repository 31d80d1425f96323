"""Theorems to leaf through: statement, who proved it, and found proofs with the state before each tactic.

Everything is in the page; a field above the list filters it by the text of theorems and tactics.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from passatn.prove.analysis import choose_proofs, known_length
from passatn.prove.records import FoundProof, SearchRecord
from passatn.report.theme import GRID, MUTED

PROOFS_PER_THEOREM = 3
MOST_THEOREMS = 500
"""A page with more would be slow to open."""

Steps = Mapping[tuple[str, tuple[str, ...]], Sequence[str]]
"""(theorem, tactics) → the state before each tactic."""

_STYLE = f"""<style>
.filter {{ display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center; margin: 1rem 0; }}
.filter input {{ flex: 1 1 16rem; max-width: 26rem; }}
.filter input, .filter select {{ font: inherit; padding: 0.3rem; border: 1px solid {MUTED}; border-radius: 4px; }}
.filter span, details.theorem summary span {{ color: {MUTED}; font-size: 0.875rem; }}
details.theorem {{ border-bottom: 1px solid {GRID}; padding: 0.35rem 0; }}
details.theorem[open] {{ padding-bottom: 1.25rem; }}
details.theorem summary {{ cursor: pointer; }}
details.theorem > pre {{ background: #F6F8FA; padding: 0.6rem 0.8rem; margin: 0.5rem 0; border-radius: 4px; }}
table.steps {{ width: 100%; table-layout: fixed; margin: 0.75rem 0; }}
table.steps td {{ text-align: left; vertical-align: top; white-space: normal; padding: 0.4rem 0.8rem 0.4rem 0; }}
table.steps td:first-child {{ width: 1.5rem; color: {MUTED}; position: static; }}
table.steps td.tactic pre {{ font-weight: 600; }}
</style>"""
_FILTER = """<script>
(function () {
  const field = document.getElementById('proof-filter'), kind = document.getElementById('proof-kind');
  const entries = [...document.querySelectorAll('details.theorem')], count = document.getElementById('proof-count');
  function filter() {
    const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    for (const entry of entries) {
      const text = entry.textContent.toLowerCase();
      const fits = words.every(word => text.includes(word)) && (!kind.value || entry.classList.contains(kind.value));
      entry.hidden = !fits;
      shown += fits;
    }
    count.textContent = shown + ' of ' + entries.length + ' theorems';
  }
  field.addEventListener('input', filter);
  kind.addEventListener('change', filter);
  filter();
})();
</script>"""


@dataclass(frozen=True)
class _Shown:
    """One found proof, and by which runs."""

    proof: FoundProof
    states: Sequence[str]
    """Empty where they are not known."""
    found_by: Mapping[str, int]
    """Roll-outs by name of the run."""


def proofs_browser(runs: Mapping[str, Sequence[SearchRecord]], steps: Steps) -> str:
    """The HTML of the list; every text is escaped."""
    by_theorem: dict[str, dict[str, SearchRecord]] = {}
    for name, records in runs.items():
        for record in records:
            by_theorem.setdefault(record.theorem, {})[name] = record
    ordered = sorted(by_theorem.values(), key=_rank)
    entries = [_theorem(found, steps, len(runs)) for found in ordered[:MOST_THEOREMS]]
    left_out = len(ordered) - len(entries)
    note = f"<p>{left_out:,} more theorems are not shown.</p>" if left_out else ""
    choices = {"": "all", "found": "proved", "missed": "not proved"}
    if len(runs) > 1:
        choices["alone"] = "proved by one run only"
    options = "".join(f'<option value="{value}">{text}</option>' for value, text in choices.items())
    return (
        f'{_STYLE}<div class="filter"><input id="proof-filter" type="search" placeholder="filter by theorem or tactic" '
        f'aria-label="filter"><select id="proof-kind" aria-label="which theorems">{options}</select>'
        f'<span id="proof-count"></span></div>{"".join(entries)}{note}{_FILTER}'
    )


def _rank(found: Mapping[str, SearchRecord]) -> tuple[bool, int, str]:
    """Proved ones first, long known proofs before short ones."""
    record = next(iter(found.values()))
    return not any(r.num_correct for r in found.values()), -(known_length(record) or 0), record.theorem


def _theorem(found: Mapping[str, SearchRecord], steps: Steps, num_runs: int) -> str:
    record = next(iter(found.values()))
    proved = [name for name, other in found.items() if other.num_correct]
    shown = _shown(found, steps)
    facts = [f"proved by {', '.join(proved)}" if num_runs > 1 else "proved"] if proved else ["not proved"]
    if (known := known_length(record)) is not None:
        facts.append(f"known proof: {_tactics(known)}")
    if shown:
        facts.append(f"shortest found: {_tactics(len(shown[0].proof.tactics))}")
    kinds = ["theorem", "found" if proved else "missed", *(["alone"] if len(proved) == 1 and num_runs > 1 else [])]
    statement = f"{record.header.strip()}\n{record.statement}" if record.header.strip() else record.statement
    problem = f"<p>Lean does not accept the statement: {escape(record.problem)}</p>" if record.problem else ""
    return (
        f'<details class="{" ".join(kinds)}"><summary><code>{escape(record.theorem)}</code> '
        f"<span>{escape(' · '.join(facts))}</span></summary>"
        f"<pre>{escape(statement)}</pre>{problem}{''.join(map(_proof, shown))}</details>"
    )


def _shown(found: Mapping[str, SearchRecord], steps: Steps) -> list[_Shown]:
    """The shortest distinct proofs over all runs."""
    proofs: dict[tuple[str, ...], FoundProof] = {}
    found_by: dict[tuple[str, ...], dict[str, int]] = {}
    theorem = next(iter(found.values())).theorem
    for name, record in found.items():
        for proof in choose_proofs(record, limit=PROOFS_PER_THEOREM):
            proofs.setdefault(proof.tactics, proof)
            found_by.setdefault(proof.tactics, {})[name] = proof.num_found
    ordered = sorted(proofs, key=lambda tactics: (len(tactics), -proofs[tactics].log_prob, tactics))
    return [
        _Shown(proofs[tactics], steps.get((theorem, tactics), ()), found_by[tactics])
        for tactics in ordered[:PROOFS_PER_THEOREM]
    ]


def _proof(shown: _Shown) -> str:
    proof = shown.proof
    counts = ", ".join(f"{name} ({count:,}×)" for name, count in shown.found_by.items())
    likelihood = "" if math.isnan(proof.log_prob) else f", log p = {proof.log_prob:.2f}".replace("-", "−")
    head = f"{_tactics(len(proof.tactics))}{likelihood}, found by {counts}"
    states = shown.states or [""] * len(proof.tactics)
    rows = "".join(
        f"<tr><td>{number}</td>{_cell(state, 'state') if shown.states else ''}{_cell(tactic, 'tactic')}</tr>"
        for number, (state, tactic) in enumerate(zip(states, proof.tactics, strict=True), start=1)
    )
    return f'<table class="steps"><caption>{escape(head)}</caption><tbody>{rows}</tbody></table>'


def _cell(text: str, kind: str) -> str:
    return f'<td class="{kind}"><pre>{escape(text)}</pre></td>'


def _tactics(count: int) -> str:
    return f"{count} tactic" if count == 1 else f"{count} tactics"
