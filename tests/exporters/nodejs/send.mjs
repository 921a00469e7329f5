// Sends the scenario of ../README.md over each protocol and compression, and prints what it sent.

import { createTraceState, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter as Grpc } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as HttpJson } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as HttpProtobuf } from '@opentelemetry/exporter-trace-otlp-proto';
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';

// Numbers are doubles here: 2^53 - 1 is the largest whole one, and 3.0 is 3, which is sent as an integer.
const ATTRIBUTES = {
  text: 'a "quoted" \\ word\x1f',
  'text.unicode': 'für alle 🛒 と',
  'text.empty': '',
  'bool.yes': true,
  'bool.no': false,
  'int.max': Number.MAX_SAFE_INTEGER,
  'int.min': Number.MIN_SAFE_INTEGER,
  double: 0.1,
  'double.tiny': 2.2250738585072014e-308,
  'list.text': ['a', '', 'é'],
  'list.bool': [true, false],
  'list.int': [-1, Number.MAX_SAFE_INTEGER],
  'list.double': [-0.5, 1.5e-300],
  'list.empty': [],
};

function record(tracer) {
  const begun = BigInt(Date.now()) * 1_000_000n;
  const after = (milliseconds) => {
    const nanos = begun + BigInt(milliseconds) * 1_000_000n + 1n;
    return [Number(nanos / 1_000_000_000n), Number(nanos % 1_000_000_000n)];
  };
  const elsewhere = {
    traceId: '000000000000000000000000deadbeef',
    spanId: '000000000000beef',
    traceFlags: TraceFlags.SAMPLED,
    traceState: createTraceState('vendor=x1'),
    isRemote: true,
  };
  const root = tracer.startSpan(
    'POST /checkout für alle 🛒',
    {
      kind: SpanKind.SERVER,
      attributes: ATTRIBUTES,
      links: [{ context: elsewhere, attributes: { reason: 'retry', attempt: 2 } }],
      startTime: after(0),
    },
    ROOT_CONTEXT,
  );
  root.addEvent(
    'exception',
    { 'exception.type': 'OutOfStock', 'exception.stacktrace': 'at Stock.take\n\tat Checkout.run\n', left: 0 },
    after(300),
  );
  root.addEvent('rolled back', after(310));
  const inside = (span) => trace.setSpan(ROOT_CONTEXT, span);

  const stock = tracer.startSpan('GET /stock', { kind: SpanKind.CLIENT, startTime: after(10) }, inside(root));
  stock.setStatus({ code: SpanStatusCode.OK });
  const cache = tracer.startSpan('', { kind: SpanKind.INTERNAL, startTime: after(20) }, inside(stock));
  cache.end(after(30));
  stock.end(after(210));

  const publish = tracer.startSpan('orders publish', { kind: SpanKind.PRODUCER, startTime: after(220) }, inside(root));
  publish.end(after(240));
  const consume = tracer.startSpan(
    'orders process',
    { kind: SpanKind.CONSUMER, links: [{ context: publish.spanContext() }], startTime: after(400) },
    inside(publish),
  );
  consume.end(after(450));

  root.setStatus({ code: SpanStatusCode.ERROR, message: 'sku-8812 is out of stock' });
  root.end(after(390));
}

function value(of) {
  if (typeof of === 'boolean') return { bool: of };
  if (typeof of === 'string') return { text: of };
  if (typeof of === 'number') return Number.isInteger(of) ? { int: String(of) } : { double: of };
  if (Array.isArray(of)) return { list: of.map(value) };
  throw new Error(`an attribute is of another type: ${of}`);
}

const attributes = (of) => Object.fromEntries(Object.entries(of ?? {}).map(([name, one]) => [name, value(one)]));

const nanos = ([seconds, rest]) => String(BigInt(seconds) * 1_000_000_000n + BigInt(rest));

function canonical(span) {
  const context = span.spanContext();
  const scope = span.instrumentationScope;
  return {
    traceId: context.traceId,
    spanId: context.spanId,
    parentSpanId: span.parentSpanContext?.spanId ?? '',
    traceState: context.traceState?.serialize() ?? '',
    name: span.name,
    kind: span.kind + 1,
    start: nanos(span.startTime),
    end: nanos(span.endTime),
    attributes: attributes(span.attributes),
    events: span.events.map((event) => ({
      time: nanos(event.time),
      name: event.name,
      attributes: attributes(event.attributes),
    })),
    links: span.links.map((link) => ({
      traceId: link.context.traceId,
      spanId: link.context.spanId,
      traceState: link.context.traceState?.serialize() ?? '',
      attributes: attributes(link.attributes),
    })),
    status: { code: span.status.code, message: span.status.message ?? '' },
    resource: { attributes: attributes(span.resource.attributes), schemaUrl: span.resource.schemaUrl ?? '' },
    scope: {
      name: scope.name,
      version: scope.version ?? '',
      schemaUrl: scope.schemaUrl ?? '',
      // Tracers take none here yet.
      attributes: {},
    },
  };
}

async function send(exporter) {
  const kept = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes(
      { 'service.name': 'shop', 'service.version': '1.2.3', 'process.pid': 4242, 'host.ip': ['10.0.0.1', '::1'] },
      { schemaUrl: 'https://opentelemetry.io/schemas/1.30.0' },
    ),
    spanProcessors: [new BatchSpanProcessor(exporter), new SimpleSpanProcessor(kept)],
  });
  record(
    provider.getTracer('shop.checkout', '0.9.1', { schemaUrl: 'https://opentelemetry.io/schemas/1.31.0' }),
  );
  // Sends what is in the queue; shutting down would empty what is kept.
  await provider.forceFlush();
  const spans = kept.getFinishedSpans().map(canonical);
  await provider.shutdown();
  return spans;
}

const [grpc, http] = process.argv.slice(2);
for (const compression of [CompressionAlgorithm.NONE, CompressionAlgorithm.GZIP]) {
  const exporters = {
    grpc: new Grpc({ url: grpc, compression }),
    'http/protobuf': new HttpProtobuf({ url: `${http}/v1/traces`, compression }),
    'http/json': new HttpJson({ url: `${http}/v1/traces`, compression }),
  };
  for (const [protocol, exporter] of Object.entries(exporters)) {
    console.log(JSON.stringify({ protocol, compression, spans: await send(exporter) }));
  }
}
