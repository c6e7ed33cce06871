import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

import org.apache.kafka.common.utils.internals.Exit;

/**
 * Runs the main methods of Kafka's command-line tools, one after the other, in one process: starting Java for each call
 * takes most of the time of a test.
 *
 * A call is one line on standard input, {"class": ..., "words": [...], "given": ...}; the answer is one line on standard
 * output, {"status": ..., "said": ...}. A tool finds `given` as its standard input, and what it writes to standard output
 * and standard error is `said`. Tools end by Kafka's own Exit, which is told to throw instead; the first status counts,
 * since some tools catch whatever is thrown and exit once more. Where a library ends the process behind Kafka's back, the
 * answer has no status: that of the process is it. Ends when its standard input does.
 */
public final class ToolRunner {

    /** A tool has asked for the end of its process. An Error, so that fewer tools catch it. */
    private static final class Ended extends Error {
        Ended() {
            super("the tool has ended", null, false, false);
        }
    }

    private static volatile Integer status;
    private static volatile ByteArrayOutputStream running;
    /** What is to be done at the end of a tool's process: the console's producer sends its records there. */
    private static final List<Runnable> hooks = new CopyOnWriteArrayList<>();

    private ToolRunner() {
    }

    public static void main(String[] arguments) throws Exception {
        InputStream calls = System.in;
        PrintStream answers = System.out;
        PrintStream errors = System.err;
        Exit.setExitProcedure((code, message) -> end(code, message));
        Exit.setHaltProcedure((code, message) -> end(code, message));
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        ObjectMapper json = new ObjectMapper();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            if (running != null) {
                System.out.flush();
                answers.println(json.createObjectNode().put("said", running.toString(StandardCharsets.UTF_8)));
                answers.flush();
            }
        }));
        BufferedReader lines = new BufferedReader(new InputStreamReader(calls, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            JsonNode call = json.readTree(line);
            String[] words = json.convertValue(call.get("words"), String[].class);
            ByteArrayOutputStream said = new ByteArrayOutputStream();
            PrintStream caught = new PrintStream(said, true, StandardCharsets.UTF_8);
            System.setIn(new ByteArrayInputStream(call.get("given").asText().getBytes(StandardCharsets.UTF_8)));
            System.setOut(caught);
            System.setErr(caught);
            status = null;
            running = said;
            int code = run(call.get("class").asText(), words, caught);
            System.setOut(caught);
            System.setErr(caught);
            hooks.forEach(Runnable::run);
            hooks.clear();
            running = null;
            caught.flush();
            System.setOut(errors);
            System.setErr(errors);
            ObjectNode answer = json.createObjectNode();
            answer.put("status", code);
            answer.put("said", said.toString(StandardCharsets.UTF_8));
            answers.println(json.writeValueAsString(answer));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static void end(int code, String message) {
        if (status == null) {
            status = code;
            if (message != null)
                System.err.println(message);
            // What is said from here on would not have been said.
            System.setOut(new PrintStream(OutputStream.nullOutputStream()));
            System.setErr(System.out);
        }
        throw new Ended();
    }

    private static int run(String tool, String[] words, PrintStream caught) {
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) words);
        } catch (InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof Ended)) {
                thrown.getCause().printStackTrace(caught);
                return status == null ? 1 : status;
            }
        } catch (ReflectiveOperationException missing) {
            missing.printStackTrace(caught);
            return 127;
        }
        return status == null ? 0 : status;
    }
}
