//! What is read, what is refused, and how it is told.

use super::*;
use crate::ids::TenantId;

fn environment(settings: &[(&str, &str)]) -> HashMap<String, String> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(settings: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::from_environment(&environment(settings))
}

fn refused(settings: &[(&str, &str)]) -> Vec<ConfigError> {
    read(settings).expect_err("the configuration is refused").0
}

/// The file's path, in the folder that it vanishes with.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("a path in UTF-8").to_owned();
    (folder, path)
}

#[test]
fn without_any_setting_the_defaults_of_the_table_hold() {
    let config = read(&[]).expect("the defaults are valid");
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(config.roles, Roles { api: true, projector: true, relay: true, maintenance: true });
    assert_eq!(config.http.listen, "127.0.0.1:8080");
    assert_eq!(config.log.idempotency_ttl, Duration::from_secs(48 * 3600));
    assert!(config.database.url.is_none() && config.warnings.is_empty());
    config.check_serving().expect("development needs no keys");
}

#[test]
fn every_setting_of_the_table_is_read() {
    // What no reader asks for could be set to nonsense unnoticed.
    for setting in settings::all() {
        let free = matches!(setting.accepts, settings::Accepts::Text | settings::Accepts::Path);
        if !free {
            let errors = refused(&[(setting.name, "~ nonsense ~")]);
            assert_eq!(errors[0].setting, setting.name);
        }
    }
}

#[test]
fn all_faults_are_told_at_once_with_name_and_remedy() {
    let errors = refused(&[
        ("CONVOKE_HTTP_LISTEN", "8080"),
        ("CONVOKE_HTTP_REQUEST_TIMEOUT", "30"),
        ("CONVOKE_HTTP_BODY_LIMIT", "1GiB"),
        ("CONVOKE_ROLES", "api,king"),
        ("CONVOKE_LOG_PARTITION_UNIT", "year"),
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
    ]);
    let text = ConfigErrors(errors.clone()).to_string();
    for name in ["CONVOKE_HTTP_LISTEN", "CONVOKE_HTTP_REQUEST_TIMEOUT", "CONVOKE_HTTP_BODY_LIMIT", "CONVOKE_ROLES"] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert!(text.contains("\"30\" is not a time with its unit (ms, s, m, h, d), from 100ms to 1h"), "{text}");
    assert!(text.contains("one of month, week, day"), "{text}");
    assert!(text.contains("DATABASE_URL") && !text.contains("hunter2"), "{text}");
    assert_eq!(errors.len(), 6, "{text}");
}

#[test]
fn the_environment_wins_over_the_file_and_unknown_names_are_told() {
    let (_folder, path) = file("roles = [\"api\"]\n[log]\nappend_batch = 7\nroom_memory = \"9MiB\"\n");
    let config = read(&[("CONVOKE_CONFIG", &path), ("CONVOKE_LOG_ROOM_MEMORY", "11MiB"), ("CONVOKE_LOG_BATCH", "3")]);
    let config = config.expect("a good file");
    assert_eq!((config.log.append_batch, config.log.room_memory), (7, 11 << 20));
    assert_eq!(config.roles, Roles { api: true, projector: false, relay: false, maintenance: false });
    assert_eq!(config.warnings, ["CONVOKE_LOG_BATCH is set, but there is no such setting"]);
    let config = read(&[("CONVOKE_LOG_ROOM_CACHE", "10000")]).expect("what it was for is said");
    assert!(config.warnings[0].contains("CONVOKE_LOG_ROOM_MEMORY"), "{:?}", config.warnings);

    let (_folder, path) = file("[log]\nbatch = 7\n");
    assert_eq!(refused(&[("CONVOKE_CONFIG", &path)])[0].setting, "log.batch");
    let (_folder, path) = file("this is = = no toml");
    assert_eq!(refused(&[("CONVOKE_CONFIG", &path)])[0].setting, "CONVOKE_CONFIG");
    assert!(refused(&[("CONVOKE_CONFIG", "/nowhere")])[0].problem.contains("/nowhere"));
}

#[test]
fn keys_are_read_from_the_setting_or_a_file_and_never_shown() {
    let secret = "s".repeat(32);
    let master = "bWFzdGVyLW1hc3Rlci1tYXN0ZXItbWFzdGVyLW1hc3Q=";
    let (_folder, path) = file(&format!("old:{secret}\nnew@acme:{secret}\n"));
    let jwks = r#"{"acme": {"keys": []}, "globex": {"keys": []}}"#;
    let settings = [("CONVOKE_SIGNING_KEYS_FILE", path.as_str()), ("CONVOKE_JWKS", jwks)];
    let keys = read(&[&settings[..], &[("CONVOKE_MASTER_KEYS", &format!("m1:{master}"))]].concat()).expect("keys").keys;
    assert_eq!(keys.signing.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["old", "new"]);
    assert_eq!(keys.signing[1].tenant.as_ref().map(TenantId::as_str), Some("acme"));
    assert_eq!((keys.jwks.len(), keys.master[0].id.as_str()), (2, "m1"));
    let shown = format!("{keys:?}");
    assert!(!shown.contains(&secret) && !shown.contains("109, 97"), "{shown}");
}

#[test]
fn a_bad_key_is_told_by_its_number_and_not_by_its_secret() {
    let text = |errors: Vec<ConfigError>| ConfigErrors(errors).to_string();
    let short = text(refused(&[("CONVOKE_SIGNING_KEYS", "main:hunter2")]));
    assert!(short.contains("key 1 has a secret shorter than 32 characters") && !short.contains("hunter2"), "{short}");
    let twice = format!("a:{0},a:{0}", "s".repeat(32));
    assert!(text(refused(&[("CONVOKE_SIGNING_KEYS", &twice)])).contains("key 2 has the id of an earlier one"));
    let length = text(refused(&[("CONVOKE_MASTER_KEYS", "m:c2hvcnQ=")]));
    assert!(length.contains("key 1 has 5 bytes, not 32") && !length.contains("c2hvcnQ"), "{length}");
    assert!(text(refused(&[("CONVOKE_JWKS", "[]")])).contains("CONVOKE_JWKS"));
    let missing = text(refused(&[("CONVOKE_MASTER_KEYS_FILE", "/nowhere")]));
    assert!(missing.contains("CONVOKE_MASTER_KEYS_FILE: /nowhere cannot be read"), "{missing}");
}

#[test]
fn a_setting_and_the_file_of_it_are_not_taken_together() {
    for setting in settings::all().filter(|setting| setting.is_secret()) {
        let errors = refused(&[(setting.name, "something"), (&format!("{}_FILE", setting.name), "/nowhere")]);
        let told = ConfigErrors(errors).to_string();
        assert!(told.contains(&format!("{0}: it is set, and so is {0}_FILE", setting.name)), "{told}");
    }
    // Left empty, neither counts.
    read(&[("DATABASE_URL", "postgres://db/x"), ("DATABASE_URL_FILE", " ")]).expect("one of them");
    let config = read(&[("CONVOKE_HTTP_LISTEN_FILE", "/x"), ("KAFKA_BROKERS_FILE", "/x"), ("SOME_FILE", "/x")]);
    let warnings = config.expect("only warned of").warnings;
    assert_eq!(warnings.len(), 2, "what is no secret is not read from a file: {warnings:?}");
}

#[test]
fn the_url_of_a_database_is_taken_as_libpq_does_and_told_where_it_is_not() {
    let config = read(&[("DATABASE_URL", "postgres://u:p@/db?host=/dir&connect_timeout=3")]).expect("a URL");
    assert!(config.database.url.is_some());
    assert_eq!(config.warnings, ["DATABASE_URL: the parameter connect_timeout has no effect"]);
    let errors = refused(&[("DATABASE_URL", "postgres://u:p@h/db?sslmode=full")]);
    assert!(errors[0].problem.contains("sslmode \"full\""), "{errors:?}");
}

#[test]
fn production_is_not_served_without_keys() {
    let config = read(&[("CONVOKE_ENV", "production")]).expect("it can be read");
    let errors = config.check_serving().expect_err("no keys").to_string();
    assert!(errors.contains("CONVOKE_SIGNING_KEYS") && errors.contains("CONVOKE_MASTER_KEYS"), "{errors}");
    assert_eq!(config.telemetry.format, LogFormat::Json);
}

#[test]
fn development_keys_are_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let settings = [("CONVOKE_DATA_DIR", data.to_str().expect("UTF-8"))];
    let with_keys = || {
        let mut config = read(&settings).expect("a good configuration");
        config.provide_development_keys().expect("keys are made");
        (config.keys.signing[0].secret.clone(), config.keys.master[0].key)
    };
    assert_eq!(with_keys(), with_keys());

    let mut config = read(&[&settings[..], &[("CONVOKE_ENV", "production")]].concat()).expect("a good configuration");
    config.provide_development_keys().expect("nothing to do");
    assert!(config.keys.signing.is_empty(), "development keys are not for production");
}
