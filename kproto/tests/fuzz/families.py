"""Where the inputs of fuzz targets are kept, and how they are played again.

A family of inputs is one module of a package's `tests/fuzz` folder. `frames.py` has the target `fuzz_frames(data)`,
which returns or raises AssertionError (and, being a finding, anything else), and `seeds()`, which makes inputs worth
starting from. Beside the modules lie

    corpus/frames.corpus         inputs that, together with the seeds, reach every branch that fuzzing has reached
    regressions/frames/<name>    one input that was a finding once, named after it; never minimised away

A corpus is one file because its inputs are small, many and of no interest one by one: each is a big-endian
uint32 length and so many bytes, the short ones first. `trials fuzz` reads and writes both; the default suite only
reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

Target = Callable[[bytes], None]

ROOT: Final = Path(__file__).parents[3]
PACKAGES: Final = ("kproto", "storage", "broker")


def families(package: str) -> list[str]:
    """The families of a package, by the names of their modules, sorted."""
    found = []
    for path in sorted((ROOT / package / "tests" / "fuzz").glob("*.py")):
        if f"\ndef fuzz_{path.stem}(" in path.read_text(encoding="utf-8"):
            found.append(path.stem)
    return found


class Family:
    """One module of targets and what is kept for it."""

    def __init__(self, package: str, name: str) -> None:
        self.package = package
        self.name = name
        self.folder = ROOT / package / "tests" / "fuzz"

    @property
    def corpus_file(self) -> Path:
        return self.folder / "corpus" / f"{self.name}.corpus"

    @property
    def regressions_folder(self) -> Path:
        return self.folder / "regressions" / self.name

    def target(self) -> Target:
        """The function that takes an input."""
        target: Target = getattr(import_module(f"{self.package}.tests.fuzz.{self.name}"), f"fuzz_{self.name}")
        return target

    def seeds(self) -> Iterator[bytes]:
        """Inputs to start from."""
        made: Iterator[bytes] = import_module(f"{self.package}.tests.fuzz.{self.name}").seeds()
        return made

    def corpus(self) -> list[bytes]:
        """The kept inputs."""
        return unpack(self.corpus_file.read_bytes()) if self.corpus_file.exists() else []

    def regressions(self) -> dict[str, bytes]:
        """Findings of the past by name."""
        folder = self.regressions_folder
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def pack(inputs: Iterable[bytes]) -> bytes:
    """The bytes of a corpus file; each input once."""
    ordered = sorted(set(inputs), key=lambda each: (len(each), each))
    return b"".join(len(each).to_bytes(4, "big") + each for each in ordered)


def unpack(data: bytes) -> list[bytes]:
    """The inputs in a corpus file."""
    inputs, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        inputs.append(data[at + 4 : end])
        assert end <= len(data), "the corpus is cut short"
        at = end
    return inputs


def replay(package: str, name: str) -> None:
    """Put every seed and every kept input of a family through its target. Raises AssertionError for a finding."""
    family = Family(package, name)
    target = family.target()
    kept = {f"seed {number}": data for number, data in enumerate(family.seeds())}
    kept |= {f"number {number} of the corpus": data for number, data in enumerate(family.corpus())}
    kept |= {f"regression {regression}": data for regression, data in family.regressions().items()}
    for what, data in kept.items():
        try:
            target(data)
        except Exception as error:
            shown = data.hex() if len(data) <= 400 else f"{data[:400].hex()}... ({len(data)} bytes)"
            raise AssertionError(f"{name}, {what}: {type(error).__name__}: {error}\ninput: {shown}") from error
