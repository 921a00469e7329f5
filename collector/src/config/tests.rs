use super::*;

fn parse(args: &[&str]) -> Result<Invocation, String> {
    let args = std::iter::once("longpole")
        .chain(args.iter().copied())
        .map(OsString::from);
    Invocation::parse(args).map_err(|error| error.to_string())
}

fn serve(args: &[&str]) -> Config {
    match parse(args) {
        Ok(Invocation::Serve(config)) => config,
        other => panic!("{args:?} gives {other:?}"),
    }
}

fn help(command: &mut clap::Command) -> String {
    command
        .clone()
        .term_width(100)
        .render_long_help()
        .to_string()
}

#[test]
fn the_help_reads_well() {
    let mut command = args::Cli::command();
    command.build();
    insta::assert_snapshot!("help", help(&mut command));
    let demo = command
        .find_subcommand_mut("demo")
        .expect("there is a demo");
    insta::assert_snapshot!("help_demo", help(demo));
}

#[test]
fn no_command_means_serve() {
    assert_eq!(serve(&[]), Config::with_data_dir("./longpole-data"));
    assert_eq!(serve(&["serve"]), serve(&[]));
    assert_eq!(serve(&["serve", "--demo"]), serve(&["--demo"]));
    assert!(serve(&["--demo"]).demo);
}

#[test]
fn flags_become_typed_values() {
    let config = serve(&[
        "--otlp-grpc",
        "[::1]:1",
        "--otlp-http",
        "localhost:2",
        "--ui",
        "0.0.0.0:3",
        "--durability",
        "os",
        "--max-request-bytes",
        "4MiB",
        "--base-path",
        "/traces/",
        "--log-format",
        "json",
        "--log-level",
        "debug",
    ]);
    assert_eq!(config.otlp_grpc.to_string(), "[::1]:1");
    assert_eq!(config.otlp_http.to_string(), "127.0.0.1:2");
    assert_eq!(config.ui.to_string(), "0.0.0.0:3");
    assert_eq!(config.durability, Durability::Os);
    assert_eq!(config.max_request_bytes, 4 << 20);
    assert_eq!(config.base_path, "/traces/");
    assert_eq!(
        config.log,
        LogConfig {
            format: LogFormat::Json,
            level: LogLevel::Debug
        }
    );

    let Ok(Invocation::Demo(demo)) = parse(&[
        "demo",
        "--endpoint",
        "http://h:1",
        "--rate",
        "0.5",
        "--duration",
        "2m",
    ]) else {
        panic!("no demo");
    };
    assert_eq!(demo.endpoint.to_string(), "http://h:1/");
    assert!((demo.requests_per_second - 0.5).abs() < f64::EPSILON);
    assert_eq!(demo.duration, Some(Duration::from_mins(2)));
}

#[test]
fn a_wrong_value_is_refused_with_what_is_expected() {
    let cases: [(&[&str], &str); 11] = [
        (&["--ui", "16686"], "expected an IP address and a port"),
        (
            &["--otlp-grpc", "localhost:99999"],
            "expected an IP address and a port",
        ),
        (&["--base-path", "traces"], "must begin with /"),
        (&["--base-path", "/a//b"], "must begin with /"),
        (&["--base-path", "/../b"], "must begin with /"),
        (
            &["--max-request-bytes", "2GiB"],
            "expected a size from 1KiB to 1GiB",
        ),
        (&["--durability", "maybe"], "[possible values: fsync, os]"),
        (
            &["demo", "--rate", "NaN"],
            "expected a number from 0.1 to 500",
        ),
        (
            &["demo", "--duration", "0s"],
            "expected a duration such as 90s",
        ),
        (
            &["demo", "--endpoint", "127.0.0.1:4317"],
            "expected a URL such as http://127.0.0.1:4317",
        ),
        (
            &["demo", "--endpoint", "https://a:1"],
            "expected a URL such as http://127.0.0.1:4317",
        ),
    ];
    for (args, expected) in cases {
        let error = parse(args).expect_err("a wrong value");
        let value = args.last().expect("a value");
        assert!(
            error.contains(expected) && error.contains(&format!("'{value}'")),
            "{args:?}: {error}"
        );
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for (args, name) in [
        (vec!["--retain", "7d"], "'--retain'"),
        (vec!["serv"], "'serv'"),
        (vec!["--demo", "demo"], "'demo'"),
    ] {
        let error = parse(&args).expect_err("not known");
        assert!(error.contains(name), "{args:?}: {error}");
    }
}
