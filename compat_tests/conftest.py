"""The suite's options, fixtures and report; README.md says how to use them.

A scenario is a test function that asks for `session` (one broker for all scenarios) or `owned` (a broker that it may
kill). It runs once for each client. `@needs(...)` names what only some clients can do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from compat_tests import matrix
from compat_tests.brokers import Broker, Kafka, Ottla, OttlaCluster, OwnedBroker, RunningBroker, Unable
from compat_tests.capabilities import CAPABILITIES
from compat_tests.clients import AT_HAND, CLIENTS, TOOLS, Client, Missing, client
from compat_tests.clients.contract import Driver
from compat_tests.clients.kafka_tools.adapter import Tools, missing
from compat_tests.secured import Files, make_files
from compat_tests.session import Session

HERE = Path(__file__).parent
Placed = tuple[tuple[str, int, int], matrix.Outcome]
OUTCOMES = pytest.StashKey[list[Placed]]()
SCENARIO = "scenario"
CALLED = {"ottla": "Ottla", "ottla-cluster": "three Ottlas", "kafka": "Apache Kafka"}
"""What `--launch` starts -> its name in the matrix."""
# Apache Kafka does not let a killed broker in again before its last session is over, by default 9 seconds later.
OWNED = {"broker.session.timeout.ms": "1500", "broker.heartbeat.interval.ms": "300"}
# What a scenario's own broker says in addition to what every one of them does.
GAP = "gap: "
LONGEST_REASON = 2000
NOT_OURS = "--bootstrap names a broker that is not ours to stop or to configure"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which broker, which clients, and where the matrix goes."""
    group = parser.getgroup("compat_tests", "scenarios with real clients")
    group.addoption(
        "--bootstrap",
        default=os.environ.get("OTTLA_COMPAT_ADDRESS"),
        metavar="HOST:PORT",
        help="a broker that is running already; or as secured.py says how to connect",
    )
    group.addoption("--progress", action="store_true", help="print how many scenarios are over, for a program to read")
    group.addoption(
        "--launch", choices=("ottla", "ottla-cluster", "kafka"), default="ottla", help="the broker to start"
    )
    group.addoption(
        "--kafka-command",
        default=os.environ.get("OTTLA_KAFKA_COMMAND"),
        metavar="COMMAND",
        help="starts Apache Kafka in the foreground: '... {port} {dir} {settings}'",
    )
    group.addoption("--client", action="append", choices=(*CLIENTS, TOOLS), help="only this client; may be repeated")
    group.addoption("--all-clients", action="store_true", help="also Kafka's command-line tools")
    group.addoption("--programs", action="store_true", help="programs that people run beside a broker")
    group.addoption("--matrix", metavar="FILE", help="write the matrix of clients and scenarios as Markdown")
    group.addoption("--outcomes", metavar="FILE", help="write every outcome as JSON")
    group.addoption("--called", metavar="NAME", help="what the matrix calls the broker")


def pytest_configure(config: pytest.Config) -> None:
    """Make `@needs` known."""
    config.addinivalue_line("markers", "needs(*capabilities): what only some clients can do")
    config.addinivalue_line("markers", "looks_back: looks at what other scenarios have done, so it comes last")
    config.stash[OUTCOMES] = []
    config.stash[PROGRAMS] = {}
    # Not in a process that runs a part for another one: its reports go there with all that they have.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(config.stash[OUTCOMES]))
        if config.getoption("--progress"):
            config.pluginmanager.register(Progress(config))


class Progress:
    """Prints `compat: OVER/ALL` after each scenario."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._over = self._all = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All that will be played are known."""
        self._all = len(session.items)
        self._say()

    def pytest_runtest_logfinish(self) -> None:
        """One is over."""
        self._over += 1
        self._say()

    def _say(self) -> None:
        writer = self._config.get_terminal_writer()
        writer.line(f"\ncompat: {self._over}/{self._all}")
        writer.flush()


class Collector:
    """Gathers the outcomes from the reports of all the processes that a run is split into, and where they belong."""

    def __init__(self, outcomes: list[Placed]) -> None:
        self._outcomes = outcomes
        self._clients = [client(folder).name for folder in (*CLIENTS, TOOLS)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Reports travel between processes as JSON."""
        for name, value in report.user_properties:
            if name == SCENARIO:
                assert isinstance(value, dict)
                outcome = matrix.Outcome(**value)
                path, line, _ = report.location
                # A program is the only one of its module.
                at = self._clients.index(outcome.client) if outcome.client in self._clients else 0
                self._outcomes.append(((path, line or 0, at), outcome))
        report.user_properties = [each for each in report.user_properties if each[0] != SCENARIO]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run for each client."""
    if "subject" in metafunc.fixturenames:
        chosen = [name for name in metafunc.config.getoption("--client") or CLIENTS if name != TOOLS]
        metafunc.parametrize("subject", [client(folder) for folder in chosen], ids=chosen, scope="session")
    elif "tool_subject" in metafunc.fixturenames:
        metafunc.parametrize("tool_subject", [client(TOOLS)], ids=[TOOLS], scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What the client libraries warn of, or leave open, is theirs. Scenarios that look back on others come last.

    Where a program waits for one client's scenarios, it gets no others.
    """
    if config.getoption("--progress"):
        chosen = config.getoption("--client") or CLIENTS
        subjects = [client(name) for name in chosen]
        others = [item for item in items if subject_of(item) not in subjects]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
    items.sort(key=lambda item: item.get_closest_marker("looks_back") is not None)


def subject_of(item: pytest.Item) -> Client | None:
    """The client under test, or the tools; None for what is no scenario."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("subject", callspec.params.get("tool_subject")) if callspec else None
    return found if isinstance(found, Client) else None


class Program(Protocol):
    """What a module of programs is about (`programs/kits.py`)."""

    @property
    def name(self) -> str:
        """For people."""

    def version(self) -> str:
        """Of the one that is here; nothing when it is not."""


PROGRAMS = pytest.StashKey[dict[str, Program]]()
"""Name -> the programs whose tests have run."""


def program_of(item: pytest.Item) -> Program | None:
    """The program under test; None for what is about none, or did not run because it was not asked for."""
    found: Program | None = getattr(getattr(item, "module", None), "KIT", None)
    if found is None or not item.config.getoption("--programs"):
        return None
    return item.config.stash[PROGRAMS].setdefault(found.name, found)


SECURE = "secure"
"""The purpose of a broker that encrypts and asks clients who they are."""


class Brokers:
    """Starts what the options say, at most one for each set of settings, and stops them all."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._started: dict[tuple[object, ...], Broker] = {}

    def get(self, purpose: str, **settings: str) -> Broker:
        """The broker for a purpose, with settings of Kafka's names. Raises Unable."""
        key = (purpose, *sorted(settings.items()))
        if key not in self._started:
            self._started[key] = self._start(purpose, settings)
        return self._started[key]

    def _start(self, purpose: str, settings: dict[str, str]) -> Broker:
        bootstrap = self._config.getoption("--bootstrap")
        if bootstrap:
            if purpose != "shared":
                raise Unable(NOT_OURS)
            return RunningBroker(bootstrap)
        broker: OwnedBroker
        if self._config.getoption("--launch") == "ottla":
            broker = Ottla(settings, secure=purpose == SECURE)
        elif self._config.getoption("--launch") == "ottla-cluster":
            if purpose == SECURE:
                raise Unable("--secure makes certificates for one broker")
            broker = OttlaCluster(settings)
        elif purpose == SECURE:
            raise Unable("the certificates of a secure broker are made by Ottla")
        else:
            command = self._config.getoption("--kafka-command")
            if not command:
                raise pytest.UsageError("--launch kafka needs --kafka-command or OTTLA_KAFKA_COMMAND")
            broker = Kafka(settings, command)
        try:
            broker.start()
        except BaseException:
            broker.stop()
            raise
        return broker

    def stop(self) -> None:
        """Stop all that were started here."""
        for broker in self._started.values():
            broker.stop()


class Drivers:
    """The clients' drivers, each opened once, when first needed."""

    def __init__(self) -> None:
        self._open: dict[str, Driver | Missing] = {}

    def get(self, subject: Client) -> Driver:
        """Raises Missing."""
        if subject.folder not in self._open:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._open[subject.folder] = subject.open_driver()
            except Missing as missing:
                self._open[subject.folder] = missing
        found = self._open[subject.folder]
        if isinstance(found, Missing):
            raise found
        return found

    def topic_maker(self, subject: Client) -> Driver:
        """The client itself, or the first that can create topics and is here."""
        for candidate in [subject, *map(client, AT_HAND)]:
            if "create_topics" not in candidate.cannot and "list_topics" not in candidate.cannot:
                try:
                    return self.get(candidate)
                except Missing:
                    pass
        raise Missing("no client that can create topics is here")

    def close(self) -> None:
        """Close all of them."""
        for driver in self._open.values():
            if not isinstance(driver, Missing):
                driver.close()


@pytest.fixture(scope="session")
def brokers(request: pytest.FixtureRequest) -> Iterator[Brokers]:
    """The brokers of this run."""
    started = Brokers(request.config)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates for this run, for brokers that are started here: one that runs already has its own."""
    if request.config.getoption("--bootstrap"):
        pytest.skip(NOT_OURS)
    return make_files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def drivers() -> Iterator[Drivers]:
    """The drivers of this run."""
    opened = Drivers()
    yield opened
    opened.close()


@pytest.fixture(scope="module", autouse=True)
def _leftovers() -> Iterator[None]:
    """What the client libraries leave open is found here, not in the midst of another test."""
    yield
    gc.collect()


@pytest.fixture
def connect(
    request: pytest.FixtureRequest, subject: Client, brokers: Brokers, drivers: Drivers
) -> Iterator[Callable[..., Session]]:
    """Binds the client under test to a broker for some purpose, or skips the scenario with the reason."""
    for mark in request.node.iter_markers("needs"):
        for capability in mark.args:
            assert capability in CAPABILITIES, f"{capability!r} is not in compat_tests/capabilities.py"
            if capability in subject.cannot:
                pytest.skip(f"{GAP}{subject.cannot[capability]}")
    sessions: list[Session] = []
    scenario = request.node.originalname.removeprefix("test_").replace("_", "-")[:60]

    def connected(purpose: str = "shared", who: Client = subject, **settings: str) -> Session:
        try:
            driver, maker = drivers.get(who), drivers.topic_maker(who)
            broker = brokers.get(purpose, **settings)
        except (Missing, Unable) as reason:
            pytest.skip(str(reason))
        sessions.append(Session(driver, who.cannot, maker, broker, f"{scenario}-{who.folder}", who.folder))
        return sessions[-1]

    yield connected
    with contextlib.ExitStack() as closing:
        for each in sessions:
            closing.callback(each.close_all)


@pytest.fixture
def session(connect: Callable[..., Session]) -> Session:
    """The client under test on the broker that all scenarios share."""
    return connect()


@pytest.fixture
def others(subject: Client, connect: Callable[..., Session], drivers: Drivers) -> Callable[..., list[Session]]:
    """The clients at hand beside the one under test that are here and can do what is asked for."""

    def capable(*capabilities: str) -> list[Session]:
        found = []
        for each in map(client, AT_HAND):
            if each != subject and not each.cannot.keys() & set(capabilities):
                with contextlib.suppress(Missing):
                    drivers.get(each)
                    found.append(connect(who=each))
        return found

    return capable


@pytest.fixture
def owned(connect: Callable[..., Session]) -> Session:
    """The client under test on a broker that scenarios stop, kill and start again; it runs now."""
    session = connect("owned", **OWNED)
    if not session.owned_broker.accepts():
        session.owned_broker.start()
    return session


@pytest.fixture
def tools_on(request: pytest.FixtureRequest, tool_subject: Client, brokers: Brokers) -> Callable[..., Tools]:
    """Kafka's command-line tools on a broker; they take their time, so only who asks for them gets them."""
    chosen = request.config.getoption("--client") or ()
    if TOOLS not in chosen and not request.config.getoption("--all-clients"):
        pytest.skip("with --all-clients or --client kafka_tools")
    if lacking := missing():
        pytest.skip(f"{tool_subject.needs}: {lacking}")

    def running(purpose: str = "shared", **settings: str) -> Tools:
        try:
            return Tools(brokers.get(purpose, **settings).bootstrap)
        except Unable as reason:
            pytest.skip(str(reason))

    return running


@pytest.fixture
def secure_tools(tools_on: Callable[..., Tools], brokers: Brokers) -> Tools:
    """Kafka's command-line tools on a broker with TLS, SASL, an authorizer and delegation tokens; the tools have its
    administrator's settings."""
    settings = {"delegation.token.secret.key": "a secret of these scenarios"}
    reached = tools_on(SECURE, **settings)
    broker = brokers.get(SECURE, **settings)
    assert isinstance(broker, Ottla), "no other broker makes certificates"
    return Tools(reached.bootstrap, broker.client_properties)


@pytest.fixture
def tools(tools_on: Callable[..., Tools]) -> Tools:
    """Kafka's command-line tools on the shared broker."""
    return tools_on()


@pytest.fixture
def any_driver(drivers: Drivers) -> Driver:
    """A client that can do what the tools look at, whichever is here."""
    for candidate in map(client, AT_HAND):
        if "transactions" not in candidate.cannot:
            with contextlib.suppress(Missing):
                return drivers.get(candidate)
    pytest.skip("no client that sends in transactions is here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note what became of a scenario for the matrix."""
    report = yield
    assert isinstance(report, pytest.TestReport)
    subject = subject_of(item) or program_of(item)
    if subject is not None and isinstance(item, pytest.Function):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        result: matrix.Result | None = None
        if report.failed:
            result = "FAIL"
            said = "" if call.excinfo is None else str(call.excinfo.value).strip()
            reason = f"{call.excinfo.typename if call.excinfo else report.when}: {said}"[:LONGEST_REASON]
        elif report.skipped:
            result = "gap" if reason.startswith(GAP) else "skip"
        elif report.when == "call":
            result = "pass"
        if result:
            promise = (inspect.getdoc(item.function) or item.originalname).split("\n\n")[0].replace("\n", " ")
            theme = (inspect.getdoc(item.module) or "").partition("\n")[0].rstrip(".:")
            name = item.originalname.removeprefix("test_").replace("_", " ")
            outcome = matrix.Outcome(theme, name, promise.rstrip("."), subject.name, result, reason.removeprefix(GAP))
            report.user_properties.append((SCENARIO, dataclasses.asdict(outcome)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the matrix, and write it where the options say."""
    # In the order of the sources, however the run was split.
    placed = config.stash[OUTCOMES]
    outcomes = [outcome for _, outcome in sorted(placed, key=lambda each: each[0])]
    if not outcomes:
        return
    launched = CALLED[config.getoption("--launch")]
    name = config.getoption("--called") or config.getoption("--bootstrap") or launched
    seen = {outcome.client for outcome in outcomes}
    present: list[Client | Program] = [each for each in map(client, (*CLIENTS, TOOLS)) if each.name in seen]
    present += config.stash[PROGRAMS].values()
    run = matrix.Run(name, outcomes, {each.name: each.version() for each in present})
    terminalreporter.section(f"scenarios on {name}")
    for line in matrix.terminal(run):
        terminalreporter.line(line)
    if path := config.getoption("--matrix"):
        Path(path).write_text(matrix.markdown([run]), encoding="utf-8")
    if path := config.getoption("--outcomes"):
        run.save(Path(path))
