"""What all tests share: asyncio alone, and Hypothesis without a clock of its own."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("telefonista", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("telefonista")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
