//! Expressions of rules.
//!
//! The language compiles what it cannot run: an undeclared name, a misspelt field, a comparison of a list with a number are
//! found only when the expression gets there. So an expression is looked over when its rule is accepted ([`check`]), and
//! tried on commands of several kinds. What goes wrong later all the same is an error, and an error never allows.

mod check;
mod fact;
mod memo;
mod plain;
mod typo;
mod values;
mod zone;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kube_cel::KubeCelExt;
use kube_cel::cel::{Context, Program, Value};

pub(crate) use values::ConnectionFacts;
pub(super) use values::{Beyond, Facts};

use values::Needs;

use super::risk;
use crate::subject::Subject;

/// The longest expression, in bytes.
pub const MAX_EXPRESSION: usize = 2_048;

/// Why an expression is not accepted, or what went wrong when it was run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CelError {
    /// It is longer than [`MAX_EXPRESSION`].
    #[error("the expression is longer than {MAX_EXPRESSION} bytes")]
    TooLong,
    /// It nests too deeply, or loops within loops within loops.
    #[error("the expression is nested too deeply")]
    TooDeep,
    /// It is no CEL.
    #[error("{0}")]
    Syntax(String),
    /// It names something that does not exist.
    #[error("{0}")]
    Unknown(String),
    /// It gives something else than true or false.
    #[error("the expression gives {0}, and must give true or false")]
    NotBoolean(&'static str),
    /// It failed at run time.
    #[error("the expression failed: {0}")]
    Failed(&'static str),
}

/// An accepted expression.
#[derive(Debug)]
pub(super) struct Expression {
    program: Program,
    needs: Needs,
    name: memo::Name,
}

thread_local! {
    /// The functions. Registering them costs more than most expressions, so it is done once in each thread.
    static FUNCTIONS: RefCell<Context<'static>> = RefCell::new(Context::default().with_all());
}

// === impl CelError ===

impl CelError {
    /// Why a rule denies that could not be evaluated.
    pub(super) fn of_rule(&self, rule: &str) -> String {
        format!("rule {rule} could not be evaluated: {self}")
    }
}

// === impl Expression ===

impl Expression {
    /// Compiles and looks over an expression.
    pub(super) fn compile(source: &str) -> Result<Self, CelError> {
        if source.len() > MAX_EXPRESSION {
            return Err(CelError::TooLong);
        }
        check::brackets(source)?;
        let compiled = catch_unwind(AssertUnwindSafe(|| Program::compile(source)));
        let program = match compiled {
            Ok(Ok(program)) => program,
            Ok(Err(errors)) => return Err(CelError::Syntax(first_line(&errors.to_string()))),
            Err(_) => return Err(CelError::Syntax("the expression could not be read".to_owned())),
        };
        let needs = check::names(program.expression(), source)?;
        let name = memo::Name::new();
        let expression = Self { program, needs, name };
        expression.try_out()?;
        Ok(expression)
    }

    /// What fails on a plain command would fail at the door.
    fn try_out(&self) -> Result<(), CelError> {
        let subject = Subject {
            username: "oidc:alice".to_owned(),
            groups: vec!["oidc:engineers".to_owned()],
            source: Some("192.0.2.1".to_owned()),
            ..Subject::default()
        };
        let connection = ConnectionFacts {
            name: "bank".to_owned(),
            namespace: "doors".to_owned(),
            ..ConnectionFacts::default()
        };
        for command in &values::samples() {
            let facts = Facts {
                command,
                subject: &subject,
                connection: &connection,
                risk: risk(command),
                beyond: Beyond::Nothing,
            };
            match self.run(facts) {
                Ok(_) | Err(CelError::Failed(MISSING_KEY)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether it says in so many words that something may be hidden.
    pub(super) fn names_hidden(&self) -> bool {
        self.needs.hidden
    }

    /// Whether its answer may hang on a name that does not stand in it.
    pub(super) fn seeks_names(&self) -> bool {
        self.needs.seeks_names()
    }

    /// Whether it reads any of these fields of `command`, by whatever name.
    pub(super) fn reads(&self, fields: &[&str]) -> bool {
        let mut read = self.needs.command.iter();
        read.any(|field| fields.contains(field) || fields.contains(&values::meant(field)))
    }

    /// Runs it. Anything but true or false is an error.
    pub(super) fn run(&self, facts: Facts<'_>) -> Result<bool, CelError> {
        let question = self.name.question(&facts, &self.needs);
        if let Some(answer) = question.as_ref().and_then(memo::Question::answer) {
            return Ok(answer);
        }
        let answer = self.evaluate(facts).map_err(|error| match error {
            // Values that cannot be read are not there at all.
            CelError::Failed(MISSING_KEY) if self.reads(&["parameters"]) => {
                CelError::Failed(values::unread(facts.command).unwrap_or(MISSING_KEY))
            }
            error => error,
        })?;
        if let Some(question) = question {
            question.keep(answer);
        }
        Ok(answer)
    }

    fn evaluate(&self, facts: Facts<'_>) -> Result<bool, CelError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            FUNCTIONS.with_borrow(|functions| {
                let mut context = functions.new_inner_scope();
                facts.add_to(&mut context, &self.needs);
                self.program.execute(&context)
            })
        }));
        match outcome {
            Ok(Ok(Value::Bool(answer))) => Ok(answer),
            Ok(Ok(other)) => Err(CelError::NotBoolean(type_name(&other))),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(CelError::Failed("it could not be evaluated")),
        }
    }
}

const MISSING_KEY: &str = "a map has no such key (ask with `'key' in map` first)";

/// The error in words that hold no value of the command: the library prints operands.
fn failure(error: &kube_cel::cel::ExecutionError) -> CelError {
    use kube_cel::cel::ExecutionError as Error;
    match error {
        Error::UndeclaredReference(name) => CelError::Unknown(format!("`{name}` does not exist")),
        Error::NoSuchKey(_) => CelError::Failed(MISSING_KEY),
        Error::NotSupportedAsMethod { method, .. } => {
            CelError::Unknown(format!("`{method}` does not work on a value of this type"))
        }
        Error::InvalidArgumentCount { .. } | Error::MissingArgumentOrTarget => {
            CelError::Failed("a function was given the wrong number of arguments")
        }
        Error::NoSuchOverload
        | Error::UnexpectedType { .. }
        | Error::UnsupportedTargetType { .. }
        | Error::ValuesNotComparable(..)
        | Error::UnsupportedUnaryOperator(..)
        | Error::UnsupportedBinaryOperator(..)
        | Error::UnsupportedKeyType(_)
        | Error::UnsupportedMapIndex(_)
        | Error::UnsupportedListIndex(_)
        | Error::UnsupportedIndex(..) => CelError::Failed("values of different types stand together"),
        Error::DivisionByZero(_) | Error::RemainderByZero(_) | Error::Overflow(..) => {
            CelError::Failed("a number is out of range")
        }
        Error::IndexOutOfBounds(_) => CelError::Failed("a list is shorter than its index"),
        _ => CelError::Failed("a function refused its arguments"),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::String(_) => "a text",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::Null => "null",
        _ => "something else",
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests;
