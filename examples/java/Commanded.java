import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A broker on command, by the JDK's own HTTP client: faults, time, snapshots and resets (docs/control.md).
 * Start a broker with `ottla serve --memory --control`; CONTROL is the address that it prints.
 */
public class Commanded {
    static final String SERVERS = System.getenv().getOrDefault("BOOTSTRAP_SERVERS", "localhost:9092");
    static final URI CONTROL = URI.create(System.getenv("CONTROL"));
    static final String TOKEN = CONTROL.getQuery().substring("token=".length());
    static final String TOPIC = "examples.commanded.java";

    static String command(String method, String path, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(CONTROL.resolve(path))
            .header("Ottla-Token", TOKEN)
            .method(method, HttpRequest.BodyPublishers.ofString(body))
            .build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() >= 400) {
            throw new IllegalStateException(answer.body());
        }
        return answer.body();
    }

    static void send(String value) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", SERVERS, "retry.backoff.ms", 50);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>(TOPIC, value)).get();
        }
    }

    static long kept() throws Exception {
        var place = new TopicPartition(TOPIC, 0);
        try (Admin admin = Admin.create(Map.<String, Object>of("bootstrap.servers", SERVERS))) {
            long low = admin.listOffsets(Map.of(place, OffsetSpec.earliest())).partitionResult(place).get().offset();
            long high = admin.listOffsets(Map.of(place, OffsetSpec.latest())).partitionResult(place).get().offset();
            return high - low;
        }
    }

    public static void main(String[] arguments) throws Exception {
        send("one");
        command("POST", "/snapshots", "{\"name\": \"with-one\"}");
        command("POST", "/faults", "{\"what\": \"error\", \"error\": \"NOT_LEADER_OR_FOLLOWER\", "
            + "\"api\": \"Produce\", \"topic\": \"" + TOPIC + "\", \"times\": 2}");
        send("two");
        var injected = Pattern.compile("\"injected\":\\{\"error\":(\\d+)\\}").matcher(command("GET", "/faults", ""));
        injected.find();
        long sent = kept();
        command("POST", "/clock/advance", "{\"seconds\": 691200}");
        long expired = sent - kept();
        command("POST", "/restore", "{\"name\": \"with-one\"}");
        long back = kept();
        command("POST", "/reset", "");
        send("three");
        System.out.println(injected.group(1) + " refused, " + expired + " expired, " + back + " restored, "
            + kept() + " after a reset");
    }
}
