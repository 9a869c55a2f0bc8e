//! Finds the value of a setting (environment, then its `_FILE`, then the configuration file, then the default) and checks it
//! against the table of settings. Collects all errors.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::errors::ConfigError;
use super::settings::{self, Accepts, Setting};
use super::values;

/// The largest file that is taken for a configuration or a secret.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    pub name: &'static str,
    pub value: String,
    /// Where it comes from.
    pub source: String,
}

pub struct SettingsReader<'a> {
    environment: &'a HashMap<String, String>,
    /// From `table.key` to the value, as text.
    file: BTreeMap<String, String>,
    pub errors: Vec<ConfigError>,
    pub warnings: Vec<String>,
}

impl<'a> SettingsReader<'a> {
    pub fn new(environment: &'a HashMap<String, String>) -> Self {
        let mut reader = Self { environment, file: BTreeMap::new(), errors: Vec::new(), warnings: Vec::new() };
        if let Some(path) = reader.text(&settings::CONFIG) {
            reader.read_config_file(&path);
        }
        reader.refuse_two_places();
        reader.warn_of_unknown_names();
        reader
    }

    pub fn fault(&mut self, setting: &Setting, problem: impl Into<String>, remedy: impl Into<String>) {
        let error = ConfigError { setting: setting.name.into(), problem: problem.into(), remedy: remedy.into() };
        self.errors.push(error);
    }

    /// The value as written; `None` where there is none and no default. An empty value is none.
    pub fn text(&mut self, setting: &Setting) -> Option<String> {
        if let Some(value) = self.environment.get(setting.name).filter(|value| !value.trim().is_empty()) {
            return Some(value.clone());
        }
        if setting.is_secret()
            && let Some(path) = self.environment.get(&file_name(setting)).filter(|path| !path.trim().is_empty())
        {
            return self.secret_file(setting, path.trim());
        }
        let value = self.file.get(setting.key).map(String::as_str).unwrap_or(setting.default);
        (!value.trim().is_empty()).then(|| value.to_owned())
    }

    /// The value in force, for people to read: a secret is only said to be set.
    pub fn in_force(&self, setting: &'static Setting) -> EffectiveSetting {
        let named = |name: &str| self.environment.get(name).filter(|value| !value.trim().is_empty());
        let (value, source) = if let Some(value) = named(setting.name) {
            (value.as_str(), "environment".to_owned())
        } else if let Some(path) = named(&file_name(setting)).filter(|_| setting.is_secret()) {
            ("set", format!("file {path}"))
        } else if let Some(value) = self.file.get(setting.key) {
            (value.as_str(), "configuration file".to_owned())
        } else {
            (setting.default, "default".to_owned())
        };
        let value = match value {
            "" => "not set".to_owned(),
            _ if setting.is_secret() => "set".to_owned(),
            value => value.to_owned(),
        };
        EffectiveSetting { name: setting.name, value, source }
    }

    pub fn count<T: TryFrom<u64>>(&mut self, setting: &Setting) -> T {
        let Accepts::Count(least, most) = setting.accepts else { unreachable!("{} is no count", setting.name) };
        let parse = |text: &str| values::count(text).filter(|n| (least..=most).contains(n));
        let value = self.parsed(setting, parse, &format!("a whole number from {least} to {most}"));
        T::try_from(value).ok().expect("the bounds of a count fit the type it is read into")
    }

    pub fn size(&mut self, setting: &Setting) -> usize {
        let Accepts::Size(least, most) = setting.accepts else { unreachable!("{} is no size", setting.name) };
        let parse = |text: &str| values::size(text).filter(|n| (least..=most).contains(n));
        let range = format!("{} to {}", values::write_size(least), values::write_size(most));
        let value = self.parsed(setting, parse, &format!("a size from {range}"));
        usize::try_from(value).expect("sizes are at most 64 GiB")
    }

    pub fn time(&mut self, setting: &Setting) -> Duration {
        let Accepts::Time(least, most) = setting.accepts else { unreachable!("{} is no time", setting.name) };
        let parse = |text: &str| values::time(text).filter(|time| (least..=most).contains(time));
        let range = format!("{} to {}", values::write_time(least), values::write_time(most));
        self.parsed(setting, parse, &format!("a time with its unit (ms, s, m, h, d), from {range}"))
    }

    /// One of the words of the settings table.
    pub fn word(&mut self, setting: &Setting) -> &'static str {
        let Accepts::OneOf(words) = setting.accepts else { unreachable!("{} is no choice", setting.name) };
        let parse = |text: &str| words.iter().copied().find(|word| *word == text.trim());
        self.parsed(setting, parse, &format!("one of {}", words.join(", ")))
    }

    /// Some of the words of the settings table, at least one.
    pub fn words(&mut self, setting: &Setting) -> Vec<&'static str> {
        let Accepts::SomeOf(words) = setting.accepts else { unreachable!("{} is no list", setting.name) };
        let parse = |text: &str| {
            let asked = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            let found: Option<Vec<_>> = asked.map(|word| words.iter().copied().find(|known| *known == word)).collect();
            found.filter(|found| !found.is_empty())
        };
        self.parsed(setting, parse, &format!("one or more of {}, separated by commas", words.join(", ")))
    }

    /// Reads the value; records an error and returns the default if it is invalid.
    pub fn parsed<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Option<T>, wanted: &str) -> T {
        let text = self.text(setting).unwrap_or_default();
        if let Some(value) = parse(&text) {
            return value;
        }
        let remedy = format!("set {wanted}, or leave it out for the default, {}", setting.default);
        self.fault(setting, format!("{text:?} is not {wanted}"), remedy);
        parse(setting.default).expect("the defaults of the settings table are valid")
    }

    fn secret_file(&mut self, setting: &Setting, path: &str) -> Option<String> {
        match read_small_file(path) {
            Ok(text) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) => {
                self.errors.push(ConfigError {
                    setting: file_name(setting),
                    problem: format!("{path} cannot be read: {error}"),
                    remedy: "name a readable text file that holds the value".into(),
                });
                None
            }
        }
    }

    fn read_config_file(&mut self, path: &str) {
        let table = read_small_file(path)
            .map_err(|error| format!("{path} cannot be read: {error}"))
            .and_then(|text| text.parse::<toml::Table>().map_err(|error| format!("{path} is not TOML: {error}")));
        let table = match table {
            Ok(table) => table,
            Err(problem) => return self.fault(&settings::CONFIG, problem, "mend the file, or unset the setting"),
        };
        flatten("", &toml::Value::Table(table), &mut self.file);
        for key in self.file.keys() {
            if !settings::all().any(|setting| setting.key == key) {
                self.errors.push(ConfigError {
                    setting: key.clone(),
                    problem: format!("{path} holds a key that there is not"),
                    remedy: "take it out, or see docs/configuration.md for the keys there are".into(),
                });
            }
        }
    }

    /// A setting and the file that holds it: which of the two was meant is not for the program to guess.
    fn refuse_two_places(&mut self) {
        let is_set = |name: &str| self.environment.get(name).is_some_and(|value| !value.trim().is_empty());
        let both = settings::all().filter(|setting| setting.is_secret());
        let both: Vec<_> = both.filter(|setting| is_set(setting.name) && is_set(&file_name(setting))).collect();
        for setting in both {
            let file = file_name(setting);
            self.fault(setting, format!("it is set, and so is {file}"), "keep one of them, and unset the other");
        }
    }

    /// A name that begins as ours and is none of ours is most likely a slip of the pen. So is the file of a setting that is no secret.
    fn warn_of_unknown_names(&mut self) {
        let known = |name: &str| {
            settings::all().any(|setting| {
                setting.name == name || (setting.is_secret() && name.strip_suffix("_FILE") == Some(setting.name))
            })
        };
        let looks_like_ours = |name: &str| {
            let of_a_setting = |base: &str| settings::all().any(|setting| setting.name == base);
            name.starts_with("CONVOKE_") || name.strip_suffix("_FILE").is_some_and(of_a_setting)
        };
        let mut unknown: Vec<_> =
            self.environment.keys().filter(|name| looks_like_ours(name) && !known(name)).collect();
        unknown.sort();
        self.warnings.extend(unknown.iter().map(|name| {
            match settings::RETIRED.iter().find(|(retired, _)| retired == name) {
                Some((_, instead)) => format!("{name} is set, but there is no such setting any more: {instead}"),
                None => format!("{name} is set, but there is no such setting"),
            }
        }));
    }
}

fn file_name(setting: &Setting) -> String {
    format!("{}_FILE", setting.name)
}

fn read_small_file(path: &str) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("it is larger than {}", values::write_size(MAX_FILE_BYTES)));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn flatten(prefix: &str, value: &toml::Value, into: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, into);
            }
        }
        toml::Value::String(text) => {
            into.insert(prefix.into(), text.clone());
        }
        toml::Value::Array(items) => {
            let texts = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
            into.insert(prefix.into(), texts.collect::<Vec<_>>().join(","));
        }
        other => {
            into.insert(prefix.into(), other.to_string());
        }
    }
}
