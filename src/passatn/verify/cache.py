"""Verdicts that were reached before: each distinct key is judged once per call, and kept for later calls.

Samples of one problem repeat their answers, so that most of a million samples cost one look-up each. Errors are not
kept: they may be of the moment. A cache belongs to one verifier of one version; whoever stores verdicts elsewhere puts
`verifier.name` and `verifier.version` into the key.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from passatn.verify.verdict import Outcome, Verdict

Key = TypeVar("Key", bound=Hashable)


class VerdictCache:
    """At most `max_entries` verdicts, the least recently used of which go first; safe to use from several threads."""

    def __init__(self, max_entries: int) -> None:
        """Raises ValueError for a negative size; 0 keeps nothing between calls."""
        if max_entries < 0:
            raise ValueError(f"the number of cached verdicts must not be negative, got {max_entries}")
        self._max_entries = max_entries
        self._entries: OrderedDict[Hashable, Verdict] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def resolve(self, keys: Iterable[Key], judge: Callable[[Sequence[Key]], Sequence[Verdict]]) -> dict[Key, Verdict]:
        """The verdict of every key; `judge` is called once, with the distinct keys that are not known yet."""
        verdicts: dict[Key, Verdict] = {}
        unknown: list[Key] = []
        with self._lock:
            for key in dict.fromkeys(keys):
                if key in self._entries:
                    self._entries.move_to_end(key)
                    verdicts[key] = self._entries[key]
                else:
                    unknown.append(key)
        if unknown:
            judged = dict(zip(unknown, judge(unknown), strict=True))
            self._keep(judged)
            verdicts |= judged
        return verdicts

    def _keep(self, judged: dict[Key, Verdict]) -> None:
        with self._lock:
            for key, verdict in judged.items():
                if verdict.outcome is not Outcome.ERROR:
                    self._entries[key] = verdict
                    self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
