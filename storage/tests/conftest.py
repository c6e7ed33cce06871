"""Failures inside the conformance suites are explained as those of test modules are."""

import pytest

pytest.register_assert_rewrite(
    "storage.testing.conformance.logs", "storage.testing.lab", "storage.testing.conformance.producers"
)
