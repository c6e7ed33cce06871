"""Metrics that clients push (KIP-714): which are wanted of whom, and what was last said.

| module | holds |
|---|---|
| `subscriptions` | the client metrics resources of the cluster's log, and which of them concern a client |
| `instances` | Telemetry: the client instances that were heard of, when each may ask and push, what it last pushed |
| `payload` | what is pushed, taken out: OpenTelemetry's messages in a compressed piece of bytes |

**Off by default.** Kafka advertises GetTelemetrySubscriptions and PushTelemetry only where a plugin receives what is
pushed, and answers them in any case. Here `ottla.telemetry.enable=true` stands for the plugin. Without it a push is
answered as Kafka does without a plugin: checked, and thrown away as it came.

**Bounds.** At most `MAX_INSTANCES` are known, as in Kafka; a push has at most `telemetry.max.bytes`, stands for at most
`MAX_UNPACKED` bytes and is taken out in a thread, piece by piece; of an instance `MAX_METRICS` numbers are kept, and of
all together `MAX_NUMBERS`. The instances least recently heard of make way.

Source: ClientMetricsManager, ClientMetricsInstance, ClientMetricsConfigs.
"""
