import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Sends a list of commands with Java's HttpClient. Arguments and output are those of list.py. */
public class List {
    public static void main(String[] args) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(args[0] + "/v1/commands"))
                .timeout(Duration.ofSeconds(120))
                .header("Authorization", "Bearer " + args[1])
                .header("Content-Type", "application/x-ndjson")
                .POST(HttpRequest.BodyPublishers.ofByteArray(Files.readAllBytes(Path.of(args[2]))));
        if (!args[3].isEmpty()) {
            request.header("Prefer", args[3]);
        }
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        String answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString()).body();
        Pattern status = Pattern.compile("^\\{\"status\":(\\d+)");
        Map<String, Integer> statuses = new TreeMap<>();
        for (String line : answer.split("\n")) {
            var found = status.matcher(line);
            statuses.merge(found.find() ? found.group(1) : line, 1, Integer::sum);
        }
        String counts = statuses.entrySet().stream()
                .map(entry -> "\"" + entry.getKey() + "\": " + entry.getValue())
                .collect(Collectors.joining(", "));
        System.out.println("{\"client\": \"HttpClient\", \"statuses\": {" + counts + "}, \"bytes\": " + answer.length() + "}");
    }
}
