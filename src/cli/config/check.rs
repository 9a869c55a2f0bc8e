//! `convoke config check`

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::output;
use crate::config::{Config, ConfigErrors, InForce};
use crate::security::signing_keys::{self, BadSigningKeys};

/// Show every setting in force and where it comes from; tell all that is wrong, and how to mend it.
///
/// Secrets are not shown. Exit code 1 where `convoke serve` would not start with this configuration.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  CONVOKE_ENV=production convoke config check")]
pub struct Check {
    /// For a program: one JSON object, with `settings`, `warnings` and `errors`
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let settings = Config::in_force();
        let loaded = Config::load();
        let warnings = loaded.as_ref().map(|config| config.warnings.clone()).unwrap_or_default();
        let checked = loaded.and_then(|config| serving(&config));
        let text =
            if self.json { as_json(&settings, &warnings, &checked) } else { as_text(&settings, &warnings, &checked) };
        output::print_text(&text)?;
        Ok(if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Whether a server can be run with it.
pub fn serving(config: &Config) -> Result<(), ConfigErrors> {
    let mut errors = config.check_serving().err().map(|errors| errors.0).unwrap_or_default();
    if let Err(problems) = signing_keys::configured(&config.keys) {
        errors.extend(problems.iter().map(BadSigningKeys::told));
    }
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}

fn as_text(settings: &[InForce], warnings: &[String], checked: &Result<(), ConfigErrors>) -> String {
    let width = settings.iter().map(|setting| setting.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for InForce { name, value, source } in settings {
        text += &format!("{name:width$}  {value}  ({source})\n");
    }
    for warning in warnings {
        text += &format!("warning: {warning}\n");
    }
    match checked {
        Ok(()) => text + "\nthe configuration is good\n",
        Err(errors) => text + &format!("\n{errors}\n"),
    }
}

fn as_json(settings: &[InForce], warnings: &[String], checked: &Result<(), ConfigErrors>) -> String {
    let settings: Vec<_> = settings
        .iter()
        .map(|setting| json!({ "name": setting.name, "value": setting.value, "source": setting.source }))
        .collect();
    let errors: Vec<_> = checked.as_ref().err().into_iter().flat_map(|errors| &errors.0).collect();
    let errors: Vec<_> = errors
        .iter()
        .map(|error| json!({ "setting": error.setting, "problem": error.problem, "remedy": error.remedy }))
        .collect();
    json!({ "settings": settings, "warnings": warnings, "errors": errors }).to_string() + "\n"
}
