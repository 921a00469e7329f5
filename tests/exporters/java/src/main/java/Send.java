import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.EventData;
import io.opentelemetry.sdk.trace.data.LinkData;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** Sends the scenario of ../README.md over each protocol and compression, and prints what it sent. */
public final class Send {
  private static final Attributes EVERY_KIND =
      Attributes.builder()
          .put("text", "a \"quoted\" \\ word\u001f")
          .put("text.unicode", "für alle 🛒 と")
          .put("text.empty", "")
          .put("bool.yes", true)
          .put("bool.no", false)
          .put("int.max", Long.MAX_VALUE)
          .put("int.min", Long.MIN_VALUE)
          .put("double", 0.1)
          .put("double.whole", 3.0)
          .put("double.tiny", Double.MIN_NORMAL)
          .put("list.text", "a", "", "é")
          .put("list.bool", true, false)
          .put("list.int", -1, Long.MAX_VALUE)
          .put("list.double", -0.5, 1e300)
          .put(AttributeKey.longArrayKey("list.empty"), List.of())
          .build();

  private static void record(Tracer tracer) {
    Instant now = Instant.now();
    long begun = TimeUnit.SECONDS.toNanos(now.getEpochSecond()) + now.getNano();
    Moments at = milliseconds -> begun + TimeUnit.MILLISECONDS.toNanos(milliseconds) + 1;
    SpanContext elsewhere =
        SpanContext.createFromRemoteParent(
            "000000000000000000000000deadbeef",
            "000000000000beef",
            TraceFlags.getSampled(),
            TraceState.builder().put("vendor", "x1").build());
    Span root =
        tracer
            .spanBuilder("POST /checkout für alle 🛒")
            .setNoParent()
            .setSpanKind(SpanKind.SERVER)
            .setAllAttributes(EVERY_KIND)
            .addLink(elsewhere, Attributes.builder().put("reason", "retry").put("attempt", 2).build())
            .setStartTimestamp(begun, TimeUnit.NANOSECONDS)
            .startSpan();
    root.addEvent(
        "exception",
        Attributes.builder()
            .put("exception.type", "OutOfStock")
            .put("exception.stacktrace", "at Stock.take\n\tat Checkout.run\n")
            .put("left", 0)
            .build(),
        at.after(300),
        TimeUnit.NANOSECONDS);
    root.addEvent("rolled back", at.after(310), TimeUnit.NANOSECONDS);

    Span stock = start(tracer, "GET /stock", root, SpanKind.CLIENT, at.after(10));
    stock.setStatus(StatusCode.OK);
    Span cache = start(tracer, "cache", stock, SpanKind.INTERNAL, at.after(20));
    // The builder has "<unspecified span name>" for an empty one.
    cache.updateName("");
    cache.end(at.after(30), TimeUnit.NANOSECONDS);
    stock.end(at.after(210), TimeUnit.NANOSECONDS);

    Span publish = start(tracer, "orders publish", root, SpanKind.PRODUCER, at.after(220));
    publish.end(at.after(240), TimeUnit.NANOSECONDS);
    Span consume =
        tracer
            .spanBuilder("orders process")
            .setParent(Context.root().with(publish))
            .setSpanKind(SpanKind.CONSUMER)
            .addLink(publish.getSpanContext())
            .setStartTimestamp(at.after(400), TimeUnit.NANOSECONDS)
            .startSpan();
    consume.end(at.after(450), TimeUnit.NANOSECONDS);

    root.setStatus(StatusCode.ERROR, "sku-8812 is out of stock");
    root.end(at.after(390), TimeUnit.NANOSECONDS);
  }

  private interface Moments {
    long after(long milliseconds);
  }

  private static Span start(Tracer tracer, String name, Span parent, SpanKind kind, long start) {
    return tracer
        .spanBuilder(name)
        .setParent(Context.root().with(parent))
        .setSpanKind(kind)
        .setStartTimestamp(start, TimeUnit.NANOSECONDS)
        .startSpan();
  }

  private static String quoted(String text) {
    StringBuilder json = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c < ' ' || c == '"' || c == '\\') {
        json.append(String.format("\\u%04x", (int) c));
      } else {
        json.append(c);
      }
    }
    return json.append('"').toString();
  }

  private static String value(Object of) {
    if (of instanceof Boolean) {
      return "{\"bool\":" + of + "}";
    } else if (of instanceof Long) {
      return "{\"int\":\"" + of + "\"}";
    } else if (of instanceof Double) {
      return "{\"double\":" + of + "}";
    } else if (of instanceof String text) {
      return "{\"text\":" + quoted(text) + "}";
    } else if (of instanceof List<?> items) {
      return "{\"list\":" + list(items, Send::value) + "}";
    }
    throw new IllegalArgumentException("an attribute is of another type: " + of);
  }

  private static <T> String list(Collection<T> items, java.util.function.Function<T, String> one) {
    return items.stream().map(one).collect(Collectors.joining(",", "[", "]"));
  }

  private static String attributes(Attributes of) {
    return of.asMap().entrySet().stream()
        .map(entry -> quoted(entry.getKey().getKey()) + ":" + value(entry.getValue()))
        .collect(Collectors.joining(",", "{", "}"));
  }

  /** Names and what is JSON already, in turn. */
  private static String object(String... namesAndValues) {
    List<String> members = new ArrayList<>();
    for (int at = 0; at < namesAndValues.length; at += 2) {
      members.add(quoted(namesAndValues[at]) + ":" + namesAndValues[at + 1]);
    }
    return "{" + String.join(",", members) + "}";
  }

  private static String state(TraceState of) {
    return quoted(
        of.asMap().entrySet().stream()
            .map(entry -> entry.getKey() + "=" + entry.getValue())
            .collect(Collectors.joining(",")));
  }

  private static String nanos(long of) {
    return quoted(Long.toString(of));
  }

  private static String orEmpty(String of) {
    return quoted(of == null ? "" : of);
  }

  private static String event(EventData event) {
    return object(
        "time", nanos(event.getEpochNanos()),
        "name", quoted(event.getName()),
        "attributes", attributes(event.getAttributes()));
  }

  private static String link(LinkData link) {
    return object(
        "traceId", quoted(link.getSpanContext().getTraceId()),
        "spanId", quoted(link.getSpanContext().getSpanId()),
        "traceState", state(link.getSpanContext().getTraceState()),
        "attributes", attributes(link.getAttributes()));
  }

  private static String canonical(SpanData span) {
    boolean hasParent = span.getParentSpanContext().isValid();
    var scope = span.getInstrumentationScopeInfo();
    // OTLP has OK and ERROR as 1 and 2, as they are declared here; kinds begin at 1.
    return object(
        "traceId", quoted(span.getTraceId()),
        "spanId", quoted(span.getSpanId()),
        "parentSpanId", quoted(hasParent ? span.getParentSpanId() : ""),
        "traceState", state(span.getSpanContext().getTraceState()),
        "name", quoted(span.getName()),
        "kind", Integer.toString(span.getKind().ordinal() + 1),
        "start", nanos(span.getStartEpochNanos()),
        "end", nanos(span.getEndEpochNanos()),
        "attributes", attributes(span.getAttributes()),
        "events", list(span.getEvents(), Send::event),
        "links", list(span.getLinks(), Send::link),
        "status",
            object(
                "code", Integer.toString(span.getStatus().getStatusCode().ordinal()),
                "message", quoted(span.getStatus().getDescription())),
        "resource",
            object(
                "attributes", attributes(span.getResource().getAttributes()),
                "schemaUrl", orEmpty(span.getResource().getSchemaUrl())),
        "scope",
            object(
                "name", quoted(scope.getName()),
                "version", orEmpty(scope.getVersion()),
                "schemaUrl", orEmpty(scope.getSchemaUrl()),
                "attributes", attributes(scope.getAttributes())));
  }

  /** Keeps what it is given. */
  private static final class Keeper implements SpanExporter {
    private final List<SpanData> spans = new ArrayList<>();

    @Override
    public CompletableResultCode export(Collection<SpanData> more) {
      spans.addAll(more);
      return CompletableResultCode.ofSuccess();
    }

    @Override
    public CompletableResultCode flush() {
      return CompletableResultCode.ofSuccess();
    }

    @Override
    public CompletableResultCode shutdown() {
      return CompletableResultCode.ofSuccess();
    }
  }

  private static List<SpanData> send(SpanExporter exporter) {
    Resource resource =
        Resource.create(
            Attributes.builder()
                .put("service.name", "shop")
                .put("service.version", "1.2.3")
                .put("process.pid", 4242)
                .put("host.ip", "10.0.0.1", "::1")
                .build(),
            "https://opentelemetry.io/schemas/1.30.0");
    Keeper kept = new Keeper();
    SdkTracerProvider provider =
        SdkTracerProvider.builder()
            .setResource(resource)
            .addSpanProcessor(BatchSpanProcessor.builder(exporter).build())
            .addSpanProcessor(SimpleSpanProcessor.create(kept))
            .build();
    record(
        provider
            .tracerBuilder("shop.checkout")
            .setInstrumentationVersion("0.9.1")
            .setSchemaUrl("https://opentelemetry.io/schemas/1.31.0")
            .build());
    // Ends the queue: what is in it is sent first.
    provider.shutdown().join(30, TimeUnit.SECONDS);
    return kept.spans;
  }

  public static void main(String[] endpoints) {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (String compression : List.of("none", "gzip")) {
      SpanExporter grpc =
          OtlpGrpcSpanExporter.builder().setEndpoint(endpoints[0]).setCompression(compression).build();
      SpanExporter http =
          OtlpHttpSpanExporter.builder()
              .setEndpoint(endpoints[1] + "/v1/traces")
              .setCompression(compression)
              .build();
      say(out, "grpc", compression, grpc);
      say(out, "http/protobuf", compression, http);
    }
  }

  private static void say(PrintStream out, String protocol, String compression, SpanExporter exporter) {
    out.println(
        object(
            "protocol", quoted(protocol),
            "compression", quoted(compression),
            "spans", list(send(exporter), Send::canonical)));
  }
}
