"""The section about proofs: in a browser, its numbers, and the states of found proofs from a real Lean."""

import json
import re
from html import escape, unescape

import pytest
from matplotlib.image import imread
from proof_runs import EVIL, make_proof_runs, search_record, theorem_name

from browser import probe_page
from passatn.coverage import pass_at_n
from passatn.evaluate import Results
from passatn.experiments import choices
from passatn.experiments.proof_report import STEPS_FILE, budget_advice, proof_steps, read_proof_run
from passatn.lean import LeanUnavailableError, embedded_lean
from passatn.prove.record_files import RecordFiles
from passatn.prove.records import FoundProof, SearchRecord, problem_results
from passatn.report import write_run_report
from passatn.report.proofs import ProofRun
from passatn.report.proofs_browser import MOST_THEOREMS, proofs_browser

USE_FILTER = """<script>
setTimeout(() => {
  const field = document.getElementById('proof-filter'), kind = document.getElementById('proof-kind');
  const shown = () => [...document.querySelectorAll('details.theorem')].filter(e => !e.hidden).length;
  const say = () => [shown(), document.getElementById('proof-count').textContent];
  probe.filtered = {all: say()};
  field.value = 'AND_swap_7 exact'; field.dispatchEvent(new Event('input')); probe.filtered.seven = say();
  field.value = ''; kind.value = 'missed'; kind.dispatchEvent(new Event('change')); probe.filtered.missed = say();
  kind.value = 'alone'; kind.dispatchEvent(new Event('change')); probe.filtered.alone = say();
}, 100);
</script>"""


@pytest.fixture(autouse=True, scope="module")
def _few_resamples():
    """The intervals of splits are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choices, "SPLIT_RESAMPLES", 5)
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    results, runs = make_proof_runs()
    return write_run_report(results, folder, proofs=runs, advice=budget_advice(results, runs))["html"], results, runs


def visible_text(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "|", re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.DOTALL)))


def cells(text: str) -> list[str]:
    return [part for part in text.split("|") if part.strip()]


def test_the_page_in_a_browser(report, tmp_path):
    page, _, runs = report
    copy = tmp_path / "with_filter.html"
    copy.write_text(page.read_text().replace("</main>", f"</main>{USE_FILTER}"))
    probe = probe_page(copy, tmp_path, hover_at=64)
    assert probe["problems"] == probe["console"] == probe["requests"] == []
    assert probe["overflow"] == 0
    found = [[record.num_correct > 0 for record in run.records] for run in runs]
    proved = sum(any(column) for column in zip(*found, strict=True))
    alone = sum(sum(column) == 1 for column in zip(*found, strict=True))
    assert probe["filtered"]["all"] == [40, "40 of 40 theorems"]
    assert probe["filtered"]["missed"] == [40 - proved, f"{40 - proved} of 40 theorems"]
    assert probe["filtered"]["alone"] == [alone, f"{alone} of 40 theorems"]
    assert probe["filtered"]["seven"][0] == 1


def test_the_page_in_a_narrow_browser(report, tmp_path):
    assert probe_page(report[0], tmp_path, hover_at=64, width=500)["overflow"] == 0


def test_numbers_of_the_section(report):
    page, results, runs = report
    shown = cells(visible_text(page.read_text()))
    for result, run in zip(results, runs, strict=True):
        proved = sum(record.num_correct > 0 for record in run.records)
        tactics = sum(record.num_tactics for record in run.records)
        tried = sum(record.num_tried for record in run.records)
        row = [
            result.name,
            "roll-outs",
            "40",
            str(proved),
            "10,240",
            f"{tactics:,}",
            f"{tried:,}",
            f"{tactics / 16:,.0f}",
        ]
        assert contains(shown, row)
        width = {"CE": 2, "N_eff = 4": 4, "N_eff = 16": 16}[result.name]
        n_eff = {"CE": "1"}.get(result.name, str(width))
        assert contains(shown, [result.name, n_eff, "256", str(width), "2", str(width), str(width)])
    missed = [1 - pass_at_n(256, [r.num_correct for r in run.records], 64) for run in runs]
    together = 1 - missed[0] * missed[1] * missed[2]
    single = 1 - (1 - pass_at_n(256, [r.num_correct for r in runs[0].records], 192))
    gain = f"{100 * (together - single).mean():+.1f} ["
    rows = shown[shown.index("the one model") :]
    assert rows[rows.index("CE") + 4].startswith(gain)


def contains(cells: list[str], row: list[str]) -> bool:
    return any(cells[i : i + len(row)] == row for i in range(len(cells)))


def test_proofs_step_by_step(report):
    page, _, runs = report
    proof = next(record for record in runs[0].records if record.num_correct and len(record.proofs[0].tactics) == 3)
    shown = cells(visible_text(page.read_text()))
    start = shown.index(proof.theorem)
    part = shown[start : start + 14]
    assert f"{proof.statement}" in part
    for i in range(3):
        place = part.index(f"p q : Prop\n⊢ state {i} of {proof.theorem}")
        assert part[place + 1] == f"exact step{i}"


def test_texts_of_theorems_and_proofs_are_escaped(report):
    html = report[0].read_text()
    assert "<script>alert" not in html
    assert html.count(escape(EVIL)) == 2, "in a statement and in tactics"


def test_the_picture(report):
    assert imread(report[0].with_name("proofs.png")).shape[:2] == (1110, 1650)


def test_a_report_without_searches_has_no_such_section(tmp_path):
    results, runs = make_proof_runs(6)
    write_run_report(results, tmp_path / "without", proofs=[None, None, None])
    assert not (tmp_path / "without" / "proofs.png").exists()
    assert "Theorems and proofs" not in (tmp_path / "without" / "report.html").read_text()
    write_run_report(results, tmp_path / "one", proofs=[None, runs[1], None])
    text = visible_text((tmp_path / "one" / "report.html").read_text())
    assert "Theorems and proofs" in text
    assert "Several models" not in text


def test_different_theorems_are_not_taken_together(tmp_path):
    records = [[search_record(i, 4) for i in range(3)], [search_record(i, 4) for i in range(3, 6)]]
    results = [
        Results.from_problems({"name": name}, problem_results(found), [1, 64])
        for name, found in zip("AB", records, strict=True)
    ]
    runs = [ProofRun(found) for found in records]
    assert budget_advice(results, runs) == []
    page = write_run_report(results, tmp_path, proofs=runs)["html"]
    assert "Not taken together: the searches have no theorem in common." in visible_text(page.read_text())


def test_best_first_searches_and_refused_statements(tmp_path):
    proof = FoundProof(("rfl",), 1, float("nan"), is_checked=True, found_at=5)
    common = {"statement": "theorem t : 1 = 1", "method": "best_first", "num_samples": 1}
    records = [
        SearchRecord("t", num_correct=1, num_tactics=9, proofs=(proof,), ends={"proved": 1, "error": 8}, **common),
        SearchRecord("u", num_correct=0, problem="unknown identifier", **common),
    ]
    results = Results.from_problems({"name": "best"}, problem_results(records), [1])
    html = write_run_report([results], tmp_path, proofs=[ProofRun(records)])["html"].read_text()
    text = visible_text(html)
    assert contains(cells(text), ["best", "best-first", "2", "1", "2", "9"])
    assert "Lean does not accept the statement: unknown identifier" in text
    assert "1 tactic, found by best (1×)" in text


def test_a_long_list_is_cut_and_says_so():
    records = [SearchRecord(theorem_name(i), "theorem t : 1 = 1", "rollouts", 1, 0) for i in range(MOST_THEOREMS + 3)]
    html = proofs_browser({"run": records}, {})
    assert html.count("<details") == MOST_THEOREMS
    assert "3 more theorems are not shown" in html


def test_states_come_from_lean_once(tmp_path):
    try:
        embedded_lean()
    except LeanUnavailableError as error:
        pytest.skip(f"no embedded Lean: {error}")
    swap = FoundProof(("intro h", "exact ⟨h.2, h.1⟩"), 3, -2.0, is_checked=True)
    broken = FoundProof(("intro h", "rfl"), 1, -3.0, is_checked=True)
    statement = "theorem swap (p q : Prop) : p ∧ q → q ∧ p"
    record = SearchRecord("swap", statement, "rollouts", 8, 4, proofs=(swap, broken))
    RecordFiles(tmp_path / "records", "all").append(record)
    lines: list[str] = []
    steps = read_proof_run(tmp_path, lines.append).steps
    assert steps == {("swap", swap.tactics): ("p q : Prop\n⊢ p ∧ q → q ∧ p", "p q : Prop\nh : p ∧ q\n⊢ q ∧ p")}
    assert len(lines) == 1
    assert lines[0].startswith("1 of 2 proofs do not replay here")
    file = tmp_path / STEPS_FILE
    stored = [json.loads(line) for line in file.read_text().splitlines()]
    stored[0]["states"][0] = "as stored"
    file.write_text("".join(json.dumps(line) + "\n" for line in stored))
    again = proof_steps(file, [record], lines.append)
    assert again["swap", swap.tactics][0] == "as stored", "nothing is replayed that the file has"
    assert len(lines) == 1
    file.write_text('{"theorem": "sw')
    assert proof_steps(file, [record], lines.append) == steps, "a damaged file is made anew"


def test_without_a_lean_the_tactics_are_shown(tmp_path, monkeypatch):
    def unavailable(**_: object) -> None:
        raise LeanUnavailableError("no Lean here")

    monkeypatch.setattr("passatn.experiments.proof_report.LeanPool", unavailable)
    proof = FoundProof(("rfl",), 1, -1.0, is_checked=True)
    record = SearchRecord("t", "theorem t : 1 = 1", "rollouts", 4, 1, proofs=(proof,))
    lines: list[str] = []
    assert proof_steps(tmp_path / STEPS_FILE, [record], lines.append) == {}
    assert lines == ["proofs are shown without their states: no Lean here"]
    assert list(tmp_path.iterdir()) == []
    assert '<td class="tactic"><pre>rfl</pre></td>' in proofs_browser({"run": [record]}, {})


def test_a_folder_without_records_is_no_search(tmp_path):
    assert read_proof_run(tmp_path, print) is None


def test_advice_is_that_of_recommend(report):
    _, results, runs = report
    advice = budget_advice(results, runs)
    assert [entry.n for entry in advice] == [4, 16, 64, 256]
    for entry in advice:
        assert [name for name, _ in entry.split] == [result.name for result in results]
        assert sum(count for _, count in entry.split) == entry.n
        single, _, best = entry.curves
        assert entry.gain.estimate[0] == pytest.approx(best.estimate[0] - single.estimate[0])
    assert budget_advice(results[:1], runs[:1]) == []
