//! Questions: asked, answered at once or followed by their events.

use genie_core::approval::ApprovalId;
use genie_core::clock::Timestamp;
use genie_core::document::DocumentId;
use genie_core::ids::RunId;
use genie_core::journal::chain::Head;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{Client, EVENTS, Request, read};
use crate::error::Error;
use crate::events::Events;

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// The text of a bank's CSV file.
    Text(String),
    /// A document that was sent before, by whoever asks.
    Document(DocumentId),
}

/// A question about a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The question.
    pub question: String,
    /// What it is about.
    pub statement: Statement,
    /// The agent to ask, if not the one that the server chooses.
    pub agent: Option<String>,
}

impl Question {
    /// A question to the agent that the server chooses.
    #[must_use]
    pub fn new(question: &str, statement: &str) -> Self {
        let statement = Statement::Text(statement.to_owned());
        Self { question: question.to_owned(), statement, agent: None }
    }

    /// A question about a document that was sent before.
    #[must_use]
    pub fn of_document(question: &str, id: DocumentId) -> Self {
        Self { statement: Statement::Document(id), ..Self::new(question, "") }
    }

    fn body(&self) -> Value {
        let mut body = match &self.statement {
            Statement::Text(text) => json!({ "question": self.question, "statement": text }),
            Statement::Document(id) => json!({ "question": self.question, "document_id": id }),
        };
        if let Some(agent) = &self.agent {
            body["agent"] = json!(agent);
        }
        body
    }
}

/// Where a request has come to a halt.
#[derive(Debug, Clone)]
pub enum Halt<T> {
    /// It was answered.
    Answered(T),
    /// A human must decide first.
    Waiting(Waiting),
}

impl<T> Halt<T> {
    /// The answer; `None` if a human must decide first.
    #[must_use]
    pub fn answered(self) -> Option<T> {
        match self {
            Self::Answered(answered) => Some(answered),
            Self::Waiting(_) => None,
        }
    }

    pub(crate) fn read(object: Value) -> Result<Self, Error>
    where
        T: for<'de> Deserialize<'de>,
    {
        let halt = if object["outcome"] == "waiting" {
            serde_json::from_value(object).map(Self::Waiting)
        } else {
            serde_json::from_value(object).map(Self::Answered)
        };
        halt.map_err(|error| Error::unreadable(&error))
    }
}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Waiting {
    /// The run.
    pub run_id: RunId,
    /// What must be decided, in order.
    pub approvals: Vec<ApprovalId>,
    /// When it goes on without a decision.
    pub wake_at: Timestamp,
}

/// An answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Answered {
    /// The run.
    pub run_id: RunId,
    /// How much it took.
    pub usage: Usage,
    /// What to keep to find the run in the log again.
    pub receipt: Receipt,
    /// The fields of the answer, as the agent gave them.
    #[serde(flatten)]
    pub fields: serde_json::Map<String, Value>,
}

/// How much a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// How many messages were sent.
    pub messages: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
}

/// What to keep of a run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Receipt {
    /// How many records it has.
    pub records: u64,
    /// Its last record.
    pub head: Option<Head>,
}

impl Client {
    /// Asks, and waits for the answer or until a human must decide.
    ///
    /// # Errors
    /// [`Error::Problem`] with the code of what went wrong, such as `denied`.
    pub async fn ask(&self, question: &Question) -> Result<Halt<Answered>, Error> {
        let body = question.body();
        let request = Request::post(&["v1", "ask"], Some(&body)).keyed(&*self.ids);
        Halt::read(self.json(request).await?)
    }

    /// Asks, and gives what happens until the run ends or a human must decide.
    ///
    /// # Errors
    /// Why the run did not begin.
    pub async fn ask_events(&self, question: &Question) -> Result<Events, Error> {
        let body = question.body();
        let request = Request::post(&["v1", "ask", "stream"], Some(&body));
        let response = self.send(request.accepting(EVENTS).keyed(&*self.ids)).await?;
        let run = response.headers().get("genie-run-id").and_then(|id| id.to_str().ok());
        let run = run.and_then(|id| serde_json::from_value(json!(id)).ok());
        let run = run.ok_or_else(|| Error::Unreadable("it names no run".to_owned()))?;
        Ok(Events::over(self.clone(), run, response))
    }

    pub(crate) async fn halt<T>(&self, request: Request<'_>) -> Result<Halt<T>, Error>
    where
        T: for<'de> Deserialize<'de>,
    {
        Halt::read(read(self.send(request).await?).await?)
    }
}
