"""A prompt and a completion as token ids: the one form that training, scoring and sampling share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EncodedExample:
    """Token ids of one prompt and one completion; the completion ends with the end-of-sequence token."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
