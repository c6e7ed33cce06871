"""The scenarios of real clients, played at an address: one process for each client, which prints how far it is.

`compat_tests` imports nothing of Ottla, and nothing of Ottla imports it: it is run, as anyone could run it. A client's
process reports each scenario in a line of its standard output; its failures in full are kept beside the page.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlencode

from tools.answers.comparison import Explanation
from tools.client.properties import ClientProperties
from tools.compat.findings import ClientResult, ScenarioRun, explained_failures
from tools.failures import Misunderstood

PACKAGES: Final = Path(__file__).parents[2]
"""Where `tools` and `compat_tests` lie beside each other, in the source tree and in an installation."""
CLIENTS: Final = ("kafka_python", "confluent_kafka", "aiokafka", "kcat", "java", "kafkajs", "franz_go", "kafka_tools")
MARK: Final = "compat: "
"""What a line of a client's process begins with that is for us."""
AT_THE_SAME_TIME: Final = 3
MOST_PLAYED_AGAIN: Final = 20
"""Scenarios of a client."""


def address_for_clients(properties: ClientProperties, folder: Path) -> str:
    """The address as scenarios take it (`compat_tests/secured.py`), with certificates in files of `folder`.

    Raises Misunderstood for what cannot be said so.
    """
    parts: dict[str, str] = {}
    if properties.protocol == "PLAINTEXT":
        return properties.addresses
    if properties.protocol.endswith("SSL"):
        from tools.client.tls import tls_material

        material = tls_material(properties)
        if not material.checks_name:
            raise Misunderstood("the clients always check the name in a broker's certificate; use --clients none")
        if material.password:
            raise Misunderstood("the clients want a key without a password; use --clients none")
        texts = {
            "ca": material.authorities,
            "certificate": material.certificate,
            "key": material.key,
            "store": f"{material.key}\n{material.certificate}" if material.certificate else None,
        }
        for name, text in texts.items():
            if text is not None:
                path = folder / f"{name}.pem"
                path.touch(mode=0o600)
                path.write_text(text, encoding="ascii")
                parts[name] = str(path)
    if properties.protocol.startswith("SASL"):
        from tools.client.sasl import credentials_of

        credentials = credentials_of(properties)
        assert credentials is not None
        if credentials.token:
            raise Misunderstood("the clients log in as users, not with delegation tokens; use --clients none")
        parts["mechanism"] = credentials.mechanism
        if credentials.user:
            parts["user"] = credentials.user
        parts["password"] = credentials.bearer or credentials.password
    return f"{properties.protocol}://{properties.addresses}?{urlencode(parts)}"


def prepare(clients: Sequence[str]) -> None:
    """Fetch and build what clients need; those that cannot be prepared say why, and do not play."""
    command = [sys.executable, "-m", "compat_tests", "prepare", *clients]
    if clients:
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(PACKAGES)}, stdin=subprocess.DEVNULL, check=False)


def play(
    properties: ClientProperties,
    clients: Sequence[str],
    words: Sequence[str],
    to: Path,
    explanations: Sequence[Explanation],
    advance: Callable[[str, int, int], None],
) -> list[ClientResult]:
    """Play the scenarios of `clients` whose names have one of `words` in them.

    `advance` is called with a client's name, how many of its scenarios are over, and how many it has. What a client's
    process has printed is kept in `to`. Raises Misunderstood.
    """
    with TemporaryDirectory(prefix="ottla-compat-") as scratch:
        address = address_for_clients(properties, Path(scratch))

        def one(client: str) -> ClientResult:
            return _play(client, address, words, Path(scratch), to / f"{client}.log", explanations, advance)

        with ThreadPoolExecutor(AT_THE_SAME_TIME) as threads:
            return list(threads.map(one, clients))


def _play(
    client: str,
    address: str,
    words: Sequence[str],
    scratch: Path,
    log: Path,
    explanations: Sequence[Explanation],
    advance: Callable[[str, int, int], None],
) -> ClientResult:
    outcomes = scratch / f"{client}.json"
    status = _run(client, address, words, outcomes, log, advance)
    if not outcomes.exists():
        said = log.read_text(encoding="utf-8").strip().splitlines()
        return ClientResult(client, "", missing=said[-1] if said else f"it ended with status {status}")
    found = json.loads(outcomes.read_text(encoding="utf-8"))
    runs = _runs(found)
    failed = {each.scenario for each in runs if each.result == "FAIL"}
    unsteady: list[str] = []
    if 0 < len(failed) <= MOST_PLAYED_AGAIN:
        # How fast a broker was is no difference: what differs has to do so twice.
        once_more = scratch / f"{client}-again.json"
        again = [f"test {name}" for name in sorted(failed)]
        _run(client, address, again, once_more, log.with_suffix(".again.log"), advance)
        if once_more.exists():
            played = _runs(json.loads(once_more.read_text(encoding="utf-8")))
            second = [each for each in played if each.scenario in failed]
            names = {each.scenario for each in second}
            runs = [each for each in runs if each.scenario not in names] + second
            unsteady = sorted(names - {each.scenario for each in second if each.result == "FAIL"})
    if not runs:
        return ClientResult(client, "", missing="none of its scenarios were asked for")
    name = found["outcomes"][0]["client"]
    if all(each.result in ("skip", "gap") for each in runs):
        reasons = dict.fromkeys(each.reason for each in runs if each.result == "skip")
        if len(reasons) == 1:
            return ClientResult(name, "", missing=next(iter(reasons)))
    return ClientResult(
        name,
        found["versions"].get(name, ""),
        runs,
        explained=explained_failures(name, runs, explanations),
        unsteady=unsteady,
    )


def _runs(found: dict[str, Any]) -> list[ScenarioRun]:
    """The scenarios in what a client's process has written."""
    return [
        ScenarioRun(each["theme"], each["scenario"], each["promise"], each["result"], each["reason"])
        for each in found["outcomes"]
    ]


def _run(
    client: str,
    address: str,
    words: Sequence[str],
    outcomes: Path,
    log: Path,
    advance: Callable[[str, int, int], None],
) -> int:
    """Run a client's process; its exit status. What became of the scenarios is in `outcomes`, if it got so far."""
    # The address may hold a password, so that it is not among the words, which everyone on the machine can read.
    environment = {
        **os.environ,
        "PYTHONPATH": str(PACKAGES),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "OTTLA_COMPAT_ADDRESS": address,
    }
    command = [sys.executable, "-m", "compat_tests", "at", client, "--outcomes", str(outcomes)]
    for word in words:
        command += ["--only", word]
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command,
            env=environment,
            cwd=outcomes.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                over, total = map(int, line.removeprefix(MARK).split("/"))
                advance(client, over, total)
            else:
                kept.write(line)
    return process.returncode
