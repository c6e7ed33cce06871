"""What every API has to withstand, in every version: nothing filled in, too few bytes, too many, nulls and counts.

These scenarios are made from the declarations of the messages: whatever a request declares is tried, so an API that is
added to the table of handlers is asked these things at once.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from broker.handlers import SERVED_VERSIONS
from kproto.messages import request_type
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.describe_cluster import DescribeClusterRequest
from kproto.messages.produce import ProduceRequest
from kproto.primitives import MAX_TAGGED_FIELDS, uvarint
from kproto.schema.declare import Field, Request, fields_of
from tools.answers.scenario import add_scenario, scenario
from tools.answers.stage import Stage, encoded

NULLS = {"string": b"\xff\xff", "array": b"\xff" * 4, "bytes": b"\xff" * 4, "records": b"\xff" * 4}
HUGE = {"string": b"\x7f\xff", "array": b"\x7f\xff\xff\xff", "bytes": b"\x7f\xff\xff\xff"}


def plain_request(api: type[Request]) -> Request:
    """A request of defaults that has an answer."""
    return ProduceRequest(acks=1) if api is ProduceRequest else api()


def nothing_filled_in(api: type[Request], stage: Stage) -> None:
    """A request of defaults."""
    stage.ask("defaults", plain_request(api), only_mine=True)


def too_few_or_too_many_bytes(api: type[Request], stage: Stage) -> None:
    """The last byte missing, and one too many."""
    request = plain_request(api)
    body = encoded(request, stage.version)
    if body:
        stage.ask_bytes("the last byte missing", request, stage.version, body[:-1])
        stage.ask_bytes("no body", request, stage.version, b"")
    stage.ask_bytes("one byte too many", request, stage.version, body + b"\0", only_mine=True)


def unknown_tagged_fields(api: type[Request], stage: Stage) -> None:
    """Unknown tagged fields are skipped; a tag section that lies about its size is an error."""
    request = plain_request(api)
    body = encoded(request, stage.version)
    assert body[-1] == 0, "no tagged fields so far"
    stage.ask_bytes("one", request, stage.version, body[:-1] + b"\1\x63\3abc", only_mine=True)
    stage.ask_bytes("out of order", request, stage.version, body[:-1] + b"\2\x63\1a\x62\1a", only_mine=True)
    stage.ask_bytes("the same twice", request, stage.version, body[:-1] + b"\2\x63\1a\x63\1a", only_mine=True)
    stage.ask_bytes("too short", request, stage.version, body[:-1] + b"\1\x63\4abc")
    for count in (MAX_TAGGED_FIELDS, MAX_TAGGED_FIELDS + 1):
        section = uvarint(count) + b"\x63\0" * count
        stage.ask_bytes(f"{count} of them", request, stage.version, body[:-1] + section, only_mine=True)


def nulls_and_counts(api: type[Request], stage: Stage) -> None:
    """Null, and a count that no body can hold, in every field that has a length."""
    request = plain_request(api)
    for field in fields_of(api):
        if field.type.name not in NULLS or stage.version not in field.versions or field.tag is not None:
            continue
        allowed = "allowed" if stage.version in field.nullable else "forbidden"
        stage.ask_bytes(
            f"{field.name} null, which is {allowed}",
            request,
            stage.version,
            with_length(request, stage.version, field, b"\0", NULLS[field.type.name]),
            only_mine=True,
        )
        if field.type.name in HUGE:
            body = with_length(request, stage.version, field, b"\xff\xff\xff\xff\x07", HUGE[field.type.name])
            stage.ask_bytes(f"{field.name} promises too much", request, stage.version, body)


def with_length(request: Request, version: int, field: Field, compact: bytes, plain: bytes) -> bytes:
    """The request's body with other bytes where the field, which is empty, has its length."""
    api = type(request)
    element = field.type.element
    full: Any
    if element is None:
        full = "x" if field.type.name == "string" else b"x"
    else:
        full = [element.struct() if element.struct is not None else element.zero]
    filled = {each.name: getattr(request, each.name) for each in fields_of(api)}
    empty = encoded(api(**filled | {field.name: type(full)()}), version)
    other = encoded(api(**filled | {field.name: full}), version)
    at = next(index for index, (left, right) in enumerate(zip(empty, other, strict=False)) if left != right)
    if version >= api.flexible_version:
        return empty[:at] + compact + empty[at + 1 :]
    return empty[: at + 1 - len(plain)] + plain + empty[at + 1 :]


def versions_not_served(api: type[Request], stage: Stage) -> None:
    """One above the newest version, one below the oldest, and the lowest number there is."""
    oldest, newest = SERVED_VERSIONS[api.api_key]
    body = encoded(plain_request(api), newest)
    for version in (newest + 1, 32767, -1, -32768, *([oldest - 1] if oldest else [])):
        request = plain_request(api)
        stage.ask_bytes(f"version {version}", request, version, body)


for key, (_, newest) in SERVED_VERSIONS.items():
    each = request_type(key)
    add_scenario("nothing-filled-in", each, partial(nothing_filled_in, each))
    add_scenario("too-few-or-too-many-bytes", each, partial(too_few_or_too_many_bytes, each))
    add_scenario("unknown-tagged-fields", each, partial(unknown_tagged_fields, each), since=each.flexible_version)
    add_scenario("nulls-and-counts", each, partial(nulls_and_counts, each))
    add_scenario("versions-not-served", each, partial(versions_not_served, each), since=newest)


@scenario(ApiVersionsRequest)
def who_asks(stage: Stage) -> None:
    """A client may say what it is, and says it badly only once."""
    if stage.version < 3:
        return
    for name, software, version in (
        ("as clients do", "differ", "1.0.3"),
        ("characters that must not be", "differ one", "1.0"),
        ("an empty name", "", "1.0"),
        ("an empty version", "differ", ""),
        ("a hyphen first", "-differ", "1.0"),
        ("a hyphen last", "differ", "1.0-"),
        ("dots and hyphens", "a.b-c", "1-2.3"),
        ("another alphabet", "\u00e4", "1.0"),
    ):
        request = ApiVersionsRequest(client_software_name=software, client_software_version=version)
        stage.ask(name, request)
        stage.ask(f"after {name}", request)


@scenario(ApiVersionsRequest)
def which_broker_is_meant(stage: Stage) -> None:
    """From version 5 on a client may say which cluster and which node it expects to reach."""
    if stage.version < 5:
        return
    cluster_id = stage.arrange(DescribeClusterRequest()).cluster_id
    for cluster, named in ((None, "no cluster"), ("", "an empty id"), (cluster_id, "ours"), ("other", "another")):
        for node_id in (-1, 1, 2, 0, -2):
            request = ApiVersionsRequest(
                client_software_name="differ", client_software_version="1", cluster_id=cluster, node_id=node_id
            )
            stage.ask(f"{named}, node {node_id}", request)
    stage.ask(
        "another, by nonsense",
        ApiVersionsRequest(client_software_name="-", client_software_version="1", cluster_id="other", node_id=2),
    )
