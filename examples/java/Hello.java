import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** One record, there and back, with Kafka's own client: java -cp 'kafka-clients.jar:...' Hello.java */
public class Hello {
    public static void main(String[] arguments) throws Exception {
        String servers = System.getenv().getOrDefault("BOOTSTRAP_SERVERS", "localhost:9092");
        try (var producer = new KafkaProducer<>(
                Map.<String, Object>of("bootstrap.servers", servers), new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>("examples.java", "hello from Java")).get();
        }
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", servers,
            "group.id", "examples",
            "group.protocol", "consumer",
            "auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("examples.java"));
            for (int polls = 0; polls < 60; polls++) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.println(record.value());
                    return;
                }
            }
        }
        throw new IllegalStateException("nothing came");
    }
}
