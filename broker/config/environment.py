"""Settings in environment variables, by the rule of the image `apache/kafka`, so that what starts that image starts
this broker: a compose file, a Kubernetes manifest, a script of testcontainers.

| variable | means |
| --- | --- |
| `KAFKA_NUM_PARTITIONS` | `num.partitions`: the rest of the name in small letters, `_` as `.` |
| `KAFKA_A__B` | `a_b`: two underscores are one |
| `KAFKA_A___B` | `a-b`: three are a dash |
| `KAFKA_CFG_NUM_PARTITIONS` | the same as `KAFKA_NUM_PARTITIONS`: the prefix of Bitnami's image |
| `CLUSTER_ID`, `KAFKA_KRAFT_CLUSTER_ID` | `ottla.cluster.id`, where another variable is a setting |

The variables go over the file and under the command line. In the image they are lines that are put behind the file's,
so an escape in a value means what it means in a file; but a line end belongs to the value here (a certificate in PEM
has many), while the image makes further settings of the lines after it.

Many machines have such variables for other reasons. Those that Kafka's own scripts read (`KAFKA_OPTS`, the heap of a
Java process) are no settings; any other whose name is no setting of a broker is named in the log and ignored, also
where unknown settings are an error: `KAFKA_HOME` and `KAFKA_BOOTSTRAP_SERVERS` must not keep a broker from starting.
`CLUSTER_ID` is a name that others use too, so it counts in the company of a setting only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from broker.config.keys import broker_key
from broker.config.properties import unescaped

PREFIX: Final = "KAFKA_"
BITNAMIS_PREFIX: Final = "KAFKA_CFG_"
CLUSTER_ID_VARIABLES: Final = ("CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID")
CLUSTER_ID: Final = "ottla.cluster.id"

OF_SCRIPTS: Final = frozenset(
    f"KAFKA_{name}"
    for name in (
        "DEBUG", "GC_LOG_OPTS", "HEAP_OPTS", "HOME", "JMX_HOSTNAME", "JMX_OPTS", "JMX_PORT", "JVM_PERFORMANCE_OPTS",
        "LOG4J_CMD_OPTS", "LOG4J_LOGGERS", "LOG4J_OPTS", "LOG4J_ROOT_LOGLEVEL", "MODE", "OPTS", "TOOLS_LOG4J_LOGLEVEL",
        "VERSION",
    )
)  # fmt: skip
"""What Kafka's start scripts and images read for themselves: for a Java process, or to choose what to start."""


class FromEnvironment(NamedTuple):
    """A setting, and the variable that has it."""

    key: str
    value: str
    variable: str


def key_of(variable: str) -> str:
    """The name of the setting that a variable, one that begins with PREFIX, would be."""
    dotted = variable.removeprefix(BITNAMIS_PREFIX).removeprefix(PREFIX).lower().replace("_", ".")
    return dotted.replace("...", "-").replace("..", "_")


def read(environment: Mapping[str, str]) -> tuple[list[FromEnvironment], list[str]]:
    """The settings in `environment`, and the variables that look like settings and are none."""
    settings: list[FromEnvironment] = []
    strangers: list[str] = []
    for variable in _candidates(environment):
        key = key_of(variable)
        if broker_key(key) is None and not key.startswith("config.providers"):
            strangers.append(variable)
        else:
            settings.append(FromEnvironment(key, unescaped(environment[variable]), variable))
    for variable in CLUSTER_ID_VARIABLES:
        if settings and (cluster_id := environment.get(variable, "").strip()):
            settings.append(FromEnvironment(CLUSTER_ID, cluster_id, variable))
    return settings, strangers


def _candidates(environment: Mapping[str, str]) -> Iterator[str]:
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable not in OF_SCRIPTS and variable not in CLUSTER_ID_VARIABLES:
            yield variable
