"""DescribeLogDirs: where logs are, and how large."""

from __future__ import annotations

from kproto.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest
from tools.answers.requests import batch, produce
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


@scenario(DescribeLogDirsRequest)
def directories(stage: Stage) -> None:
    topic, other = stage.topic("t", 3), stage.topic("o")
    stage.arrange(produce(topic, batch(3)))
    stage.arrange(produce(topic, batch(5), partition=2))

    def asked(*topics: tuple[str, list[int]]) -> DescribeLogDirsRequest:
        return DescribeLogDirsRequest(
            topics=[DescribableLogDirTopic(topic=name, partitions=partitions) for name, partitions in topics]
        )

    stage.ask("one", asked((topic.name, [0])))
    stage.ask("three", asked((topic.name, [0, 1, 2])))
    stage.ask("two topics", asked((other.name, [0]), (topic.name, [2])))
    stage.ask("unknown", asked((stage.name("unknown"), [0])))
    stage.ask("unknown partition", asked((topic.name, [0, 9])))
    stage.ask("negative partition", asked((topic.name, [-1])))
    stage.ask("no partitions", asked((topic.name, [])))
    stage.ask("the same twice", asked((topic.name, [0, 0])))
    stage.ask("no topics", asked())
    reply = stage.arrange(DescribeLogDirsRequest(topics=None))
    found = [
        [each.name.removeprefix(stage.name("")), part.partition_index, part.partition_size]
        for each in reply.results[0].topics
        for part in each.partitions
        if each.name in (topic.name, other.name)
    ]
    stage.write_down("of all, ours", sorted(found))
