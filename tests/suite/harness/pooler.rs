//! A real PgBouncer in front of the databases of the tests, configured as `deploy/pgbouncer/pgbouncer.ini` has it but for where
//! things are.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::sync::OnceCell;

use super::shared_server::{OWNER, shared_server};
use super::{Folder, Guarded, eventually, folder, free_port};

const SHIPPED: &str = include_str!("../../../deploy/pgbouncer/pgbouncer.ini");

const START: Duration = Duration::from_secs(30);

/// Who may look into it.
const LOOKER: &str = "looker";

/// Where the server is that it leads to, and who owns the databases there.
struct Place {
    sockets: String,
    user: String,
}

impl Place {
    fn shared() -> Self {
        Self { sockets: shared_server().socket_folder(), user: OWNER.to_owned() }
    }
}

/// Killed with the value.
pub struct Pooler {
    port: u16,
    user: String,
    configuration: PathBuf,
    running: Option<Guarded>,
    folder: Folder,
}

impl Pooler {
    pub async fn start() -> Self {
        Self::configured(None, &Place::shared()).await
    }

    /// Before a server of the test's own, whose databases belong to this user.
    pub async fn before(server: &PgConnectOptions) -> Self {
        let sockets = server.get_socket().expect("a server of the tests has a socket").display().to_string();
        Self::configured(None, &Place { sockets, user: server.get_username().to_owned() }).await
    }

    /// With another line in the place of a shipped one.
    pub async fn with(shipped: &str, wanted: &str) -> Self {
        Self::configured(Some((shipped, wanted)), &Place::shared()).await
    }

    async fn configured(changed: Option<(&str, &str)>, Place { sockets, user }: &Place) -> Self {
        let (folder, port) = (folder(), free_port());
        let users = folder.join("userlist.txt");
        std::fs::write(&users, format!("\"{user}\" \"\"\n\"{LOOKER}\" \"\"\n")).unwrap();
        let given = [
            ("convoke", "* ", format!("host={sockets} port=5432")),
            ("listen_port", "listen_port ", port.to_string()),
            ("auth_type", "auth_type ", "trust".into()),
            ("auth_file", "auth_file ", users.display().to_string()),
        ];
        let mut lines: Vec<String> = SHIPPED.lines().map(String::from).collect();
        if let Some((shipped, wanted)) = changed {
            *lines.iter_mut().find(|line| *line == shipped).expect("it is configured") = wanted.to_owned();
        }
        for (name, to, value) in given {
            let line = lines.iter_mut().find(|line| line.starts_with(&format!("{name} ="))).expect("it is configured");
            *line = format!("{to}= {value}");
        }
        lines.push(format!("stats_users = {LOOKER}"));
        let configuration = folder.join("pgbouncer.ini");
        std::fs::write(&configuration, lines.join("\n")).unwrap();
        // It does not run as root. The server's own user may reach the server's sockets.
        let server = std::fs::metadata(sockets).unwrap();
        for path in [&*folder, &users, &configuration] {
            chown(path, Some(server.uid()), Some(server.gid())).unwrap();
        }
        let mut pooler = Self { port, configuration, user: user.clone(), running: None, folder };
        pooler.start_again().await;
        pooler
    }

    pub async fn start_again(&mut self) {
        let owner = std::fs::metadata(&*self.folder).unwrap();
        let mut command = Command::new("pgbouncer");
        command.arg("-q").arg(&self.configuration).uid(owner.uid()).gid(owner.gid()).current_dir("/");
        // Debian keeps it where only administrators look.
        command.env("PATH", "/usr/sbin:/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(Guarded::spawn(&mut command));
        let way = self.options("pgbouncer", LOOKER);
        eventually("the pooler answers", START, async || way.connect().await.ok().map(drop)).await;
    }

    /// What a process is given as `DATABASE_POOLER_URL`, whose database this is.
    pub fn url(&self, database: &PgConnectOptions) -> String {
        let name = database.get_database().unwrap();
        let user = &self.user;
        format!("postgres://{user}@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    /// As a server comes to it; whose database this is.
    pub fn way_to(&self, database: &PgConnectOptions) -> PgConnectOptions {
        self.options(database.get_database().unwrap(), &self.user)
    }

    fn options(&self, database: &str, user: &str) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port);
        options.database(database).username(user).extra_float_digits(None).statement_cache_capacity(0)
    }

    /// To ask it about itself: `SHOW POOLS` and the like, by raw statements.
    pub fn console(&self) -> PgPool {
        PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options("pgbouncer", LOOKER))
    }

    /// SIGKILL, and gone.
    pub fn kill(&mut self) {
        self.running = None;
    }
}

/// Set where all servers of this process are to go through a pooler.
pub const THROUGH: &str = "CONVOKE_TEST_THROUGH_POOLER";

/// Printed by each of them.
pub const SERVES_THROUGH: &str = "serves through the pooler";

/// The way to a database through the pooler of this process, if its servers go through one and that leads there: not to a server of
/// the test's own, nor over a wire that a test looks at.
pub async fn of_this_process(database: &PgConnectOptions) -> Option<String> {
    static POOLER: OnceCell<Pooler> = OnceCell::const_new();
    std::env::var_os(THROUGH)?;
    if database.get_socket().map(|socket| socket.display().to_string()) != Some(shared_server().socket_folder()) {
        return None;
    }
    println!("{SERVES_THROUGH}");
    Some(POOLER.get_or_init(Pooler::start).await.url(database))
}
