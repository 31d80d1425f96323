"""Files in every supported form, and one clear line for every way in which they go wrong."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from passatn.tasks import Problem, ProblemError, load_problems

ROWS = [{"id": f"p{i}", "prompt": f"What is {i}?", "answer": i, "metadata": {"level": i}} for i in range(4)]


def write_lines(path, *lines):
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def write_rows(folder, suffix):
    path = folder / f"data{suffix}"
    text = json.dumps(ROWS) if ".json" in suffix and "l" not in suffix else "\n".join(map(json.dumps, ROWS))
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
    elif suffix.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet"])
def test_every_kind_of_file(tmp_path, suffix):
    path = write_rows(tmp_path, suffix)
    expected = [Problem(f"p{i}", f"What is {i}?", (str(i),), metadata={"level": i}) for i in range(4)]
    for source in (path, str(path), f"file://{path}"):
        problems = load_problems(source)
        assert list(problems) == expected
    assert (problems[1].id, [p.id for p in problems[1:3]], len(problems)) == ("p1", ["p1", "p2"], 4)
    assert (problems.num_skipped, problems.source) == (0, f"file://{path}")


def test_an_fsspec_path():
    import fsspec

    with fsspec.open("memory://tasks/data.jsonl", "wt") as file:
        file.write(json.dumps(ROWS[0]))
    assert load_problems("memory://tasks/data.jsonl")[0].id == "p0"


def test_columns_are_mapped_and_the_rest_becomes_metadata(tmp_path):
    path = write_lines(tmp_path / "quiz.jsonl", {"question": "1+1?", "final": 2, "answer": "two", "level": 3})
    [problem] = load_problems(path, columns={"prompt": "question", "answer": "final"})
    assert problem == Problem("quiz-1", "1+1?", ("2",), metadata={"level": 3})


def test_generated_ids_count_lines_from_one(tmp_path):
    lines = [{"prompt": "a", "answer": "1"}, "", {"prompt": "b", "answer": "2"}]
    path = write_lines(tmp_path / "train.jsonl", *lines)
    assert [problem.id for problem in load_problems(path)] == ["train-1", "train-3"]


def test_limit_keeps_the_first_and_reads_no_further(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", *ROWS[:2], "{broken")
    assert [problem.id for problem in load_problems(path, limit=2)] == ["p0", "p1"]
    with pytest.raises(ProblemError, match="limit must be at least 1"):
        load_problems(path, limit=0)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"id": "x", ', "malformed JSON"),
        ("[1, 2]", "expected an object"),
        ({"id": "x", "answer": "1"}, "'prompt' is missing"),
        ({"id": "x", "prompt": "p"}, "'answer' is missing"),
        ({"id": "x", "prompt": "p", "answer": ""}, "the answer is empty"),
        ({"id": "p0", "prompt": "p", "answer": "1"}, "the id 'p0' was already used in row 1"),
    ],
)
def test_a_bad_row_is_named_or_skipped(tmp_path, bad, reason):
    path = write_lines(tmp_path / "a.jsonl", ROWS[0], bad, ROWS[1])
    with pytest.raises(
        ProblemError, match=f"a.jsonl, row 2: .*{reason}.*; fix the row, or .*: --skip-bad-rows \\(.*skip_bad_rows=True"
    ) as caught:
        load_problems(path)
    assert "\n" not in str(caught.value)
    problems = load_problems(path, skip_bad_rows=True)
    assert [problem.id for problem in problems] == ["p0", "p1"]
    assert problems.num_skipped == 1
    assert problems.skipped[0].startswith(f"{path}, row 2: ")
    assert reason in problems.skipped[0]


def test_a_file_in_another_layout_is_pointed_to_columns(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"question": "p", "answer": "1"})
    with pytest.raises(ProblemError, match=r"fields found: question, answer\); name its column with columns="):
        load_problems(path)
    with pytest.raises(ProblemError, match="no column 'query' for the field 'prompt'"):
        load_problems(path, columns={"prompt": "query"})
    with pytest.raises(ProblemError, match="unknown field 'promt'"):
        load_problems(path, columns={"promt": "question"})


def test_files_that_cannot_be_read(tmp_path):
    cases = {
        "missing.jsonl": (None, "no such file"),
        "empty.jsonl": (b"", "the file is empty"),
        "blank.jsonl": (b"\n\n", "no problem in it, it has no rows"),
        "list.json": (b"[]", "it has no rows"),
        "object.json": (b'{"a": 1}', "expected a JSON list"),
        "lines.json": (b'{"a": 1}\n{"a": 2}', "named .jsonl"),
        "latin.jsonl": ('{"prompt": "é"}'.encode("latin-1"), "not UTF-8"),
        "cut.jsonl.gz": (gzip.compress(json.dumps(ROWS).encode())[:-12], "cannot be read"),
        "not.jsonl.gz": (b"plain text", "cannot be read"),
        "not.parquet": (b"plain text", "not a readable Parquet file"),
        "notes.txt": (b"text", "not a source of problems"),
    }
    for name, (content, reason) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ProblemError, match=reason) as caught:
            load_problems(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_nothing_left_after_skipping_is_an_error(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", "{", "[")
    with pytest.raises(ProblemError, match=r"all 2 were skipped; first: .*row 1: malformed"):
        load_problems(path, skip_bad_rows=True)


def test_sources_that_are_none():
    with pytest.raises(ProblemError, match=r"zz://.*cannot be opened"):
        load_problems("zz://bucket/a.jsonl")
    with pytest.raises(ProblemError, match="or the name of a preset"):
        load_problems("maths")


def test_a_folder_with_a_dataset(tmp_path):
    write_lines(tmp_path / "train.jsonl", *ROWS[:2])
    write_lines(tmp_path / "test.jsonl", *ROWS[2:])
    with pytest.raises(ProblemError, match="choose a split with split=…, it has train, test"):
        load_problems(tmp_path)
    assert [problem.id for problem in load_problems(tmp_path, split="test")] == ["p2", "p3"]
    with pytest.raises(ProblemError, match="datasets could not load it"):
        load_problems(tmp_path, split="validation")


def test_a_hub_id_goes_through_datasets(monkeypatch):
    import datasets

    calls = []

    def load_dataset(path, name=None, split=None):
        calls.append((path, name, split))
        return datasets.Dataset.from_list([{"question": "q", "answer": "Six by six.\n#### 1,036"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    [problem] = load_problems("gsm8k", split="train")
    assert problem == Problem("gsm8k-main-train-1", "q", ("1036",), reasoning="Six by six.")
    assert load_problems("org/name", columns={"prompt": "question"})[0].id == "name-1"
    assert calls == [("openai/gsm8k", "main", "train"), ("org/name", None, None)]


def test_a_preset_beside_its_own_name_changes_nothing(monkeypatch, tmp_path):
    import datasets

    rows = [{"question": "q", "answer": "#### 2"}]
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.Dataset.from_list(rows))
    monkeypatch.chdir(tmp_path)
    assert list(load_problems("gsm8k", preset="gsm8k")) == list(load_problems("gsm8k"))
    with pytest.raises(ProblemError, match="'tactics' has no default place"):
        load_problems("tactics", preset="tactics")
    with pytest.raises(ProblemError, match="math: not a source of problems"):
        load_problems("math", preset="gsm8k")


def test_a_folder_that_is_called_like_its_preset_is_read(monkeypatch, tmp_path):
    (tmp_path / "gsm8k").mkdir()
    write_lines(tmp_path / "gsm8k" / "train.jsonl", {"id": "own", "question": "q", "answer": "#### 2"})
    monkeypatch.chdir(tmp_path)
    assert [problem.id for problem in load_problems("gsm8k", preset="gsm8k")] == ["own"]


def test_a_hub_dataset_that_cannot_be_reached_is_one_line(monkeypatch):
    import datasets

    def load_dataset(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(ProblemError, match=r"^org/name:main: datasets could not load it \(no route to host\)$"):
        load_problems("org/name:main")


def test_a_split_belongs_to_hub_datasets(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", ROWS[0])
    with pytest.raises(ProblemError, match="split='test' applies to Hub datasets only"):
        load_problems(path, split="test")
