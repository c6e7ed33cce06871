"""What strace writes, as a sequence of events: who began which system call, and who came back from it with what.

    strace -f -yy -xx -s 400 -o FILE ...

`-xx` writes every string in hexadecimal, paths of descriptors too, so nothing has to be guessed about quotes. Where
another thread came between a call and its return, strace writes two lines (`<unfinished ...>`, `<... resumed>`); the
order of all lines is the order in which it saw them, and that is what an audit goes by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

ERROR = -1


class Event(NamedTuple):
    """A call begins (`result` is None) or ends (`result` is what it returned, ERROR if it failed).

    `path` is that of the descriptor in the first argument, or an endpoint (`TCP:[...]`); `strings` are the arguments in
    quotes, cut where strace cuts them; `rest` the whole text, for flags.
    """

    pid: int
    call: str
    path: str
    strings: list[bytes]
    rest: str
    result: int | None


_LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)\Z")
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)\Z")
_RESULT = re.compile(r" = (?P<number>-?\d+|\?)(?:<(?:[^>-]|->?)*>)?(?: [A-Z].*)?\Z")
_DESCRIPTOR = re.compile(r"(?:AT_FDCWD|\d+)<(?P<path>(?:[^>-]|->?)*)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def plain(text: str) -> bytes:
    """What `\\x64\\x61` stands for; text that is not of that form is itself."""
    if text.startswith("\\x"):
        return bytes.fromhex(text.replace("\\x", ""))
    return text.encode()


def events(lines: Iterable[str]) -> Iterator[Event]:
    """Two events for each call, in the order in which they were seen."""
    under_way: dict[int, Event] = {}
    for line in lines:
        line = line.rstrip("\n")
        if (match := _RESUMED.match(line)) is not None:
            begun = under_way.pop(int(match["pid"]), None)
            if begun is not None:
                yield begun._replace(result=_result(match["rest"]))
        elif (match := _LINE.match(line)) is not None:
            rest = match["rest"]
            descriptor = _DESCRIPTOR.match(rest)
            begun = Event(
                int(match["pid"]), match["call"], plain(descriptor["path"]).decode() if descriptor else "",
                [plain(text) for text in _STRING.findall(rest)], rest, None,
            )  # fmt: skip
            yield begun
            if rest.endswith("<unfinished ...>"):
                under_way[begun.pid] = begun
            else:
                yield begun._replace(result=_result(rest))


def _result(rest: str) -> int:
    match = _RESULT.search(rest)
    return ERROR if match is None or match["number"] == "?" else int(match["number"])
