//! What the command line and the environment say, and which of them wins.

use std::process::Command;

/// Runs a command line that is refused, with these variables; gives what it says.
fn refused(args: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_longpole"))
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn a_variable_wins_over_the_default() {
    let said = refused(&["demo"], &[("LONGPOLE_RATE", "often")]);
    assert!(said.contains("'often' for '--rate <NUMBER>'"), "{said}");
}

#[test]
fn a_flag_wins_over_its_variable() {
    let args = ["demo", "--rate", "5", "--endpoint", "nowhere"];
    let said = refused(&args, &[("LONGPOLE_RATE", "often")]);
    assert!(said.contains("'nowhere' for '--endpoint <URL>'"), "{said}");
    assert!(!said.contains("often"), "{said}");
}

#[test]
fn variables_of_the_server_do_not_disturb_the_demo() {
    let args = ["demo", "--endpoint", "nowhere"];
    let variables = [("LONGPOLE_UI", "127.0.0.1:1"), ("LONGPOLE_DEMO", "1")];
    let said = refused(&args, &variables);
    assert!(said.contains("'nowhere' for '--endpoint <URL>'"), "{said}");
}

#[test]
fn a_switch_takes_what_people_write() {
    let said = refused(&["--ui", "nowhere"], &[("LONGPOLE_DEMO", "yes")]);
    assert!(said.contains("'nowhere' for '--ui <ADDR>'"), "{said}");
    let said = refused(&[], &[("LONGPOLE_DEMO", "perhaps")]);
    assert!(said.contains("'perhaps' for '--demo'"), "{said}");
}

#[test]
fn the_version_is_said() {
    let output = Command::new(env!("CARGO_BIN_EXE_longpole"))
        .arg("--version")
        .output()
        .expect("the binary runs");
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout);
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said[0], concat!("longpole ", env!("CARGO_PKG_VERSION")));
    assert!(said[1].starts_with("commit: "), "{said:?}");
    assert!(
        said[2].starts_with("store format: longpole sled "),
        "{said:?}"
    );
}
