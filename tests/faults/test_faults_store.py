"""The sample store under SIGKILL, a full disk, damaged and foreign files: detected, nothing lost or counted twice."""

import errno
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from passatn.sample.store import Manifest, SampleStore, StoreError, sample_into_store
from passatn.sample.store.chunks import missing_chunks
from store_samples import (
    IDS,
    MANIFEST,
    PARAMS,
    REQUESTS,
    FakeEngine,
    draw,
    expected_rows,
    files_of,
    fill,
    stored_rows,
)

WRITER = Path(__file__).with_name("store_writer.py")
NUM_SAMPLES = 64


def run_writer(path: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(WRITER), str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("uninterrupted")
    assert run_writer(path, "write").returncode == 0
    assert stored_rows(SampleStore.open(path)) == expected_rows(NUM_SAMPLES)
    return files_of(path)


def test_killed_at_random_moments_and_resumed_it_is_the_uninterrupted_store(
    tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    result = run_writer(tmp_path / "store", "kill", "0")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 5
    assert files_of(tmp_path / "store") == uninterrupted


def test_killed_between_any_two_steps_of_writing_a_file(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    path = tmp_path / "store"
    result = run_writer(path, "points")
    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) == 14
    # Whatever is there is whole, and what was left half-written is counted nowhere.
    store = SampleStore.open(path, expect=MANIFEST)
    assert store.verify_integrity().is_sound
    assert store.verify_integrity().num_leftovers > 0
    rows, expected = stored_rows(store), expected_rows(NUM_SAMPLES)
    assert rows <= expected
    assert run_writer(path, "write").returncode == 0
    assert files_of(path) == uninterrupted
    assert store.remove_leftovers(older_than_seconds=3600) == 0
    assert store.remove_leftovers(older_than_seconds=0) > 0
    assert store.verify_integrity().num_leftovers == 0


def test_a_file_size_limit_stops_with_one_line_and_resumes(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    path = tmp_path / "store"
    sizes = sorted(len(data) for name, data in uninterrupted.items() if name.startswith("shards"))
    result = run_writer(path, "limit", str(sizes[len(sizes) // 2]))
    assert result.returncode == 3
    (line,) = result.stderr.splitlines()
    assert str(path / "shards") in line
    assert "cannot be written (File too large)" in line
    assert SampleStore.open(path).verify_integrity().is_sound
    assert not list((path / "tmp").iterdir())
    assert run_writer(path, "write").returncode == 0
    assert files_of(path) == uninterrupted


@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_a_full_disk_stops_with_one_line_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    SampleStore.create(tmp_path, MANIFEST)
    owner, name = (Path, "replace") if step == "replace" else (os, step)
    real, calls = getattr(owner, name), []

    def full(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == 7 or step == "link":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(StoreError, match=r"cannot be written \(No space left on device\).*then resume$") as error:
            SampleStore.create(tmp_path / "new", MANIFEST) if step == "link" else fill(SampleStore.open(tmp_path), 40)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "tmp").iterdir())
    store = SampleStore.open(tmp_path)
    assert store.verify_integrity().is_sound
    assert stored_rows(store) <= expected_rows(40)
    fill(store, 40)
    assert stored_rows(store) == expected_rows(40)


def test_a_full_remote_place_stops_with_one_line_and_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SampleStore.create("memory://full/store", MANIFEST)
    real, calls = MemoryFileSystem.pipe_file, []

    def full(self: MemoryFileSystem, path: str, data: bytes, **kwargs: object) -> None:
        calls.append(path)
        if len(calls) == 5:
            raise OSError(errno.ENOSPC, "quota exceeded")
        real(self, path, data, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "pipe_file", full)
        with pytest.raises(StoreError, match=r"memory://full/store/shards/.*cannot be written \(quota exceeded\)"):
            fill(store, 40)
    fill(SampleStore.open("memory://full/store"), 40)
    assert stored_rows(store) == expected_rows(40)


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def one_bit(place: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        at = int(len(data) * place)
        return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]

    return flip


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": half,
    "one byte short": lambda data: data[:-1],
    "empty": lambda data: b"",
    "bytes missing inside": lambda data: data[:50] + data[60:],
    "bytes added inside": lambda data: data[:50] + b"0123456789" + data[50:],
    "zeros": lambda data: bytes(len(data)),
    "a bit of the data": one_bit(0.05),
    "a bit of the footer": one_bit(0.7),
    "another file": lambda data: b"PAR1" + data,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_shard_is_named_set_aside_and_drawn_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    shape = {"problems_per_chunk": 3, "samples_per_chunk": 16}
    store = SampleStore.create(tmp_path, MANIFEST)
    sample_into_store(FakeEngine(), REQUESTS, PARAMS, store, **shape)
    whole = files_of(tmp_path)
    victim = sorted((tmp_path / "shards").iterdir())[3]
    victim.write_bytes(damage(victim.read_bytes()))
    for read in (store.table, store.counts, SampleStore.open(tmp_path).table):
        with pytest.raises(StoreError, match=f"{victim.name}.*resume sampling") as error:
            read()
        assert "\n" not in str(error.value)
    (line,) = store.verify_integrity().problems
    assert victim.name in line
    engine = FakeEngine()
    with pytest.warns(UserWarning, match=f"{victim.name}.*drawn again"):
        report = sample_into_store(engine, REQUESTS, PARAMS, store, **shape)
    assert engine.num_calls == 1
    assert len(report.set_aside) == 1
    assert files_of(tmp_path) == whole
    assert (tmp_path / "damaged" / victim.name).exists()


def test_every_cut_of_a_shard_is_noticed(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    fill(store, 8, problems=10)
    (victim,) = (tmp_path / "shards").iterdir()
    data = victim.read_bytes()
    for length in range(0, len(data), 37):
        victim.write_bytes(data[:length])
        assert len(store.missing_chunks(IDS, 8, problems_per_chunk=10)) == 1
        with pytest.raises(StoreError, match=victim.name):
            store.table()
    victim.write_bytes(data)
    assert stored_rows(store) == expected_rows(8)


def test_every_flipped_byte_of_a_shard_is_noticed_or_harmless(tmp_path: Path) -> None:
    """Parquet's own footer has bytes without meaning (its writer's name); a change there changes no sample."""
    store = SampleStore.create(tmp_path, MANIFEST)
    fill(store, 8, problems=10)
    (victim,) = (tmp_path / "shards").iterdir()
    data, expected = victim.read_bytes(), expected_rows(8)
    num_noticed = 0
    for place in range(0, len(data), 23):
        victim.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            found = stored_rows(store)
        except StoreError as error:
            found, num_noticed = expected, num_noticed + (victim.name in str(error))
        assert found == expected
    assert num_noticed > 0.5 * len(range(0, len(data), 23))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(MANIFEST, model_hash="other"), "model_hash = 'abc', expected 'other'"),
        (Manifest.for_run("m", REQUESTS[1:], PARAMS, model_hash="abc", template="plain"), "prompts_hash = "),
    ],
)
def test_a_manifest_of_another_model_or_prompt_is_refused(tmp_path: Path, other: Manifest, message: str) -> None:
    store = SampleStore.create(tmp_path / "store", MANIFEST)
    fill(store, 16)
    SampleStore.create(tmp_path / "other", other)
    (tmp_path / "store" / "manifest.json").write_bytes((tmp_path / "other" / "manifest.json").read_bytes())
    with pytest.raises(StoreError, match=message) as error:
        SampleStore.open(tmp_path / "store")
    assert "\n" not in str(error.value)
    with pytest.raises(StoreError, match="expected"):
        SampleStore.open(tmp_path / "store", expect=MANIFEST)


def test_a_shard_of_another_run_is_refused(tmp_path: Path) -> None:
    mine, other = SampleStore.create(tmp_path / "mine", MANIFEST), None
    fill(mine, 16)
    other = SampleStore.create(tmp_path / "other", replace(MANIFEST, sampling=MANIFEST.sampling | {"seed": 4}))
    fill(other, 32)
    stray = sorted((tmp_path / "other" / "shards").iterdir())[-1]
    (tmp_path / "mine" / "shards" / stray.name).write_bytes(stray.read_bytes())
    with pytest.raises(StoreError, match=f"{stray.name}: its samples have sampling.seed = 4, expected 3"):
        mine.table()
    assert any("sampling.seed" in line for line in mine.verify_integrity().problems)


def test_a_copied_shard_counts_once_and_a_renamed_one_is_not_lost(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    fill(store, 40)
    original = sorted((tmp_path / "shards").iterdir())[0]
    for name in ("copy.parquet", original.stem + " (1).parquet", "000.parquet"):
        (tmp_path / "shards" / name).write_bytes(original.read_bytes())
    assert stored_rows(store) == expected_rows(40)
    assert store.counts().num_samples.tolist() == [40] * len(IDS)
    lines = store.verify_integrity().problems
    assert len(lines) == 3
    assert all("a copy of" in line for line in lines)
    original.unlink()
    assert stored_rows(store) == expected_rows(40)
    assert fill(store, 40) == 0
    assert len(store.set_aside_damaged()) == 2
    assert store.verify_integrity().is_sound


def test_a_store_without_its_shards_or_its_manifest(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    fill(store, 16)
    lost = sorted((tmp_path / "shards").iterdir())[1]
    lost.unlink()
    chunks = store.missing_chunks(IDS, 16, problems_per_chunk=3, samples_per_chunk=16)
    assert [chunk.name for chunk in chunks] == [lost.stem]
    assert chunks == [c for c in missing_chunks(IDS, 16, [], problems_per_chunk=3, samples_per_chunk=16) if c in chunks]
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(StoreError, match="no such file"):
        SampleStore.open(tmp_path)
    # The shards know which run they belong to: only the same manifest can take its place.
    with pytest.raises(StoreError, match="model_hash = 'abc', expected 'other'"):
        SampleStore.open_or_create(tmp_path, replace(MANIFEST, model_hash="other"))
    (tmp_path / "manifest.json").unlink()
    restored = SampleStore.open_or_create(tmp_path, MANIFEST)
    for chunk in chunks:
        restored.add(chunk, draw(chunk))
    assert stored_rows(restored) == Counter(expected_rows(16))
