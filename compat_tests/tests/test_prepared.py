"""A prepared worker is used as long as its sources say the same, however old the files are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compat_tests.clients.worker import built, built_from


def test_a_fresh_checkout_uses_what_was_prepared(tmp_path: Path) -> None:
    """Sources that are younger than the product, with the same contents, are no reason to skip a client."""
    source, product = tmp_path / "Worker.java", tmp_path / "Worker.class"
    source.write_text("class Worker {}")
    product.touch()
    built(product, source)
    os.utime(source, (2**32, 2**32))
    built_from(product, source)


def test_a_changed_source_wants_preparing(tmp_path: Path) -> None:
    """A product of other sources, or of unknown ones, is not used."""
    source, product = tmp_path / "Worker.java", tmp_path / "Worker.class"
    source.write_text("class Worker {}")
    product.touch()
    with pytest.raises(ImportError, match="changed"):
        built_from(product, source)
    built(product, source)
    source.write_text("class Worker { }")
    with pytest.raises(ImportError, match="changed"):
        built_from(product, source)
