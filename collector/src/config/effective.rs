//! What longpole would run with, as TOML that `--config` takes, each value with where it is from.

use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::Value;

use super::file::{ConfigFile, options};
use super::serving;

/// The options of `command` with what a command line, the environment and a file gave them. Nothing for
/// commands that do not serve.
pub(super) fn text(command: &Command, matches: &ArgMatches, file: Option<&ConfigFile>) -> String {
    let Some((_, matches)) = serving(matches) else {
        return String::new();
    };
    let mut text = String::new();
    for arg in options(command) {
        let key = arg.get_long().unwrap_or_default();
        let from = match matches.value_source(arg.get_id().as_str()) {
            Some(ValueSource::CommandLine) => format!("--{key}"),
            Some(ValueSource::EnvVariable) => env_of(arg),
            _ => match file.and_then(|file| file.says(key)) {
                Some(path) => path.display().to_string(),
                None => "default".to_owned(),
            },
        };
        let line = match value(arg, matches) {
            Some(value) => writeln!(text, "{key} = {value} # {from}"),
            None => writeln!(text, "# {key} is not set"),
        };
        line.expect("writing to a string cannot fail");
    }
    text
}

/// The environment variable of an option.
pub(super) fn env_of(arg: &Arg) -> String {
    let name = arg.get_env().map(|name| name.to_string_lossy());
    name.unwrap_or_default().into_owned()
}

fn value(arg: &Arg, matches: &ArgMatches) -> Option<Value> {
    let id = arg.get_id().as_str();
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return Some(Value::Boolean(matches.get_flag(id)));
    }
    let texts = matches.get_raw(id)?;
    let mut texts: Vec<Value> = texts
        .map(|text| Value::String(text.to_string_lossy().into_owned()))
        .collect();
    if matches!(arg.get_action(), ArgAction::Append) {
        return Some(Value::Array(texts));
    }
    texts.pop()
}
