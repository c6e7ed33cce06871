import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

/** Kafka's own client, of any release: write in a transaction, read in a group, commit. Arguments: the bootstrap servers. */
public class Speak {
    public static void main(String[] arguments) throws Exception {
        String name = "emulated-" + UUID.randomUUID();
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", arguments[0]);
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(List.of(new NewTopic(name, 2, (short) 1))).all().get();
            Map<String, Object> writing = new HashMap<>(settings);
            writing.put("transactional.id", name);
            try (KafkaProducer<String, String> producer =
                    new KafkaProducer<>(writing, new StringSerializer(), new StringSerializer())) {
                producer.initTransactions();
                for (boolean commits : new boolean[] {false, true}) {
                    producer.beginTransaction();
                    for (int number = 0; number < 20; number++) {
                        producer.send(new ProducerRecord<>(name, "" + number, "" + number)).get();
                    }
                    if (commits) producer.commitTransaction(); else producer.abortTransaction();
                }
            }
            Map<String, Object> reading = new HashMap<>(settings);
            reading.put("group.id", name);
            reading.put("auto.offset.reset", "earliest");
            reading.put("enable.auto.commit", "false");
            reading.put("isolation.level", "read_committed");
            List<String> received = new ArrayList<>();
            try (KafkaConsumer<String, String> consumer =
                    new KafkaConsumer<>(reading, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of(name));
                for (int round = 0; round < 60 && received.size() < 20; round++) {
                    consumer.poll(Duration.ofSeconds(1)).forEach(record -> received.add(record.value()));
                }
                consumer.commitSync();
            }
            if (received.size() != 20) throw new AssertionError(received.size() + " records were read");
            long committed = admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get().values().stream()
                    .mapToLong(OffsetAndMetadata::offset).sum();
            if (committed <= 20) throw new AssertionError(committed + " was committed");
            admin.describeCluster().nodes().get();
            admin.describeFeatures().featureMetadata().get();
        }
    }
}
