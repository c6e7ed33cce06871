import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.NewTopic;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.config.TopicBuilder;
import org.springframework.kafka.core.KafkaTemplate;

/** One record, there and back, with Spring Boot: a template sends it, a listener gets it. */
@Configuration
@EnableAutoConfiguration
public class Hello {
    private final CountDownLatch heard = new CountDownLatch(1);

    public static void main(String[] arguments) {
        String servers = System.getenv().getOrDefault("BOOTSTRAP_SERVERS", "localhost:9092");
        SpringApplication.run(Hello.class,
            "--spring.kafka.bootstrap-servers=" + servers,
            "--spring.kafka.consumer.auto-offset-reset=earliest",
            "--spring.main.banner-mode=off",
            "--logging.level.root=warn").close();
    }

    @Bean
    NewTopic topic() {
        return TopicBuilder.name("examples.spring").partitions(3).build();
    }

    @KafkaListener(id = "examples.spring", topics = "examples.spring")
    void listen(String words) {
        System.out.println(words);
        heard.countDown();
    }

    @Bean
    CommandLineRunner talk(KafkaTemplate<String, String> template) {
        return arguments -> {
            template.send("examples.spring", "hello from Spring").get();
            if (!heard.await(60, TimeUnit.SECONDS)) {
                throw new IllegalStateException("the listener has heard nothing");
            }
        };
    }
}
