"""The lines of a parent: commands are obeyed one after the other, everything else is ignored."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
import trio

from broker.tests.test_lifetimes import living, make_topic, topics
from tools.commands.lifeline import Lifeline, obey


@pytest.mark.parametrize("line", [b"", b"hello", b"[1]", b'{"do": 3}', b"\xff\xfe", b"[" * 10_000, b"NaN"])
async def test_what_is_no_command_is_ignored(line: bytes) -> None:
    """A terminal, or a pipe of something else, stops no broker."""
    async with living() as broker:
        assert await obey(broker.lifetimes, line) is None


async def test_commands_do_what_they_say(tmp_path: Path) -> None:
    """A reset, a backup and its return; a mistake is a sentence."""
    file = tmp_path / "backup.tar"
    path = str(file)
    async with living() as broker:
        await make_topic(broker.lifetimes)
        answer = await obey(broker.lifetimes, json.dumps({"do": "backup", "to": path}).encode())
        assert answer == {"bytes": len(file.read_bytes())}
        assert await obey(broker.lifetimes, b'{"do": "reset"}') == {}
        assert topics(broker.lifetimes) == set()
        assert await obey(broker.lifetimes, json.dumps({"do": "restore", "of": path}).encode()) == {}
        assert topics(broker.lifetimes) == {"orders"}
        for wrong in (b'{"do": "dance"}', b'{"do": "restore"}', b'{"do": "backup", "to": 7}'):
            answer = await obey(broker.lifetimes, wrong)
            assert answer is not None and "is no command, or says too little" in answer["error"]


async def test_lines_are_answered_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    """However they come: in pieces, several at once, before the broker is ready."""
    source, parent = os.pipe()
    os.write(parent, b'{"do": "re')
    ended = threading.Event()
    line = Lifeline(source, ended.set)
    try:
        async with living() as broker, trio.open_nursery() as nursery:
            nursery.start_soon(line.run, broker.lifetimes)
            await make_topic(broker.lifetimes)
            os.write(parent, b'set"}\n{"do": "x"}\n\nhello\n{"do": "y"}\n')
            out = ""
            with trio.fail_after(20):
                while out.count("\n") < 3:
                    await trio.sleep(0.01)
                    out += capsys.readouterr().out
            answers = [json.loads(each.removeprefix("answer ")) for each in out.splitlines()]
            assert answers[0] == {} and "'x'" in answers[1]["error"] and "'y'" in answers[2]["error"]
            assert topics(broker.lifetimes) == set()
            nursery.cancel_scope.cancel()
    finally:
        os.close(parent)
    assert ended.wait(20), "the end of the input is the end of the broker"
