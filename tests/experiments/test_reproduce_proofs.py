"""Tables 2 and 6 and figure 2 (c): from stored searches, and once from generated theorems on."""

import json
import shutil

import pytest

from passatn.coverage import pass_at_n
from passatn.experiments.config import ConfigError
from passatn.experiments.mini_theorems import ARMS
from passatn.experiments.reproduce import proof_ensemble, proof_table, search_trees
from passatn.experiments.reproduce.command import dry_run, reproduce
from passatn.experiments.reproduce.context import Context
from passatn.experiments.reproduce.paper import TABLE_2, TABLE_6
from passatn.experiments.reproduce.proofs import Proofs
from passatn.experiments.reproduce.workspace import Workspace
from passatn.report.search_tree import WIDEST, node_counts
from search_runs import CORRECT, records, runs


def context(tmp_path, name, **options):
    return Context(name, options.pop("scale", "demo"), Workspace(tmp_path, print), **options)


def test_table_2_is_of_unbiased_estimates(tmp_path, monkeypatch):
    monkeypatch.setattr(Proofs, "arms", lambda self: runs())
    section = proof_ensemble.section(context(tmp_path, "table2"))
    rows = {row[0]: row[1:] for row in section.tables[0].rows}
    assert section.tables[0].columns == ("", "N = 1", "N = 4")  # 5 · 16 is more than 20
    assert rows["CE"][0].startswith("20.0 [")
    # One sample of each: theorem 0 by CE alone, theorem 1 by either of two models.
    assert rows["ensemble, N from each"][0].startswith(f"{100 * (0.4 + 1 - 0.6 * 0.5) / 2:.1f} [")
    assert rows["CE, 5N samples"][0].startswith(f"{50 * float(pass_at_n(20, 8, 5)):.1f} [")
    assert section.numbers["num_correct"]["whole proof"] == {"t0": [2, 20], "t1": [2, 20]}
    assert "N_eff = 8 proves most" in section.findings[0]
    ensemble, wider = (float(rows[name][-1].split()[0]) for name in ("ensemble, N from each", "CE, 5N samples"))
    assert f"{ensemble:.1f} %, CE with as many in all {wider:.1f} %" in section.findings[1]
    gains = section.findings[2].split(": ")[1]
    name, gain, *_ = gains.split(" ")
    assert name == "CE"
    assert float(gain) == pytest.approx(ensemble - wider, abs=0.11)
    assert gains.count("[") == 5


def test_table_6_is_of_unbiased_estimates(tmp_path, monkeypatch):
    folders = {}
    for name, counts in CORRECT.items():
        folders[name] = tmp_path / name
        for iteration, proved in ((0, counts), (1, [20, 20])):
            folder = folders[name] / f"iteration-{iteration}" / "test" / "records"
            folder.mkdir(parents=True)
            lines = [json.dumps(record.to_dict()) for record in records(proved)]
            (folder / "one.jsonl").write_text("\n".join(lines) + "\n")
        entry = {"num_examples": 9, "num_found_examples": 0, "num_to_prove": 6, "num_proved": 2}
        (folders[name] / "iterations.json").write_text(json.dumps([{"iteration": 0, **entry}]))
    monkeypatch.setattr(Proofs, "experts", lambda self: folders)
    section = proof_table.section(context(tmp_path, "table6"))
    rows = {row[0]: row[1:] for row in section.tables[0].rows}
    (ce,) = rows["CE, iteration 0"]
    assert ce.startswith(f"{50 * float(pass_at_n(20, 8, 16)):.1f} [0.0, ")
    (none,) = rows["N_eff = 16, iteration 0"]
    assert none.startswith("0.0 [0.0, ")
    assert float(none.split()[-1].strip("]")) > 50, "two theorems of which none is proved say little"
    assert rows["ensemble, iteration 1"][0].startswith("100.0 [")
    assert section.csv["table6.csv"].columns == ("models", "N", "pass@N", "low", "high")
    assert len(rows) == 12
    assert "CE 2 of 6" in section.findings[1]
    shutil.rmtree(folders["CE"] / "iteration-1")
    stays = {row[0]: row[1:] for row in proof_table.section(context(tmp_path, "table6")).tables[0].rows}
    assert stays["CE, iteration 1"] == rows["CE, iteration 0"], "it proved nothing, and was not trained again"
    assert f"N_eff = 16 {100 - 0.0:+.1f} [+100.0, +100.0]" in section.findings[2]
    assert f"CE {100 - 50 * float(pass_at_n(20, 8, 16)):+.1f} [" in section.findings[2]


def test_the_trees_are_as_wide_as_was_measured():
    chosen = runs()
    assert search_trees.table(chosen).rows[0][2] == "3.0"  # exp(−log p / K), p = 1/9, K = 2
    widths = [float(row[1].split()[0]) for row in search_trees.table(chosen).rows]
    assert widths == sorted(widths)
    assert search_trees.finding(chosen).startswith("The equivalent width at first states grows with N_eff: CE 2.0")
    assert "does not grow steadily" in search_trees.finding([chosen[1], chosen[0].__class__("CE", (0,), chosen[4].last,
                                                             chosen[4].last, (1,), (1,))])  # fmt: skip
    assert search_trees.csv(chosen).rows[0] == ("CE", 1.0, 0, 2, 40, 1.0)
    assert len(search_trees.csv(chosen).rows) == 5 * 2  # not the whole proof's


def test_nodes_of_a_sketch():
    assert node_counts([2.6, 2.0]) == [1, 3, 5]
    assert node_counts([0.2, 2.0]) == [1, 0, 0]
    assert node_counts([1000.0]) == [1, WIDEST]


def test_the_paper_is_beside_ours():
    assert TABLE_2.at("MiniF2F", "N_eff = 8") == 39.5
    assert TABLE_6.at("ensemble, iteration 0", "pass@4k") == 62.15
    assert set(TABLE_2.columns) >= {arm.name for arm in ARMS if arm.options.get("confidence") != "proof"}


def test_plans(tmp_path):
    assert any("passatn reproduce table2" in line for line in dry_run(context(tmp_path, "table2")))
    small = "\n".join(dry_run(context(tmp_path, "table6", scale="small")))
    assert small.count("passatn train --output") == len(ARMS)
    assert "--model HuggingFaceTB/SmolLM2-135M" in small
    assert "each of the 6 models proves 100 theorems" in small
    both = "\n".join(dry_run(context(tmp_path, "fig2", scale="small")))
    assert both.count("passatn train --output") == 4 + len(ARMS), "direct answers and proofs"
    assert both.count("passatn reproduce fig2") == 1
    paper = "\n".join(dry_run(context(tmp_path, "table6", scale="paper")))
    assert paper.count("recipes/prove-dco-step.yaml") == 4
    assert "--n_passes 32" in paper
    assert paper.count("passatn prove") == len(ARMS)
    with pytest.raises(ConfigError, match="at scale paper has commands"):
        reproduce(context(tmp_path, "table2", scale="paper"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table2", "table6", "fig2"])
def test_from_generated_theorems_on(tmp_path, name):
    record = reproduce(context(tmp_path / "out", name, quick=True))
    folder = tmp_path / "out" / name
    files = {"table2": ["table2.png", "table2.csv"], "table6": ["table6.png"], "fig2": ["fig2c.png", "fig2c.csv"]}[name]
    assert all((folder / file).stat().st_size > 0 for file in files)
    assert record["findings"]
    assert record["paper"]
    assert record["sources"]
    assert all((tmp_path / "out" / source).is_file() for source in record["sources"])
    again = reproduce(context(tmp_path / "out", name, quick=True))
    assert again["seconds"] == record["seconds"]
