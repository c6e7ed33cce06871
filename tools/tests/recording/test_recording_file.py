"""The file: what was written is read, also from one that was cut short, and nothing else is taken for a recording."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tools.failures import Misunderstood
from tools.recording import recording_file
from tools.recording.recording_file import Recording, RecordingWriter, packed, unpacked

EVENTS = [{"at": number / 10, "event": "open", "connection": number} for number in range(1000)]


def written(path: Path, *, to_the_end: bool = True) -> Path:
    writer = RecordingWriter(str(path), {"began_ms": 1})
    for event in EVENTS:
        writer.write(event)
    if to_the_end:
        writer.write({"event": "end"})
        writer.close()
    else:
        writer.flush()
        writer._file.close()  # as the end of the process does
    return path


def test_events_are_read_as_they_were_written(tmp_path: Path) -> None:
    """And the first line says what the file is; any program that knows gzip and JSON can read it."""
    path = written(tmp_path / "r")
    recording = Recording(str(path))
    assert recording.header["began_ms"] == 1
    assert list(recording.events()) == EVENTS
    assert recording.whole
    assert json.loads(gzip.decompress(path.read_bytes()).splitlines()[0])["format"] == "ottla-recording"


def test_a_recorder_that_was_killed_leaves_what_was_flushed(tmp_path: Path) -> None:
    """And a file that was cut anywhere is read as far as it goes."""
    path = written(tmp_path / "r", to_the_end=False)
    recording = Recording(str(path))
    assert list(recording.events()) == EVENTS
    assert not recording.whole
    path.write_bytes(path.read_bytes()[:-500])
    read = list(Recording(str(path)).events())
    assert 0 < len(read) < len(EVENTS)
    assert read == EVENTS[: len(read)]


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b'{"format": "other"}\n'), gzip.compress(b"no json\n")],
    ids=["empty", "not packed", "another format", "no JSON"],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """With a sentence that names it."""
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(Misunderstood, match="r "):
        Recording(str(tmp_path / "r"))


def test_a_version_to_come_is_refused(tmp_path: Path) -> None:
    """It might mean something else by the same words."""
    (tmp_path / "r").write_bytes(gzip.compress(b'{"format": "ottla-recording", "version": 2}\n'))
    with pytest.raises(Misunderstood, match="version 2"):
        Recording(str(tmp_path / "r"))


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    """A recording is never written over."""
    (tmp_path / "r").write_bytes(b"precious")
    with pytest.raises(Misunderstood, match="there already"):
        RecordingWriter(str(tmp_path / "r"), {})
    assert (tmp_path / "r").read_bytes() == b"precious"


def test_a_line_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no file fills the memory of its reader."""
    monkeypatch.setattr(recording_file, "MOST_LINE_BYTES", 1000)
    (tmp_path / "r").write_bytes(gzip.compress(b'{"format": "ottla-recording", "version": 1}\n' + b" " * 5000))
    with pytest.raises(Misunderstood, match="more than 1000 bytes"):
        list(Recording(str(tmp_path / "r")).events())


def test_frames_are_base64() -> None:
    """Both ways; what is none is an error."""
    assert unpacked(packed(b"\0\xff")) == b"\0\xff"
    with pytest.raises(ValueError):
        unpacked("!")
