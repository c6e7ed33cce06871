// The Java client as a worker: requests in lines of JSON on standard input, answers on standard output.
// The protocol is told in compat_tests/clients/worker.py.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Worker {
    static final ObjectMapper JSON = new ObjectMapper();
    static final Duration PATIENCE = Duration.ofSeconds(30);
    static final Map<String, Client> CLIENTS = new ConcurrentHashMap<>();
    static final Map<String, ExecutorService> QUEUES = new ConcurrentHashMap<>();

    public static void main(String[] arguments) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            JsonNode request = JSON.readTree(line);
            QUEUES.computeIfAbsent(request.get("handle").asText(), name -> Executors.newSingleThreadExecutor(run -> {
                Thread thread = new Thread(run, name);
                thread.setDaemon(true);
                return thread;
            })).execute(() -> answer(request));
        }
        System.exit(0);
    }

    static void answer(JsonNode request) {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("id", request.get("id").asLong());
        try {
            answer.put("result", perform(request));
        } catch (Throwable error) {
            answer.putAll(failure(error));
        }
        try {
            byte[] line = JSON.writeValueAsBytes(answer);
            synchronized (System.out) {
                System.out.write(line);
                System.out.write('\n');
                System.out.flush();
            }
        } catch (Exception error) {
            error.printStackTrace();
        }
    }

    static Object perform(JsonNode request) throws Exception {
        String handle = request.get("handle").asText();
        String[] call = request.get("call").asText().split("\\.");
        switch (call[1]) {
            case "open" -> {
                String bootstrap = request.get("bootstrap").asText();
                CLIENTS.put(handle, switch (call[0]) {
                    case "producer" -> new Producing(bootstrap, request.get("settings"));
                    case "consumer" -> new Consuming(bootstrap, request.get("settings"));
                    default -> new Administering(bootstrap);
                });
                return null;
            }
            case "close" -> {
                try {
                    CLIENTS.remove(handle).close();
                } finally {
                    QUEUES.remove(handle).shutdown();
                }
                return null;
            }
            default -> {
                return CLIENTS.get(handle).call(call[1], request);
            }
        }
    }

    /** The broker's error code, or what the client says. */
    static Map<String, Object> failure(Throwable error) {
        if (error instanceof ExecutionException && error.getCause() != null) {
            return failure(error.getCause());
        }
        Errors known = Errors.forException(error);
        if (known.code() > 0 && !(error instanceof TimeoutException)) {
            return Map.of("refused", known.code(), "message", String.valueOf(error.getMessage()));
        }
        return Map.of("failed", error.toString());
    }

    interface Client {
        Object call(String method, JsonNode request) throws Exception;

        void close();
    }

    static byte[] bytes(JsonNode node) {
        return node == null || node.isNull() ? null : Base64.getDecoder().decode(node.asText());
    }

    static String text(byte[] data) {
        return data == null ? null : Base64.getEncoder().encodeToString(data);
    }

    static TopicPartition partition(JsonNode node) {
        return new TopicPartition(node.get(0).asText(), node.get(1).asInt());
    }

    static List<TopicPartition> partitions(JsonNode nodes) {
        List<TopicPartition> found = new ArrayList<>();
        nodes.forEach(node -> found.add(partition(node)));
        return found;
    }

    static List<Object> row(TopicPartition partition, Object... values) {
        List<Object> row = new ArrayList<>(List.of(partition.topic(), partition.partition()));
        row.addAll(Arrays.asList(values));
        return row;
    }

    static <Value> List<List<Object>> rows(Map<TopicPartition, Value> found) {
        List<List<Object>> rows = new ArrayList<>();
        found.forEach((partition, value) -> rows.add(row(partition, value)));
        return rows;
    }

    static List<List<Object>> committedRows(Map<TopicPartition, OffsetAndMetadata> found) {
        List<List<Object>> rows = new ArrayList<>();
        found.forEach((partition, at) -> {
            if (at != null) {
                rows.add(row(partition, at.offset(), at.metadata()));
            }
        });
        return rows;
    }

    /** Quick to notice a broker that is back, and a topic that has come. */
    static Properties connecting(String bootstrap) {
        Properties properties = new Properties();
        secure(properties, bootstrap);
        properties.put("reconnect.backoff.ms", "50");
        properties.put("reconnect.backoff.max.ms", "250");
        properties.put("retry.backoff.ms", "50");
        properties.put("retry.backoff.max.ms", "250");
        properties.put("enable.metrics.push", "false");
        return properties;
    }

    /** An address as compat_tests/secured.py writes it: `SASL_SSL://host:port?ca=...`, or plain `host:port`. */
    static void secure(Properties properties, String address) {
        int colon = address.indexOf("://");
        int question = address.indexOf('?');
        if (colon < 0) {
            properties.put("bootstrap.servers", address);
            return;
        }
        properties.put("security.protocol", address.substring(0, colon));
        properties.put("bootstrap.servers", address.substring(colon + 3, question));
        Map<String, String> parts = new HashMap<>();
        for (String part : address.substring(question + 1).split("&")) {
            String[] pair = part.split("=", 2);
            parts.put(pair[0], URLDecoder.decode(pair[1], StandardCharsets.UTF_8));
        }
        if (parts.containsKey("ca")) {
            properties.put("ssl.truststore.type", "PEM");
            properties.put("ssl.truststore.location", parts.get("ca"));
        }
        if (parts.containsKey("store")) {
            properties.put("ssl.keystore.type", "PEM");
            properties.put("ssl.keystore.location", parts.get("store"));
        }
        if (parts.containsKey("mechanism")) {
            properties.put("sasl.mechanism", parts.get("mechanism"));
            properties.put("sasl.jaas.config", "org.apache.kafka.common.security." + login(parts) + ";");
        }
    }

    /** Kafka's login module of the mechanism. That of OAUTHBEARER makes a token for the user, which is not signed. */
    static String login(Map<String, String> parts) {
        String user = parts.get("user"), named = " required username=\"" + user + "\" password=\"" + parts.get("password") + "\"";
        if (parts.containsKey("by_token")) {
            named += " tokenauth=\"true\"";
        }
        return switch (parts.get("mechanism")) {
            case "PLAIN" -> "plain.PlainLoginModule" + named;
            case "OAUTHBEARER" ->
                "oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"" + user + "\"";
            default -> "scram.ScramLoginModule" + named;
        };
    }

    static class Producing implements Client {
        final KafkaProducer<byte[], byte[]> producer;
        List<Object> sent = new ArrayList<>();

        Producing(String bootstrap, JsonNode settings) {
            int timeout = (int) (settings.get("timeout").asDouble() * 1000);
            int linger = settings.get("linger_ms").asInt();
            int request = Math.min(timeout, 10_000);
            Properties properties = connecting(bootstrap);
            properties.put("acks", settings.get("acks").asText());
            properties.put("compression.type", settings.get("codec").asText());
            properties.put("enable.idempotence", settings.get("idempotent").asText());
            properties.put("linger.ms", linger);
            properties.put("batch.size", settings.get("batch_bytes").asInt());
            properties.put("max.request.size", settings.get("max_request_bytes").asInt());
            properties.put("max.in.flight.requests.per.connection", settings.get("in_flight").asInt());
            properties.put("request.timeout.ms", request);
            properties.put("delivery.timeout.ms", Math.max(timeout, linger + request));
            properties.put("max.block.ms", timeout);
            if (!settings.get("transactional_id").isNull()) {
                properties.put("transactional.id", settings.get("transactional_id").asText());
                properties.put("transaction.timeout.ms", (int) (settings.get("transaction_timeout").asDouble() * 1000));
                properties.put("enable.idempotence", "true");
            }
            producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
        }

        @Override
        public Object call(String method, JsonNode request) throws Exception {
            return switch (method) {
                case "send" -> send(request.get("topic").asText(), request.get("records"));
                case "outcomes" -> outcomes(request.get("within").asDouble());
                case "init_transactions" -> {
                    producer.initTransactions();
                    yield null;
                }
                case "begin" -> {
                    producer.beginTransaction();
                    yield null;
                }
                case "send_offsets" -> sendOffsets(request.get("offsets"), request.get("consumer").asText());
                case "commit" -> {
                    producer.commitTransaction();
                    yield null;
                }
                case "abort" -> {
                    producer.abortTransaction();
                    yield null;
                }
                default -> throw new IllegalArgumentException(method);
            };
        }

        Object sendOffsets(JsonNode offsets, String handle) {
            Map<TopicPartition, OffsetAndMetadata> sending = new HashMap<>();
            offsets.forEach(each -> sending.put(partition(each), new OffsetAndMetadata(each.get(2).asLong())));
            producer.sendOffsetsToTransaction(sending, ((Consuming) CLIENTS.get(handle)).consumer.groupMetadata());
            return null;
        }

        Object send(String topic, JsonNode records) {
            for (JsonNode record : records) {
                Integer partition = record.get("partition").isNull() ? null : record.get("partition").asInt();
                Long timestamp = record.get("timestamp").isNull() ? null : record.get("timestamp").asLong();
                ProducerRecord<byte[], byte[]> sending = new ProducerRecord<>(
                    topic, partition, timestamp, bytes(record.get("key")), bytes(record.get("value")));
                record.get("headers").forEach(header ->
                    sending.headers().add(header.get(0).asText(), bytes(header.get(1))));
                try {
                    sent.add(producer.send(sending));
                } catch (RuntimeException error) {
                    sent.add(error);
                }
            }
            return null;
        }

        Object outcomes(double within) throws Exception {
            List<Object> waiting = sent;
            sent = new ArrayList<>();
            long deadline = System.nanoTime() + (long) (within * 1e9);
            List<Object> outcomes = new ArrayList<>();
            for (Object each : waiting) {
                try {
                    if (each instanceof RuntimeException error) {
                        throw error;
                    }
                    @SuppressWarnings("unchecked")
                    Future<RecordMetadata> future = (Future<RecordMetadata>) each;
                    long left = Math.max(0, deadline - System.nanoTime());
                    RecordMetadata stored = future.get(left, TimeUnit.NANOSECONDS);
                    outcomes.add(Map.of("partition", stored.partition(), "offset", stored.offset()));
                } catch (InterruptedException error) {
                    throw error;
                } catch (Exception error) {
                    outcomes.add(failure(error));
                }
            }
            return outcomes;
        }

        @Override
        public void close() {
            producer.close(Duration.ofSeconds(1));
        }
    }

    static class Consuming implements Client {
        static final Map<String, String> ASSIGNORS = Map.of(
            "range", "org.apache.kafka.clients.consumer.RangeAssignor",
            "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor",
            "cooperative", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        final KafkaConsumer<byte[], byte[]> consumer;
        final boolean onServer;

        Consuming(String bootstrap, JsonNode settings) {
            Properties properties = connecting(bootstrap);
            if (!settings.get("group").isNull()) {
                properties.put("group.id", settings.get("group").asText());
            }
            if (!settings.get("instance_id").isNull()) {
                properties.put("group.instance.id", settings.get("instance_id").asText());
            }
            boolean committed = settings.get("read_committed").asBoolean();
            properties.put("auto.offset.reset", settings.get("reset").asText());
            properties.put("enable.auto.commit", settings.get("auto_commit").asText());
            properties.put("isolation.level", committed ? "read_committed" : "read_uncommitted");
            onServer = settings.get("protocol").asText().equals("consumer");
            properties.put("group.protocol", settings.get("protocol").asText());
            if (!onServer) {
                properties.put("partition.assignment.strategy", ASSIGNORS.get(settings.get("assignor").asText()));
                properties.put("session.timeout.ms", (int) (settings.get("session_timeout").asDouble() * 1000));
                properties.put("heartbeat.interval.ms", "200");
            }
            properties.put("max.poll.interval.ms", (int) (settings.get("max_poll_interval").asDouble() * 1000));
            properties.put("fetch.max.bytes", settings.get("fetch_max_bytes").asInt());
            properties.put("max.partition.fetch.bytes", settings.get("partition_max_bytes").asInt());
            properties.put("fetch.max.wait.ms", settings.get("max_wait_ms").asInt());
            properties.put("fetch.min.bytes", settings.get("min_bytes").asInt());
            properties.put("allow.auto.create.topics", "false");
            properties.put("metadata.max.age.ms", "500");
            properties.put("max.poll.records", "1000");
            consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        }

        @Override
        public Object call(String method, JsonNode request) {
            return switch (method) {
                case "assign" -> assign(request.get("positions"));
                case "subscribe" -> {
                    List<String> topics = new ArrayList<>();
                    request.get("topics").forEach(topic -> topics.add(topic.asText()));
                    consumer.subscribe(topics);
                    yield null;
                }
                case "subscribe_pattern" -> {
                    String pattern = request.get("pattern").asText();
                    if (onServer) {
                        consumer.subscribe(new SubscriptionPattern(pattern));
                    } else {
                        consumer.subscribe(Pattern.compile(pattern));
                    }
                    yield null;
                }
                case "poll" -> poll(request.get("within").asDouble());
                case "assignment" -> consumer.assignment().stream().map(each -> row(each)).toList();
                case "seek" -> {
                    seek(partition(request.get("partition")), request.get("position"));
                    yield null;
                }
                case "position" -> consumer.position(partition(request.get("partition")), PATIENCE);
                case "pause" -> {
                    consumer.pause(partitions(request.get("partitions")));
                    yield null;
                }
                case "resume" -> {
                    consumer.resume(partitions(request.get("partitions")));
                    yield null;
                }
                case "commit" -> commit(request.get("offsets"));
                case "committed" ->
                    committedRows(consumer.committed(Map.copyOf(set(request.get("partitions"))).keySet(), PATIENCE));
                case "offsets_for_times" -> offsetsForTimes(request.get("times"));
                case "beginning_offsets" ->
                    rows(consumer.beginningOffsets(partitions(request.get("partitions")), PATIENCE));
                case "end_offsets" -> rows(consumer.endOffsets(partitions(request.get("partitions")), PATIENCE));
                default -> throw new IllegalArgumentException(method);
            };
        }

        static Map<TopicPartition, Boolean> set(JsonNode nodes) {
            Map<TopicPartition, Boolean> found = new HashMap<>();
            partitions(nodes).forEach(each -> found.put(each, true));
            return found;
        }

        Object assign(JsonNode positions) {
            consumer.assign(partitions(positions));
            positions.forEach(position -> {
                if (!position.get(2).isNull()) {
                    seek(partition(position), position.get(2));
                }
            });
            return null;
        }

        void seek(TopicPartition partition, JsonNode position) {
            if (position.isNumber()) {
                consumer.seek(partition, position.asLong());
            } else if (position.asText().equals("beginning")) {
                consumer.seekToBeginning(List.of(partition));
            } else {
                consumer.seekToEnd(List.of(partition));
            }
        }

        Object poll(double within) {
            List<Object> found = new ArrayList<>();
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis((long) (within * 1000)))) {
                Map<String, Object> written = new LinkedHashMap<>();
                written.put("topic", record.topic());
                written.put("partition", record.partition());
                written.put("offset", record.offset());
                written.put("key", text(record.key()));
                written.put("value", text(record.value()));
                List<Object> headers = new ArrayList<>();
                for (Header header : record.headers()) {
                    headers.add(Arrays.asList(header.key(), text(header.value())));
                }
                written.put("headers", headers);
                written.put("timestamp", record.timestamp());
                found.add(written);
            }
            return found;
        }

        Object commit(JsonNode offsets) {
            if (offsets.isNull()) {
                consumer.commitSync(PATIENCE);
            } else {
                Map<TopicPartition, OffsetAndMetadata> committing = new HashMap<>();
                offsets.forEach(each -> committing.put(
                    partition(each), new OffsetAndMetadata(each.get(2).asLong(), each.get(3).asText())));
                consumer.commitSync(committing, PATIENCE);
            }
            return null;
        }

        Object offsetsForTimes(JsonNode times) {
            Map<TopicPartition, Long> asked = new HashMap<>();
            times.forEach(time -> asked.put(partition(time), time.get(2).asLong()));
            List<Object> found = new ArrayList<>();
            Map<TopicPartition, OffsetAndTimestamp> answer = consumer.offsetsForTimes(asked, PATIENCE);
            answer.forEach((each, at) -> found.add(row(each, at == null ? null : (Object) at.offset())));
            return found;
        }

        @Override
        public void close() {
            consumer.close(org.apache.kafka.clients.consumer.CloseOptions.timeout(Duration.ofSeconds(3)));
        }
    }

    static class Administering implements Client {
        final Admin admin;

        Administering(String bootstrap) {
            Properties properties = connecting(bootstrap);
            properties.put("request.timeout.ms", "15000");
            properties.put("default.api.timeout.ms", "30000");
            admin = Admin.create(properties);
        }

        static <Value> Value wait(KafkaFuture<Value> future) throws Exception {
            return future.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        }

        static ConfigResource resource(JsonNode request) {
            boolean topic = request.get("kind").asText().equals("topic");
            ConfigResource.Type type = topic ? ConfigResource.Type.TOPIC : ConfigResource.Type.BROKER;
            return new ConfigResource(type, request.get("name").asText());
        }

        @Override
        public Object call(String method, JsonNode request) throws Exception {
            String name = request.has("name") ? request.get("name").asText() : null;
            String group = request.has("group") ? request.get("group").asText() : null;
            return switch (method) {
                case "topics" -> {
                    Collection<String> names = wait(admin.listTopics().names());
                    Map<String, Integer> found = new HashMap<>();
                    for (var described : admin.describeTopics(names).topicNameValues().values()) {
                        try {
                            found.put(wait(described).name(), wait(described).partitions().size());
                        } catch (ExecutionException error) {
                            // Unless it was deleted between the two questions.
                            if (!(error.getCause() instanceof UnknownTopicOrPartitionException)) {
                                throw error;
                            }
                        }
                    }
                    yield found;
                }
                case "create_topic" -> {
                    JsonNode partitions = request.get("partitions");
                    Optional<Integer> count = partitions.isNull() ? Optional.empty() : Optional.of(partitions.asInt());
                    Map<String, String> configs = new HashMap<>();
                    request.get("configs").properties().forEach(each ->
                        configs.put(each.getKey(), each.getValue().asText()));
                    NewTopic topic = new NewTopic(name, count, Optional.of((short) 1)).configs(configs);
                    yield wait(admin.createTopics(List.of(topic)).all());
                }
                case "delete_topic" -> wait(admin.deleteTopics(List.of(name)).all());
                case "create_partitions" -> wait(admin.createPartitions(Map.of(
                    request.get("topic").asText(), NewPartitions.increaseTo(request.get("total").asInt()))).all());
                case "describe_configs" -> {
                    Map<String, Object> found = new LinkedHashMap<>();
                    ConfigResource asked = resource(request);
                    for (ConfigEntry entry : wait(admin.describeConfigs(List.of(asked)).all()).get(asked).entries()) {
                        Map<String, Object> config = new LinkedHashMap<>();
                        config.put("value", entry.value());
                        config.put("default", entry.source() == ConfigEntry.ConfigSource.DEFAULT_CONFIG);
                        config.put("read_only", entry.isReadOnly());
                        config.put("sensitive", entry.isSensitive());
                        found.put(entry.name(), config);
                    }
                    yield found;
                }
                case "alter_configs" -> {
                    List<AlterConfigOp> operations = new ArrayList<>();
                    request.get("changes").properties().forEach(each -> {
                        boolean unset = each.getValue().isNull();
                        String value = unset ? null : each.getValue().asText();
                        operations.add(new AlterConfigOp(new ConfigEntry(each.getKey(), value),
                            unset ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET));
                    });
                    yield wait(admin.incrementalAlterConfigs(Map.of(resource(request), operations)).all());
                }
                case "delete_records" -> {
                    Map<TopicPartition, RecordsToDelete> asked = new HashMap<>();
                    request.get("before").forEach(each ->
                        asked.put(partition(each), RecordsToDelete.beforeOffset(each.get(2).asLong())));
                    List<Object> found = new ArrayList<>();
                    for (var deleted : admin.deleteRecords(asked).lowWatermarks().entrySet()) {
                        found.add(row(deleted.getKey(), wait(deleted.getValue()).lowWatermark()));
                    }
                    yield found;
                }
                case "groups" -> wait(admin.listGroups().all()).stream().map(each -> each.groupId()).toList();
                case "describe_group" -> {
                    var described = wait(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group));
                    List<Object> members = new ArrayList<>();
                    described.members().forEach(member -> {
                        Map<String, Object> written = new LinkedHashMap<>();
                        written.put("member_id", member.consumerId());
                        written.put("client_id", member.clientId());
                        written.put("instance_id", member.groupInstanceId().orElse(null));
                        written.put("partitions",
                            member.assignment().topicPartitions().stream().map(each -> row(each)).toList());
                        members.add(written);
                    });
                    yield Map.of("state", described.groupState().toString(), "protocol",
                        described.partitionAssignor(), "members", members);
                }
                case "delete_group" -> wait(admin.deleteConsumerGroups(List.of(group)).all());
                case "group_offsets" -> committedRows(
                    wait(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata(group)));
                case "alter_group_offsets" -> {
                    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                    request.get("offsets").forEach(each ->
                        offsets.put(partition(each), new OffsetAndMetadata(each.get(2).asLong())));
                    yield wait(admin.alterConsumerGroupOffsets(group, offsets).all());
                }
                case "delete_group_offsets" -> wait(admin.deleteConsumerGroupOffsets(
                    group, Consuming.set(request.get("partitions")).keySet()).all());
                case "cluster" -> {
                    var described = admin.describeCluster();
                    List<Object> nodes = new ArrayList<>();
                    for (Node node : wait(described.nodes())) {
                        nodes.add(List.of(node.id(), node.host(), node.port()));
                    }
                    yield Map.of("nodes", nodes, "controller", wait(described.controller()).id(),
                        "cluster_id", wait(described.clusterId()));
                }
                case "log_sizes" -> {
                    List<Integer> nodes = wait(admin.describeCluster().nodes()).stream().map(Node::id).toList();
                    List<Object> found = new ArrayList<>();
                    for (var folders : wait(admin.describeLogDirs(nodes).allDescriptions()).values()) {
                        folders.values().forEach(folder -> folder.replicaInfos().forEach(
                            (each, info) -> found.add(row(each, info.size()))));
                    }
                    yield found;
                }
                default -> throw new IllegalArgumentException(method);
            };
        }

        @Override
        public void close() {
            admin.close(Duration.ofSeconds(1));
        }
    }
}
