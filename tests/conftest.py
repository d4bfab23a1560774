"""What every test needs: the shared builders on the path, hypothesis that draws the same examples on every run."""

import os
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the shell does; before PyTorch is imported
sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile(
    "foldpack", derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("foldpack")


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server that runs, for as long as a test does not stop it."""
    from tests.postgres import Postgres, absent

    if why := absent():
        pytest.skip(why)
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres):
    """An empty database on it."""
    if not postgres.is_running():
        postgres.start()
    return postgres.database(f"d{uuid.uuid4().hex}")


@pytest.fixture(scope="module")
def one_thread():
    """One torch thread, and the number that was before afterwards; some stages set it for the whole process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
