"""The page's paths: each a view, made in a thread by asking the cluster, and written by a template.

Names of topics are in the query and not in the path, as are ids of groups, which may be any text. A view that fails is
a page with the sentence of its failure; what one may not see is said in its place, and the rest is shown.

    /                 the cluster, its brokers, what its metrics say
    /cluster          who leads and coordinates what; how database and bucket answer
    /topics  /topic   all topics; one: partitions, configs
    /messages         records of a topic, found by place, time, or what is in them
    /message          one record; with raw=key or raw=value its bytes
    /newer            what has come since, for the live view
    /produce          POST: one record
    /groups  /group   all groups; one: members, offsets, lag over time
    /transactions  /transaction
    /connections      who is connected, and what the broker spends its time on
    /configs          of a broker
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import jinja2
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from broker.web.guard import TooLarge, read_body
from kproto.batches.records import RecordData
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_cluster import DescribeClusterRequest
from tools.client.cluster import Cluster, Refused
from tools.client.configs import DEFAULT_SOURCE, SOURCES, ResourceType, describe_configs
from tools.client.groups import describe_group
from tools.failures import Failed
from tools.page import messages as reading
from tools.page import pictures, views
from tools.page.clusters import Clusters
from tools.page.histories import SECONDS, Histories
from tools.page.metrics import Metrics
from tools.page.standing import standing
from tools.page.values import shown

HERE: Final = Path(__file__).parent
THREADS: Final = 6
MESSAGES: Final = 50
MOST_TEXT: Final = 1000

FORBIDDEN: Final = frozenset({
    ErrorCode.TOPIC_AUTHORIZATION_FAILED, ErrorCode.GROUP_AUTHORIZATION_FAILED,
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
})  # fmt: skip

Query = Mapping[str, str]
View = Callable[[Cluster, Query], dict[str, Any]]


class NotThere(Failed):
    """Something that was asked for does not exist."""


class Page:
    """What all views share: the cluster, the broker's metrics if they are known, and what was seen over time."""

    def __init__(self, clusters: Clusters, metrics: Metrics | None) -> None:
        self.clusters = clusters
        self.metrics = metrics
        self.histories = Histories()
        self.topics = views.Topics()
        self._threads = trio.CapacityLimiter(THREADS)
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            link=link, shown=shown, has_metrics=metrics is not None, address=clusters.properties.addresses
        )
        self._templates.filters.update(size=pictures.size, quantity=pictures.quantity, moment=moment, since=since)

    def app(self) -> Starlette:
        """The ASGI application, without its guard."""
        made: dict[str, tuple[View, str]] = {
            "/": (self.overview, "overview.html"),
            "/cluster": (self.cluster, "cluster.html"),
            "/topics": (self.all_topics, "topics.html"),
            "/topic": (self.topic, "topic.html"),
            "/messages": (self.messages, "messages.html"),
            "/newer": (self.newer, "newer.html"),
            "/message": (self.message, "message.html"),
            "/groups": (self.groups, "groups.html"),
            "/group": (self.group, "group.html"),
            "/transactions": (self.transactions, "transactions.html"),
            "/transaction": (self.transaction, "transaction.html"),
            "/connections": (self.connections, "connections.html"),
            "/configs": (self.configs, "configs.html"),
        }
        routes: list[Any] = [
            Route(path, functools.partial(self._answer, view, name), methods=["GET"])
            for path, (view, name) in made.items()
        ]
        routes += [
            Route("/produce", self.produce, methods=["POST"]),
            Route("/raw", self.raw, methods=["GET"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]
        return Starlette(routes=routes, exception_handlers={404: self._no_view})

    async def _answer(self, view: View, template: str, request: Request) -> Response:
        try:
            context = await self._in_thread(view, dict(request.query_params))
        except (Failed, KafkaError) as error:
            return self._failed(error)
        context.setdefault("path", request.url.path)
        return HTMLResponse(self._templates.get_template(template).render(context))

    async def _no_view(self, request: Request, _: Exception) -> Response:
        return self._failed(NotThere(f"there is no view at {request.url.path}; those that there are stand above"))

    def _failed(self, error: Exception) -> Response:
        status = 404 if isinstance(error, NotThere) else 502
        if isinstance(error, Refused):
            status = 403 if error.code in FORBIDDEN else 404 if error.code.name.startswith("UNKNOWN_TOPIC") else 502
        html = self._templates.get_template("failed.html").render(sentence=str(error), path="")
        return HTMLResponse(html, status)

    async def _in_thread(self, view: Callable[[Cluster, Query], Any], query: Query, *, again: bool = True) -> Any:
        """What `view` finds. With `again` it is asked once more over a new connection, if the one that was kept since
        the last view has died, as all have when a broker was restarted."""

        def run() -> Any:
            try:
                with self.clusters.borrowed() as cluster:
                    return view(cluster, query)
            except (NotThere, Refused):
                raise
            except Failed:
                if not again:
                    raise
            self.clusters.close()
            with self.clusters.borrowed() as cluster:
                return view(cluster, query)

        return await trio.to_thread.run_sync(run, limiter=self._threads, abandon_on_cancel=True)

    async def watch(self) -> None:
        """Look at metrics and lag every now and then, forever."""
        while True:
            if self.metrics is not None:
                await trio.to_thread.run_sync(self.metrics.read, abandon_on_cancel=True)
            with contextlib.suppress(Failed, KafkaError):  # the views say so, when they are asked for
                await self._in_thread(lambda cluster, query: self.histories.look(cluster), {})
            await trio.sleep(SECONDS)

    # --- the cluster

    def overview(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """The cluster at a glance."""
        described = cluster.ask(DescribeClusterRequest())
        topics = self.topics.all(cluster)
        return {
            "cluster": described,
            "topics": len(topics),
            "partitions": sum(topic.partitions for topic in topics),
            "groups": _or_sentence(lambda: len(views.all_groups(cluster, ""))),
            "drawings": self._drawings(),
            "failure": self.metrics.failure if self.metrics is not None else None,
        }

    def cluster(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """Who does what, and how database and bucket answer."""
        return standing(cluster, self.metrics)

    def _drawings(self) -> list[tuple[str, Any, str]]:
        """(what, picture, the number now) of the metrics."""
        metrics = self.metrics
        if metrics is None:
            return []
        kafka = "kafka_server_brokertopicmetrics_"
        courses = [
            ("Records in, a second", metrics.rate(f"{kafka}messagesin_total"), pictures.quantity),
            ("Bytes in, a second", metrics.rate(f"{kafka}bytesin_total"), pictures.size),
            ("Bytes out, a second", metrics.rate(f"{kafka}bytesout_total"), pictures.size),
            ("Requests a second", metrics.rate("kafka_network_requestmetrics_requests_total"), pictures.quantity),
            (
                "Connections",
                metrics.gauge("kafka_server_socket_server_metrics_connection_count"),
                pictures.quantity,
            ),
            ("Cores in use", metrics.rate("process_cpu_seconds_total"), lambda number: f"{number:.2f}"),
            ("Memory", metrics.gauge("process_resident_memory_bytes"), pictures.size),
        ]
        return [
            (what, pictures.course(points, what), written(points[-1][1])) for what, points, written in courses if points
        ]

    def configs(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """The configs of a broker."""
        nodes = cluster.nodes()
        node = _number(query, "broker", nodes[0].id)
        if node not in [each.id for each in nodes]:
            raise NotThere(f"there is no broker {node}")
        found = describe_configs(cluster, ResourceType.BROKER, [str(node)])[str(node)]
        text = _text(query, "q").lower()
        return {
            "node": node,
            "nodes": nodes,
            "configs": [each for each in found if text in each.name.lower()],
            "sources": SOURCES,
            "default": DEFAULT_SOURCE,
            "q": _text(query, "q"),
        }

    def connections(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """Who is connected, and what the broker does."""
        metrics = self.metrics
        if metrics is None:
            return {"metrics": None}
        return {
            "metrics": metrics,
            "status": metrics.status(),
            "requests": metrics.rates_by("kafka_network_requestmetrics_requests_total", "request"),
            "listeners": metrics.seen()[-1].by("kafka_server_socket_server_metrics_connection_count", "listener")
            if metrics.seen()
            else {},
            "ended": metrics.seen()[-1].by("ottla_connections_ended_total", "reason") if metrics.seen() else {},
            "now": metrics.seen()[-1] if metrics.seen() else None,
            "drawings": self._drawings(),
            "share": pictures.share,
        }

    # --- topics and messages

    def all_topics(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """A page of the topics."""
        text = _text(query, "q")
        shows_internal = query.get("internal") == "1"
        found = [
            topic
            for topic in self.topics.all(cluster)
            if text.lower() in topic.name.lower() and (shows_internal or not topic.internal)
        ]
        page = views.page_of(found, _number(query, "page", 1))
        rows = views.rows_of(cluster, page.entries)
        most = max((row.bytes or 0 for row in rows), default=0)
        return {
            "rows": rows,
            "page": page,
            "q": text,
            "internal": shows_internal,
            "most": most,
            "share": pictures.share,
        }

    def topic(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """One topic."""
        described = views.described_topic(cluster, name := _text(query, "name"))
        listed = views.TopicName(name, len(described.partitions), described.is_internal, 0)
        page = views.partition_rows(cluster, listed, described, _number(query, "page", 1))
        records = [(f"partition {row.partition}", float((row.end or 0) - (row.start or 0))) for row in page.entries]
        configs = _or_sentence(lambda: describe_configs(cluster, ResourceType.TOPIC, [name])[name])
        if not isinstance(configs, str):
            configs = sorted(configs, key=lambda each: (each.source == DEFAULT_SOURCE, each.name))
        return {
            "topic": listed,
            "page": page,
            "records": sum(number for _, number in records),
            "bars": pictures.bars(records, "records by partition"),
            "configs": configs,
            "sources": SOURCES,
            "default": DEFAULT_SOURCE,
        }

    def messages(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """Records of a topic."""
        name = _text(query, "name")
        described = views.described_topic(cluster, name)
        count = len(described.partitions)
        chosen = query.get("partition", "all")
        if chosen == "all":
            partitions = range(min(count, reading.MOST_PARTITIONS))
        else:
            partitions = range(number := _number(query, "partition", 0), number + 1)
            if not 0 <= number < count:
                raise NotThere(f"{name} has no partition {number}")
        bounds = reading.bounds_of(cluster, name, partitions)
        search = reading.Search(_text(query, "find"), query.get("in", "any"))
        begin = query.get("from", "newest")
        places = _places(query.get("at", ""))
        newest_first = begin == "newest"
        if not places:
            places = self._begin(cluster, name, bounds, begin, _text(query, "where"))
        look = reading.back if newest_first else reading.on
        found = look(cluster, name, bounds, places, search, MESSAGES)
        asked = {key: query[key] for key in ("partition", "from", "where", "find", "in") if query.get(key)}
        return {
            "name": name,
            "count": count,
            "chosen": chosen,
            "limited": chosen == "all" and count > reading.MOST_PARTITIONS,
            "found": found,
            "begin": begin,
            "where": _text(query, "where"),
            "search": search,
            "newest_first": newest_first,
            "more": None if found.is_end else {"name": name, **asked, "at": _at(found.places)},
            "ends": _at({partition: each.end for partition, each in bounds.items()}),
            "produced": query.get("produced"),
            "internal": described.is_internal,
            "open_form": query.get("form") == "1",
        }

    @staticmethod
    def _begin(
        cluster: Cluster, name: str, bounds: Mapping[int, reading.Bounds], begin: str, where: str
    ) -> dict[int, int]:
        """The places at which reading begins."""
        if begin == "oldest":
            return {partition: each.start for partition, each in bounds.items()}
        if begin == "offset":
            if not where.isdecimal() or len(where) > 19:
                raise Failed(f"{where!r} is not an offset")
            return dict.fromkeys(bounds, int(where))
        if begin == "time":
            return reading.places_at(cluster, name, bounds, _milliseconds(where))
        return {partition: each.end for partition, each in bounds.items()}

    def newer(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """What has come behind the given places."""
        name, places = _text(query, "name"), _places(query.get("at", ""))
        search = reading.Search(_text(query, "find"), query.get("in", "any"))
        bounds = reading.bounds_of(cluster, name, places)
        found = reading.on(cluster, name, bounds, places, search, MESSAGES)
        return {"name": name, "found": found, "at": _at(found.places)}

    def message(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """One record."""
        name, found = self._one(cluster, query)
        return {"name": name, "message": found}

    @staticmethod
    def _one(cluster: Cluster, query: Query) -> tuple[str, reading.Message]:
        name, partition, offset = _text(query, "name"), _number(query, "partition", 0), _number(query, "offset", 0)
        if offset < 0:
            raise NotThere("offsets begin with 0")
        try:
            read, _ = reading.read_windows(cluster, name, {partition: (offset, offset + 1)})
        except Refused as error:
            if error.code is not ErrorCode.OFFSET_OUT_OF_RANGE:
                raise
            read = []
        if not read:
            raise NotThere(f"{name}-{partition} has no record at {offset}")
        return name, read[0]

    async def raw(self, request: Request) -> Response:
        """The bytes of a key or a value, to be saved and never shown by the browser."""
        try:
            _, found = await self._in_thread(self._one, dict(request.query_params))
        except (Failed, KafkaError) as error:
            return self._failed(error)
        part = "key" if request.query_params.get("part") == "key" else "value"
        data = found.record.key if part == "key" else found.record.value
        name = f"{part}-{found.partition}-{found.record.offset}"
        return Response(
            data or b"",
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def produce(self, request: Request) -> Response:
        """Write one record, and show it."""
        try:
            body = await read_body(request)
        except TooLarge:
            return PlainTextResponse("the form is too large\n", 413)
        form = {
            key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True).items()
        }
        try:
            partition, offset = await self._in_thread(self._write, form, again=False)
        except (Failed, KafkaError, ValueError) as error:
            return self._failed(error)
        place = {"name": form.get("name", ""), "produced": f"{partition}:{offset}", "form": "1"}
        return RedirectResponse(link("/messages", **place), 303)

    @staticmethod
    def _write(cluster: Cluster, form: Query) -> tuple[int, int]:
        name = form.get("name", "")
        count = len(views.described_topic(cluster, name).partitions)
        chosen = form.get("partition", "")
        partition = _number(form, "partition", 0) if chosen else random.randrange(count)
        if not 0 <= partition < count:
            raise NotThere(f"{name} has no partition {partition}")
        headers = []
        for line in form.get("headers", "").splitlines():
            if line.strip():
                key, colon, value = line.partition(":")
                if not colon:
                    raise Failed(f"the header {line!r} is not NAME: VALUE")
                headers.append((key.strip(), value.strip().encode()))
        record = RecordData(
            timestamp=int(time.time() * 1000),
            key=form["key"].encode() if form.get("key") else None,
            value=None if form.get("tombstone") else form.get("value", "").encode(),
            headers=headers,
        )
        return partition, reading.produce(cluster, name, partition, record)

    # --- groups and transactions

    def groups(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """A page of the groups."""
        page = views.page_of(
            views.all_groups(cluster, text := _text(query, "q")), _number(query, "page", 1), views.GROUPS_PAGE
        )
        lags = _or_sentence(lambda: views.lags_of(cluster, [group.id for group in page.entries]))
        rows: list[tuple[Any, int | None, Any]] = []
        for group in page.entries:
            if isinstance(lags, str) or group.id not in lags:
                rows.append((group, None, None))
                continue
            lag = views.total_lag(lags[group.id])
            seen = self.histories.watch(group.id, lag)
            rows.append((group, lag, pictures.course(seen, f"lag of {group.id}", width=120, height=28)))
        return {"rows": rows, "page": page, "q": text}

    def group(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """One group."""
        group = describe_group(cluster, name := _text(query, "id"))
        if not group.exists:
            raise NotThere(f"there is no group {name}")
        found = _or_sentence(lambda: views.lags_of(cluster, [name]).get(name, []))
        owners = {place: member for member in group.members for place in member.partitions}
        lags = [] if isinstance(found, str) else views.with_assigned(cluster, found, owners)
        lag = views.total_lag(lags)
        return {
            "group": group,
            "name": name,
            "lags": views.page_of(lags, _number(query, "page", 1)),
            "sentence": found if isinstance(found, str) else None,
            "owners": owners,
            "lag": lag,
            "course": pictures.course(self.histories.watch(name, lag), f"lag of {name}", width=480, height=96),
            "bars": pictures.bars(
                [(f"{each.place.topic}-{each.place.partition}", float(each.lag or 0)) for each in lags],
                "lag by partition",
            ),
        }

    def transactions(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """A page of the transactional ids."""
        found = views.transactions(cluster, text := _text(query, "q"))
        states: dict[str, int] = {}
        for each in found:
            states[each.state] = states.get(each.state, 0) + 1
        return {"page": views.page_of(found, _number(query, "page", 1)), "q": text, "states": states}

    def transaction(self, cluster: Cluster, query: Query) -> dict[str, Any]:
        """One transactional id."""
        return {"each": views.transaction(cluster, _text(query, "id"))}


def link(to: str, /, **query: Any) -> str:
    """A path with a query; values that are None are left out."""
    given = {key: value for key, value in query.items() if value is not None}
    return f"{to}?{urlencode(given)}" if given else to


def moment(milliseconds: int) -> str:
    """A time of a record or a transaction, in UTC; empty for none."""
    if milliseconds < 0:
        return ""
    try:
        at = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
    return at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def since(milliseconds: int) -> str:
    """How long ago that is."""
    seconds = time.time() - milliseconds / 1000
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _milliseconds(text: str) -> int:
    """A time that was typed: ISO 8601, in UTC unless it says otherwise, or milliseconds. Raises Failed."""
    if text.isdecimal() and len(text) <= 15:
        return int(text)
    try:
        at = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise Failed(f"{text!r} is not a time: write 2026-01-31T12:00, or milliseconds since 1970") from None
    return int((at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp() * 1000)


def _places(text: str) -> dict[int, int]:
    """Partition -> offset, from `0:12,1:7`. Raises Failed."""
    found = {}
    for word in filter(None, text.split(",")[: reading.MOST_PARTITIONS]):
        partition, colon, offset = word.partition(":")
        if not colon or not partition.isdecimal() or not offset.isdecimal() or len(word) > 40:
            raise Failed("the address of this page is damaged")
        found[int(partition)] = int(offset)
    return found


def _at(places: Mapping[int, int]) -> str:
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(places.items()))


def _text(query: Query, key: str) -> str:
    return query.get(key, "")[:MOST_TEXT]


def _number(query: Query, key: str, otherwise: int) -> int:
    """An integer of the query. Raises Failed."""
    text = query.get(key, "")
    if not text:
        return otherwise
    if not text.lstrip("-").isdecimal() or len(text) > 19:
        raise Failed(f"{key} is {text[:40]!r}, which is no number")
    return int(text)


def _or_sentence(ask: Callable[[], Any]) -> Any:
    """What is asked for, or why it cannot be shown."""
    try:
        return ask()
    except Refused as error:
        return str(error)
