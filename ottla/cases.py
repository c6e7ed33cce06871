"""Brokers for `unittest`: a class of tests that has one.

    class OrdersTest(ottla.BrokerTestCase):
        broker_config = {"num.partitions": 3}

        def test_an_order_is_written(self):
            topic = self.new_topic("orders")
            producer = KafkaProducer(**self.client_settings("kafka-python").producer)

The class has one broker, started with its first test and stopped behind its last; each test finds it empty
(`broker_scope = "reset"`), or as the test before has left it ("class"), or gets one of its own ("test"). With
`broker_snapshot`, a path, each test finds what that snapshot has kept. What the broker has written to its log stands
below the traceback of a test that fails.

`BrokerMixin` is the same for test cases that have another base, such as `IsolatedAsyncioTestCase`.
"""

from __future__ import annotations

import os
import unittest
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ottla.client_settings import ClientSettings, settings
from ottla.process import Broker

if TYPE_CHECKING:
    _Base = unittest.TestCase
else:
    _Base = object

SCOPES = ("reset", "class", "test")


class BrokerMixin(_Base):
    """A broker for the tests of a class; stands in front of the other base."""

    broker_config: ClassVar[Mapping[str, object]] = {}
    broker_scope: ClassVar[str] = "reset"
    broker_snapshot: ClassVar[str | os.PathLike[str] | None] = None
    broker: Broker
    """The broker, running while a test does."""

    @classmethod
    def setUpClass(cls) -> None:
        if cls.broker_scope not in SCOPES:
            raise ValueError(f"broker_scope of {cls.__name__} is {cls.broker_scope!r}, and may be {', '.join(SCOPES)}")
        super().setUpClass()
        if cls.broker_scope != "test":
            cls.broker = Broker(config=cls.broker_config)
            cls.broker.start()
            cls.addClassCleanup(cls.broker.stop)
            if cls.broker_snapshot is not None and cls.broker_scope == "class":
                cls.broker.restore(cls.broker_snapshot)

    def setUp(self) -> None:
        if self.broker_scope == "test":
            self.broker = Broker(config=self.broker_config)
            self.broker.start()
            self.addCleanup(self.broker.stop)
        if self.broker_scope != "class":
            if self.broker_snapshot is not None:
                self.broker.restore(self.broker_snapshot)
            elif self.broker_scope == "reset":
                self.broker.reset()
        super().setUp()

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test; where it fails, its report ends with the broker's log."""
        if result is None:
            return super().run(result)
        lists = [getattr(result, name, None) for name in ("failures", "errors")]
        before = [len(each) if isinstance(each, list) else 0 for each in lists]
        held: list[str] = []
        self.addCleanup(lambda: held.append(self.broker.log))
        done = super().run(result)
        for found, count in zip(lists, before, strict=True):
            if isinstance(found, list) and held and held[0]:
                found[count:] = [(test, f"{text}\nThe broker's log:\n{held[0]}") for test, text in found[count:]]
        return done

    def new_topic(self, name: str = "topic", **options: Any) -> str:
        """Make a topic whose name begins so and is no other's; `options` as for `Broker.create_topic`."""
        return self.broker.new_topic(name, **options)

    def client_settings(self, library: str, group: str | None = None) -> ClientSettings:
        """What a client of this library is given: "kafka-python", "confluent-kafka" or "aiokafka"."""
        return settings(library, self.broker.bootstrap_servers, group)


class BrokerTestCase(BrokerMixin, unittest.TestCase):
    """A test case with a broker."""
