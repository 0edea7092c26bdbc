//! A cut, and what the calls may say after it.

use std::fmt;
use std::time::{Duration, Instant};

use mailpool::{Error, ErrorKind};
use mailpool_test_server::{Action, Layer, Security as Secured};

use super::steps::{STEPS, Step};
use super::{PATIENCE, SLACK};
use crate::threads::LONG;

/// Whether the client opens a lost connection anew by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Never,
    Quick,
}

/// How a session is cut.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    /// A spelling of the server's address that no other test uses: the threads bear it.
    pub(super) host: &'static str,
    pub(super) secured: Secured,
    pub(super) layer: Layer,
    pub(super) action: Action,
    /// The distance between two cuts.
    pub(super) every: usize,
}

/// One cut.
pub(super) struct Case<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) mode: Mode,
    pub(super) bytes: u64,
    /// The call whose answer is cut off, with the login as number 0, and whether some of the
    /// answer had come. Not known in the wire layer.
    pub(super) place: Option<(usize, bool)>,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sweep = self.sweep;
        write!(f, "{:?} after {} bytes ", sweep.action, self.bytes)?;
        write!(
            f,
            "({:?}, {:?}, {:?})",
            sweep.secured, sweep.layer, self.mode
        )?;
        match self.place {
            Some((call, begun)) => write!(f, " in {}, begun: {begun}", name_of(call)),
            None => Ok(()),
        }
    }
}

/// The name of a call, with the login as number 0.
pub(super) fn name_of(call: usize) -> &'static str {
    match call.checked_sub(1) {
        None => "login",
        Some(step) => STEPS.get(step).map_or("logout", |step| step.name),
    }
}

/// What a call may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) ok: bool,
    pub(super) maybe: bool,
    pub(super) not_sent: bool,
}

impl Allowed {
    const OK: Self = Self {
        ok: true,
        maybe: false,
        not_sent: false,
    };
    const MAYBE: Self = Self {
        ok: false,
        maybe: true,
        not_sent: false,
    };
}

impl Case<'_> {
    pub(super) fn stalls(&self) -> bool {
        self.sweep.action == Action::Stall
    }

    /// Whether a call runs into the stall.
    pub(super) fn runs_into_stall(&self, call: usize) -> bool {
        self.stalls() && self.place.is_none_or(|(place, _)| place == call)
    }

    pub(super) fn patience(&self, call: usize) -> Duration {
        if self.runs_into_stall(call) {
            PATIENCE
        } else {
            LONG
        }
    }

    /// What a call may say that cannot know whether its connection has broken already.
    pub(super) fn unsure(&self, step: &Step) -> Allowed {
        Allowed {
            ok: true,
            maybe: self.mode == Mode::Never || !step.repeatable,
            // What is queued survives where there is another connection.
            not_sent: self.mode == Mode::Never,
        }
    }

    pub(super) fn allowed(&self, call: usize, step: &Step) -> Allowed {
        let Some((place, begun)) = self.place else {
            return self.unsure(step);
        };
        let is_reset = self.sweep.action == Action::Reset;
        if call == place && self.stalls() {
            Allowed {
                not_sent: !begun,
                ..Allowed::MAYBE
            }
        } else if call == place && begun {
            if self.mode == Mode::Quick && step.repeatable {
                Allowed::OK
            } else {
                Allowed::MAYBE
            }
        } else if call == place || (call == place + 1 && self.stalls()) {
            self.unsure(step)
        } else if call + 1 == place && !begun && is_reset {
            // RST drops what the client has not read yet.
            Allowed {
                not_sent: false,
                ..self.unsure(step)
            }
        } else {
            Allowed::OK
        }
    }

    /// Whether the login may fail, and whether it may succeed.
    pub(super) fn allowed_login(&self) -> (bool, bool) {
        match self.place {
            None => (true, true),
            Some((0, _)) => (true, false),
            Some((1, false)) if self.sweep.action == Action::Reset => (true, true),
            Some(_) => (false, true),
        }
    }

    /// The error says what happened.
    pub(super) fn check_kind(&self, error: &Error, call: usize) {
        let is_login = call == 0;
        let stalled = matches!(
            error.kind(),
            ErrorKind::Timeout { .. } | ErrorKind::Unreachable { .. } | ErrorKind::Stalled
        );
        let broken = match error.kind() {
            ErrorKind::Closed | ErrorKind::Io { .. } => true,
            // RST came before the client had looked.
            ErrorKind::Connect { .. } => self.sweep.action == Action::Reset && is_login,
            ErrorKind::Tls { .. } => self.sweep.layer == Layer::Wire,
            _ => false,
        };
        let explained = if self.stalls() { stalled } else { broken };
        assert!(explained, "{self}: {error:?}");
    }

    /// A call ended within its deadline.
    pub(super) fn check_time(&self, began: Instant, patience: Duration, what: &str) {
        let took = began.elapsed();
        let most = patience.min(SLACK) + SLACK;
        assert!(took < most, "{self}: {what} took {took:?}");
    }
}
