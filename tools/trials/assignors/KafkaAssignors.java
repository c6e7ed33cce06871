// Apache Kafka's own assignors behind a pipe: the last word on who owns what.
//
// Run as `java -cp 'JARS/*' KafkaAssignors.java`. It reads lines of words from the standard input. They build a group
// out of Kafka's classes and let it live; each `assign` is answered with one line.
//
//     group                                           a new group; topics are forgotten as well
//     topic NAME ID PARTITIONS                        a topic is made, or has grown
//     forget NAME                                     a topic is deleted
//     matches PATTERN NAMES                           what an expression matches from now on
//     leave MEMBER                                    a member leaves
//     assign ASSIGNOR TYPE MEMBER INSTANCE PATTERN NAMES
//                                                     a member joins, or comes back, or changes its subscription, and the
//                                                     target of the group is computed on its request
//
// `-` stands for none; NAMES and PARTITIONS are joined by commas. The answer: MEMBER=ID:1,2,3;ID:4 for every member, or
// `error WORDS`. What a computation decides is taken over from the records it writes, as after a restart.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.internals.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataDelta;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.api.assignor.PartitionAssignor;
import org.apache.kafka.coordinator.group.api.assignor.PartitionAssignorException;
import org.apache.kafka.coordinator.group.api.assignor.SubscriptionType;
import org.apache.kafka.coordinator.group.assignor.RangeAssignor;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMemberKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMemberValue;
import org.apache.kafka.coordinator.group.modern.Assignment;
import org.apache.kafka.coordinator.group.modern.TargetAssignmentBuilder;
import org.apache.kafka.coordinator.group.modern.consumer.ConsumerGroup;
import org.apache.kafka.coordinator.group.modern.consumer.ConsumerGroupMember;
import org.apache.kafka.coordinator.group.modern.consumer.ResolvedRegularExpression;
import org.apache.kafka.coordinator.group.util.UpdatedMembersAndTargetAssignmentView;
import org.apache.kafka.timeline.SnapshotRegistry;

public class KafkaAssignors {
    private static final Map<String, PartitionAssignor> ASSIGNORS =
        Map.of("uniform", new UniformAssignor(), "range", new RangeAssignor());

    private record Topic(String name, Uuid id, int partitionCount) implements CoordinatorMetadataImage.TopicMetadata {
        public List<String> partitionRacks(int partition) {
            return List.of();
        }
    }

    private static class Topics implements CoordinatorMetadataImage {
        private final Map<String, Topic> byName = new HashMap<>();
        private final Map<Uuid, Topic> byId = new HashMap<>();

        void put(Topic topic) {
            Topic before = byName.put(topic.name(), topic);
            if (before != null) {
                byId.remove(before.id());
            }
            byId.put(topic.id(), topic);
        }

        void remove(String name) {
            byId.remove(byName.remove(name).id());
        }

        public Set<Uuid> topicIds() {
            return byId.keySet();
        }

        public Set<String> topicNames() {
            return byName.keySet();
        }

        public Optional<CoordinatorMetadataImage.TopicMetadata> topicMetadata(String name) {
            return Optional.ofNullable(byName.get(name));
        }

        public Optional<CoordinatorMetadataImage.TopicMetadata> topicMetadata(Uuid id) {
            return Optional.ofNullable(byId.get(id));
        }

        public CoordinatorMetadataDelta emptyDelta() {
            throw new UnsupportedOperationException();
        }

        public long version() {
            return 1;
        }

        public boolean isEmpty() {
            return byName.isEmpty();
        }
    }

    private Topics topics = new Topics();
    private ConsumerGroup group = newGroup();

    private static ConsumerGroup newGroup() {
        return new ConsumerGroup(new LogContext(), new SnapshotRegistry(new LogContext()), "group");
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        KafkaAssignors life = new KafkaAssignors();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            if (words[0].equals("assign")) {
                out.println(life.assign(words[1], words[2], words[3], orNull(words[4]), orNull(words[5]), list(words[6])));
                out.flush();
            } else {
                life.happen(words);
            }
        }
    }

    private static String orNull(String word) {
        return word.equals("-") ? null : word;
    }

    private static List<String> list(String word) {
        return word.equals("-") ? List.of() : Arrays.asList(word.split(","));
    }

    private void happen(String[] words) {
        switch (words[0]) {
            case "group" -> {
                topics = new Topics();
                group = newGroup();
            }
            case "topic" -> topics.put(new Topic(words[1], Uuid.fromString(words[2]), Integer.parseInt(words[3])));
            case "forget" -> topics.remove(words[1]);
            case "matches" -> group.updateResolvedRegularExpression(
                words[1], new ResolvedRegularExpression(new HashSet<>(list(words[2])), 1, 1));
            case "leave" -> remove(words[1]);
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    private void remove(String memberId) {
        group.removeTargetAssignment(memberId);
        group.removeMember(memberId);
    }

    private String assign(
        String assignor, String type, String memberId, String instance, String pattern, List<String> names
    ) {
        ConsumerGroupMember updated =
            new ConsumerGroupMember.Builder(memberId).setMemberEpoch(1).setPreviousMemberEpoch(1)
                .setInstanceId(instance).setSubscribedTopicNames(names).setSubscribedTopicRegex(pattern).build();
        String replaced = instance == null ? null : group.staticMemberId(instance);
        if (replaced != null && replaced.equals(memberId)) {
            replaced = null;
        }
        var view = new UpdatedMembersAndTargetAssignmentView<ConsumerGroupMember, Assignment>(
            group.members(), group.staticMembers(), group.targetAssignment(), ConsumerGroupMember::instanceId);
        view.addOrUpdateMember(memberId, updated);
        List<CoordinatorRecord> records;
        try {
            records = new TargetAssignmentBuilder.ConsumerTargetAssignmentBuilder("group", 1, ASSIGNORS.get(assignor))
                .withTime(Time.SYSTEM).withMembers(view.members()).withSubscriptionType(SubscriptionType.valueOf(type))
                .withTargetAssignment(view.targetAssignment())
                .withInvertedTargetAssignment(group.invertedTargetAssignment())
                .withMetadataImage(topics)
                .withResolvedRegularExpressions(group.resolvedRegularExpressions())
                .build().records();
        } catch (PartitionAssignorException error) {
            return "error " + error.getMessage();
        }
        if (replaced != null) {
            // Its target moves to its successor first, which is what the records of the replacement do.
            Assignment moved = group.targetAssignment().get(replaced);
            remove(replaced);
            if (moved != null) {
                group.updateTargetAssignment(memberId, moved);
            }
        }
        group.updateMember(updated);
        group.updateMember(updated);  // once more, for the record of its current assignment
        for (String each : List.copyOf(group.resolvedRegularExpressions().keySet())) {
            if (group.numSubscribedMembers(each) == 0) {
                group.removeResolvedRegularExpression(each);
            }
        }
        for (CoordinatorRecord record : records) {
            if (record.key() instanceof ConsumerGroupTargetAssignmentMemberKey key) {
                var value = (ConsumerGroupTargetAssignmentMemberValue) record.value().message();
                group.updateTargetAssignment(key.memberId(), Assignment.fromRecord(value));
            }
        }
        return shown();
    }

    private String shown() {
        List<String> members = new ArrayList<>();
        for (String memberId : new TreeSet<>(group.members().keySet())) {
            List<String> assigned = new ArrayList<>();
            Assignment target = group.targetAssignment().getOrDefault(memberId, Assignment.EMPTY);
            for (var entry : new TreeMap<>(target.partitions()).entrySet()) {
                List<String> partitions = new TreeSet<>(entry.getValue()).stream().map(String::valueOf).toList();
                assigned.add(entry.getKey() + ":" + String.join(",", partitions));
            }
            members.add(memberId + "=" + String.join(";", assigned));
        }
        return String.join(" ", members);
    }
}
