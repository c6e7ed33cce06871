import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;

/** Words counted by Kafka Streams, exactly once: java -cp 'kafka-streams.jar:...' WordCount.java */
public class WordCount {
    public static void main(String[] arguments) throws Exception {
        String servers = System.getenv().getOrDefault("BOOTSTRAP_SERVERS", "localhost:9092");
        try (var admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            admin.createTopics(List.of(new NewTopic("examples.lines", 1, (short) 1))).all().get();
        }
        try (var producer = new KafkaProducer<>(
                Map.<String, Object>of("bootstrap.servers", servers), new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>("examples.lines", "hello from Streams and hello again")).get();
        }

        var counted = new CountDownLatch(1);
        var builder = new StreamsBuilder();
        builder.<String, String>stream("examples.lines")
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word)
            .count()
            .toStream()
            .foreach((word, count) -> {
                if (word.equals("hello") && count == 2) {
                    System.out.println(word + " " + count);
                    counted.countDown();
                }
            });

        var settings = new Properties();
        settings.putAll(Map.of(
            "application.id", "examples-word-count",
            "bootstrap.servers", servers,
            "auto.offset.reset", "earliest",
            "commit.interval.ms", "100",
            "processing.guarantee", "exactly_once_v2",
            "state.dir", System.getProperty("java.io.tmpdir") + "/examples-word-count-" + ProcessHandle.current().pid(),
            "default.key.serde", Serdes.StringSerde.class.getName(),
            "default.value.serde", Serdes.StringSerde.class.getName()));
        try (var streams = new KafkaStreams(builder.build(), settings)) {
            streams.start();
            if (!counted.await(90, TimeUnit.SECONDS)) {
                throw new IllegalStateException("nothing was counted twice");
            }
            streams.close(Duration.ofSeconds(10));
            streams.cleanUp();
        }
    }
}
