"""`datasets.load_dataset` without the network: a few problems in the layouts and splits of MATH and AIME24."""

import datasets
import pytest


def stub_hub(monkeypatch: pytest.MonkeyPatch, *, train: int = 16, test: int = 4) -> list[tuple[str, str | None]]:
    """From now on these are the Hub; the list grows by the place and split of each call."""
    calls: list[tuple[str, str | None]] = []
    places = {
        "nlile/hendrycks-MATH-benchmark": {"train": _rows(train, 0), "test": _rows(test, 50)},
        "HuggingFaceH4/aime_2024": {"train": [{"id": f"a{i}", "problem": f"1+{i}", "answer": i} for i in range(3)]},
    }

    def load_dataset(path, name=None, split=None):
        calls.append((path, split))
        found = {key: datasets.Dataset.from_list(rows) for key, rows in places[path].items()}
        return found[split] if split else datasets.DatasetDict(found)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def _rows(count, first):
    for_all = {"solution": "So it is.", "subject": "Algebra"}
    return [
        {"problem": f"{i}+1", "answer": str((i + 1) % 10), "level": 1 + i % 3, "unique_id": f"{i}", **for_all}
        for i in range(first, first + count)
    ]
