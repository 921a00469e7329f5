//! What services do: serve and call over HTTP, query databases, publish messages.
//!
//! Every method takes when it begins and returns when it is done.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::fleet::{Library, Service};
use super::recorder::{Recorder, SpanRef};
use crate::otlp::attributes::{int, text};

/// An HTTP endpoint: `GET /products/{id}`, and a path of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Endpoint<'a> {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) path: &'a str,
}

impl<'a> Endpoint<'a> {
    pub(super) const fn new(method: &'static str, route: &'static str, path: &'a str) -> Self {
        Self {
            method,
            route,
            path,
        }
    }

    /// An endpoint whose route has no parameters.
    pub(super) const fn plain(method: &'static str, route: &'static str) -> Endpoint<'static> {
        Endpoint {
            method,
            route,
            path: route,
        }
    }
}

/// A request that was served: until when, and with which status.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served {
    pub(super) at: u64,
    pub(super) status: u16,
}

/// How long a call is on the wire, there and back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    pub(super) there: u64,
    pub(super) back: u64,
}

/// A statement: `SELECT stock` on a table, and its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    pub(super) system: &'static str,
    pub(super) address: (&'static str, u16),
    pub(super) operation: &'static str,
    pub(super) table: &'static str,
    pub(super) text: &'static str,
}

impl Statement {
    /// A statement for the shop's `PostgreSQL`.
    pub(super) const fn postgres(
        operation: &'static str,
        table: &'static str,
        text: &'static str,
    ) -> Self {
        let address = ("pg-shop.internal", 5432);
        Self {
            system: "postgresql",
            address,
            operation,
            table,
            text,
        }
    }
}

/// A call of a service outside the shop, which makes no spans.
#[derive(Debug, Clone, Copy)]
pub(super) struct External {
    pub(super) method: &'static str,
    pub(super) host: &'static str,
    pub(super) path: &'static str,
}

/// How a call of a service outside the shop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Status(u16),
    Timeout,
}

impl Recorder<'_> {
    /// A request from a browser: the gateway serves it.
    pub(super) fn visit(
        &mut self,
        endpoint: Endpoint<'_>,
        serve: impl FnOnce(&mut Self, SpanRef, u64) -> Served,
    ) {
        let name = format!("{} {}", endpoint.method, endpoint.route);
        let server = self.root(Service::Gateway, Library::Http, &name, SpanKind::Server);
        let answer = serve(self, server, 0);
        let client_address = format!("203.0.113.{}", self.rng().u8(1..255));
        self.set(
            server,
            [
                text("url.scheme", "https"),
                text("client.address", client_address),
                text("user_agent.original", USER_AGENT),
            ],
        );
        self.serve_end(server, endpoint, ("shop.example", 443), answer);
    }

    /// A call of another of the shop's services.
    pub(super) fn call(
        &mut self,
        from: SpanRef,
        to: Service,
        endpoint: Endpoint<'_>,
        at: u64,
        serve: impl FnOnce(&mut Self, SpanRef, u64) -> Served,
    ) -> Served {
        let network = Network {
            there: self.about(0.7),
            back: self.about(0.6),
        };
        self.call_over(network, from, to, endpoint, at, serve)
    }

    /// As [`Self::call`], over a network as slow as given.
    pub(super) fn call_over(
        &mut self,
        network: Network,
        from: SpanRef,
        to: Service,
        endpoint: Endpoint<'_>,
        at: u64,
        serve: impl FnOnce(&mut Self, SpanRef, u64) -> Served,
    ) -> Served {
        let (host, port) = to.address();
        let client = self.child(from, Library::Http, endpoint.method, SpanKind::Client, at);
        let name = format!("{} {}", endpoint.method, endpoint.route);
        let arrived = at + network.there;
        let server = self.remote_child(client, to, Library::Http, &name, SpanKind::Server, arrived);
        let answer = serve(self, server, arrived);
        self.set(server, [text("url.scheme", "http")]);
        self.serve_end(server, endpoint, (host, port), answer);

        self.set(
            client,
            [
                text("http.request.method", endpoint.method),
                text("url.full", format!("http://{host}:{port}{}", endpoint.path)),
                text("server.address", host),
                int("server.port", port),
                int("http.response.status_code", answer.status),
            ],
        );
        if answer.status >= 400 {
            self.fail(client, &answer.status.to_string(), "");
        }
        Served {
            at: self.end(client, answer.at + network.back),
            status: answer.status,
        }
    }

    fn serve_end(
        &mut self,
        server: SpanRef,
        endpoint: Endpoint<'_>,
        at: (&str, u16),
        answer: Served,
    ) {
        self.set(
            server,
            [
                text("http.request.method", endpoint.method),
                text("http.route", endpoint.route),
                text("url.path", endpoint.path),
                int("http.response.status_code", answer.status),
                text("server.address", at.0),
                int("server.port", at.1),
                text("network.protocol.version", "1.1"),
            ],
        );
        if answer.status >= 500 {
            self.fail(server, &answer.status.to_string(), "");
        }
        self.end(server, answer.at);
    }

    /// A call of a service outside the shop.
    pub(super) fn call_external(
        &mut self,
        from: SpanRef,
        external: External,
        outcome: Outcome,
        at: u64,
        took: u64,
    ) -> SpanRef {
        let External { method, host, path } = external;
        let client = self.child(from, Library::Http, method, SpanKind::Client, at);
        self.set(
            client,
            [
                text("http.request.method", method),
                text("url.full", format!("https://{host}{path}")),
                text("server.address", host),
                int("server.port", 443),
            ],
        );
        match outcome {
            Outcome::Status(status) => {
                self.set(client, [int("http.response.status_code", status)]);
                if status >= 400 {
                    self.fail(client, &status.to_string(), "");
                }
            }
            Outcome::Timeout => self.fail(client, "timeout", "no answer in time"),
        }
        self.end(client, at + took);
        client
    }

    /// A statement that takes `took`.
    pub(super) fn query(&mut self, from: SpanRef, statement: Statement, at: u64, took: u64) -> u64 {
        let name = format!("{} {}", statement.operation, statement.table);
        let span = self.child(from, Library::Database, &name, SpanKind::Client, at);
        self.set(
            span,
            [
                text("db.system.name", statement.system),
                text("db.namespace", "shop"),
                text("db.operation.name", statement.operation),
                text("db.collection.name", statement.table),
                text("db.query.text", statement.text),
                text("server.address", statement.address.0),
                int("server.port", statement.address.1),
            ],
        );
        self.end(span, at + took)
    }

    /// A command to the shop's Redis.
    pub(super) fn redis(
        &mut self,
        from: SpanRef,
        command: &'static str,
        key: &str,
        at: u64,
    ) -> u64 {
        let span = self.child(from, Library::Database, command, SpanKind::Client, at);
        self.set(
            span,
            [
                text("db.system.name", "redis"),
                text("db.operation.name", command),
                text("db.query.text", format!("{command} {key}")),
                text("server.address", "redis-shop.internal"),
                int("server.port", 6379),
            ],
        );
        let took = self.about(0.9);
        self.end(span, at + took)
    }

    /// Work inside a process.
    pub(super) fn work(&mut self, from: SpanRef, name: &str, at: u64, took: u64) -> SpanRef {
        let span = self.child(from, Library::Own, name, SpanKind::Internal, at);
        self.end(span, at + took);
        span
    }

    /// Publishes a message to a Kafka topic.
    pub(super) fn publish(
        &mut self,
        from: SpanRef,
        topic: &'static str,
        at: u64,
        took: u64,
    ) -> SpanRef {
        let span = self.child(
            from,
            Library::Messaging,
            &format!("send {topic}"),
            SpanKind::Producer,
            at,
        );
        let partition = self.rng().u8(0..6);
        self.set(
            span,
            [
                text("messaging.system", "kafka"),
                text("messaging.operation.name", "send"),
                text("messaging.operation.type", "send"),
                text("messaging.destination.name", topic),
                text("messaging.destination.partition.id", partition.to_string()),
                text("server.address", "kafka-shop.internal"),
                int("server.port", 9092),
            ],
        );
        self.end(span, at + took);
        span
    }

    /// Handles a message of a Kafka topic; ended by the caller.
    pub(super) fn consume(
        &mut self,
        message: SpanRef,
        by: Service,
        topic: &'static str,
        at: u64,
    ) -> SpanRef {
        let name = format!("process {topic}");
        let span = self.remote_child(
            message,
            by,
            Library::Messaging,
            &name,
            SpanKind::Consumer,
            at,
        );
        self.set(
            span,
            [
                text("messaging.system", "kafka"),
                text("messaging.operation.name", "process"),
                text("messaging.operation.type", "process"),
                text("messaging.destination.name", topic),
                text("messaging.consumer.group.name", by.name()),
                text("messaging.client.id", format!("{}-1", by.name())),
            ],
        );
        span
    }

    /// An exception that leaves a span.
    pub(super) fn exception(
        &mut self,
        span: SpanRef,
        at: u64,
        exception: &super::stacks::Exception,
    ) {
        self.event(
            span,
            at,
            "exception",
            vec![
                text("exception.type", exception.kind),
                text("exception.message", exception.message),
                text("exception.stacktrace", exception.stack),
            ],
        );
    }
}

const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
