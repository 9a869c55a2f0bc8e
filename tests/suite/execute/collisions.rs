//! Lists of commands that collide in everything that has to be one of a kind (idempotency keys, names, ids, versions), from two
//! tenants at once and through two processes: every answer is the one of a model in memory that knows nothing of batches.

use std::collections::{BTreeMap, HashMap};

use convoke::commands::execute::{CommandOutcome, CommandRequest, ExecuteError};
use convoke::events::log::verify::VerifyResult;
use convoke::ids::RoomId;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Executor as _;
use uuid::Uuid;

use super::{Process, process, request_of};
use crate::harness::TestDb;
use crate::projections::story::Dice;

const LISTS: usize = 250;
/// In a list; those that are not atomic are held to every order.
const AT_MOST: usize = 4;
const ROOMS: usize = 6;

/// A command of a list, in the few values that it is made of.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    room: usize,
    command: Kind,
    key: Option<String>,
    expected: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Create { name: Option<&'static str>, returning: bool },
    Lock,
    Unlock,
    End,
}

/// What is answered: status, room and its version.
type Done = (u16, usize, u64);
/// That, or the code of a refusal.
type Answer = Result<Done, String>;
/// Of a list that is carried out together; or which command was refused.
type Answers = Result<Vec<Done>, (usize, String)>;

#[derive(Clone, Default)]
struct Model {
    rooms: BTreeMap<usize, Room>,
    outcomes: HashMap<String, (usize, Kind, Done)>,
}

#[derive(Clone)]
struct Room {
    version: u64,
    name: Option<&'static str>,
    locked: bool,
    ended: bool,
}

fn refused<T>(code: &str) -> Result<T, String> {
    Err(code.to_owned())
}

impl Model {
    /// By the rules alone.
    fn decide(&mut self, item: &Item) -> Answer {
        let version = self.rooms.get(&item.room).map_or(0, |room| room.version);
        if item.expected.is_some_and(|expected| expected != version) {
            return refused("version-mismatch");
        }
        if let Kind::Create { name, returning } = item.command {
            return self.create(item.room, name, returning);
        }
        let Some(room) = self.rooms.get_mut(&item.room) else { return refused("room-not-found") };
        if room.ended {
            return refused("room-ended");
        }
        let changes = match item.command {
            Kind::End => !std::mem::replace(&mut room.ended, true),
            Kind::Lock => !std::mem::replace(&mut room.locked, true),
            Kind::Unlock | Kind::Create { .. } => std::mem::replace(&mut room.locked, false),
        };
        room.version += u64::from(changes);
        Ok((200, item.room, room.version))
    }

    fn create(&mut self, room: usize, name: Option<&'static str>, returning: bool) -> Answer {
        if let Some(there) = self.rooms.get(&room) {
            return match (returning, there.ended) {
                (false, _) => refused("room-id-taken"),
                (true, true) => refused("room-ended"),
                (true, false) => Ok((200, room, there.version)),
            };
        }
        let held = |there: &Room| name.is_some() && there.name == name && !there.ended;
        if let Some((holder, there)) = self.rooms.iter().find(|(_, there)| held(there)) {
            return if returning { Ok((200, *holder, there.version)) } else { refused("room-name-taken") };
        }
        self.rooms.insert(room, Room { version: 1, name, locked: false, ended: false });
        Ok((201, room, 1))
    }

    fn kept(&self, item: &Item) -> Option<Answer> {
        let (room, command, answer) = self.outcomes.get(item.key.as_ref()?)?;
        let same = (*room, *command) == (item.room, item.command);
        Some(if same { Ok(*answer) } else { refused("idempotency-key-reused") })
    }

    fn keep(&mut self, item: &Item, answer: Done) {
        if let Some(key) = &item.key {
            self.outcomes.insert(key.clone(), (item.room, item.command, answer));
        }
    }

    fn alone(&mut self, item: &Item) -> Answer {
        if let Some(answer) = self.kept(item) {
            return answer;
        }
        let answer = self.decide(item)?;
        self.keep(item, answer);
        Ok(answer)
    }

    /// All or none.
    fn together(&mut self, items: &[Item]) -> Answers {
        let key_of = |index: usize| items[index].key.as_ref();
        if let Some(twin) = (0..items.len()).find(|&i| key_of(i).is_some() && (0..i).any(|j| key_of(j) == key_of(i))) {
            return Err((twin, "idempotency-key-reused".into()));
        }
        // Where a key was used before, the list is that one, or it is refused.
        if items.iter().any(|item| self.kept(item).is_some()) {
            let again = |item: &Item| self.kept(item).unwrap_or_else(|| refused("idempotency-key-reused"));
            return items.iter().enumerate().map(|(index, item)| again(item).map_err(|code| (index, code))).collect();
        }
        let (mut tried, mut answers) = (self.clone(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            answers.push(tried.decide(item).map_err(|code| (index, code))?);
        }
        for (item, answer) in items.iter().zip(&answers) {
            tried.keep(item, *answer);
        }
        *self = tried;
        Ok(answers)
    }
}

/// One tenant's rooms, sent to and modelled.
struct Side {
    tenant: &'static str,
    model: Model,
    dice: Dice,
    ids: Vec<RoomId>,
}

impl Side {
    fn new(tenant: &'static str, seed: u64) -> Self {
        Self { tenant, model: Model::default(), dice: Dice::new(seed), ids: Vec::new() }
    }

    /// Rooms do not last: after a while there are others, and ended ones are left behind with their names.
    fn fresh_rooms(&mut self) {
        self.model.rooms.clear();
        let now = u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap();
        let id = |_| RoomId::from_uuid(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, now / 1_000, 0)));
        self.ids = (0..ROOMS).map(id).collect();
    }

    fn item(&mut self, list: usize) -> Item {
        let command = match self.dice.roll(8) {
            0..=3 => {
                // Names are of this generation of rooms.
                let name = [None, Some("red"), Some("green"), Some("green")][self.dice.roll(4)];
                Kind::Create { name, returning: self.dice.roll(2) == 0 }
            }
            4 => Kind::Lock,
            5 => Kind::Unlock,
            _ => Kind::End,
        };
        let key = (self.dice.roll(2) == 0).then(|| format!("k{}-{}", list / 10, self.dice.roll(5)));
        let expected = (key.is_none() && self.dice.roll(4) == 0).then(|| self.dice.roll(3) as u64);
        Item { room: self.dice.roll(ROOMS), command, key, expected }
    }

    fn request(&self, item: &Item) -> CommandRequest {
        let (name, data): (&str, Value) = match item.command {
            Kind::Create { name, returning } => {
                let name = name.map(|name| format!("{name} {}", self.ids[0]));
                ("create-room", json!({ "name": name, "if_exists": if returning { "return" } else { "refuse" } }))
            }
            Kind::Lock => ("lock-room", json!({})),
            Kind::Unlock => ("unlock-room", json!({})),
            Kind::End => ("end-room", json!({})),
        };
        let mut request = request_of(self.tenant, self.ids[item.room], name, &data);
        request.expected_version = item.expected;
        let fingerprint = [u8::try_from(item.room).unwrap() + 16 * fingerprint(item.command); 32];
        let idempotency = |key: &String| convoke::commands::execute::Idempotency { key: key.clone(), fingerprint };
        request.idempotency = item.key.as_ref().map(idempotency);
        request
    }

    fn seen(&self, outcome: Result<CommandOutcome, ExecuteError>) -> Answer {
        match outcome {
            Ok(outcome) => {
                let room = self.ids.iter().position(|id| *id == outcome.room).unwrap();
                Ok((outcome.status, room, outcome.room_version))
            }
            Err(ExecuteError::Refused(refusal)) => refused(refusal.code.as_str()),
            Err(ExecuteError::VersionMismatch { .. }) => refused("version-mismatch"),
            Err(ExecuteError::KeyReused) => refused("idempotency-key-reused"),
            Err(other) => panic!("{}: {other}", self.tenant),
        }
    }

    async fn send(&mut self, processes: &[Process], list: usize) {
        if list.is_multiple_of(10) {
            self.fresh_rooms();
        }
        let items: Vec<Item> = (0..1 + self.dice.roll(AT_MOST)).map(|_| self.item(list)).collect();
        let process = &processes[self.dice.roll(processes.len())];
        let requests: Vec<CommandRequest> = items.iter().map(|item| self.request(item)).collect();
        if self.dice.roll(2) == 0 {
            let answered = process.executor.execute_atomic(requests).await;
            let answered: Result<Vec<_>, _> = match answered {
                Ok(outcomes) => Ok(outcomes.into_iter().map(|outcome| self.seen(Ok(outcome)).unwrap()).collect()),
                Err(failed) => Err((failed.index, self.seen(Err(failed.error)).unwrap_err())),
            };
            assert_eq!(answered, self.model.together(&items), "{} list {list}: {items:?}", self.tenant);
            return;
        }
        let answered = join_all(requests.into_iter().map(|request| process.executor.execute(request))).await;
        let answered: Vec<Answer> = answered.into_iter().map(|outcome| self.seen(outcome)).collect();
        let explained = orders(items.len()).into_iter().find_map(|order| {
            let mut model = self.model.clone();
            order.iter().all(|&index| model.alone(&items[index]) == answered[index]).then_some(model)
        });
        let explained = explained.unwrap_or_else(|| panic!("{} list {list}: {items:?} {answered:?}", self.tenant));
        self.model = explained;
    }
}

fn fingerprint(command: Kind) -> u8 {
    match command {
        Kind::Create { name, returning } => {
            u8::from(returning) + 2 * name.map_or(0, |name| if name == "red" { 1 } else { 2 })
        }
        Kind::Lock => 8,
        Kind::Unlock => 9,
        Kind::End => 10,
    }
}

/// Every order of so many.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    (0..count)
        .flat_map(|place| {
            shorter.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_collide_are_answered_as_if_each_came_alone() {
    let db = TestDb::new().await;
    let processes = [process(&db), process(&db)];
    let both = ["acme", "globex"].map(|tenant| {
        let processes = &processes;
        async move {
            let mut side = Side::new(tenant, tenant.len() as u64);
            for list in 0..LISTS {
                side.send(processes, list).await;
            }
        }
    });
    join_all(both).await;
    // And the log, its heads and its names agree.
    let verdict = processes[0].log.verify(|_, _| true).await.unwrap();
    assert!(matches!(verdict, VerifyResult::Whole { events, .. } if events > 150), "{verdict:?}");
}

/// Whatever the database refuses fails whoever brought it, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_refuses_fails_alone() {
    let db = TestDb::new().await;
    let refusing = "CREATE FUNCTION public.refuse_venom() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.data::text LIKE '%venom%' THEN RAISE EXCEPTION 'venom'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse_venom BEFORE INSERT ON convoke.log FOR EACH ROW EXECUTE FUNCTION public.refuse_venom()";
    db.owner.execute(sqlx::raw_sql(refusing)).await.unwrap();
    let process = process(&db);
    let create = |tenant: &'static str, name: String| {
        let request = request_of(tenant, RoomId::from_uuid(Uuid::now_v7()), "create-room", &json!({ "name": name }));
        process.executor.execute(request)
    };
    let mut sent = Vec::new();
    for number in 0..200 {
        let tenant = if number % 2 == 0 { "acme" } else { "globex" };
        let name = if number % 23 == 5 { format!("venom {number}") } else { format!("room {number}") };
        sent.push(create(tenant, name));
    }
    for (number, outcome) in join_all(sent).await.into_iter().enumerate() {
        match outcome {
            Ok(outcome) => assert!(number % 23 != 5 && outcome.room_version == 1),
            Err(error) => {
                assert!(number % 23 == 5 && matches!(error, ExecuteError::Unavailable(_)), "{number}: {error}")
            }
        }
    }
    let verdict = process.log.verify(|_, _| true).await.unwrap();
    assert_eq!(verdict, VerifyResult::Whole { events: 191, rooms: 191 });
}
