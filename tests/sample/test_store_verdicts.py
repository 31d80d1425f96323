"""Verdicts beside the shards: per verifier, for later samples too, and never for another content."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from passatn.sample.store import Chunk, Judged, SampleStore, StoreError, verify_store
from passatn.tasks import Problem
from passatn.verify.verdict import Outcome, Submission, Verdict
from store_samples import IDS, MANIFEST, draw, fill, sample

PROBLEMS = {problem_id: Problem(problem_id, "?", ("1",)) for problem_id in IDS}


class Parity:
    """Odd answers are correct; multiples of ten time out."""

    name, version = "parity", "1"

    def __init__(self, die_after: int | None = None) -> None:
        self.seen: Counter = Counter()
        self._die_after = die_after

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        if self._die_after is not None and self.seen.total() >= self._die_after:
            raise KeyboardInterrupt
        self.seen.update((s.problem.id, s.completion) for s in submissions)
        return [Verdict(Outcome(verdict_of(s.completion)), s.completion[-1]) for s in submissions]

    def close(self) -> None: ...


def verdict_of(text: str) -> str:
    return "timeout" if text.endswith("0") else "correct" if int(text) % 2 else "incorrect"


def expected(problem_id: str, num_samples: int, verdict: str) -> int:
    samples = [sample(problem_id, k) for k in range(num_samples)]
    return sum(c.finished and verdict_of(c.text) == verdict for c in samples)


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SampleStore:
    path = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}/verdicts"
    store = SampleStore.create(path, MANIFEST)
    fill(store, 40)
    return store


def test_every_completion_is_verified_once(store: SampleStore) -> None:
    verifier = Parity()
    num_verified = verify_store(store, verifier, PROBLEMS, batch_size=7)
    assert set(verifier.seen.values()) == {1}
    assert num_verified == len(verifier.seen) == len({(p, c.text) for p in IDS for c in samples(p, 40) if c.finished})
    counts = store.counts()
    assert counts.num_correct.tolist() == [expected(p, 40, "correct") for p in counts.problem_ids]
    assert counts.num_timeouts.tolist() == [expected(p, 40, "timeout") for p in counts.problem_ids]
    assert counts.num_unverified.sum() == 0
    assert all(r["answer"] == r["completion"][-1] for r in store.table().to_pylist() if r["finished"])
    assert store.verify_integrity().is_sound
    # Tomorrow's samples: only new completions are verified, and the files are complete again.
    fill(store, 200)
    assert store.counts().num_unverified.sum() > 0
    verify_store(store, verifier, PROBLEMS)
    assert set(verifier.seen.values()) == {1}
    counts = store.counts(["p0"])
    assert counts.num_correct.tolist() == [expected("p0", 200, "correct")]
    assert verify_store(store, verifier, PROBLEMS) == 0


def samples(problem_id: str, count: int) -> list:
    return [sample(problem_id, k) for k in range(count)]


def test_verdict_files_alone_give_pass_at_n_in_one_line(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    fill(store, 40)
    verify_store(store, Parity(), PROBLEMS)
    fill(store, 80)
    verify_store(store, Parity(), PROBLEMS)
    rows = pd.read_parquet(tmp_path / "verdicts" / "parity@1")
    assert list(rows.columns) == ["problem_id", "answer", "count", "finished", "verdict"]
    assert rows["count"].sum() == 800
    correct = rows[rows["finished"] & (rows["verdict"] == "correct")].groupby("problem_id")["count"].sum()
    assert correct.to_dict() == {p: expected(p, 80, "correct") for p in IDS}


def test_an_interrupted_verification_keeps_what_it_saved(store: SampleStore) -> None:
    first, second = Parity(die_after=30), Parity()
    with pytest.raises(KeyboardInterrupt):
        verify_store(store, first, PROBLEMS, batch_size=5, save_every_seconds=0)
    verify_store(store, second, PROBLEMS)
    assert first.seen.total() == 30
    assert not first.seen & second.seen
    assert store.counts().num_unverified.sum() == 0


def test_verifiers_are_kept_apart(store: SampleStore) -> None:
    verify_store(store, Parity(), PROBLEMS)
    judged = [Judged("p0", c.text, "error") for c in samples("p0", 40)]
    store.set_verdicts(judged, verifier="a/b c", version="2 β")
    assert store.verifiers() == ["a/b c@2 β", "parity@1"]
    with pytest.raises(StoreError, match=r"has verdicts of a/b c@2 β, parity@1: say which"):
        store.counts()
    with pytest.raises(StoreError, match="has no verdicts of 'x'"):
        store.table(verifier="x")
    counts = store.counts(["p0", "p1"], verifier="a/b c@2 β")
    assert (counts.num_errors + counts.num_truncated).tolist() == [40, counts.num_truncated[1]]
    assert counts.num_unverified[1] == 40 - counts.num_truncated[1]
    assert store.counts(["p0"], verifier="parity@1").num_errors.sum() == 0


def test_later_verdicts_replace_earlier_ones_and_bad_ones_are_refused(store: SampleStore) -> None:
    text = next(c.text for c in samples("p0", 40) if c.finished)
    kwargs = {"verifier": "v", "version": "1"}
    assert store.set_verdicts([Judged("p0", text, "timeout")], **kwargs) > 0
    assert store.set_verdicts([Judged("p0", text, "timeout")], **kwargs) == 0
    assert store.set_verdicts([Judged("p0", text, "correct", "7")], **kwargs) > 0
    verdicts = {(r["verdict"], r["answer"]) for r in store.table().to_pylist() if r["completion"] == text}
    assert ("correct", "7") in verdicts
    assert store.set_verdicts([Judged("p0", "never drawn", "correct")], **kwargs) == 0
    with pytest.raises(StoreError, match="a verdict is one of correct, incorrect, timeout, error, got 'yes'"):
        store.set_verdicts([Judged("p0", text, "yes")], **kwargs)
    with pytest.raises(StoreError, match="without @"):
        store.set_verdicts([], verifier="a@b", version="1")


def test_verdicts_that_come_with_the_samples(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    chunk = Chunk(("p0",), 0, 20)
    completions = draw(chunk)
    verdicts = [verdict_of(c.text) for c in completions]
    store.add(chunk, completions, answers=[c.text for c in completions], verdicts=verdicts)
    assert store.counts().num_correct.tolist() == [expected("p0", 20, "correct")]
    assert all(r["answer"] == r["completion"] for r in store.table().to_pylist())
    # A verifier that is named has its own say.
    assert len(pd.concat(rows.to_pandas() for rows in store.unverified("v", "1"))) > 0


def test_verdicts_of_a_damaged_file_or_an_older_shard_do_not_count(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path, MANIFEST)
    fill(store, 16, problems=10)
    verify_store(store, Parity(), PROBLEMS)
    (file,) = (tmp_path / "verdicts" / "parity@1").iterdir()
    sound = file.read_bytes()
    file.write_bytes(sound[:-100])
    assert store.counts().num_correct.sum() == 0
    assert "parity@1" in store.verify_integrity().problems[0]
    file.write_bytes(sound)
    assert store.verify_integrity().is_sound
    # The same chunk drawn again with another content, as after damage with an engine that does not repeat itself.
    (shard,) = (tmp_path / "shards").iterdir()
    shard.unlink()
    chunk = Chunk(tuple(IDS), 0, 16)
    store.add(
        chunk, [c for c in draw(chunk) if c.problem_id != "p0"] + [changed(c) for c in draw(Chunk(("p0",), 0, 16))]
    )
    assert store.counts().num_unverified.sum() > 100
    assert "another content" in store.verify_integrity().problems[0]
    verify_store(store, Parity(), PROBLEMS)
    assert store.counts().num_unverified.sum() == 0


def changed(completion: object) -> object:
    return type(completion)("p0", completion.index, (), "77", -1.0, 2, True)  # type: ignore[attr-defined, call-arg]


def test_merging_brings_the_verdicts(store: SampleStore, tmp_path: Path) -> None:
    verify_store(store, Parity(), PROBLEMS)
    other = SampleStore.create(tmp_path / "other", MANIFEST)
    other.merge(store)
    assert other.counts().num_correct.tolist() == store.counts().num_correct.tolist()


def test_a_problem_that_is_not_given_is_an_error(store: SampleStore) -> None:
    with pytest.raises(StoreError, match="problem 'p0' is not among those given"):
        verify_store(store, Parity(), {k: v for k, v in PROBLEMS.items() if k != "p0"})


class Gold:
    """Correct is the accepted answer; `broken` makes every verdict an error."""

    name, version = "gold", "1"

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.num_seen = 0

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        self.num_seen += len(submissions)
        if self.broken:
            return [Verdict(Outcome.ERROR, None, "out of memory") for _ in submissions]
        return [
            Verdict(Outcome.CORRECT if s.completion in s.problem.answers else Outcome.INCORRECT) for s in submissions
        ]

    def close(self) -> None: ...


def test_a_corrected_answer_drops_the_verdicts_on_its_problem_and_no_others(store: SampleStore) -> None:
    verify_store(store, Gold(), PROBLEMS)
    before = store.counts(IDS)
    changed = PROBLEMS | {IDS[0]: Problem(IDS[0], "?", ("2",))}
    again = Gold()
    num_verified = verify_store(store, again, changed)
    after = store.counts(IDS)
    assert after.num_correct[0] == sum(sample(IDS[0], k).finished and sample(IDS[0], k).text == "2" for k in range(40))
    assert after.num_correct[1:].tolist() == before.num_correct[1:].tolist()
    own = {sample(IDS[0], k).text for k in range(40) if sample(IDS[0], k).finished}
    assert num_verified == again.num_seen == len(own)
    assert verify_store(store, Gold(), changed) == 0
    assert verify_store(store, Gold(), PROBLEMS) == len(own)
    assert store.counts(IDS).num_correct.tolist() == before.num_correct.tolist()


def test_an_error_of_the_verifier_is_tried_again(store: SampleStore) -> None:
    verify_store(store, Gold(broken=True), PROBLEMS)
    assert store.counts(IDS).num_errors.sum() > 0
    verify_store(store, Gold(), PROBLEMS)
    counts = store.counts(IDS)
    assert counts.num_errors.sum() == 0
    assert counts.num_correct.sum() == sum(
        sample(p, k).finished and sample(p, k).text == "1" for p in IDS for k in range(40)
    )


def test_merged_verdicts_on_another_answer_do_not_count(store: SampleStore, tmp_path: Path) -> None:
    other = SampleStore.create(tmp_path / "other", MANIFEST)
    fill(other, 40)
    verify_store(other, Gold(), PROBLEMS | {IDS[0]: Problem(IDS[0], "?", ("2",))})
    verify_store(store, Gold(), PROBLEMS)
    before = store.counts(IDS).num_correct.tolist()
    store.merge(other)
    assert store.counts(IDS).num_correct.tolist() == before
    empty = SampleStore.create(tmp_path / "empty", MANIFEST)
    empty.merge(other)
    assert empty.counts(IDS).num_unverified.sum() == 0
    assert verify_store(empty, Gold(), PROBLEMS) > 0
    assert empty.counts(IDS).num_correct.tolist() == before
