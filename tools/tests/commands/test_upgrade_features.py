"""`ottla upgrade-features` raises what a running broker serves, says from where to where, and lowers nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from kproto.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest
from kproto.release.features import ELR_VERSION, METADATA_VERSION, NEWEST_METADATA_VERSION
from ottla import Broker
from tools.__main__ import main as command
from tools.client.cluster import Cluster
from tools.client.properties import ClientProperties
from tools.commands.upgrade_features import Levels, levels_of, newest_of


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker that forgets everything."""
    with Broker() as running:
        yield running


@pytest.fixture
def address(broker: Broker) -> str:
    """Of a broker whose cluster is without eligible leader replicas."""
    lower = FeatureUpdateKey(feature=ELR_VERSION, max_version_level=0, upgrade_type=2)
    with connect(broker.bootstrap_servers) as cluster:
        assert cluster.ask(UpdateFeaturesRequest(feature_updates=[lower])).error_code == 0
    return broker.bootstrap_servers


def connect(address: str) -> Cluster:
    """A client of the broker at host:port."""
    return Cluster(ClientProperties({"bootstrap.servers": address}))


def level_of_elr(address: str) -> int:
    """The level of the feature that these tests raise."""
    with connect(address) as cluster:
        return levels_of(cluster).finalized.get(ELR_VERSION, 0)


def test_everything_that_is_served_is_raised(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And a second run finds nothing to do."""
    assert main(["--bootstrap-server", address]) == 0
    assert capsys.readouterr().out == f"{ELR_VERSION}: from 0 to 1\n"
    assert level_of_elr(address) == 1
    assert main(["--bootstrap-server", address]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"nothing to raise: {METADATA_VERSION} {NEWEST_METADATA_VERSION} (")
    assert f"{ELR_VERSION} 1" in said


def test_a_dry_run_raises_nothing(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would be raised."""
    assert main(["--bootstrap-server", address, "--dry-run"]) == 0
    assert capsys.readouterr().out == f"{ELR_VERSION}: from 0 to 1 (not done: a dry run)\n"
    assert level_of_elr(address) == 0


def test_single_features_are_raised_or_refused_in_the_brokers_words(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them or none."""
    elr = ["--feature", f"{ELR_VERSION}=1"]
    assert main(["--bootstrap-server", address, *elr, "--feature", "unheard.of=3"]) == 1
    assert "Invalid update version 3 for feature unheard.of" in capsys.readouterr().err
    assert level_of_elr(address) == 0
    assert main(["--bootstrap-server", address, *elr]) == 0
    assert main(["--bootstrap-server", address, "--feature", f"{METADATA_VERSION}=17"]) == 1
    assert "Can't downgrade" in capsys.readouterr().err


def test_a_release_is_as_far_as_levels_are_raised() -> None:
    """Features that the broker does not serve are left out, and nothing is lowered."""
    newest = {METADATA_VERSION: NEWEST_METADATA_VERSION, ELR_VERSION: 1}
    old = Levels({METADATA_VERSION: 19}, newest)
    assert newest_of(old, None) == newest
    assert newest_of(old, 30) == {METADATA_VERSION: 30, ELR_VERSION: 1}
    assert newest_of(old, 25) == {METADATA_VERSION: 25}
    assert newest_of(Levels(newest, newest), 25) == {}


def main(words: Sequence[str]) -> int:
    """`ottla upgrade-features` with these words."""
    return command(["upgrade-features", *words])


def test_a_broker_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """No process listens on port 1."""
    assert main(["--bootstrap-server", "127.0.0.1:1"]) == 1
    assert capsys.readouterr().err == "ottla upgrade-features: no broker answers at 127.0.0.1:1: Connection refused\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--release-version", "9.9"], "9.9 is not a release of Kafka"),
        (["--feature", "group.version"], "group.version is not NAME=LEVEL"),
        (["--feature", "a=1", "--release-version", "4.0"], "not allowed with"),
    ],
)
def test_words_that_make_no_sense(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Usage, and one sentence that names them."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
