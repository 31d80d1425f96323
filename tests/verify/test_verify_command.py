"""`run_verify`: one line out for every line in, in order, in batches."""

import json

from passatn.tasks import Problem
from passatn.verify.command import FIRST_BATCH, run_verify
from passatn.verify.exact import ExactVerifier
from passatn.verify.registry import get_verifier


def line(identifier, completion, answer="4", **fields):
    problem = Problem("p", "q", (answer,)).to_record()
    return json.dumps({"id": identifier, "completion": completion, "problem": problem, **fields}).encode() + b"\n"


def run(lines, verifier=None):
    written = []
    run_verify(lines, written.append, verifier or ExactVerifier())
    return [json.loads(text) for text in "".join(written).splitlines()]


def test_verdicts_in_order():
    records = run([line("a", "4"), line(7, "5"), b"\xef\xbb\xbf"[:0] + line("c", " 4 \n")])
    assert [(record["id"], record["verdict"]) for record in records] == [
        ("a", "correct"),
        (7, "incorrect"),
        ("c", "correct"),
    ]
    assert records[0] == {"id": "a", "verdict": "correct", "extracted": "4", "detail": ""}


def test_bad_lines_are_errors_with_their_number():
    bad = {
        b"\n": "blank",
        b"   \r\n": "blank",
        b"\xff\xfe{}\n": "not UTF-8 (byte 1)",
        b"{\n": "not JSON",
        b"nonsense": "not JSON",
        b"[1, 2]\n": "expected an object",
        b"null\n": "expected an object",
        b'"text"\n': "expected an object",
        b'{"id": "x", "problem": {}}\n': "'completion' is missing",
        b'{"completion": "x", "problem": {}}\n': "'id' is missing",
        b'{"id": "x", "completion": "4"}\n': "'problem' is missing",
        b'{"id": "x", "completion": 4, "problem": {}}\n': "'completion' must be a string",
        b'{"id": true, "completion": "4", "problem": {}}\n': "'id' must be",
        b'{"id": NaN, "completion": "4", "problem": {}}\n': "'id' must be",
        b'{"id": "x", "completion": "4", "problem": []}\n': "expected an object",
        b'{"id": "x", "completion": "4", "problem": {"prompt": "q"}}\n': "'answer' is missing",
        b"[" * 100_000 + b"\n": "not JSON",
        b'{"id": ' + b"1" * 5000 + b"}\n": "not JSON",
    }
    lines = [item for text in bad for item in (line("good", "4"), text)]
    records = run(lines)
    assert len(records) == len(lines)
    assert all((record["id"], record["verdict"]) == ("good", "correct") for record in records[::2])
    for number, (record, reason) in enumerate(zip(records[1::2], bad.values(), strict=True), start=1):
        assert (record["id"], record["verdict"], record["extracted"]) == (None, "error", None)
        assert record["detail"].startswith(f"line {2 * number}: ")
        assert reason in record["detail"]
        assert "\n" not in record["detail"]


def test_a_byte_order_mark_and_odd_characters():
    odd = line("\ud800\u2028é", "\udfff\u2028")
    records = run([b"\xef\xbb\xbf" + line("a", "4"), odd])
    assert [record["id"] for record in records] == ["a", "\ud800\u2028é"]
    assert records[1]["verdict"] == "incorrect"


def test_the_first_verdicts_do_not_wait_for_the_last_line():
    read, written = [], []

    def lines():
        for number in range(10_000):
            read.append(number)
            yield line(number, "4")

    def write(text):
        written.append((len(read), text.count("\n")))

    run_verify(lines(), write, ExactVerifier())
    assert written[0] == (FIRST_BATCH, FIRST_BATCH)
    assert sum(count for _, count in written) == 10_000
    assert max(count for _, count in written) < 5000


def test_no_lines_no_output():
    assert run([]) == []


def test_the_mathematical_verifier():
    verifier = get_verifier("math", workers=1)
    lines = [line(1, r"so \boxed{\frac12}", "0.5"), b"?\n", line(2, "I think 3", "3"), line(3, r"\boxed{x}", "3")]
    records = run(lines, verifier)
    verifier.close()
    assert [record["verdict"] for record in records] == ["correct", "error", "correct", "incorrect"]
    assert [record["extracted"] for record in records] == [r"\frac12", None, "3", "x"]
