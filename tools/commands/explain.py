"""`ottla explain MESSAGE`: print a message's schema, its codec's source, or what given bytes say.

    ottla explain Produce                             the fields of ProduceRequest and ProduceResponse, all versions
    ottla explain ProduceRequest --version 9          the fields of one version
    ottla explain ProduceRequest --version 9 --source     the generated decoder and encoder
    ottla explain ProduceRequest --version 9 --hex 00ffff000005dc0100      the bytes, field by field
    ottla explain --recording bug.ottla               what `ottla record` has kept, frame by frame

A message is named as Kafka names it, a request and its response together by the API's name or key. `--hex -` reads the
digits from standard input; blanks between them do not matter.
"""

import argparse
import difflib
import sys
from collections.abc import Sequence

from kproto.messages import APIS, request_type
from kproto.schema.catalogue import declarations
from kproto.schema.declare import Message
from kproto.schema.explain import dump, schema, source


class NotUnderstood(Exception):
    """What was asked for cannot be shown; the sentence says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was asked for; 0 if it could be shown, 2 if it was not understood."""
    arguments = parser().parse_args(argv)
    if arguments.recording is not None:
        from tools.recording.explaining import explain

        for text in explain(arguments.recording):
            print(text)
        return 0
    try:
        if arguments.message is None:
            raise NotUnderstood("name a message, an API, or a --recording")
        classes = named(arguments.message)
        for text in explained(classes, arguments.version, arguments.source, arguments.hex):
            print(text)
    except NotUnderstood as error:
        print(f"ottla explain: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """All words of `ottla explain`."""
    made = argparse.ArgumentParser(prog="ottla explain", description="Show a message of Kafka's protocol.")
    made.add_argument("message", nargs="?", help="a message, an API or an API key: ProduceRequest, Produce, 0")
    made.add_argument("--version", type=int, help="one version of it")
    made.add_argument("--source", action="store_true", help="print the generated codec of that version")
    made.add_argument("--hex", metavar="DIGITS", help="bytes of that version to read; - for standard input")
    made.add_argument("--recording", metavar="FILE", help="print all frames of a recording instead")
    return made


def named(name: str) -> list[type[Message]]:
    """The messages of a name; request and response for an API. Raises NotUnderstood."""
    apis = {api.name: key for key, api in APIS.items()}
    key = int(name) if name.isdigit() else apis.get(name)
    if key in APIS:
        request = request_type(key)
        return [request, request.response_type]
    messages = {cls.kafka_name: cls for cls in declarations()[0]}
    if name in messages:
        return [messages[name]]
    near = difflib.get_close_matches(name, [*messages, *apis], n=1)
    raise NotUnderstood(f"no message {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def explained(
    classes: Sequence[type[Message]], version: int | None, want_source: bool, digits: str | None
) -> list[str]:
    """The texts to print. Raises NotUnderstood."""
    if not want_source and digits is None:
        return [schema(cls, version=version) for cls in classes]
    if version is None:
        raise NotUnderstood("--source and --hex need a --version")
    for cls in classes:
        if not cls.min_version <= version <= cls.max_version:
            raise NotUnderstood(f"{cls.kafka_name} has versions {cls.min_version} to {cls.max_version}")
    texts = [source(cls, version) for cls in classes] if want_source else []
    if digits is not None:
        if len(classes) != 1:
            raise NotUnderstood(f"bytes of which of them: {' or '.join(cls.kafka_name for cls in classes)}?")
        try:
            data = bytes.fromhex(sys.stdin.read() if digits == "-" else digits)
        except ValueError as error:
            raise NotUnderstood(f"these are not hexadecimal digits: {error}") from error
        texts.append(dump(classes[0], version, data))
    return texts


if __name__ == "__main__":
    sys.exit(main())
