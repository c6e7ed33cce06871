// A test in Java brings its broker back: java Control.java ADDRESS snapshot|restore|reset, with the address that
// `ottla serve --control` prints. The standard library is all it needs.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Control {
    private final HttpClient client = HttpClient.newHttpClient();
    private final URI address;

    Control(String address) {
        this.address = URI.create(address);
    }

    String ask(String path, String body) throws Exception {
        String token = address.getQuery().replaceFirst("^token=", "");
        HttpRequest request = HttpRequest.newBuilder(address.resolve(path))
                .header("Ottla-Token", token)
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != 200) {
            throw new IllegalStateException(response.body());
        }
        return response.body();
    }

    public static void main(String[] words) throws Exception {
        Control control = new Control(words[0]);
        switch (words[1]) {
            case "snapshot" -> System.out.println(control.ask("/snapshots", "{\"name\": \"from-java\"}"));
            case "restore" -> System.out.println(control.ask("/restore", "{\"name\": \"from-java\"}"));
            case "reset" -> System.out.println(control.ask("/reset", ""));
            default -> throw new IllegalArgumentException(words[1]);
        }
    }
}
