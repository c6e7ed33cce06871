"""What Ottla does inside other people's processes: next to nothing."""

from __future__ import annotations

import subprocess
import sys

import ottla


def test_importing_ottla_imports_nothing_else() -> None:
    """`import ottla` loads no layer of the broker, no dependency, and no module of the standard library to speak of."""
    script = "import sys; before = set(sys.modules); import ottla; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= {"ottla", "__future__"}


def test_importing_the_broker_class_imports_the_standard_library_only() -> None:
    """`ottla.Broker` loads no layer of the broker and no dependency into the user's process either."""
    script = "import sys; before = set(sys.modules); import ottla; ottla.Broker; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    tops = {name.partition(".")[0] for name in loaded}
    assert tops <= {"ottla", *sys.stdlib_module_names}


def test_the_public_names_are_there() -> None:
    """What the package says it offers can be had, and nothing else is made up."""
    assert all(getattr(ottla, name) for name in ottla.__all__)
    assert not hasattr(ottla, "broker")
