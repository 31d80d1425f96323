"""A JSON list in pieces gives what json.loads gives, wherever the pieces end; what is no list is said in one line."""

import io
import json

import pytest

from passatn.tasks import ProblemError, load_problems
from passatn.tasks.json_list import JsonListError, read_json_list

VALUES = [{"a": [1, {"b": ']},"\\ é ⊢'}]}, 123, -4.5e3, "x, y", [], None, True, 1234567]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 50, 10_000])
@pytest.mark.parametrize("values", [VALUES, [], [12], [1, 23, 4]])
@pytest.mark.parametrize("indent", [None, 2])
def test_pieces_of_any_size(piece, values, indent):
    text = f" \n{json.dumps(values, indent=indent)}\n\t"
    assert list(read_json_list(io.StringIO(text), piece=piece)) == values


def test_an_element_longer_than_many_pieces():
    values = ["a" * 10_000, {"b": list(range(2_000))}, 7]
    assert list(read_json_list(io.StringIO(json.dumps(values)), piece=16)) == values


@pytest.mark.parametrize(
    ("text", "num_good", "reason"),
    [
        ('{"a": 1}', 0, "expected a JSON list of objects; .* named .jsonl"),
        ("", 0, "expected a JSON list"),
        ("[1, 2", 2, "expected ',' or ']' at character 6"),
        ("[1 2]", 1, "expected ',' or ']' at character 4"),
        ("[1, ]", 1, "at character 5"),
        ('[1, {"a" 2}]', 1, r"Expecting ':' delimiter at character 10\)"),
        ('[1, "ab', 1, "Unterminated string .* at character 5"),
        ("[1] [2]", 1, "extra data at character 5"),
        ("[1],", 1, "extra data at character 4"),
    ],
)
@pytest.mark.parametrize("piece", [1, 4, 1000])
def test_what_is_wrong_and_where(text, num_good, reason, piece):
    elements = read_json_list(io.StringIO(text), piece=piece)
    for _ in range(num_good):
        next(elements)
    with pytest.raises(JsonListError, match=reason):
        next(elements)


def test_a_limit_reads_no_further_than_it_must(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"prompt": "p", "answer": "1"}, {broken')
    assert len(load_problems(path, limit=1)) == 1
    with pytest.raises(ProblemError, match=r"a\.json: malformed JSON \(Expecting property name"):
        load_problems(path)


def test_memory_holds_a_piece_not_the_file():
    class Counted(io.StringIO):
        read_so_far = 0

        def read(self, size=-1):
            text = super().read(size)
            self.read_so_far += len(text)
            return text

    file = Counted(json.dumps([{"n": n, "text": "x" * 90} for n in range(1000)]))
    for number, element in enumerate(read_json_list(file, piece=200)):
        assert element["n"] == number
        assert file.read_so_far <= (number + 1) * 130 + 400
