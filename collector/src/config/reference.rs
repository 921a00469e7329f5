//! `docs/configuration.md` is made from the options, so that it cannot lie.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, CommandFactory as _};

use super::args::Cli;
use super::effective::env_of;

const HEAD: &str = "# Configuration

What `longpole` (or `longpole serve`) takes. Each option is a flag, an environment variable, and a key in the TOML file that
`--config` names, without the dashes before it; a flag wins over the variable, the variable over the file, the file over the default.
`longpole check-config` says what is wrong with them, or prints what they come to, in the form of such a file.

```toml
retention = \"30d\"
max-disk = \"200GiB\"
```

Options that may be given more than once are lists in the file (`[\"a\", \"b\"]`). What is not known is refused by name. This page is made
from the options: `cargo test -p longpole --lib -- --ignored write_the_reference` writes it anew.
";

fn reference() -> String {
    let command = Cli::command();
    let mut text = HEAD.to_owned();
    for arg in command
        .get_arguments()
        .filter(|arg| arg.get_env().is_some())
    {
        section(&mut text, arg).expect("writing to a string cannot fail");
    }
    text
}

fn section(text: &mut String, arg: &Arg) -> std::fmt::Result {
    let key = arg.get_long().expect("every option has a name");
    let value = arg.get_value_names().unwrap_or_default().join(" ");
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let value = if is_switch {
        String::new()
    } else {
        format!(" {value}")
    };
    let help = arg.get_long_help().or(arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    writeln!(text, "\n## `--{key}{value}`\n\n{help}.\n")?;
    write!(text, "Variable `{}`", env_of(arg))?;
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
    match defaults.as_slice() {
        _ if is_switch => writeln!(text, " (`true` or `false`); off unless told otherwise."),
        [] => writeln!(text, "; not set unless told otherwise."),
        values => writeln!(text, "; default `{}`.", values.join(" ")),
    }
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md")
}

#[test]
fn the_reference_is_what_the_options_say() {
    let written = std::fs::read_to_string(path()).expect("the page is there");
    assert_eq!(written, reference(), "the module says how to write it anew");
}

#[test]
#[ignore = "writes the page"]
fn write_the_reference() {
    std::fs::write(path(), reference()).expect("the page can be written");
}
