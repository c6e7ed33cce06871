// Apache Kafka's own generated message classes behind a pipe: the last word on bytes.
//
// Run as `java -cp 'JARS/*' KafkaCodec.java`. It reads lines from the standard input,
//
//     NAME VERSION HEX        such as: ProduceRequest 9 ffff00010000...
//
// decodes the bytes as that message in that version, and answers with one line,
//
//     HEX JSON                what Kafka writes for the message it has read, and its values as Kafka's tools show them
//     error WORDS             it cannot be read, or bytes are left over
//     unknown                 there is no such message
//
// NAME is the name of the definition. The class has that name with "Data" behind it for requests, responses and headers,
// and lies in one of the packages below. Records of arbitrary bytes pass through unread; of them the size is shown.

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

public class KafkaCodec {
    private static final List<String> PACKAGES = List.of(
        "org.apache.kafka.common.message",
        "org.apache.kafka.common.metadata",
        "org.apache.kafka.coordinator.group.generated",
        "org.apache.kafka.coordinator.transaction.generated",
        "org.apache.kafka.coordinator.share.generated",
        "org.apache.kafka.server.log.remote.metadata.storage.generated"
    );

    private record Codec(Class<? extends Message> type, Method json) { }

    private static final Map<String, Codec> KNOWN = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", 3);
            out.println(answer(words[0], Short.parseShort(words[1]), HexFormat.of().parseHex(words[2])));
            out.flush();
        }
    }

    private static String answer(String name, short version, byte[] bytes) throws Exception {
        Codec codec = KNOWN.computeIfAbsent(name, KafkaCodec::find);
        if (codec.type() == null) {
            return "unknown";
        }
        Message message = codec.type().getDeclaredConstructor().newInstance();
        if (version < message.lowestSupportedVersion() || version > message.highestSupportedVersion()) {
            return "unknown";
        }
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        try {
            message.read(new ByteBufferAccessor(buffer), version);
        } catch (RuntimeException error) {
            return "error " + oneLine(error.toString());
        }
        if (buffer.hasRemaining()) {
            return "error " + buffer.remaining() + " bytes left over";
        }
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer written = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(written), cache, version);
        JsonNode shown = (JsonNode) codec.json().invoke(null, message, version, false);
        return HexFormat.of().formatHex(written.array(), 0, written.position()) + " " + oneLine(shown.toString());
    }

    private static Codec find(String name) {
        for (String folder : PACKAGES) {
            for (String suffix : List.of("", "Data")) {
                String type = folder + "." + name + suffix;
                try {
                    Class<? extends Message> found = Class.forName(type).asSubclass(Message.class);
                    Class<?> converter = Class.forName(type + "JsonConverter");
                    return new Codec(found, converter.getMethod("write", found, short.class, boolean.class));
                } catch (ClassNotFoundException missing) {
                    continue;
                } catch (NoSuchMethodException broken) {
                    throw new IllegalStateException(broken);
                }
            }
        }
        return new Codec(null, null);
    }

    private static String oneLine(String words) {
        return words.replace('\n', ' ').replace('\r', ' ');
    }
}
