"""What must be true, whatever the client: one module per theme, one function per promise.

The first line of a module names its theme and that of a function its promise: the matrix is made of them.
"""

from __future__ import annotations

import pytest


def needs(*capabilities: str) -> pytest.MarkDecorator:
    """The clients that lack one of these (see compat_tests/capabilities.py) skip the scenario, with their reason."""
    return pytest.mark.needs(*capabilities)
