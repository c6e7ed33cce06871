"""Certificates that are renewed while the broker runs: by their files, by settings, and only by what fits."""

from __future__ import annotations

import dataclasses
import itertools
import os
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from broker.config.tls_settings import BadTls, Store, TlsSettings
from broker.security.tls.contexts import LARGEST_STORE, LOOK_SECONDS, Contexts, make_tls
from broker.security.tls.der import read_certificate
from broker.testing.certificates import Authority
from storage.seams import logging
from storage.seams.clock import SystemClock, VirtualClock
from storage.seams.disk import SystemDisk
from storage.seams.offload import InlineOffload

AUTHORITY = Authority()
OLD = AUTHORITY.issue("O=Ottla,CN=broker", hosts=("localhost",))
NEW = AUTHORITY.issue("O=Ottla,CN=broker", hosts=("localhost", "other"))
OTHER = AUTHORITY.issue("O=Ottla,CN=another", hosts=("localhost",))


def settings(location: Path, **changes: Any) -> TlsSettings:
    """A listener with one PEM file."""
    usual = TlsSettings(
        listener="SSL",
        key_store=Store(str(location), None, "PEM", None),
        trust_store=None,
        client_auth="none",
        protocols=("TLSv1.2", "TLSv1.3"),
        suites=(),
        rules="DEFAULT",
        allow_dn_changes=False,
        allow_san_changes=False,
    )
    return dataclasses.replace(usual, **changes)


TIMES = itertools.count(1)


def write(path: Path, text: str) -> Path:
    """A file whose time of change is another one each time."""
    path.write_text(text)
    SystemDisk().set_modified_millis(str(path), next(TIMES) * 1000)
    return path


async def names_after_a_while(contexts: Contexts) -> int:
    """How many names the certificate is for that new connections are shown."""
    await trio.sleep(3 * LOOK_SECONDS)
    tls = contexts.of("SSL")
    assert tls is not None
    return len(tls.certificate.names)


async def test_a_renewed_file_is_noticed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Within ten seconds, and once it stays the same; a half written one is not the end of the old one."""
    path = write(tmp_path / "broker.pem", OLD.combined)
    contexts = Contexts({"SSL": settings(path)}, SystemDisk(), InlineOffload(), SystemClock())
    assert contexts.of("PLAINTEXT") is None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(contexts.run)
        assert await names_after_a_while(contexts) == 1
        write(path, NEW.combined[:200])
        assert await names_after_a_while(contexts) == 1
        write(path, NEW.combined)
        assert await names_after_a_while(contexts) == 2
        path.unlink()
        assert await names_after_a_while(contexts) == 2
        nursery.cancel_scope.cancel()


async def test_altered_settings_take_effect_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """For new connections, without a look being due."""
    old, new = write(tmp_path / "old.pem", OLD.combined), write(tmp_path / "new.pem", NEW.combined)
    contexts = Contexts({"SSL": settings(old)}, SystemDisk(), InlineOffload(), SystemClock())
    before = contexts.of("SSL")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(contexts.run)
        await trio.testing.wait_all_tasks_blocked(0.01)
        contexts.reconfigure({"SSL": settings(new)})
        await trio.testing.wait_all_tasks_blocked(0.01)
        after = contexts.of("SSL")
        assert after is not None and len(after.certificate.names) == 2
        assert before is not after
        nursery.cancel_scope.cancel()


async def test_what_could_not_be_read_is_tried_again_when_it_has_changed(
    tmp_path: Path, autojump_clock: MockClock, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log has it once, not at each look."""
    logging.configure(level="info", form="text")
    path = write(tmp_path / "broker.pem", OLD.combined)
    contexts = Contexts({"SSL": settings(path)}, SystemDisk(), InlineOffload(), SystemClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(contexts.run)
        contexts.reconfigure({"SSL": settings(tmp_path / "later.pem")})
        assert await names_after_a_while(contexts) == 1
        assert capfd.readouterr().err.count("TLS of a listener not renewed") == 1
        write(tmp_path / "later.pem", NEW.combined)
        assert await names_after_a_while(contexts) == 2
        nursery.cancel_scope.cancel()


async def test_another_subject_or_fewer_names_are_not_taken(tmp_path: Path, autojump_clock: MockClock) -> None:
    """T5: unless the settings allow it, as in Kafka: clients would take it for another broker."""
    path = write(tmp_path / "broker.pem", NEW.combined)
    contexts = Contexts({"SSL": settings(path)}, SystemDisk(), InlineOffload(), SystemClock())
    for text, key in ((OTHER.combined, "ssl.allow.dn.changes"), (OLD.combined, "ssl.allow.san.changes")):
        other = settings(write(tmp_path / key, text))
        with pytest.raises(BadTls) as refused:
            contexts.check({"SSL": other})
        assert refused.value.key == key
        contexts.check({"SSL": dataclasses.replace(other, allow_dn_changes=True, allow_san_changes=True)})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(contexts.run)
        write(path, OTHER.combined)
        assert await names_after_a_while(contexts) == 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("days_left", "words"),
    [(40, ""), (20, "ends soon"), (-1, "has ended")],
)
async def test_a_certificate_that_ends_is_in_the_log_once_a_day(
    tmp_path: Path, autojump_clock: MockClock, capfd: pytest.CaptureFixture[str], days_left: int, words: str
) -> None:
    """From thirty days before on; a renewed one is another matter."""
    logging.configure(level="info", form="text")
    path = write(tmp_path / "broker.pem", OLD.combined)
    ends = int(read_certificate(OLD.der).ends.timestamp() * 1000)
    clock = VirtualClock(wall=ends - days_left * 86_400_000)
    contexts = Contexts({"SSL": settings(path)}, SystemDisk(), InlineOffload(), clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(contexts.run)
        await trio.sleep(3 * LOOK_SECONDS)
        first = capfd.readouterr().err
        assert first.count("the certificate of a listener") == (1 if words else 0)
        assert words in first
        clock.advance(86_400_000)
        await trio.sleep(3 * LOOK_SECONDS)
        assert capfd.readouterr().err.count("the certificate of a listener") == (1 if words else 0)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("changes", "key", "sentence"),
    [
        ({"suites": ("TLS_FOO",)}, "ssl.cipher.suites", "TLS_FOO is no cipher suite that is served here"),
        ({"suites": ("TLS_AES_128_GCM_SHA256",)}, "ssl.cipher.suites", "name it too, or none of TLS 1.3"),
        (
            {"suites": ("TLS_AES_256_GCM_SHA384",), "protocols": ("TLSv1.2",)},
            "ssl.cipher.suites",
            "no suite of a version in ssl.enabled.protocols",
        ),
        ({"rules": "X"}, "ssl.principal.mapping.rules", "does not begin with DEFAULT or RULE:"),
        ({"key_store": Store("/dev/zero", None, "PEM", None)}, "ssl.keystore.location", "it is empty, or no file"),
        ({"key_store": Store("/no/such/file", None, "PEM", None)}, "ssl.keystore.location", "it does not exist"),
        ({"key_store": Store("/", None, "PEM", None)}, "ssl.keystore.location", "it cannot be read"),
        ({"key_store": Store(None, None, "PEM", "x", "y")}, "ssl.keystore.certificate.chain", "no private key"),
        (
            {"client_auth": "required", "trust_store": Store("/no/such/file", None, "PEM", None)},
            "ssl.truststore.location",
            "the store /no/such/file cannot be used: it does not exist",
        ),
    ],
)
def test_what_cannot_be_used_says_why(tmp_path: Path, changes: dict[str, Any], key: str, sentence: str) -> None:
    """One sentence, about one key."""
    path = write(tmp_path / "broker.pem", OLD.combined)
    with pytest.raises(BadTls, match=sentence) as refused:
        make_tls(settings(path, **changes), SystemDisk())
    assert refused.value.key == key


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_and_a_file_without_end_are_no_stores(tmp_path: Path) -> None:
    """Settings are altered over the network: what they name must not hold a thread, or fill the memory."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", LARGEST_STORE + 1)
    for name, sentence in (("pipe", "no file"), ("large", "more than")):
        with pytest.raises(BadTls, match=sentence):
            make_tls(settings(tmp_path / name), SystemDisk())
