"""Stop strings: where a completion ends before its end-of-sequence token.

A completion that contains a stop string ends just before it. Its tokens are those sampled up to the one that completed
the string, so that its log-probability is that of what was sampled; its text is what stands before the string.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase


def cut_at_stop(
    tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], stop: Sequence[str]
) -> tuple[int, str] | None:
    """(number of tokens, text) of a completion that contains a stop string; None if it contains none."""

    def text_of(count: int) -> str:
        return str(tokenizer.decode(list(token_ids[:count]), clean_up_tokenization_spaces=False))

    def contains(text: str) -> bool:
        return any(string in text for string in stop)

    if not stop or not contains(text_of(len(token_ids))):
        return None
    # Text only grows with tokens, so the first prefix that contains a string is found by halving.
    low, high = 1, len(token_ids)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if contains(text_of(middle)) else (middle + 1, high)
    text = text_of(low)
    return low, text[: min(text.find(string) for string in stop if string in text)]
