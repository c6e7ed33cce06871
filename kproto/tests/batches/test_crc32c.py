"""The checksum: known values, data in pieces, and what importing it may not cost."""

import subprocess
import sys

import crc32c as package
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.batches.crc32c import crc32c


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_known_values(data: bytes, checksum: int) -> None:
    """The check value of the polynomial, and the vectors of RFC 3720, appendix B.4."""
    assert crc32c(data) == crc32c(memoryview(data)) == crc32c(bytearray(data)) == checksum


@given(st.binary(max_size=200), st.integers(0, 200))
def test_data_in_pieces(data: bytes, cut: int) -> None:
    """A file can be checksummed as it is read."""
    assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data) == package.crc32c(data)


def test_a_start_does_not_pay_for_the_packages_version() -> None:
    """The extension is loaded alone; a later import of the whole package still works."""
    program = (
        "import sys\n"
        "from kproto.batches.crc32c import crc32c\n"
        "assert 'importlib.metadata' not in sys.modules and 'argparse' not in sys.modules\n"
        "import crc32c as package\n"
        "assert package.crc32c(b'123456789') == crc32c(b'123456789')\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=30, check=True)


def test_where_the_extension_is_not_found_the_package_is_imported() -> None:
    """A frozen program has no directories to look into."""
    program = (
        "from importlib.machinery import PathFinder\n"
        "import crc32c as package, sys\n"
        "from kproto.batches.crc32c import crc32c\n"
        "assert crc32c is package.crc32c\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=30, check=True)
