"""Failures inside the conformance suites are explained as those of test modules are."""

import pytest

pytest.register_assert_rewrite(
    "storage.testing.conformance", "storage.testing.lab", "storage.testing.producer_conformance"
)
