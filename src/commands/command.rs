//! The trait of a command: a bounded body, a rule, and its documentation. Each command implements [`CommandSpec`] in a
//! file of its own; this module reads bodies from JSON and reports their faults.

use std::fmt::Debug;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::{Caller, Decision, DecisionContext, Lookup};
use super::fault::{self, CommandFault, FieldFaults};
use super::refusal::{Refusal, RefusalCode};
use super::room::state::Room;
use crate::ids::{Identity, RoomId};
use crate::json::CheckedJson;

/// One thing that may be asked of a room. The fields are the command's body; they must be read with
/// `#[serde(deny_unknown_fields)]`. Written as JSON, a command says what its body said and nothing else (a field that was not
/// given is left out), since repeats under an idempotency key are told by it.
pub trait CommandSpec:
    Serialize + DeserializeOwned + JsonSchema + Clone + Debug + PartialEq + Send + Sync + 'static
{
    /// On the wire, kebab-case: `raise-hand`.
    const NAME: &'static str;
    /// A few words, imperative.
    const SUMMARY: &'static str;
    /// Who may, what then is a fact, what a repetition does. Markdown, a paragraph or two.
    const DESCRIPTION: &'static str;
    /// Names of the events that it can lead to, in the order in which they are written.
    const EVENTS: &'static [&'static str];
    /// Every refusal that [`CommandSpec::decide`] can give.
    const REFUSALS: &'static [RefusalCode];

    /// Bodies that are taken, the plainest first.
    fn examples() -> Vec<Example>;

    /// Bounds that the types do not hold: lengths, counts, fields that exclude one another.
    fn validate(&self, _faults: &mut FieldFaults) {}

    /// What has to be looked up before the decision.
    fn lookup(&self) -> Lookup {
        Lookup::Nothing
    }

    /// The id that the caller wants for the room it creates.
    fn wanted_room(&self) -> Option<RoomId> {
        None
    }

    /// Whose personal fields the command writes, as far as its body and caller tell: their keys are made ready for a whole batch
    /// at once. One that is not told here is made ready later, at the cost of a round.
    fn subject<'a>(&'a self, _caller: &'a Caller) -> Option<&'a Identity> {
        None
    }

    /// Whom the command erases. Whether they have a key to lose is asked at the moment of the decision, for
    /// [`super::context::ExternalData::person_key`].
    fn erases(&self) -> Option<&Identity> {
        None
    }

    /// Whether it begins a room: the room is then not looked for before the decision.
    const CREATES: bool = false;

    /// The rule: pure, and the same for the same room, body and context.
    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal>;
}

/// A body, and what it is an example of.
#[derive(Clone, Debug)]
pub struct Example {
    pub about: &'static str,
    pub body: Value,
}

impl Example {
    pub fn new(about: &'static str, body: Value) -> Self {
        Self { about, body }
    }
}

/// A command as it is documented.
#[derive(Clone, Debug)]
pub struct CommandKind {
    pub name: &'static str,
    pub summary: &'static str,
    pub description: &'static str,
    /// JSON Schema 2020-12 of the body.
    pub schema: fn() -> schemars::Schema,
    pub examples: fn() -> Vec<Example>,
    /// Names of the events that it can lead to.
    pub events: &'static [&'static str],
    pub refusals: &'static [RefusalCode],
}

impl CommandKind {
    pub fn of<C: CommandSpec>() -> Self {
        Self {
            name: C::NAME,
            summary: C::SUMMARY,
            description: C::DESCRIPTION,
            schema: || schemars::schema_for!(C),
            examples: C::examples,
            events: C::EVENTS,
            refusals: C::REFUSALS,
        }
    }
}

/// Reads a body and checks its bounds.
pub fn parse<C: CommandSpec>(body: CheckedJson<'_>) -> Result<C, CommandFault> {
    let command: C = fault::read(body)?;
    let mut faults = FieldFaults::default();
    command.validate(&mut faults);
    faults.none().map(|()| command)
}
