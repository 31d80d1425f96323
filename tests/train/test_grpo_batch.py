"""Batches of roll-outs from rounds with longer and shorter prompts and completions, joined."""

import pytest
import torch

from passatn.train.grpo_batch import blank_rows, join_rows, num_tokens, rows_only, take_rows
from tiny import build_model

PAD = 0


def make_part(rows: list[tuple[list[int], list[int]]], start: int = 0) -> dict[str, torch.Tensor]:
    """As TRL builds it: prompts padded on the left, all else on the right; `start` numbers the rows' advantages."""
    width = max(len(prompt) for prompt, _ in rows)
    length = max(len(completion) for _, completion in rows)
    return {
        "prompt_ids": torch.tensor([[PAD] * (width - len(p)) + p for p, _ in rows]),
        "prompt_mask": torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p, _ in rows]),
        "completion_ids": torch.tensor([c + [PAD] * (length - len(c)) for _, c in rows]),
        "completion_mask": torch.tensor([[1] * len(c) + [0] * (length - len(c)) for _, c in rows]),
        "advantages": torch.arange(start, start + len(rows), dtype=torch.float32),
        "old_per_token_logps": torch.tensor(
            [[-float(index)] * len(c) + [0.0] * (length - len(c)) for index, (_, c) in enumerate(rows)]
        ),
        "num_items_in_batch": torch.tensor(99),
    }


def log_p(batch: dict[str, torch.Tensor]) -> list[float]:
    """Of each completion, from a forward pass over the padded batch."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    width = batch["prompt_ids"].shape[1]
    with torch.no_grad():
        logits = build_model()(ids, attention_mask=mask).logits[:, width - 1 : -1]
    tokens = torch.log_softmax(logits, -1).gather(2, batch["completion_ids"][:, :, None])[:, :, 0]
    return (tokens * batch["completion_mask"]).sum(dim=1).tolist()


SHORT = [([5, 6], [7, 1]), ([8], [9, 9])]
LONG = [([2, 3, 4, 5], [6, 7, 8, 9, 1]), ([4, 4, 4], [1])]


@pytest.mark.parametrize("parts", [(SHORT, LONG), (LONG, SHORT), (SHORT, LONG, SHORT)])
def test_joined_rows_keep_their_tokens_their_probability_and_their_order(parts):
    made = [rows_only(make_part(rows, 10 * index)) for index, rows in enumerate(parts)]
    joined = join_rows(made, PAD)
    rows = [row for part in parts for row in part]
    assert joined["prompt_ids"].shape == joined["prompt_mask"].shape == (len(rows), 4)
    for name in ("completion_ids", "completion_mask", "old_per_token_logps"):
        assert joined[name].shape == (len(rows), 5)
    for index, (prompt, completion) in enumerate(rows):
        assert joined["prompt_ids"][index][joined["prompt_mask"][index].bool()].tolist() == prompt
        mask = joined["completion_mask"][index].bool()
        assert joined["completion_ids"][index][mask].tolist() == completion
        assert joined["old_per_token_logps"][index][mask].tolist() == [-float(index % 2)] * len(completion)
        assert mask[: len(completion)].all()  # the prompt's end and the completion's start touch
        assert joined["prompt_mask"][index, -1]
    assert joined["advantages"].tolist() == [10 * p + i for p in range(len(parts)) for i in range(2)]
    assert log_p(joined) == pytest.approx([value for part in made for value in log_p(part)], abs=1e-5)
    assert num_tokens(joined) == sum(len(completion) for _, completion in rows)


def test_some_rows_are_taken_and_blank_ones_count_nothing():
    batch = rows_only(make_part(LONG))
    assert take_rows(batch, torch.tensor([False, True]))["completion_ids"][0, 0] == 1
    blank = blank_rows(batch, 3)
    assert num_tokens(blank) == 0
    assert blank["advantages"].tolist() == [0, 0, 0]
    assert num_tokens(batch) == 6  # the original is as it was
    assert blank_rows(batch, 0)["prompt_ids"].shape == (0, 4)


def test_tokens_that_tools_wrote_do_not_count():
    batch = rows_only(make_part(SHORT)) | {"tool_mask": torch.tensor([[1, 0], [0, 1]])}
    assert num_tokens(join_rows([batch, batch], PAD)) == 4


def test_images_cannot_be_joined():
    with pytest.raises(ValueError, match=r"refill_groups cannot join batches with pixel_values; set refill_groups=F"):
        rows_only(make_part(SHORT) | {"pixel_values": torch.zeros(2, 3)})
