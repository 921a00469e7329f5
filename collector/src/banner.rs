//! The start message: where everything is, and the line to copy into an application.

use std::fmt::Write as _;

use longpole_storage::Durability;
use longpole_ui::Urls;
use tracing::info;

use crate::listeners::Addresses;
use crate::version::VERSION;
use crate::{Config, LogFormat};

/// Says on stderr that all is ready: in words, or as a log line where lines are for machines.
pub(crate) fn announce(config: &Config, urls: &Urls, addresses: Addresses) {
    match config.log.format {
        LogFormat::Text => eprint!("{}", text(config, urls, addresses)),
        LogFormat::Json => info!(
            version = VERSION,
            ui = addresses.ui_endpoint() + urls.search().trim_end_matches('/'),
            otlp_grpc = addresses.grpc_endpoint(),
            otlp_http = addresses.http_endpoint(),
            data_dir = %config.data_dir.display(),
            "ready"
        ),
    }
}

fn text(config: &Config, urls: &Urls, addresses: Addresses) -> String {
    let kept = match config.durability {
        Durability::Fsync => "acknowledged spans survive a power cut",
        Durability::Os => "acknowledged spans survive kill -9",
    };
    let mut text = format!(
        "\nlongpole {version} is ready.

  Pages        {ui}{search}
  OTLP/gRPC    {grpc}
  OTLP/HTTP    {http}/v1/traces
  Data         {data} ({kept})

Send it an application's traces, over gRPC or over HTTP:

  export OTEL_EXPORTER_OTLP_ENDPOINT={grpc} OTEL_EXPORTER_OTLP_PROTOCOL=grpc
  export OTEL_EXPORTER_OTLP_ENDPOINT={http} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
{token}",
        version = VERSION,
        ui = addresses.ui_endpoint(),
        search = urls.search(),
        grpc = addresses.grpc_endpoint(),
        http = addresses.http_endpoint(),
        data = config.data_dir.display(),
        token = if config.token_file.is_some() {
            "  export OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN\n"
        } else {
            ""
        },
    );
    let hint = if config.demo {
        "A small shop sends traffic to it: open the pages to see which of its requests are slow."
    } else {
        "No application at hand? longpole demo sends a small shop's traffic."
    };
    writeln!(text, "\n{hint}\nCtrl-C stops it.\n").expect("writing to a string cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let at = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        Addresses {
            otlp_grpc: at(4317),
            otlp_http: at(4318),
            ui: at(16686),
            is_tls: false,
        }
    }

    #[test]
    fn the_start_message_has_the_addresses_and_the_line_to_copy() {
        let config = Config::with_data_dir("./longpole-data");
        insta::assert_snapshot!(text(&config, &Urls::default(), addresses()));
    }

    #[test]
    fn with_the_demo_it_says_what_to_do() {
        let config = Config {
            demo: true,
            ..Config::with_data_dir("data")
        };
        let urls = Urls::new("/traces").expect("a base path");
        let text = text(&config, &urls, addresses());
        assert!(text.contains("http://127.0.0.1:16686/traces/\n"), "{text}");
        assert!(text.contains("A small shop sends traffic"), "{text}");
    }
}
