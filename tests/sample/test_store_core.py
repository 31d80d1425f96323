"""The store: what goes in comes out, more can be added, other tools read it, other runs are refused."""

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from passatn.evaluate import problems_from_arrays
from passatn.sample.engine import Completion
from passatn.sample.store import SCHEMA, Chunk, Manifest, SampleStore, StoreError
from store_samples import IDS, MANIFEST, PARAMS, REQUESTS, draw, expected_rows, files_of, fill, sample, stored_rows


@pytest.fixture(params=["local", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}/store"


def test_what_goes_in_comes_out(path: str) -> None:
    store = SampleStore.create(path, MANIFEST)
    assert len(store.table()) == 0
    fill(store, 40)
    assert stored_rows(store) == expected_rows(40)
    assert stored_rows(SampleStore.open(path, expect=MANIFEST)) == expected_rows(40)
    rows = store.table().to_pylist()
    assert [r["problem_id"] for r in rows] == sorted(r["problem_id"] for r in rows)
    assert all(a["count"] >= b["count"] for a, b in pairwise(rows) if a["problem_id"] == b["problem_id"])
    assert all(r["log_prob"] == -1.25 * len(r["completion"]) and r["verdict"] is None for r in rows)
    assert {p.problem_id: p.rows.to_pylist() for p in store.iter_problems()} == {
        p: [r for r in rows if r["problem_id"] == p] for p in IDS
    }
    assert store.verify_integrity().is_sound


def test_counts(path: str) -> None:
    store = SampleStore.create(path, MANIFEST)
    fill(store, 40)
    counts = store.counts(["p3", "not there", "p1"])
    drawn = [[sample(p, k) for k in range(40)] for p in ("p3", "p1")]
    assert counts.num_samples.tolist() == [40, 0, 40]
    assert counts.num_truncated[[0, 2]].tolist() == [sum(not c.finished for c in cs) for cs in drawn]
    assert counts.num_unique[[0, 2]].tolist() == [len({(c.text, c.num_tokens, c.finished) for c in cs}) for cs in drawn]
    assert (counts.num_unverified + counts.num_truncated == counts.num_samples).all()
    assert store.counts().problem_ids == tuple(sorted(IDS))
    assert store.counts().num_samples.dtype == np.int64


def test_more_samples_later_leave_the_first_ones_alone(path: str, tmp_path: Path) -> None:
    store = SampleStore.create(path, MANIFEST)
    fill(store, 40)
    assert fill(store, 40) == 0
    later = SampleStore.open(path, expect=MANIFEST)
    fill(later, 100)
    assert stored_rows(later) == expected_rows(100)
    assert later.next_indices(["p0", "new"]) == {"p0": 100, "new": 0}
    assert fill(later, 60) == 0
    # Another size of chunks, and problems that have different numbers of samples, change nothing.
    uneven = SampleStore.create(tmp_path / "uneven", MANIFEST)
    fill(uneven, 7, IDS[:4], problems=4, samples=7)
    fill(uneven, 23, IDS[2:], problems=2, samples=5)
    fill(uneven, 100, IDS, problems=10, samples=64)
    assert stored_rows(uneven) == expected_rows(100)


def test_other_tools_read_the_shards_in_one_line(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path / "store", MANIFEST)
    fill(store, 40)
    folder = f"{tmp_path}/store/shards"
    by_pandas = pd.read_parquet(folder)
    by_polars = pl.read_parquet(folder)
    by_duckdb = duckdb.sql(f"SELECT * FROM '{folder}/*.parquet'").pl()
    assert list(by_pandas.columns) == by_polars.columns == by_duckdb.columns == SCHEMA.names
    expected = expected_rows(40)
    for rows in (by_pandas.to_dict("records"), by_polars.to_dicts(), by_duckdb.to_dicts()):
        found: dict[tuple, int] = {}
        for r in rows:
            key = (r["problem_id"], r["completion"], r["num_tokens"], r["finished"])
            found[key] = found.get(key, 0) + r["count"]
        assert found == expected
    assert by_polars["log_prob"].to_list() == by_duckdb["log_prob"].to_list() == by_pandas["log_prob"].tolist()


def test_stores_of_several_machines_merge_and_shared_chunks_count_once(path: str, tmp_path: Path) -> None:
    one, two = SampleStore.create(path, MANIFEST), SampleStore.create(tmp_path / "two", MANIFEST)
    fill(one, 32, IDS[:6], problems=2)
    fill(two, 32, IDS[4:], problems=2)
    assert one.merge(two) == 4
    assert one.merge(two) == 0
    assert stored_rows(one) == expected_rows(32)
    assert one.verify_integrity().is_sound


def test_chunks_with_other_borders_are_refused_and_nothing_is_merged(tmp_path: Path) -> None:
    one, two = SampleStore.create(tmp_path / "one", MANIFEST), SampleStore.create(tmp_path / "two", MANIFEST)
    fill(one, 32)
    fill(two, 32, problems=4)
    before = files_of(tmp_path / "one")
    with pytest.raises(StoreError, match=r"both hold sample 0 of problem 'p0'.*nothing is merged"):
        one.merge(two)
    chunk = Chunk(("p9", "p5"), 31, 2)
    with pytest.raises(StoreError, match=r"both hold sample 31 of problem 'p[59]'.*not stored"):
        one.add(chunk, draw(chunk))
    assert files_of(tmp_path / "one") == before
    # Two processes that do not know of each other can still do it: then nothing is read until one file is gone.
    (shard,) = [file for file in (tmp_path / "two" / "shards").iterdir() if file.name.startswith("00000016")][:1]
    (tmp_path / "one" / "shards" / shard.name).write_bytes(shard.read_bytes())
    for use in (one.table, one.counts, lambda: one.missing_chunks(IDS, 99)):
        with pytest.raises(StoreError, match="both hold sample 16"):
            use()
    assert any("both hold" in line for line in one.verify_integrity().problems)


def test_a_chunk_is_stored_once_and_whole(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    chunk = Chunk(("p0", "p1"), 0, 8)
    completions = draw(chunk)
    assert store.add(chunk, completions[::-1])
    before = files_of(tmp_path)
    assert not store.add(chunk, completions)
    assert not store.add(Chunk(("p1", "p0"), 0, 8), completions)
    assert files_of(tmp_path) == before
    other = Chunk(("p0", "p1"), 8, 8)
    for wrong, message in [
        (draw(other)[:-1], "sample 15 of problem 'p1' is missing"),
        ([*draw(other), completions[0]], "sample 0 of problem 'p0' is not part"),
        ([*draw(other), draw(other)[0]], "17 completions for 16 samples"),
    ]:
        with pytest.raises(StoreError, match=message):
            store.add(other, wrong)
    with pytest.raises(StoreError, match="verdict: expected one of correct"):
        store.add(other, draw(other), verdicts=["yes"] * 16)
    with pytest.raises(StoreError, match="answers: 1 for 16"):
        store.add(other, draw(other), answers=["1"])
    with pytest.raises(StoreError, match="surrogate"):
        store.add(other, [replace_text(c, "\ud800") for c in draw(other)])
    assert files_of(tmp_path) == before


def replace_text(completion: Completion, text: str) -> Completion:
    return replace(completion, text=text)


def test_odd_texts_and_ids_survive(path: str) -> None:
    store = SampleStore.create(path, MANIFEST)
    texts = ["", " ", "\n\r\n", "\x00", "日本\u2028", "a" * 100_000, '"', "null"]
    ids = ("a/b", "ü", "", '"')
    chunk = Chunk(ids, 0, len(texts))
    store.add(chunk, [Completion(p, k, (), t, float("nan"), k, True) for p in ids for k, t in enumerate(texts)])
    rows = store.table().to_pylist()
    assert {(r["problem_id"], r["completion"]) for r in rows} == {(p, t) for p in ids for t in texts}
    assert all(r["log_prob"] is None for r in rows)


def test_equal_texts_of_different_lengths_are_kept_apart(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    kinds = [(2, True, -2.0), (2, True, -1.5), (3, True, -4.0), (2, False, -1.0)]
    store.add(Chunk(("p",), 0, 4), [Completion("p", k, (), "12", lp, n, f) for k, (n, f, lp) in enumerate(kinds)])
    rows = {(r["num_tokens"], r["finished"]): (r["count"], r["log_prob"]) for r in store.table().to_pylist()}
    assert rows == {(2, True): (2, -1.5), (3, True): (1, -4.0), (2, False): (1, -1.0)}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(MANIFEST, model_hash="xyz"), "model_hash = 'abc', expected 'xyz'"),
        (replace(MANIFEST, model_hash=None), r"model_hash = 'abc', expected \(not given\)|model = \(not given\)"),
        (replace(MANIFEST, template="chat"), "template = 'plain', expected 'chat'"),
        (Manifest.for_run("m", REQUESTS[:-1], PARAMS, model_hash="abc", template="plain"), "prompts_hash = "),
        (
            replace(MANIFEST, sampling=MANIFEST.sampling | {"temperature": 0.5}),
            r"sampling.temperature = 1.0, expected 0.5",
        ),
        (replace(MANIFEST, sampling=MANIFEST.sampling | {"dtype": "bf16"}), r"dtype = \(not given\), expected 'bf16'"),
    ],
)
def test_another_model_prompt_or_parameter_is_refused(path: str, other: Manifest, message: str) -> None:
    store = SampleStore.create(path, MANIFEST)
    fill(store, 8)
    for refuse in (lambda: SampleStore.open(path, expect=other), lambda: SampleStore.open_or_create(path, other)):
        with pytest.raises(StoreError, match=message) as error:
            refuse()
        assert "\n" not in str(error.value)
    with pytest.raises(StoreError, match="expected"):
        store.merge(SampleStore.create(path + "-other", other))


def test_a_moved_model_and_newer_packages_are_not_another_model(path: str) -> None:
    SampleStore.create(path, MANIFEST)
    moved = replace(MANIFEST, model="/elsewhere/model", versions={"torch": "99"})
    assert SampleStore.open_or_create(path, moved).manifest == MANIFEST
    SampleStore.create(path + "2", Manifest(model="x"))
    with pytest.raises(StoreError, match="model = 'x', expected 'y'"):
        SampleStore.open(path + "2", expect=Manifest(model="y"))


def test_paths_that_are_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"manifest.json: no such file"):
        SampleStore.open(tmp_path)
    SampleStore.create(tmp_path, MANIFEST)
    with pytest.raises(StoreError, match="a store is there already"):
        SampleStore.create(tmp_path, MANIFEST)
    for text in ("", "{", "[]", '{"format": "x"}', json.dumps({"format": "passatn sample store", "format_version": 9})):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(StoreError, match=r"manifest.json: not the manifest"):
            SampleStore.open(tmp_path)
    with pytest.raises(StoreError, match="no such kind of path"):
        SampleStore.open("nothing://x")
    with pytest.raises(StoreError, match="sampling: cannot be stored in JSON"):
        Manifest(model="m", sampling={"temperature": float("nan")})


def test_writers_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    def work(number: int) -> None:
        store = SampleStore.open_or_create(tmp_path / "store", MANIFEST)
        mine = IDS[number % 2 :: 2]  # two writers for each share: all of their chunks are drawn twice
        fill(store, 40, mine)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    store = SampleStore.open(tmp_path / "store")
    assert stored_rows(store) == expected_rows(40)
    assert not list((tmp_path / "store" / "tmp").iterdir())


def test_a_shard_says_itself_what_it_is(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    fill(store, 8)
    shard = sorted((tmp_path / "shards").iterdir())[0]
    record = json.loads(pq.read_metadata(shard).metadata[b"passatn"])
    assert record["problem_ids"] == IDS[:3] or set(record["problem_ids"]) <= set(IDS)
    assert (record["first_index"], record["num_samples"], record["identity"]) == (0, 8, MANIFEST.identity)
    assert record["num_rows"] == pq.read_metadata(shard).num_rows


def test_reading_a_store_does_not_import_torch() -> None:
    code = "import passatn.sample.store, sys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_that_are_no_shards_are_left_alone(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    fill(store, 16)
    for name in (".DS_Store", "_SUCCESS", "notes.txt", ".x.parquet.Ab12"):
        (tmp_path / "shards" / name).write_text("?")
    assert stored_rows(store) == expected_rows(16)
    assert store.set_aside_damaged() == {}


def test_filesystems_without_hard_links_can_hold_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    fill(SampleStore.create(tmp_path, MANIFEST), 16)
    assert stored_rows(SampleStore.open_or_create(tmp_path, MANIFEST)) == expected_rows(16)
    with pytest.raises(StoreError, match=r"cannot be written \(Operation not permitted\)"):
        SampleStore.create(tmp_path, MANIFEST)


def test_counts_are_what_results_are_made_of(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    chunk = Chunk(("a", "b"), 0, 16)
    store.add(chunk, draw(chunk), verdicts=["correct"] * 8 + ["timeout"] * 24)
    counts = store.counts()
    records = problems_from_arrays(
        counts.problem_ids,
        num_samples=counts.num_samples,
        num_correct=counts.num_correct,
        num_truncated=counts.num_truncated,
        num_timeouts=counts.num_timeouts,
        num_errors=counts.num_errors,
    )
    assert [record.num_samples for record in records] == [16, 16]
    assert records[0].num_correct + records[0].num_timeouts + records[0].num_truncated == 16
