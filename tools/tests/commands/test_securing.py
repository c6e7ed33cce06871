"""`ottla serve --secure`: what it makes, keeps and makes again; and that a broker so secured lets in its admin."""

from __future__ import annotations

import socket
import ssl
import sys
from pathlib import Path

import pytest

from broker.config.loading import parse_config
from storage.local.directory import SECURED
from tools.commands.securing import CannotSecure, given_beside, secure


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def shown(folder: Path, name: str) -> ssl.SSLObject:
    """The client's end of a handshake in memory: a client of the authority believes that name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "broker.pem")
    client = ssl.create_default_context(cafile=folder / "ca.pem")
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # as it is by default since Python 3.13
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True))
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].version() == "TLSv1.3"
    return ends[0]


def test_it_makes_all_that_is_needed_for_its_owner_only(tmp_path: Path) -> None:
    """An authority, a certificate that its clients believe, a password, and a file for Java's clients."""
    secured = secure(str(tmp_path), "127.0.0.1")
    folder = tmp_path / SECURED  # which a store takes for its own, and leaves alone
    assert set(contents(folder)) == {"admin.password", "broker.pem", "ca-key.pem", "ca.pem", "client.properties"}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    for name in ("localhost", "127.0.0.1", "::1", socket.gethostname()):
        shown(folder, name)
    assert len(secured.password) >= 32
    assert f'password="{secured.password}"' in contents(folder)["client.properties"]


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    """Clients go on as they were; the authority's key may be elsewhere by then."""
    secure(str(tmp_path), "127.0.0.1")
    before = contents(tmp_path / "secure")
    secure(str(tmp_path), "localhost")
    assert contents(tmp_path / "secure") == before
    (tmp_path / "secure" / "ca-key.pem").unlink()
    secure(str(tmp_path), "127.0.0.1")
    with pytest.raises(CannotSecure, match="takes the authority's key"):
        secure(str(tmp_path), "broker.example")


def test_another_host_gets_another_certificate_of_the_same_authority(tmp_path: Path) -> None:
    """Under the names of before as well."""
    secure(str(tmp_path), "127.0.0.1")
    before = contents(tmp_path / "secure")
    secure(str(tmp_path), "broker.example")
    after = contents(tmp_path / "secure")
    assert {name for name in after if after[name] != before[name]} == {"broker.pem"}
    shown(tmp_path / "secure", "broker.example")
    shown(tmp_path / "secure", "localhost")


def test_a_start_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    """Whatever was missing is made, and what was there is used."""
    secure(str(tmp_path), "127.0.0.1")
    before = contents(tmp_path / "secure")
    for name in ("ca.pem", "broker.pem", "client.properties"):
        (tmp_path / "secure" / name).unlink()
    secure(str(tmp_path), "127.0.0.1")
    after = contents(tmp_path / "secure")
    assert {name for name in after if after[name] != before[name]} == {"broker.pem"}


def test_a_password_of_ones_own_is_taken(tmp_path: Path) -> None:
    """And one that would break out of its quotes is not."""
    folder = tmp_path / SECURED  # which a store takes for its own, and leaves alone
    folder.mkdir()
    (folder / "admin.password").write_text("correct horse\n")
    secured = secure(str(tmp_path), "::1")
    assert secured.password == "correct horse"
    assert parse_config("", "", dict(secured.settings("::1", 0))).tls_settings()
    (folder / "admin.password").write_text('a";b')
    with pytest.raises(CannotSecure, match="without quotes"):
        secure(str(tmp_path), "::1")


def test_the_settings_make_a_broker_that_asks_who_its_clients_are(tmp_path: Path) -> None:
    """One listener, encrypted, and an authorizer."""
    config = parse_config("", "", dict(secure(str(tmp_path), "127.0.0.1").settings("127.0.0.1", 9092)))
    assert [str(listener) for listener in config.listeners] == ["SASL_SSL://127.0.0.1:9092"]
    assert "PLAIN" in config.sasl_settings("SASL_SSL").mechanisms
    assert not config.notices


def test_what_clients_are_told_has_no_secret(tmp_path: Path) -> None:
    """It goes to the log of whatever starts the broker: the password is named by its file."""
    secured = secure(str(tmp_path), "127.0.0.1")
    words = secured.for_clients("127.0.0.1", 9092)
    assert secured.password not in words
    for part in ("127.0.0.1:9092", "kafka-python", "librdkafka", "--command-config", "ca.pem", "admin.password"):
        assert part in words
    assert f"{socket.gethostname()}:9092" in secured.for_clients("0.0.0.0", 9092)


def test_settings_that_it_would_contradict_are_named() -> None:
    """It makes them itself; all others may be given."""
    given = {"listeners": "", "ssl.client.auth": "", "listener.name.x.ssl.key": "", "num.partitions": "3", "ssls": ""}
    assert given_beside(given) == ["listener.name.x.ssl.key", "listeners", "ssl.client.auth"]


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(CannotSecure, match=r"pip install 'ottla\[security\]'"):
        secure(str(tmp_path), "127.0.0.1")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The data directory is a file, say."""
    (tmp_path / "data").write_text("")
    with pytest.raises(CannotSecure, match=r"data.* cannot be written"):
        secure(str(tmp_path / "data"), "127.0.0.1")
