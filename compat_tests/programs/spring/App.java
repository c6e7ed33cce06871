// What people do with spring-kafka, once each; a line for whatever happens. App BOOTSTRAP. It ends with its standard input.

import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Primary;
import org.springframework.kafka.annotation.DltHandler;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.annotation.RetryableTopic;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.config.TopicBuilder;
import org.springframework.kafka.core.KafkaAdmin;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.listener.ConcurrentMessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.support.KafkaHeaders;
import org.springframework.messaging.handler.annotation.Header;
import org.springframework.messaging.handler.annotation.SendTo;

@Configuration
@EnableAutoConfiguration
public class App {
    public static void main(String[] arguments) throws Exception {
        ConfigurableApplicationContext context = SpringApplication.run(App.class,
            "--spring.kafka.bootstrap-servers=" + arguments[0],
            "--spring.kafka.consumer.auto-offset-reset=earliest",
            "--spring.kafka.consumer.max-poll-records=10",
            "--spring.main.banner-mode=off",
            "--logging.level.root=error");
        say("started");
        while (System.in.read() >= 0) {
        }
        context.close();
        say("closed");
    }

    static synchronized void say(String words) {
        System.out.println("> " + words);
    }

    @Bean
    NewTopic work() {
        return TopicBuilder.name("spring.work").partitions(3).config("retention.ms", "3600000").build();
    }

    @Bean
    NewTopic batches() {
        return TopicBuilder.name("spring.batches").partitions(1).build();
    }

    @Bean
    NewTopic requests() {
        return TopicBuilder.name("spring.requests").partitions(1).build();
    }

    @Bean
    NewTopic replies() {
        return TopicBuilder.name("spring.replies").partitions(1).build();
    }

    @Bean
    NewTopic failing() {
        return TopicBuilder.name("spring.failing").partitions(1).build();
    }

    // Static, because the listeners of this class need it before the class is made.
    @Bean
    @Primary
    static KafkaTemplate<Object, Object> kafkaTemplate(ProducerFactory<Object, Object> producers) {
        return new KafkaTemplate<>(producers);
    }

    @Bean
    static ReplyingKafkaTemplate<String, String, String> asking(
            ProducerFactory<String, String> producers, ConcurrentKafkaListenerContainerFactory<String, String> listeners) {
        ConcurrentMessageListenerContainer<String, String> container = listeners.createContainer("spring.replies");
        container.getContainerProperties().setGroupId("spring.replies");
        return new ReplyingKafkaTemplate<>(producers, container);
    }

    @KafkaListener(id = "spring.work", topics = "spring.work", concurrency = "3")
    void work(String value, @Header(KafkaHeaders.RECEIVED_PARTITION) int partition) {
        say("work " + value + " of partition " + partition + " in " + Thread.currentThread().getName());
    }

    @KafkaListener(id = "spring.batches", topics = "spring.batches", batch = "true")
    void batches(List<String> values) {
        say("batch " + String.join(",", values));
    }

    @KafkaListener(id = "spring.requests", topics = "spring.requests")
    @SendTo
    String answer(String question) {
        return question.toUpperCase();
    }

    @RetryableTopic(attempts = "3", numPartitions = "1", replicationFactor = "1")
    @KafkaListener(id = "spring.failing", topics = "spring.failing")
    void fail(String value, @Header(KafkaHeaders.RECEIVED_TOPIC) String topic) {
        say("attempt at " + value + " from " + topic);
        throw new IllegalStateException("as it must");
    }

    @DltHandler
    void dead(String value, @Header(KafkaHeaders.RECEIVED_TOPIC) String topic) {
        say("dead " + value + " from " + topic);
    }

    @Bean
    CommandLineRunner talk(
            KafkaTemplate<Object, Object> template, ReplyingKafkaTemplate<String, String, String> asking, KafkaAdmin admin) {
        return arguments -> {
            say("topics " + admin.describeTopics("spring.work").get("spring.work").partitions().size());
            for (int number = 0; number < 30; number++) {
                template.send("spring.work", number % 3, null, "w" + number).get(30, TimeUnit.SECONDS);
                template.send("spring.batches", "b" + number);
            }
            template.flush();
            template.send("spring.failing", "poison").get(30, TimeUnit.SECONDS);
            asking.waitForAssignment(Duration.ofSeconds(30));
            say("answer " + asking.sendAndReceive(new ProducerRecord<>("spring.requests", "how are you"))
                .get(30, TimeUnit.SECONDS).value());
        };
    }
}
