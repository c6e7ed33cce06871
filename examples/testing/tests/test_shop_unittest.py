"""The same with unittest, which `python -m unittest tests/test_shop_unittest.py` runs as well."""

from __future__ import annotations

import unittest

from shop import bill, order

import ottla


class ShopTest(ottla.BrokerTestCase):
    """One broker for the class, empty for each test."""

    def test_an_order_is_billed(self) -> None:
        order(self.broker.bootstrap_servers, "3 apples")
        self.assertEqual(bill(self.broker.bootstrap_servers, 1), ["bill for 3 apples"])

    def test_a_broker_in_memory_that_dies_forgets(self) -> None:
        order(self.broker.bootstrap_servers, "3 apples")
        self.broker.kill()
        self.broker.start()
        self.broker.create_topic("orders")


if __name__ == "__main__":
    unittest.main()
