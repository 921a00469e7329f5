//! The file of `--config`: TOML whose keys are the long options of `serve`, such as `data-dir`.
//!
//! What it says takes the place of the defaults, so that flags and the environment win over it. Each value
//! is read by the same parser as the flag's, and refused with the file's name and the key.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::builder::OsStr;
use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

/// How large a file may be.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The options a file cannot have: where it is itself, and what asks instead of telling.
const NOT_IN_FILES: [&str; 3] = ["config", "help", "version"];

/// Why a configuration file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is over the limit of {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} is not TOML: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("{}: unknown key {key:?}{hint}", path.display())]
    UnknownKey {
        path: PathBuf,
        key: String,
        hint: String,
    },
    #[error("{}: {key}: {message}", path.display())]
    Value {
        path: PathBuf,
        key: String,
        message: String,
    },
}

/// What a file says: options by their long names, each with its values as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigFile {
    path: PathBuf,
    values: Vec<(String, Vec<String>)>,
}

impl ConfigFile {
    /// Reads a file with options of `command`.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or has a key or a value that the command does not take.
    pub(super) fn read(path: &Path, command: &Command) -> Result<Self, FileError> {
        let read = |source| FileError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let file = File::open(path).map_err(read)?;
        file.take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(read)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(FileError::TooLarge {
                path: path.to_owned(),
            });
        }
        Self::parse(path, &text, command)
    }

    fn parse(path: &Path, text: &str, command: &Command) -> Result<Self, FileError> {
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| FileError::Syntax {
                path: path.to_owned(),
                message: error.to_string().trim_end().to_owned(),
            })?;
        let mut values = Vec::with_capacity(table.len());
        for (key, value) in table {
            let Some(arg) = option(command, &key) else {
                return Err(FileError::UnknownKey {
                    path: path.to_owned(),
                    hint: hint(command, &key),
                    key,
                });
            };
            match read_value(&value, arg).and_then(|texts| check(arg, &key, texts)) {
                Ok(texts) => values.push((key, texts)),
                Err(message) => {
                    return Err(FileError::Value {
                        path: path.to_owned(),
                        key,
                        message,
                    });
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            values,
        })
    }

    /// The command with what the file says for defaults.
    pub(super) fn apply(&self, mut command: Command) -> Command {
        for (key, texts) in &self.values {
            if let Some(id) = option(&command, key).map(|arg| arg.get_id().clone()) {
                let texts: Vec<OsStr> = texts.iter().map(OsStr::from).collect();
                command = command.mut_arg(id, |arg| arg.default_values(texts));
            }
        }
        command
    }

    /// Its path, when it says anything of an option.
    pub(super) fn says(&self, key: &str) -> Option<&Path> {
        let mut values = self.values.iter();
        values.any(|(of, _)| of == key).then_some(&*self.path)
    }
}

/// The options that a file may have.
pub(super) fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        arg.get_long()
            .is_some_and(|long| !NOT_IN_FILES.contains(&long))
    })
}

fn option<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    options(command).find(|arg| arg.get_long() == Some(key))
}

/// What may have been meant.
fn hint(command: &Command, key: &str) -> String {
    let plain = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
    let known: Vec<&str> = options(command).filter_map(Arg::get_long).collect();
    let meant = known.iter().find(|known| plain(known) == plain(key));
    meant.map_or_else(
        || format!("; known are {}", known.join(", ")),
        |meant| format!("; did you mean {meant:?}?"),
    )
}

/// A value as the texts the flag would be given.
fn read_value(value: &Value, arg: &Arg) -> Result<Vec<String>, String> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        other => Err(format!("expected a plain value, not {}", other.type_str())),
    };
    let takes_many = matches!(arg.get_action(), ArgAction::Append);
    match value {
        Value::Array(values) if takes_many => values.iter().map(scalar).collect(),
        value => scalar(value).map(|text| vec![text]),
    }
}

/// Reads texts as the flag's values are read.
fn check(arg: &Arg, key: &str, texts: Vec<String>) -> Result<Vec<String>, String> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    for text in &texts {
        if is_switch {
            if !["true", "false"].contains(&text.as_str()) {
                return Err(format!("expected true or false, not {text:?}"));
            }
            continue;
        }
        let alone = Command::new("longpole").arg(arg.clone());
        let given = ["longpole".to_owned(), format!("--{key}={text}")];
        alone.try_get_matches_from(given).map_err(|error| {
            let said = error.to_string();
            let first = said.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        })?;
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::args::Cli;
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, String> {
        let file = ConfigFile::parse(Path::new("longpole.toml"), text, &Cli::command());
        file.map_err(|error| error.to_string())
    }

    #[test]
    fn every_option_has_its_key_and_takes_what_the_flag_takes() {
        let text = "
            # Of this machine.
            data-dir = '/var/lib/longpole'
            max-disk = 10737418240
            retention = '36h'
            demo = true
            log-level = 'warn'
            link = ['Logs=https://logs.test/', 'Profile=https://profiles.test/']
        ";
        let file = parse(text).expect("a configuration");
        let matches = file.apply(Cli::command());
        let matches = matches.try_get_matches_from(["longpole", "--retention", "2d"]);
        let matches = matches.expect("valid");
        let raw = |id| {
            let values = matches.get_raw(id).expect("it has a value");
            values.map(|of| of.to_string_lossy()).collect::<String>()
        };
        assert_eq!(raw("data_dir"), "/var/lib/longpole");
        assert_eq!(raw("max_disk"), "10737418240");
        assert_eq!(raw("retention"), "2d", "a flag wins");
        assert_eq!(raw("log_level"), "warn");
        assert_eq!(
            raw("link"),
            "Logs=https://logs.test/Profile=https://profiles.test/"
        );
        assert!(matches.get_flag("demo"));
        assert_eq!(raw("ui"), "127.0.0.1:16686", "the default stays");
    }

    #[test]
    fn what_is_wrong_is_refused_with_file_key_and_what_is_expected() {
        let cases = [
            (
                "retenton = '7d'",
                "longpole.toml: unknown key \"retenton\"; known are data-dir,",
            ),
            (
                "data_dir = '/x'",
                "unknown key \"data_dir\"; did you mean \"data-dir\"?",
            ),
            ("config = 'x'", "unknown key \"config\""),
            (
                "retention = 'soon'",
                "longpole.toml: retention: invalid value 'soon' for '--retention <DURATION>': expected a duration from 1m",
            ),
            (
                "retention = [1, 2]",
                "retention: expected a plain value, not array",
            ),
            ("ui = 16686", "ui: invalid value '16686'"),
            (
                "link = ['Logs=https://logs.test/', 'Logs']",
                "link: invalid value 'Logs' for '--link <NAME=URL>': expected NAME=URL",
            ),
            (
                "demo = 'maybe'",
                "demo: expected true or false, not \"maybe\"",
            ),
            ("[store]\nx = 1", "unknown key \"store\""),
            ("retention = '7d'\nretention = '8d'", "is not TOML: "),
            (
                "max-disk = 1979-05-27",
                "max-disk: expected a plain value, not datetime",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_or_not_there_is_refused() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("longpole.toml");
        let read = || ConfigFile::read(&path, &Cli::command()).expect_err("refused");
        assert!(matches!(read(), FileError::Read { .. }));
        std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("written");
        assert!(matches!(read(), FileError::TooLarge { .. }));
    }
}
