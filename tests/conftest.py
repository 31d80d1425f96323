"""Settings that all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Read when ray is imported: Ray then listens on the loopback interface only.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

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


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One Ray on this machine for all tests that want one, reached through the loopback interface only."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'passatn[ray]'")
    from passatn.sample.ray import start_local_ray

    ray = start_local_ray(num_cpus=4)
    yield
    ray.shutdown()
