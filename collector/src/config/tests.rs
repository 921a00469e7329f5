use proptest::prelude::*;

use super::*;
use crate::load::Protocol;

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
        "--retention",
        "36h",
        "--max-disk",
        "2GiB",
        "--memory-limit",
        "1GiB",
        "--max-request-bytes",
        "4MiB",
        "--cors-origin",
        "https://Shop.example,http://localhost:3000",
        "--cors-origin",
        "*",
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
    assert_eq!(config.retention, Duration::from_hours(36));
    assert_eq!(config.max_disk_bytes, 2 << 30);
    assert_eq!(config.memory_limit_bytes, 1 << 30);
    assert_eq!(config.max_request_bytes, 4 << 20);
    assert_eq!(
        config.cors_origins,
        ["https://shop.example", "http://localhost:3000", "*"]
    );
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

    let Ok(Invocation::Load(load)) = parse(&["load", "--spans", "20M", "--protocol", "http"])
    else {
        panic!("no load");
    };
    assert_eq!(load.n_spans, 20_000_000);
    assert_eq!(load.protocol, Protocol::Http);
    assert!(matches!(
        parse(&["load", "--sink", "decode"]),
        Ok(Invocation::Sink(_))
    ));
}

#[test]
fn a_wrong_value_is_refused_with_what_is_expected() {
    let cases: [(&[&str], &str); 22] = [
        (&["--ui", "16686"], "expected an IP address and a port"),
        (
            &["--otlp-grpc", "localhost:99999"],
            "expected an IP address and a port",
        ),
        (&["--base-path", "traces"], "must begin with /"),
        (&["--base-path", "/a//b"], "must begin with /"),
        (&["--base-path", "/../b"], "must begin with /"),
        (&["--link", "Logs=ftp://h/"], "does not begin with http"),
        (&["--link", "Logs=https://h/{trace}"], "is no placeholder"),
        (
            &["--max-request-bytes", "2GiB"],
            "expected a size from 1KiB to 1GiB",
        ),
        (&["--cors-origin", "shop.example"], "expected an origin"),
        (
            &["--cors-origin", "https://shop.example/"],
            "expected an origin",
        ),
        (
            &["--cors-origin", "https://a@shop.example"],
            "expected an origin",
        ),
        (&["--retention", "7"], "expected a duration from 1m"),
        (
            &["--max-disk", "10MB"],
            "expected a size from 256MiB to 1PiB",
        ),
        (
            &["--memory-limit", "lots"],
            "expected a size from 128MiB to 1TiB",
        ),
        (&["load", "--spans", "0"], "expected a number from 1"),
        (
            &["load", "--concurrency", "5000"],
            "expected a number from 1 to 1024",
        ),
        (
            &["load", "--sink", "cooked"],
            "[possible values: raw, decode]",
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
            &["demo", "--endpoint", "ftp://a:1"],
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
fn links_are_read_from_flags_and_from_the_lines_of_a_variable() {
    let variable = "\nLogs=https://logs.test/{traceId}\n\n Profile = http://h/{spanId}\n";
    let from_flags = serve(&[
        "--link",
        "Logs=https://logs.test/{traceId}",
        "--link=Profile=http://h/{spanId}",
    ]);
    assert_ne!(from_flags.links, LinkTemplates::default());
    assert_eq!(serve(&["--link", variable]), from_flags);
    assert_eq!(serve(&["--link", ""]), serve(&[]));

    let many: Vec<String> = (0..9).map(|n| format!("--link=l{n}=http://h/")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = parse(&many).expect_err("too many");
    assert!(
        error.contains("--link: there are 9 links, the limit is 8"),
        "{error}"
    );
    let error = parse(&[many[0], many[0]]).expect_err("one name");
    assert!(error.contains("--link: two links are called l0"), "{error}");
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

#[test]
fn a_file_stands_behind_flags_and_before_defaults() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let path = dir.path().join("longpole.toml");
    std::fs::write(
        &path,
        "retention = '30d'\nui = '127.0.0.1:1'\ndemo = true\nlink = ['Logs=https://logs.test/']\n",
    )
    .expect("written");
    let path = path.to_str().expect("a path that is text");
    for command in [&[][..], &["serve"]] {
        let args = [command, &["--config", path, "--ui", "127.0.0.1:2"]].concat();
        let config = serve(&args);
        assert_eq!(config.retention, Duration::from_hours(30 * 24));
        assert_eq!(config.ui.to_string(), "127.0.0.1:2");
        assert!(config.demo);
        assert_eq!(config.otlp_http.to_string(), "127.0.0.1:4318");
    }
    let args = ["check-config", "--config", path, "--ui", "127.0.0.1:2"];
    let Ok(Invocation::CheckConfig { config, text }) = parse(&args) else {
        panic!("no check");
    };
    assert_eq!(config, serve(&["--config", path, "--ui", "127.0.0.1:2"]));
    for line in [
        r#"data-dir = "./longpole-data" # default"#.to_owned(),
        format!(r#"retention = "30d" # {path}"#),
        r#"ui = "127.0.0.1:2" # --ui"#.to_owned(),
        format!("demo = true # {path}"),
        format!(r#"link = ["Logs=https://logs.test/"] # {path}"#),
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in\n{text}"
        );
    }
    // It is what --config takes.
    let again = dir.path().join("again.toml");
    std::fs::write(&again, text).expect("written");
    let again = serve(&["--config", again.to_str().expect("text")]);
    assert_eq!(again, config);

    let error = parse(&["--config", "/nowhere/longpole.toml"]).expect_err("not there");
    assert!(
        error.contains("cannot read /nowhere/longpole.toml: No such file"),
        "{error}"
    );
    std::fs::write(path, "retention = '1s'").expect("written");
    let error = parse(&["--config", path]).expect_err("too short");
    assert!(
        error.contains("longpole.toml: retention: invalid value '1s'"),
        "{error}"
    );
}

/// Names of options, and of none.
fn any_key() -> impl Strategy<Value = String> {
    let command = args::Cli::command();
    let known: Vec<String> = file::options(&command)
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect();
    prop_oneof![20 => prop::sample::select(known), 1 => "[a-z-]{1,9}"]
}

/// Texts of values: of some options, of none, and of none there can be.
fn any_text() -> impl Strategy<Value = String> {
    let good = [
        "127.0.0.1:4317",
        "localhost:1",
        "/longpole",
        "Logs=https://logs.test/{traceId}",
        "os",
        "36h",
        "1GiB",
        "https://shop.example,*",
        "json",
        "true",
        "8",
    ];
    prop_oneof![
        6 => prop::sample::select(good.to_vec()).prop_map(str::to_owned),
        1 => "[0-9a-zA-Z.:/{}=*-]{0,12}",
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn a_file_is_refused_or_comes_to_what_is_printed_of_it(
        lines in prop::collection::btree_map(any_key(), (any_text(), 0..4_u8), 0..5),
        rest in prop_oneof![9 => Just(String::new()), 1 => any::<String>()],
    ) {
        let dir = tempfile::TempDir::new().expect("a directory");
        let check = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            parse(&["check-config", "--config", path.to_str().expect("text")])
        };
        let lines = lines.into_iter().map(|(key, (value, form))| {
            let quoted = toml::Value::from(value.as_str());
            match form {
                0 => format!("{key} = [{quoted}]\n"),
                1 if !value.is_empty() => format!("{key} = {value}\n"),
                _ => format!("{key} = {quoted}\n"),
            }
        });
        let given = lines.collect::<String>() + &rest;
        if let Ok(Invocation::CheckConfig { config, text }) = check("given.toml", &given) {
            let again = check("printed.toml", &text);
            let Ok(Invocation::CheckConfig { config: again, .. }) = again else {
                panic!("{given:?} becomes {text:?}: {again:?}");
            };
            prop_assert_eq!(again, config);
        }
    }

    #[test]
    fn any_text_is_a_value_or_refused(key in any_key(), text in any_text()) {
        for command in ["serve", "demo", "load"] {
            if let Err(error) = parse(&[command, &format!("--{key}={text}")]) {
                prop_assert!(!error.is_empty());
            }
        }
    }
}
