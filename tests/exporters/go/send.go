// Sends the scenario of ../README.md over each protocol and compression, and prints what it sent.
package main

import (
	"context"
	"encoding/json"
	"log"
	"math"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func everyKindOfAttribute() []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("text", "a \"quoted\" \\ word\x1f"),
		attribute.String("text.unicode", "für alle 🛒 と"),
		attribute.String("text.empty", ""),
		attribute.Bool("bool.yes", true),
		attribute.Bool("bool.no", false),
		attribute.Int64("int.max", math.MaxInt64),
		attribute.Int64("int.min", math.MinInt64),
		attribute.Float64("double", 0.1),
		attribute.Float64("double.whole", 3),
		attribute.Float64("double.tiny", 2.2250738585072014e-308),
		attribute.StringSlice("list.text", []string{"a", "", "é"}),
		attribute.BoolSlice("list.bool", []bool{true, false}),
		attribute.Int64Slice("list.int", []int64{-1, math.MaxInt64}),
		attribute.Float64Slice("list.double", []float64{-0.5, 1e300}),
		attribute.Int64Slice("list.empty", []int64{}),
	}
}

func record(tracer trace.Tracer) {
	begun := time.Now()
	after := func(milliseconds int) trace.SpanEventOption {
		return trace.WithTimestamp(begun.Add(time.Duration(milliseconds)*time.Millisecond + 1))
	}
	state, err := trace.ParseTraceState("vendor=x1")
	check(err)
	elsewhere := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    trace.TraceID{12: 0xde, 13: 0xad, 14: 0xbe, 15: 0xef},
		SpanID:     trace.SpanID{6: 0xbe, 7: 0xef},
		TraceFlags: trace.FlagsSampled,
		TraceState: state,
		Remote:     true,
	})
	ctx := context.Background()
	inRoot, root := tracer.Start(ctx, "POST /checkout für alle 🛒",
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(begun),
		trace.WithAttributes(everyKindOfAttribute()...),
		trace.WithLinks(trace.Link{SpanContext: elsewhere, Attributes: []attribute.KeyValue{
			attribute.String("reason", "retry"), attribute.Int("attempt", 2),
		}}),
	)
	root.AddEvent("exception", after(300), trace.WithAttributes(
		attribute.String("exception.type", "OutOfStock"),
		attribute.String("exception.stacktrace", "at Stock.take\n\tat Checkout.run\n"),
		attribute.Int("left", 0),
	))
	root.AddEvent("rolled back", after(310))

	inStock, stock := tracer.Start(inRoot, "GET /stock", trace.WithSpanKind(trace.SpanKindClient), after(10))
	stock.SetStatus(codes.Ok, "")
	_, cache := tracer.Start(inStock, "", trace.WithSpanKind(trace.SpanKindInternal), after(20))
	cache.End(after(30))
	stock.End(after(210))

	inPublish, publish := tracer.Start(inRoot, "orders publish", trace.WithSpanKind(trace.SpanKindProducer), after(220))
	publish.End(after(240))
	_, consume := tracer.Start(inPublish, "orders process",
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(trace.Link{SpanContext: publish.SpanContext()}),
		after(400),
	)
	consume.End(after(450))

	root.SetStatus(codes.Error, "sku-8812 is out of stock")
	root.End(after(390))
}

type object map[string]any

func value(of attribute.Value) object {
	list := []object{}
	switch of.Type() {
	case attribute.BOOL:
		return object{"bool": of.AsBool()}
	case attribute.INT64:
		return object{"int": strconv.FormatInt(of.AsInt64(), 10)}
	case attribute.FLOAT64:
		return object{"double": of.AsFloat64()}
	case attribute.STRING:
		return object{"text": of.AsString()}
	case attribute.BOOLSLICE:
		for _, item := range of.AsBoolSlice() {
			list = append(list, value(attribute.BoolValue(item)))
		}
	case attribute.INT64SLICE:
		for _, item := range of.AsInt64Slice() {
			list = append(list, value(attribute.Int64Value(item)))
		}
	case attribute.FLOAT64SLICE:
		for _, item := range of.AsFloat64Slice() {
			list = append(list, value(attribute.Float64Value(item)))
		}
	case attribute.STRINGSLICE:
		for _, item := range of.AsStringSlice() {
			list = append(list, value(attribute.StringValue(item)))
		}
	default:
		log.Fatalf("an attribute is of another type: %v", of.Type())
	}
	return object{"list": list}
}

func attributes(of []attribute.KeyValue) object {
	all := object{}
	for _, one := range of {
		all[string(one.Key)] = value(one.Value)
	}
	return all
}

func nanos(of time.Time) string {
	return strconv.FormatInt(of.UnixNano(), 10)
}

// The SDK counts these otherwise than OTLP does.
var statusCodes = map[codes.Code]int{codes.Unset: 0, codes.Ok: 1, codes.Error: 2}

func canonical(span sdktrace.ReadOnlySpan) object {
	context, scope := span.SpanContext(), span.InstrumentationScope()
	parent := ""
	if span.Parent().HasSpanID() {
		parent = span.Parent().SpanID().String()
	}
	events, links := []object{}, []object{}
	for _, event := range span.Events() {
		events = append(events, object{
			"time": nanos(event.Time), "name": event.Name, "attributes": attributes(event.Attributes),
		})
	}
	for _, link := range span.Links() {
		links = append(links, object{
			"traceId": link.SpanContext.TraceID().String(),
			"spanId":  link.SpanContext.SpanID().String(),
			// The exporter leaves out the trace state of links.
			"traceState": "",
			"attributes": attributes(link.Attributes),
		})
	}
	return object{
		"traceId":      context.TraceID().String(),
		"spanId":       context.SpanID().String(),
		"parentSpanId": parent,
		"traceState":   context.TraceState().String(),
		"name":         span.Name(),
		"kind":         int(span.SpanKind()),
		"start":        nanos(span.StartTime()),
		"end":          nanos(span.EndTime()),
		"attributes":   attributes(span.Attributes()),
		"events":       events,
		"links":        links,
		"status":       object{"code": statusCodes[span.Status().Code], "message": span.Status().Description},
		"resource": object{
			"attributes": attributes(span.Resource().Attributes()), "schemaUrl": span.Resource().SchemaURL(),
		},
		"scope": object{
			"name": scope.Name, "version": scope.Version, "schemaUrl": scope.SchemaURL,
			"attributes": attributes(scope.Attributes.ToSlice()),
		},
	}
}

func send(exporter sdktrace.SpanExporter) []object {
	ctx := context.Background()
	kept := keeper{tracetest.NewInMemoryExporter()}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSyncer(kept),
		sdktrace.WithResource(resource.NewWithAttributes("https://opentelemetry.io/schemas/1.30.0",
			attribute.String("service.name", "shop"),
			attribute.String("service.version", "1.2.3"),
			attribute.Int("process.pid", 4242),
			attribute.StringSlice("host.ip", []string{"10.0.0.1", "::1"}),
		)),
	)
	record(provider.Tracer("shop.checkout",
		trace.WithInstrumentationVersion("0.9.1"),
		trace.WithSchemaURL("https://opentelemetry.io/schemas/1.31.0"),
		trace.WithInstrumentationAttributes(attribute.String("scope.text", "é"), attribute.Int("scope.level", 3)),
	))
	// Ends the queue: what is in it is sent first.
	check(provider.Shutdown(ctx))
	sent := []object{}
	for _, span := range kept.GetSpans().Snapshots() {
		sent = append(sent, canonical(span))
	}
	return sent
}

// keeper forgets nothing when it is shut down.
type keeper struct{ *tracetest.InMemoryExporter }

func (keeper) Shutdown(context.Context) error { return nil }

func say(protocol, compression string, exporter sdktrace.SpanExporter, err error) {
	check(err)
	line, err := json.Marshal(object{"protocol": protocol, "compression": compression, "spans": send(exporter)})
	check(err)
	_, err = os.Stdout.Write(append(line, '\n'))
	check(err)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	ctx, grpc, http := context.Background(), os.Args[1], os.Args[2]+"/v1/traces"

	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(grpc))
	say("grpc", "none", exporter, err)
	exporter, err = otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(grpc), otlptracegrpc.WithCompressor("gzip"))
	say("grpc", "gzip", exporter, err)

	exporter, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(http))
	say("http/protobuf", "none", exporter, err)
	exporter, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(http),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	say("http/protobuf", "gzip", exporter, err)
}
