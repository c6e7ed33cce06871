"""How this repository's tests run: `async def test_...` under trio, in real or in virtual time.

A coroutine test is run by `trio.run`; no marker, no plugin. One that asks for the fixture `autojump_clock` runs on that
clock: whenever every task waits, virtual time jumps to the next deadline, so forty-five seconds of session timeout pass
in microseconds. Fixtures stay synchronous; what needs a nursery opens one in the test, where a reader sees it.

A coroutine under Hypothesis' `@given` gets one `trio.run`, in real time, per example.
"""

from __future__ import annotations

import functools
import gc
import inspect
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import hypothesis
import pytest
import trio
import trio.testing

# A slow machine is no failed promise, so no example has a deadline.
hypothesis.settings.register_profile("ottla", deadline=None)
hypothesis.settings.load_profile("ottla")


LONG = (
    "tools/tests/trials/test_differential.py",
    "tools/tests/trials/kill_test/test_run.py",
    "tools/tests/test_wheel.py",
    "tools/tests/test_examples.py",
    "compat_tests/scenarios/test_consumer_groups.py",
    "compat_tests/scenarios/test_restarts.py",
    "compat_tests/scenarios/test_transactions.py",
)
"""Files of few and long tests: with several workers they are begun first, so that none runs alone in the end."""

SCENARIOS = "compat_tests/scenarios/"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end: the garbage collector neither looks at it meanwhile nor afterwards."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first, then those with many tests; the order within a file stays. On a worker only."""
    if hasattr(config, "workerinput"):
        paths = [item.nodeid.partition("::")[0] for item in items]
        sizes = Counter(paths)
        order = {path: (path not in LONG, -sizes[path]) for path in sizes}
        items[:] = [item for _, item in sorted(zip(paths, items, strict=True), key=lambda each: order[each[0]])]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """As `--dist loadfile`, but the scenarios of real clients are kept together on a half of the workers, which begin
    with them: each worker that has any starts brokers and seven clients of its own, and a process of Java for one.
    """
    from xdist.scheduler import LoadFileScheduling

    class ScenariosTogether(LoadFileScheduling):
        def _assign_work_unit(self, node: Any) -> None:
            with_clients = self.nodes.index(node) % 2 == 0
            wanted = (scope for scope in self.workqueue if scope.startswith(SCENARIOS) is with_clients)
            if (scope := next(wanted, None)) is not None:
                self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    return ScenariosTogether(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """The virtual clock that the asking coroutine test runs on; starts at 0 and jumps when all tasks wait."""
    return trio.testing.MockClock(autojump_threshold=0)


def _in_trio(
    test: Callable[..., Coroutine[object, object, None]], clock: trio.testing.MockClock | None = None
) -> Callable[..., None]:
    @functools.wraps(test)
    def run(**arguments: object) -> None:
        trio.run(functools.partial(test, **arguments), clock=clock)

    return run


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    test = pyfuncitem.obj
    property_test = getattr(test, "hypothesis", None)
    if property_test is not None:
        # The reassignable `inner_test` is what Hypothesis offers to runners of coroutines: called once per example.
        if inspect.iscoroutinefunction(property_test.inner_test):
            property_test.inner_test = _in_trio(property_test.inner_test)
    elif inspect.iscoroutinefunction(test):
        clock = pyfuncitem.funcargs.get("autojump_clock")
        assert clock is None or isinstance(clock, trio.testing.MockClock)
        pyfuncitem.obj = _in_trio(test, clock)
    return (yield)
