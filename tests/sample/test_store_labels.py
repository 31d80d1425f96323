"""Labels of verifiers as folder names: short ones as they are, long ones cut short, and all listed in full."""

from pathlib import Path

import pytest

from passatn.sample.store import Chunk, Judged, SampleStore, StoreError
from store_samples import IDS, MANIFEST, draw, fill

VERSION = "sha256 0123456789abcdef"
LONG = "cmd python check.py " + "--word ä/€ " * 40
LONG_FOLDER_BYTES = 97


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SampleStore:
    path = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}/labels"
    store = SampleStore.create(path, MANIFEST)
    fill(store, 16)
    return store


def judge(store: SampleStore, name: str, verdict: str = "correct") -> None:
    texts = {(c.problem_id, c.text) for c in draw(Chunk(tuple(IDS), 0, 16)) if c.finished}
    store.set_verdicts([Judged(*key, verdict) for key in sorted(texts)], verifier=name, version=VERSION)


def num_correct(store: SampleStore, name: str) -> int:
    return int(store.counts(verifier=f"{name}@{VERSION}").num_correct.sum())


def test_long_labels_are_kept_apart_and_listed_in_full(store: SampleStore) -> None:
    names = [LONG, LONG + "x", "€" * 100, "short"]
    for name in names[1:]:
        judge(store, name)
    judge(store, LONG, "incorrect")
    assert sorted(store.verifiers()) == sorted(f"{name}@{VERSION}" for name in names)
    assert num_correct(store, LONG) == 0
    assert num_correct(store, LONG + "x") == num_correct(store, "€" * 100) == num_correct(store, "short") > 0
    assert not list(store.unverified(LONG, VERSION))
    assert max(len(name.encode()) for name in store.folder.folders("verdicts")) <= LONG_FOLDER_BYTES
    assert store.verify_integrity().is_sound


def test_short_labels_are_folder_names_as_they_were(store: SampleStore) -> None:
    fits = "n" * (120 - len(f"@{VERSION}"))
    tail = "name~0123456789abcdef"
    judge(store, fits)
    judge(store, "a/b;c")
    store.set_verdicts([Judged("p0", "1", "correct")], verifier="math", version=tail)
    folders = [f"{fits}@{VERSION}", f"a%2Fb%3Bc@{VERSION}", f"math@{tail}"]
    assert store.folder.folders("verdicts") == sorted(folders)
    assert sorted(store.verifiers()) == sorted([f"{fits}@{VERSION}", f"a/b;c@{VERSION}", f"math@{tail}"])
    judge(store, fits + "n")
    (cut,) = set(store.folder.folders("verdicts")) - set(folders)
    assert cut.startswith("n" * 80 + "~")
    assert len(cut) == LONG_FOLDER_BYTES


def test_the_label_is_read_from_a_sound_file_and_damage_is_found(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path / "store", MANIFEST)
    fill(store, 16)
    judge(store, LONG)
    files = sorted((tmp_path / "store" / "verdicts").rglob("*.parquet"))
    assert len(files) > 1
    files[0].write_bytes(b"cut")
    assert store.verifiers() == [f"{LONG}@{VERSION}"]
    for number, file in enumerate(files, start=1):
        file.write_bytes(b"cut")
        problems = store.verify_integrity().problems
        assert [str(path) in "".join(problems) for path in files[:number]] == [True] * number
        assert len(problems) == number


def test_a_label_is_listed_once_beside_its_folder_of_old(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path / "store", MANIFEST)
    fill(store, 16)
    name = "n" * 150
    judge(store, name)
    (tmp_path / "store" / "verdicts" / f"{name}@{VERSION}").mkdir()
    assert store.verifiers() == [f"{name}@{VERSION}"]


def test_a_name_with_an_at_sign_is_refused(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path / "store", MANIFEST)
    with pytest.raises(StoreError, match="a name without @"):
        store.set_verdicts([], verifier="a@b", version="1")
