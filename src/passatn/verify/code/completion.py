"""Which part of a completion is code: the last complete fenced block, or else all of it.

>>> find_code("Here it is:\\n```python\\nx = 1\\n```\\nDone.")
'x = 1\\n'
"""

import re

_FENCE = re.compile(r"^(?P<fence>[ \t]*(?:`{3,}|~{3,}))(?P<label>[^\n`]*)$", re.MULTILINE)


def find_code(completion: str) -> str:
    """The inside of the last fence that is both opened and closed; without one, the completion as it is."""
    found, opened = None, None
    for line in _FENCE.finditer(completion):
        fence, label = line["fence"].strip(), line["label"].strip()
        if opened is None:
            opened = (fence, line.end() + 1)
        elif not label and fence[0] == opened[0][0] and len(fence) >= len(opened[0]):
            found, opened = completion[opened[1] : line.start()], None
    return completion if found is None else found
