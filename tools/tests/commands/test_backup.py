"""A backup from the command line: of a broker that is written to, and what becomes of it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import ottla
from tools.commands import backup, restore, topics
from tools.failures import Failed, Misunderstood
from tools.log_check.directory import DirectoryCheck


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ottla.Broker]:
    """A broker with data that takes commands."""
    with ottla.Broker(data=tmp_path_factory.mktemp("broker") / "data", control=True) as running:
        make(running, "orders")
        yield running


def make(broker: ottla.Broker, topic: str) -> None:
    """A topic of two partitions."""
    assert topics.main(["create", topic, "--partitions", "2", "-b", broker.bootstrap_servers]) == 0


def names(broker: ottla.Broker, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The topics that there are."""
    capsys.readouterr()
    assert topics.main(["list", "-b", broker.bootstrap_servers]) == 0
    return capsys.readouterr().out.split()


def test_an_archive_is_made_and_brought_back(
    broker: ottla.Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into the broker that it is of, which has gone on."""
    path = tmp_path / "monday.tar"
    assert backup.main(["--to", str(path), "--control", broker.control.address]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{path}: 3 logs, ") and "of cluster" in out
    assert [file.name for file in tmp_path.iterdir()] == ["monday.tar"]
    make(broker, "later")
    assert restore.main([str(path), "--control", broker.control.address]) == 0
    assert names(broker, capsys) == ["orders"]


@pytest.mark.parametrize("how", ["backup to a folder", "restore to a folder", "tar"])
def test_a_folder_is_a_data_directory(
    broker: ottla.Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """Nothing is wrong with it, and a broker starts on it, in memory too."""
    archive, folder = str(tmp_path / "made.tar"), str(tmp_path / "folder")
    made = folder if how == "backup to a folder" else archive
    assert backup.main(["--to", made, "--control", broker.control.address]) == 0
    if how == "restore to a folder":
        assert restore.main([archive, "--data", folder]) == 0
    elif how == "tar":
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    check = DirectoryCheck(Path(folder), records=True)
    assert [finding for finding in check.findings() if not finding.note] == []
    with ottla.Broker(data=folder) as other:
        assert names(other, capsys) == ["orders"]


def test_the_address_may_stand_in_the_environment(
    broker: ottla.Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its token, it is better not shown in a list of processes."""
    monkeypatch.setenv("OTTLA_CONTROL", broker.control.address)
    assert backup.main(["--to", str(tmp_path / "a.tar")]) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "x.tar"], "OTTLA_CONTROL"),
        (["--to", "x.tar", "--control", "127.0.0.1:9481"], "as the broker prints it"),
        (["--to", "x.tar", "--control", "http://h/?token=t", "--user", "u"], "go together"),
        (["--to", "x.tar", "--control", "http://h/?token=t", "--user", "u", "--password-file", "no"], "cannot be read"),
        (["--to", ".", "--control", "http://h/?token=t"], "is there already"),
    ],
)
def test_words_that_make_no_sense(words: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of a broker."""
    monkeypatch.delenv("OTTLA_CONTROL", raising=False)
    with pytest.raises(Misunderstood, match=sentence):
        backup.main(words)


def test_a_broker_that_does_not_answer_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither a file of the name nor a part of one."""
    with pytest.raises(Failed, match="no backup was made"):
        backup.main(["--to", str(tmp_path / "a.tar"), "--control", "http://127.0.0.1:1/?token=t"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    """Into a directory, which then is not there."""
    (tmp_path / "else").write_bytes(b"else")
    with pytest.raises(Failed, match="cannot be used"):
        restore.main([str(tmp_path / "else"), "--data", str(tmp_path / "data")])
    with pytest.raises(Misunderstood, match="is there already"):
        restore.main([str(tmp_path / "else"), "--data", str(tmp_path)])
    with pytest.raises(Misunderstood, match="not both"):
        restore.main([str(tmp_path / "else"), "--data", str(tmp_path / "data"), "--control", "x"])
    assert [file.name for file in tmp_path.iterdir()] == ["else"]
