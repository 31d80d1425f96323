"""Repeated problems, within a set and between two."""

import pytest

from passatn.tasks import Match, Problem, find_overlap, load_problems, normalise_text


def problem(name, prompt, answer="1"):
    return Problem(name, prompt, (answer,))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("What is $2x^{2}+3$?", "what is 2x^2 + 3"),
        ("ÉTÉ Straße", "été strasse"),
        ("e\u0301te", "éte"),
        ("x² ﬁt", "x2 fit"),
        ("数学、題", "数学題"),
    ],
)
def test_the_same_text_in_other_clothes(left, right):
    assert normalise_text(left) == normalise_text(right)


@pytest.mark.parametrize(("left", "right"), [("+", "-"), ("数学", "数字"), ("कि", "की"), ("→", "←")])
def test_different_texts_stay_different(left, right):
    assert normalise_text(left) != normalise_text(right)


def test_pairs_and_duplicates_are_listed():
    train = [problem("a", "x + 1"), problem("b", "X+1", "2"), problem("c", "y"), problem("d", "x 1")]
    test = [problem("t", "x  1"), problem("u", "z")]
    overlap = find_overlap(train, test)
    assert overlap.duplicates == (Match("a", "b", same_answer=False), Match("a", "d", same_answer=True))
    assert [(match.first_id, match.second_id) for match in overlap.pairs] == [("a", "t"), ("b", "t"), ("d", "t")]
    assert overlap.describe() == (
        "1 test problem also in the training data (2 with the same answer), "
        "2 repeated problems within it (1 with the same answer)"
    )
    assert find_overlap(train[2:3], test[1:]).describe().startswith("0 test problems")


def test_real_math_has_one_match_with_the_test_set_and_21_copies(test_data):
    train = load_problems(test_data / "math_train_12000.jsonl.gz", preset="math", skip_bad_rows=True)
    test = load_problems(test_data / "math_test_500.jsonl", preset="math")
    overlap = find_overlap(train, test)
    pair = Match("train/precalculus/474.json", "test/precalculus/285.json", same_answer=False)
    assert overlap.pairs == (pair,)
    assert len(overlap.duplicates) == 21
    assert len({match.first_id for match in overlap.duplicates}) == 20
    assert sum(match.same_answer for match in overlap.duplicates) == 8
