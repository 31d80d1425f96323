"""Helpers of other folders that tests of faults use."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "lean"))
