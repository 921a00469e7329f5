//! Who works in the shop: services, their running instances, and what each says of itself.

use fastrand::Rng;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::otlp::attributes::{int, text};

/// The schema the demo's attribute names follow.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// The shop's instrumented services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Gateway,
    Catalog,
    Checkout,
    Inventory,
    Pricing,
    Payments,
    Mailer,
    LegacyErp,
}

impl Service {
    const ALL: [Self; 8] = [
        Self::Gateway,
        Self::Catalog,
        Self::Checkout,
        Self::Inventory,
        Self::Pricing,
        Self::Payments,
        Self::Mailer,
        Self::LegacyErp,
    ];

    pub(super) const fn name(self) -> &'static str {
        self.profile().name
    }

    /// The host name and port other services reach it by.
    pub(super) const fn address(self) -> (&'static str, u16) {
        let profile = self.profile();
        (profile.host, profile.port)
    }

    /// The library that makes spans of a sort here.
    pub(super) fn scope(self, library: Library) -> InstrumentationScope {
        let profile = self.profile();
        let (name, version) = match library {
            Library::Http => profile.http,
            Library::Database => profile.database,
            Library::Messaging => profile.messaging,
            Library::Own => (profile.name, profile.version),
        };
        InstrumentationScope {
            name: name.to_owned(),
            version: version.to_owned(),
            ..Default::default()
        }
    }

    const fn profile(self) -> &'static Profile {
        match self {
            Self::Gateway => &GATEWAY,
            Self::Catalog => &CATALOG,
            Self::Checkout => &CHECKOUT,
            Self::Inventory => &INVENTORY,
            Self::Pricing => &PRICING,
            Self::Payments => &PAYMENTS,
            Self::Mailer => &MAILER,
            Self::LegacyErp => &LEGACY_ERP,
        }
    }
}

/// The sorts of libraries that make spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Library {
    Http,
    Database,
    Messaging,
    Own,
}

impl Library {
    pub(super) const ALL: [Self; 4] = [Self::Http, Self::Database, Self::Messaging, Self::Own];
}

/// One running process.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) service: Service,
    pub(super) resource: Resource,
}

/// All running processes.
#[derive(Debug, Clone)]
pub(super) struct Fleet(Vec<Instance>);

impl Fleet {
    /// A fleet; `rng` names its pods.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut instances = Vec::new();
        for service in Service::ALL {
            let replica_set = suffix(rng, 9);
            for _ in 0..service.profile().n_instances {
                let resource = resource(service.profile(), &replica_set, rng);
                instances.push(Instance { service, resource });
            }
        }
        Self(instances)
    }

    pub(super) fn instances(&self) -> &[Instance] {
        &self.0
    }

    /// One of a service's instances, as a load balancer picks.
    pub(super) fn pick(&self, service: Service, rng: &mut Rng) -> usize {
        let first = self
            .0
            .iter()
            .position(|instance| instance.service == service);
        let first = first.expect("every service has an instance");
        first + rng.usize(..service.profile().n_instances)
    }
}

fn resource(profile: &Profile, replica_set: &str, rng: &mut Rng) -> Resource {
    let mut attributes: Vec<KeyValue> = vec![
        text("service.name", profile.name),
        text("service.namespace", "shop"),
        text("service.version", profile.version),
        text("service.instance.id", uuid(rng)),
        text("deployment.environment.name", "production"),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", profile.language),
        text("telemetry.sdk.version", profile.sdk_version),
        text("process.runtime.name", profile.runtime.0),
        text("process.runtime.version", profile.runtime.1),
        int("process.pid", rng.i64(1..40)),
    ];
    if profile.in_cluster {
        let pod = format!("{}-{replica_set}-{}", profile.name, suffix(rng, 5));
        attributes.extend([
            text("host.name", pod.as_str()),
            text("k8s.pod.name", pod),
            text("k8s.namespace.name", "shop"),
            text("k8s.node.name", format!("node-{}", rng.u32(1..=3))),
        ]);
    } else {
        attributes.extend([text("host.name", profile.host), text("os.type", "linux")]);
    }
    Resource {
        attributes,
        ..Resource::default()
    }
}

/// Letters as Kubernetes draws them for pod names.
fn suffix(rng: &mut Rng, n_chars: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..n_chars)
        .map(|_| char::from(LETTERS[rng.usize(..LETTERS.len())]))
        .collect()
}

fn uuid(rng: &mut Rng) -> String {
    let (high, low) = (rng.u64(..), rng.u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    )
}

struct Profile {
    name: &'static str,
    version: &'static str,
    host: &'static str,
    port: u16,
    n_instances: usize,
    in_cluster: bool,
    language: &'static str,
    sdk_version: &'static str,
    runtime: (&'static str, &'static str),
    http: (&'static str, &'static str),
    database: (&'static str, &'static str),
    messaging: (&'static str, &'static str),
}

const GATEWAY: Profile = Profile {
    name: "gateway",
    version: "4.18.2",
    host: "gateway.shop.svc",
    port: 8080,
    n_instances: 2,
    in_cluster: true,
    language: "nodejs",
    sdk_version: "2.2.0",
    runtime: ("nodejs", "22.12.0"),
    http: ("@opentelemetry/instrumentation-http", "0.207.0"),
    database: ("@opentelemetry/instrumentation-redis", "0.57.0"),
    messaging: ("@opentelemetry/instrumentation-kafkajs", "0.16.0"),
};

const CATALOG: Profile = Profile {
    name: "catalog",
    version: "2.7.0",
    host: "catalog.shop.svc",
    port: 8000,
    n_instances: 2,
    in_cluster: true,
    language: "ruby",
    sdk_version: "1.10.0",
    runtime: ("ruby", "3.4.7"),
    http: ("OpenTelemetry::Instrumentation::Rack", "0.28.2"),
    database: ("OpenTelemetry::Instrumentation::PG", "0.32.0"),
    messaging: ("OpenTelemetry::Instrumentation::RubyKafka", "0.23.0"),
};

const CHECKOUT: Profile = Profile {
    name: "checkout",
    version: "1.31.4",
    host: "checkout.shop.svc",
    port: 8081,
    n_instances: 2,
    in_cluster: true,
    language: "go",
    sdk_version: "1.38.0",
    runtime: ("go", "go1.25.4"),
    http: (
        "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
        "0.63.0",
    ),
    database: ("github.com/exaring/otelpgx", "0.9.3"),
    messaging: ("github.com/twmb/franz-go/plugin/kotel", "1.6.0"),
};

const INVENTORY: Profile = Profile {
    name: "inventory",
    version: "9.2.1",
    host: "inventory.shop.svc",
    port: 8082,
    n_instances: 3,
    in_cluster: true,
    language: "java",
    sdk_version: "1.55.0",
    runtime: ("OpenJDK Runtime Environment", "21.0.9+10-LTS"),
    http: ("io.opentelemetry.tomcat-10.0", "2.21.0-alpha"),
    database: ("io.opentelemetry.jdbc", "2.21.0-alpha"),
    messaging: ("io.opentelemetry.kafka-clients-0.11", "2.21.0-alpha"),
};

const PRICING: Profile = Profile {
    name: "pricing",
    version: "3.0.9",
    host: "pricing.shop.svc",
    port: 8083,
    n_instances: 2,
    in_cluster: true,
    language: "dotnet",
    sdk_version: "1.13.1",
    runtime: (".NET", "9.0.11"),
    http: ("Microsoft.AspNetCore", "9.0.11"),
    database: (
        "OpenTelemetry.Instrumentation.StackExchangeRedis",
        "1.13.0-beta.1",
    ),
    messaging: ("Confluent.Kafka.Extensions.Diagnostics", "0.5.0"),
};

const PAYMENTS: Profile = Profile {
    name: "payments",
    version: "5.4.0",
    host: "payments.shop.svc",
    port: 8084,
    n_instances: 2,
    in_cluster: true,
    language: "python",
    sdk_version: "1.38.0",
    runtime: ("cpython", "3.13.9"),
    http: ("opentelemetry.instrumentation.fastapi", "0.59b0"),
    database: ("opentelemetry.instrumentation.psycopg", "0.59b0"),
    messaging: ("opentelemetry.instrumentation.confluent_kafka", "0.59b0"),
};

const MAILER: Profile = Profile {
    name: "mailer",
    version: "1.2.8",
    host: "mailer.shop.svc",
    port: 8085,
    n_instances: 1,
    in_cluster: true,
    language: "rust",
    sdk_version: "0.31.0",
    runtime: ("rustc", "1.91.0"),
    http: ("reqwest-otel", "0.17.0"),
    database: ("sqlx", "0.8.6"),
    messaging: ("rdkafka", "0.38.0"),
};

const LEGACY_ERP: Profile = Profile {
    name: "legacy-erp",
    version: "2011.3-sp7",
    host: "erp01.corp.internal",
    port: 8888,
    n_instances: 1,
    in_cluster: false,
    language: "java",
    sdk_version: "1.55.0",
    runtime: ("OpenJDK Runtime Environment", "1.8.0_472-b08"),
    http: ("io.opentelemetry.servlet-3.0", "2.21.0-alpha"),
    database: ("io.opentelemetry.jdbc", "2.21.0-alpha"),
    messaging: ("io.opentelemetry.jms-1.1", "2.21.0-alpha"),
};
