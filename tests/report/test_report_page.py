"""The page in a real browser, and its text."""

import re
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from report_runs import make_run, make_runs

from browser import probe_page
from passatn.evaluate import Results, confidence_histogram, problems_from_arrays
from passatn.report import (
    Curve,
    HtmlReport,
    TrainingHistory,
    confidence_figure,
    over_training_figure,
    plot_pass_at_n,
    write_run_report,
)


def test_run_report_in_a_browser(tmp_path: Path) -> None:
    runs = make_runs()
    paths = write_run_report(runs, tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["pass_at_n.png", "report.html"]
    probe = probe_page(paths["html"], tmp_path, hover_at=64)
    assert probe["problems"] == probe["console"] == probe["requests"] == []
    assert len(probe["curves"]) == 6, "a line and a band per run"
    assert all(width > 300 and height > 30 for width, height in probe["curves"])
    assert probe["overflow"] == 0
    assert probe["hover"].startswith("N = 64")
    for run in runs:
        curve = run.pass_at_n[0]
        index = curve.ns.index(64)
        estimate, low, high = (f"{100 * v[index]:.1f}" for v in (curve.estimate, curve.low, curve.high))
        assert f"{run.name} : {estimate} % ({low}–{high})" in probe["hover"]


def test_other_figures_in_a_narrow_browser(tmp_path: Path) -> None:
    page = HtmlReport("Other figures")
    history = TrainingHistory("CE", [1, 2, 3], [1, 16], [[0.1, 0.3], [0.2, 0.25], [0.3, 0.2]], kind="ce")
    page.add_figure(over_training_figure([history], 16))
    histogram = confidence_histogram([-0.1, -1.0, -3.0], [True, False, False])
    page.add_figure_row({"CE": confidence_figure(histogram), "again": confidence_figure(histogram)})
    page.add_table(["run", *(f"N = {2**k}" for k in range(12))], [["CE", *range(12)]])
    probe = probe_page(page.save(tmp_path / "page.html"), tmp_path, hover_at=2, width=500)
    assert probe["problems"] == probe["console"] == probe["requests"] == []
    assert probe["hover"] == "epoch 2CE : 25.0 %"
    assert probe["overflow"] == 0


def test_a_request_to_the_network_would_be_blocked(tmp_path: Path) -> None:
    page = HtmlReport("Leak").save(tmp_path / "page.html")
    page.write_text(page.read_text().replace("</main>", '<img src="https://example.invalid/x.png"></main>'))
    assert "blocked: https://example.invalid/x.png" in probe_page(page, tmp_path, hover_at=1)["problems"]


def test_no_address_outside_plotly(tmp_path: Path) -> None:
    html = write_run_report(make_runs(), tmp_path)["html"].read_text(encoding="utf-8")
    assert html.count("* plotly.js v") == 1
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    rest = html.replace(max(scripts, key=len), "")
    assert "//" not in rest.replace("</", "")
    assert not re.search(r"<script[^>]+src|<link[^>]+href=\"(?!data:)", rest)


def test_page_without_figures_is_small() -> None:
    page = HtmlReport("Text")
    page.add_heading("Part", level=3)
    page.add_list(["one", "two"])
    assert len(page.to_html()) < 5_000


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    run = make_run(evil, 1, mean=-5, spread=2)
    html = write_run_report([run], tmp_path)["html"].read_text(encoding="utf-8")
    assert "<script>alert" not in html
    page = HtmlReport(evil)
    page.add_paragraph(evil)
    page.add_heading(evil)
    page.add_list([evil])
    page.add_table([evil], [[evil]], caption=evil)
    page.add_figure(go.Figure(go.Scatter(x=[1], y=[1], name=evil)), caption=evil, title=evil)
    assert "<script>alert" not in page.to_html()


def test_image_is_embedded(tmp_path: Path) -> None:
    png = plot_pass_at_n([Curve("CE", [1, 4], [0.1, 0.2])], tmp_path / "a.png")
    page = HtmlReport("Picture")
    page.add_image(png, caption="pass@N")
    assert '<img src="data:image/png;base64,' in page.to_html()
    text = tmp_path / "b.png"
    text.write_text("not a picture")
    with pytest.raises(ValueError, match=r"b\.png: not a PNG"):
        page.add_image(text)


def test_table_columns() -> None:
    page = HtmlReport("Table")
    page.add_table(["run", "value"], [["CE", 1.5], ["DCO", "–"]])
    assert '<td class="text"><div>CE</div></td><td><div>1.5</div></td>' in page.to_html()
    with pytest.raises(ValueError, match="table row 1 has 1 cells for 2 columns"):
        page.add_table(["a", "b"], [[1, 2], [3]])
    with pytest.raises(ValueError, match="level must be 2 or 3, got 4"):
        page.add_heading("x", level=4)


def _text(tmp_path: Path, runs: list[Results]) -> str:
    html = write_run_report(runs, tmp_path)["html"].read_text(encoding="utf-8")
    return re.sub(r"<[^>]+>", " ", re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL))


def test_report_says_what_was_measured(tmp_path: Path) -> None:
    text = _text(tmp_path, make_runs())
    for words in ("95 % bootstrap intervals", "Frontier", "Difference to CE", "calibration error", "60 problems"):
        assert words in text
    single = _text(tmp_path, make_runs()[:1])
    assert "Frontier" not in single
    assert "Difference" not in single


def test_runs_that_do_not_match_are_shown_but_not_compared(tmp_path: Path) -> None:
    ce = make_run("CE", 1, mean=-6, spread=4)
    other = Results.from_problems({"name": "CE"}, problems_from_arrays(["q", "r"], log_p=-2.0), [1, 1000])
    text = _text(tmp_path, [ce, other])
    assert "CE (2): not compared (CE has no problem &#x27;problem 0&#x27;" in text
    assert "lower bound: the answers that were scored are not all the correct ones." in text


def test_report_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one run"):
        write_run_report([], tmp_path)
    empty = Results.from_problems({"name": "empty"}, problems_from_arrays(["a"]), [1])
    with pytest.raises(ValueError, match=r"empty has no pass@N curve"):
        write_run_report([empty], tmp_path)
    odd = Results.from_problems({"name": "odd", "kind": "grpo"}, problems_from_arrays(["a"], log_p=-1.0), [1])
    with pytest.raises(ValueError, match=r"run\.kind: expected one of ce, dco, baseline, other, found 'grpo'"):
        write_run_report([odd], tmp_path)


def test_figures_carry_plain_numbers() -> None:
    histogram = confidence_histogram(np.log([0.05, 0.95]), [False, True])
    bars, dots, _ = confidence_figure(histogram).data
    assert list(bars.y) == [50, *[0] * 8, 50]
    assert list(dots.y) == [0, 100]
