"""What Kafka's command-line tools can do: the list in docs/kafka-tools.md, held against the tools and the scenarios."""

from __future__ import annotations

import re

import pytest

from compat_tests.clients.kafka_tools.adapter import HELP, Tools, used
from compat_tests.clients.kafka_tools.options import LEFT_OUT, OPTIONS
from compat_tests.clients.kafka_tools.page import SCENARIOS

OPTION = re.compile(r"^(?:\* |  )?(?:-\w(?: [A-Z_-]+)?, )?(--[a-zA-Z][\w.-]*)", re.MULTILINE)
COMMANDS = re.compile(r"\{([a-z,-]+)\}")


@pytest.mark.parametrize("tool", OPTIONS)
def test_every_option_is_listed(tools: Tools, tool: str) -> None:
    """The table of options is what the tools say of themselves"""
    name, *command = tool.split()
    # One tool looks at its options only when it is given some.
    first = ["--bootstrap-server", tools.bootstrap] if name == "kafka-e2e-latency" else []
    said = tools.run(name, *first, *command, HELP, fails=None)
    assert sorted(set(OPTION.findall(said))) == list(OPTIONS[tool])
    if not command and (commands := COMMANDS.search(said)):
        assert {f"{name} {each}" for each in commands[1].split(",")} <= set(OPTIONS)


@pytest.mark.looks_back
def test_every_option_was_used(request: pytest.FixtureRequest, tools: Tools) -> None:
    """The scenarios of the tools use every option that is not left out"""
    files = {item.path for item in request.session.items}
    if not set(SCENARIOS.glob("test_*tool*.py")) <= files or request.config.option.keyword:
        pytest.skip("not all scenarios of the tools are run")
    if request.config.getoption("--bootstrap") or request.config.getoption("--launch") != "ottla":
        pytest.skip("scenarios that need settings of Ottla's have not been run")
    idle = [
        (tool, option)
        for tool, options in OPTIONS.items()
        for option in options
        if (tool, option) not in LEFT_OUT and not used(tool, option)
    ]
    assert not idle
