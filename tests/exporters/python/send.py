"""Sends the scenario of ../README.md over each protocol and compression, and prints what it sent."""

import json
import sys
import time

import grpc
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

MS = 1_000_000

ATTRIBUTES = {
    "text": 'a "quoted" \\ word\x1f',
    "text.unicode": "für alle 🛒 と",
    "text.empty": "",
    "bool.yes": True,
    "bool.no": False,
    "int.max": 2**63 - 1,
    "int.min": -(2**63),
    "double": 0.1,
    "double.whole": 3.0,
    "double.tiny": 2.2250738585072014e-308,
    "list.text": ["a", "", "é"],
    "list.bool": [True, False],
    "list.int": [-1, 2**63 - 1],
    "list.double": [-0.5, 1e300],
    "list.empty": [],
}


def record(tracer: trace.Tracer) -> None:
    begun = time.time_ns()

    def after(milliseconds: int) -> int:
        return begun + milliseconds * MS + 1

    elsewhere = SpanContext(0xDEADBEEF, 0xBEEF, True, TraceFlags(1), TraceState([("vendor", "x1")]))
    root = tracer.start_span(
        "POST /checkout für alle 🛒",
        kind=SpanKind.SERVER,
        attributes=ATTRIBUTES,
        links=[Link(elsewhere, {"reason": "retry", "attempt": 2})],
        start_time=begun,
    )
    root.add_event(
        "exception",
        {"exception.type": "OutOfStock", "exception.stacktrace": "at Stock.take\n\tat Checkout.run\n", "left": 0},
        after(300),
    )
    root.add_event("rolled back", None, after(310))
    in_root = trace.set_span_in_context(root)

    stock = tracer.start_span("GET /stock", in_root, SpanKind.CLIENT, start_time=after(10))
    stock.set_status(Status(StatusCode.OK))
    cache = tracer.start_span("", trace.set_span_in_context(stock), SpanKind.INTERNAL, start_time=after(20))
    cache.end(after(30))
    stock.end(after(210))

    publish = tracer.start_span("orders publish", in_root, SpanKind.PRODUCER, start_time=after(220))
    publish.end(after(240))
    consume = tracer.start_span(
        "orders process",
        trace.set_span_in_context(publish),
        SpanKind.CONSUMER,
        links=[Link(publish.get_span_context())],
        start_time=after(400),
    )
    consume.end(after(450))

    root.set_status(Status(StatusCode.ERROR, "sku-8812 is out of stock"))
    root.end(after(390))


def value(of):
    if isinstance(of, bool):
        return {"bool": of}
    if isinstance(of, int):
        return {"int": str(of)}
    if isinstance(of, float):
        return {"double": of}
    if isinstance(of, str):
        return {"text": of}
    return {"list": [value(item) for item in of]}


def attributes(of):
    return {key: value(item) for key, item in (of or {}).items()}


def canonical(span) -> dict:
    scope = span.instrumentation_scope
    return {
        "traceId": f"{span.context.trace_id:032x}",
        "spanId": f"{span.context.span_id:016x}",
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
        "traceState": span.context.trace_state.to_header(),
        "name": span.name,
        "kind": span.kind.value + 1,
        "start": str(span.start_time),
        "end": str(span.end_time),
        "attributes": attributes(span.attributes),
        "events": [
            {"time": str(event.timestamp), "name": event.name, "attributes": attributes(event.attributes)}
            for event in span.events
        ],
        "links": [
            {
                "traceId": f"{link.context.trace_id:032x}",
                "spanId": f"{link.context.span_id:016x}",
                # The exporter leaves out the trace state of links.
                "traceState": "",
                "attributes": attributes(link.attributes),
            }
            for link in span.links
        ],
        "status": {"code": span.status.status_code.value, "message": span.status.description or ""},
        "resource": {"attributes": attributes(span.resource.attributes), "schemaUrl": span.resource.schema_url},
        "scope": {
            "name": scope.name,
            "version": scope.version,
            "schemaUrl": scope.schema_url,
            "attributes": attributes(scope.attributes),
        },
    }


def send(exporter) -> list[dict]:
    resource = Resource.create(
        {"service.name": "shop", "service.version": "1.2.3", "process.pid": 4242, "host.ip": ["10.0.0.1", "::1"]},
        "https://opentelemetry.io/schemas/1.30.0",
    )
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    record(
        provider.get_tracer(
            "shop.checkout", "0.9.1", "https://opentelemetry.io/schemas/1.31.0", {"scope.text": "é", "scope.level": 3}
        )
    )
    # Ends the queue: what is in it is sent first.
    provider.shutdown()
    return [canonical(span) for span in kept.get_finished_spans()]


def main(grpc_endpoint: str, http_endpoint: str) -> None:
    for compression, of_grpc, of_http in (
        ("none", grpc.Compression.NoCompression, Compression.NoCompression),
        ("gzip", grpc.Compression.Gzip, Compression.Gzip),
    ):
        exporters = (
            ("grpc", Grpc(endpoint=grpc_endpoint, insecure=True, compression=of_grpc)),
            ("http/protobuf", Http(endpoint=f"{http_endpoint}/v1/traces", compression=of_http)),
        )
        for protocol, exporter in exporters:
            print(json.dumps({"protocol": protocol, "compression": compression, "spans": send(exporter)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
