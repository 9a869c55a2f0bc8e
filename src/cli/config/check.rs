//! `convoke config check`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::output;
use crate::config::{Config, ConfigError, ConfigErrors, EffectiveSetting};
use crate::database::requirements::{self, Shortcoming};
use crate::database::{Database, pool};
use crate::security::signing_keys::{self, BadSigningKeys};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show every setting with its value and source, every mistake, and how to correct it.
///
/// Also checks the settings of the database in `DATABASE_URL`. Secrets are not shown. Exit code 1 if `convoke serve` would not
/// start with this configuration.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  CONVOKE_ENV=production convoke config check")]
pub struct ConfigCheckArgs {
    /// For a program: one JSON object, with `settings`, `warnings` and `errors`
    #[arg(long)]
    json: bool,
}

impl ConfigCheckArgs {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let settings = Config::in_force();
        let loaded = Config::load();
        let mut warnings = loaded.as_ref().map(|config| config.warnings.clone()).unwrap_or_default();
        let checked = match loaded {
            Ok(config) => match serving(&config) {
                Ok(()) => database_fit(&config, &mut warnings).await,
                wrong => wrong,
            },
            Err(errors) => Err(errors),
        };
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
        errors.extend(problems.iter().map(BadSigningKeys::to_config_error));
    }
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}

/// Whether a server would start on the database of `DATABASE_URL`, and what that falls short of. One that cannot be asked is
/// warned of: it may be there when the server starts.
async fn database_fit(config: &Config, warnings: &mut Vec<String>) -> Result<(), ConfigErrors> {
    if config.database.url.is_none() {
        return Ok(());
    }
    let asking = async {
        let pool = pool::system(Database::open(config).await?.options(), &config.database);
        let pooled = config.database.pool_size + config.database.read_pool_size;
        let found = requirements::shortcomings(&pool, pooled).await;
        pool::close(pool).await;
        anyhow::Ok(found?)
    };
    let found = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            warnings.push(format!("the settings of the database cannot be read: {error}"));
            return Ok(());
        }
        Err(_) => {
            warnings.push(format!("the database did not answer within {PATIENCE:?}"));
            return Ok(());
        }
    };
    let (fatal, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|shortcoming| shortcoming.fatal);
    warnings.extend(other.iter().map(|Shortcoming { found, consequence, .. }| format!("{found}: {consequence}")));
    let error = |Shortcoming { found, consequence, .. }| ConfigError {
        setting: "DATABASE_URL".into(),
        problem: format!("names a database that cannot be used, {found}"),
        remedy: consequence.into(),
    };
    let errors: Vec<_> = fatal.into_iter().map(error).collect();
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}

fn as_text(settings: &[EffectiveSetting], warnings: &[String], checked: &Result<(), ConfigErrors>) -> String {
    let width = settings.iter().map(|setting| setting.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for EffectiveSetting { name, value, source } in settings {
        text += &format!("{name:width$}  {value}  ({source})\n");
    }
    for warning in warnings {
        text += &format!("warning: {warning}\n");
    }
    match checked {
        Ok(()) => text + "\nthe configuration is valid\n",
        Err(errors) => text + &format!("\n{errors}\n"),
    }
}

fn as_json(settings: &[EffectiveSetting], warnings: &[String], checked: &Result<(), ConfigErrors>) -> String {
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
