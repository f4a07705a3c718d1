"""The engine in memory, for tests and for trying flows without an engine: `FakeEngine`, `Behaviour`."""

from telefonista.engine.fake.behaviour import Behaviour
from telefonista.engine.fake.engine import FakeEngine
from telefonista.engine.fake.legs import FakeLeg

__all__ = ["Behaviour", "FakeEngine", "FakeLeg"]
