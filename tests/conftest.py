"""Settings that all tests share."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch

torch.set_num_threads(1)

TEST_DATA = Path(os.environ.get("PASSATN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data sets; tests that need it are skipped, with the reason, where it is absent."""
    if not TEST_DATA.is_dir():
        pytest.skip(f"real data not found at {TEST_DATA}: set PASSATN_TEST_DATA")
    return TEST_DATA
