"""Importing other tools' samples, in the layouts that their releases write, with bad rows and twice the same file."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passatn.sample.store import Manifest, SampleStore, StoreError, import_samples
from store_samples import MANIFEST


@pytest.fixture
def store(tmp_path: Path) -> SampleStore:
    return SampleStore.create(tmp_path / "store", Manifest(model="someone else's"))


def write(path: Path, rows: list[Any]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def rows_of(store: SampleStore) -> set[tuple]:
    names = ("problem_id", "completion", "count", "answer", "verdict")
    return {tuple(row[name] for name in names) for row in store.table().to_pylist()}


PLAIN = [
    {"problem_id": "a", "completion": "x", "count": 3, "log_prob": -1.5, "answer": "1", "verdict": "correct"},
    {"id": "b", "completion": "y", "correct": False, "num_tokens": 4, "finished": False, "more": [1]},
    {"id": 7, "completion": "", "correct": 1},
    {"problem_id": "a", "completion": "x"},
]


def test_plain_json_lines(store: SampleStore, tmp_path: Path) -> None:
    report = import_samples(write(tmp_path / "s.jsonl", [*PLAIN[:2], "", *PLAIN[2:]]), "jsonl", store)
    assert (report.num_problems, report.num_samples, report.num_added) == (3, 6, 6)
    assert rows_of(store) == {
        ("a", "x", 4, "1", "correct"),
        ("b", "y", 1, None, "incorrect"),
        ("7", "", 1, None, "correct"),
    }
    counts = store.counts(["a", "b", "7"])
    assert counts.num_correct.tolist() == [4, 0, 1]
    assert counts.num_truncated.tolist() == [0, 1, 0]
    assert store.verify_integrity().is_sound


def test_the_same_file_counts_once_and_another_one_is_added(store: SampleStore, tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", PLAIN)
    import_samples(path, "jsonl", store)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(path.read_bytes())
    assert import_samples(copy, "jsonl", store).num_added == 0
    more = write(tmp_path / "more.jsonl", [{"id": "a", "completion": "z"}, {"id": "c", "completion": "z", "count": 2}])
    assert import_samples(more, "jsonl", store).num_added == 3
    assert store.counts(["a", "b", "c"]).num_samples.tolist() == [5, 1, 2]
    # Killed after the first shard: what is missing is added, the rest is not counted again.
    sorted((tmp_path / "store" / "shards").iterdir())[0].unlink()
    missing = 9 - SampleStore.open(tmp_path / "store").counts().num_samples.sum()
    again = [import_samples(file, "jsonl", store).num_added for file in (path, more)]
    assert missing > 0
    assert sum(again) == missing
    assert store.counts().num_samples.sum() == 9


def test_imports_of_two_stores_are_not_taken_for_each_other(store: SampleStore, tmp_path: Path) -> None:
    other = SampleStore.create(tmp_path / "other", Manifest(model="someone else's"))
    import_samples(write(tmp_path / "1.jsonl", [{"id": "a", "completion": "x"}]), "jsonl", store)
    import_samples(write(tmp_path / "2.jsonl", [{"id": "a", "completion": "y"}]), "jsonl", other)
    with pytest.raises(StoreError, match="other samples under the same indices"):
        store.merge(other)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "row 2: not JSON"),
        ("3", "row 2: expected an object"),
        ({"completion": "x"}, "row 2: id: expected a string or a whole number, got None"),
        ({"id": True, "completion": "x"}, "row 2: id: expected"),
        ({"id": "", "completion": "x"}, "row 2: the problem's id is empty"),
        ({"id": "a"}, "row 2: completion: expected a string, got nothing"),
        ({"id": "a", "completion": 3}, "row 2: completion: expected a string, got 3"),
        ('{"id": "a", "completion": "\\ud800"}', "row 2: completion: half a surrogate pair"),
        ({"id": "a", "completion": "x", "count": 0}, "row 2: count"),
        ({"id": "a", "completion": "x", "count": 1.5}, "row 2: count"),
        ({"id": "a", "completion": "x", "log_prob": 0.1}, "row 2: log_prob"),
        ('{"id": "a", "completion": "x", "log_prob": NaN}', "row 2: log_prob"),
        ({"id": "a", "completion": "x", "num_tokens": -1}, "row 2: num_tokens"),
        ({"id": "a", "completion": "x", "finished": "no"}, "row 2: finished"),
        ({"id": "a", "completion": "x", "verdict": "right"}, "row 2: verdict"),
        ({"id": "a", "completion": "x", "correct": "yes"}, "row 2: correct"),
        ({"id": "a", "completion": "x", "correct": True, "verdict": "timeout"}, "row 2: correct is True but verdict"),
        (
            {"id": "ok", "completion": "x", "verdict": "incorrect"},
            "row 2: this completion was correct in an earlier row",
        ),
    ],
)
def test_bad_rows_name_the_file_and_the_row(store: SampleStore, tmp_path: Path, row: Any, message: str) -> None:
    good = {"id": "ok", "completion": "x", "verdict": "correct"}
    path = write(tmp_path / "bad.jsonl", [good, row, good])
    with pytest.raises(StoreError, match=f"bad.jsonl, {message}") as error:
        import_samples(path, "jsonl", store)
    assert "\n" not in str(error.value)
    assert not store.contents().shards
    report = import_samples(path, "jsonl", store, on_error="skip")
    assert (report.num_samples, len(report.errors)) == (2, 1)


def test_files_that_are_none(store: SampleStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none.jsonl: cannot be read"):
        import_samples(tmp_path / "none.jsonl", "jsonl", store)
    with pytest.raises(StoreError, match="no samples in it"):
        import_samples(write(tmp_path / "empty.jsonl", []), "jsonl", store)
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "a", "completion": "\xe4"}\n')
    with pytest.raises(StoreError, match="row 1: not JSON"):
        import_samples(tmp_path / "latin.jsonl", "jsonl", store)
    with pytest.raises(StoreError, match="cannot be read"):
        import_samples(write(tmp_path / "no.parquet", ["x"]), "lighteval", store)
    with pytest.raises(StoreError, match="format: expected one of jsonl, lm-eval, lighteval, got 'csv'"):
        import_samples(tmp_path / "x.csv", "csv", store)


def harness(doc_id: int, texts: list[str], score: Any, filter_name: str | None = "none", **fields: Any) -> dict:
    """A line of lm-evaluation-harness 0.4."""
    row = {
        "doc_id": doc_id,
        "doc": {"question": "?", "unique_id": f"test/{doc_id}"},
        "target": "3",
        "arguments": {"gen_args_0": {"arg_0": "?", "arg_1": {"until": ["\n"]}}},
        "resps": [texts],
        "filtered_resps": [texts[0][-1:]],
        "filter": filter_name,
        "metrics": ["exact_match"],
        "doc_hash": "0",
        "exact_match": score,
    }
    return {key: value for key, value in (row | fields).items() if value is not None}


def test_lm_evaluation_harness(store: SampleStore, tmp_path: Path) -> None:
    rows = [
        harness(0, ["is 3"], 1.0),
        harness(1, ["none"], 0.0, filtered_resps=["[invalid]"]),
        harness(2, ["a 3", "b 4", "a 3"], 0.5, filtered_resps=[["3", "4", "3"]]),
        harness(3, ["c 3", "d 4"], [1, 0], filter_name="none"),
    ]
    report = import_samples(write(tmp_path / "samples_x.jsonl", rows), "lm-eval", store)
    assert (report.num_problems, report.num_samples) == (4, 7)
    assert rows_of(store) == {
        ("0", "is 3", 1, "3", "correct"),
        ("1", "none", 1, None, "incorrect"),
        ("2", "a 3", 2, "3", None),
        ("2", "b 4", 1, "4", None),
        ("3", "c 3", 1, None, "correct"),
        ("3", "d 4", 1, None, "incorrect"),
    }


def test_each_sample_counts_once_where_a_task_has_two_filters(store: SampleStore, tmp_path: Path) -> None:
    rows = [harness(k, ["is 3"], score, name) for name, score in (("strict", 0), ("flexible", 1)) for k in range(2)]
    path = write(tmp_path / "two.jsonl", rows)
    with pytest.raises(StoreError, match=r"row 3: the file has the filters 'strict' and 'flexible': choose one"):
        import_samples(path, "lm-eval", store)
    import_samples(path, "lm-eval", store, filter_name="flexible", id_field="doc.unique_id")
    assert rows_of(store) == {(f"test/{k}", "is 3", 1, "3", "correct") for k in range(2)}
    unnamed = write(tmp_path / "old.jsonl", [harness(0, ["a"], 0, None), harness(0, ["a"], 1, None)])
    with pytest.raises(StoreError, match="row 2: doc_id '0' occurs twice"):
        import_samples(unnamed, "lm-eval", store)


def test_a_row_of_several_samples_is_stored_whole_or_not_at_all(store: SampleStore, tmp_path: Path) -> None:
    rows = [harness(0, ["new", "twice", "twice"], [1, 1, 0]), harness(1, ["kept", "twice", "twice"], [1, 0, 0])]
    path = write(tmp_path / "s.jsonl", rows)
    message = f"{path}, row 1: the same completion is correct and incorrect in this row"
    with pytest.raises(StoreError, match=message):
        import_samples(path, "lm-eval", store)
    report = import_samples(path, "lm-eval", store, on_error="skip")
    assert report.errors == (message,)
    assert (report.num_problems, report.num_samples, report.num_added) == (1, 3, 3)
    assert {row[:3] for row in rows_of(store)} == {("1", "kept", 1), ("1", "twice", 2)}


def test_harness_rows_without_samples(store: SampleStore, tmp_path: Path) -> None:
    for fields, message in [
        ({"resps": [[["-1.5", "False"]], [["-2.0", "True"]]]}, "not generated texts"),
        ({"resps": [[[-1.5, False]]]}, "not generated texts"),
        ({"resps": []}, "expected lists of generated texts"),
        ({"doc_id": None}, "doc_id: expected a string"),
    ]:
        with pytest.raises(StoreError, match=f"row 1: .*{message}"):
            import_samples(write(tmp_path / "x.jsonl", [harness(0, ["a"], 1) | fields]), "lm-eval", store)
    with pytest.raises(StoreError, match="the metric 'pass@1' is missing"):
        import_samples(write(tmp_path / "y.jsonl", [harness(0, ["a"], 1)]), "lm-eval", store, metric="pass@1")
    packed = tmp_path / "z.jsonl.gz"
    packed.write_bytes(gzip.compress((json.dumps(harness(0, ["a"], 1)) + "\n").encode()))
    assert import_samples(packed, "lm-eval", store).num_added == 1


def details(prefix: str, rows: list[tuple[str, list[str], dict]]) -> pa.Table:
    """Details of lighteval: the columns doc, model_response and metric, with or without underscores."""
    return pa.Table.from_pylist(
        [
            {
                f"{prefix}doc{prefix}": {"query": "?", "choices": ["3"], "gold_index": 0, "id": doc_id},
                f"{prefix}model_response{prefix}": {
                    "input_tokens": [1],
                    "text": texts,
                    "output_tokens": [[5] * len(text) for text in texts],
                    "logprobs": [],
                },
                f"{prefix}metric{prefix}": metric,
            }
            for doc_id, texts, metric in rows
        ]
    )


@pytest.mark.parametrize("prefix", ["", "__"])
def test_lighteval_details(store: SampleStore, tmp_path: Path, prefix: str) -> None:
    rows = [("q1", ["is 3"], {"em": 1.0}), ("q2", ["a", "bb", "a"], {"em": 0.33})]
    pq.write_table(details(prefix, rows), tmp_path / "d.parquet")
    import_samples(tmp_path / "d.parquet", "lighteval", store)
    assert rows_of(store) == {
        ("q1", "is 3", 1, None, "correct"),
        ("q2", "a", 2, None, None),
        ("q2", "bb", 1, None, None),
    }
    assert {r["num_tokens"] for r in store.table().to_pylist()} == {1, 2, 4}


def test_lighteval_metrics_ids_and_older_columns(store: SampleStore, tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    pq.write_table(details("", [("", ["x"], {"em": 0, "f1": 1}), ("", ["y"], {"em": 1, "f1": 0})]), path)
    import_samples(path, "lighteval", store, metric="em")
    assert rows_of(store) == {("0", "x", 1, None, "incorrect"), ("1", "y", 1, None, "correct")}
    with pytest.raises(StoreError, match=r"row 1: the metric 'acc' is missing \(found: em, f1\)"):
        import_samples(path, "lighteval", store, metric="acc")
    pq.write_table(details("", [("a", ["x"], {"em": 0}), ("a", ["y"], {"em": 1})]), path)
    with pytest.raises(StoreError, match=r"row 2: doc.id 'a' occurs twice"):
        import_samples(path, "lighteval", store)
    old = [
        {"example": "?", "predictions": "['x', 'y']", "metrics": "{'em': 1}"},
        {"predictions": "['z']", "metrics": "{'em': 1}"},
    ]
    pq.write_table(pa.Table.from_pylist(old), path)
    other = SampleStore.create(tmp_path / "other", MANIFEST)
    import_samples(path, "lighteval", other)
    assert rows_of(other) == {("0", "x", 1, None, None), ("0", "y", 1, None, None), ("1", "z", 1, None, "correct")}
    pq.write_table(pa.table({"doc": [1], "model_response": ["x"]}), path)
    with pytest.raises(StoreError, match="row 1: no generated texts"):
        import_samples(path, "lighteval", other)
