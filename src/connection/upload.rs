//! What a caller feeds to its operation while that is under way, piece by piece.
//!
//! The caller's thread holds a [`Feeder`], the operation an [`Intake`]. Nothing is fed before the
//! operation wants it, and no more than fits waits between the two.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cancel::{Notify, Stopped, Until};
use crate::sync::{Condvar, Mutex};

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    pieces: VecDeque<T>,
    /// Bytes that wait.
    weight: usize,
    /// The operation has asked.
    wanted: bool,
    /// The feeder is done; `true`: that was all.
    over: Option<bool>,
    /// The operation takes no more.
    gone: bool,
}

impl<T: Send> Notify for Shared<T> {
    fn notify(&self) {
        drop(self.state.lock());
        self.changed.notify_all();
    }
}

/// Makes the two ends.
pub(crate) fn upload<T>() -> (Feeder<T>, Intake<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            pieces: VecDeque::new(),
            weight: 0,
            wanted: false,
            over: None,
            gone: false,
        }),
        changed: Condvar::new(),
    });
    let feeder = Feeder {
        shared: Arc::clone(&shared),
    };
    (feeder, Intake { shared })
}

/// The caller's end. Dropped before [`Feeder::finish`], what was fed is incomplete.
pub(crate) struct Feeder<T> {
    shared: Arc<Shared<T>>,
}

impl<T: Send + 'static> Feeder<T> {
    /// Waits until fewer than `most` bytes wait for an operation that wants them. `false`: it
    /// takes no more.
    pub(crate) fn wait_for_room(&self, most: usize, until: &Until) -> Result<bool, Stopped> {
        let _watch = until.watch(|| Arc::clone(&self.shared) as Arc<dyn Notify>);
        let mut state = self.shared.state.lock();
        loop {
            if state.gone {
                return Ok(false);
            }
            // Also where there is always room: it must not outlast its time for that.
            if let Some(stopped) = until.stopped() {
                return Err(stopped);
            }
            if state.wanted && state.weight < most {
                return Ok(true);
            }
            let stopped = until.wait(&self.shared.changed, &mut state);
            let is_met = state.gone || (state.wanted && state.weight < most);
            if let (Some(stopped), false) = (stopped, is_met) {
                return Err(stopped);
            }
        }
    }

    /// Adds a piece. Whoever takes it has to be told.
    pub(crate) fn push(&self, piece: T, weight: usize) {
        let mut state = self.shared.state.lock();
        if !state.gone {
            state.pieces.push_back(piece);
            state.weight += weight;
        }
    }

    /// That was all.
    pub(crate) fn finish(&self) {
        self.shared.state.lock().over.get_or_insert(true);
    }
}

impl<T> Drop for Feeder<T> {
    fn drop(&mut self) {
        self.shared.state.lock().over.get_or_insert(false);
    }
}

/// What the operation gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken<T> {
    Piece(T),
    /// There will be more.
    NotYet,
    /// That was all.
    End,
    /// The feeder has gone before the end.
    Broken,
}

/// The operation's end. Dropping it tells the feeder that no more is wanted.
pub(crate) struct Intake<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Intake<T> {
    /// Takes the next piece; `weight` says how many bytes it has. The first call says that pieces
    /// are wanted.
    pub(crate) fn take(&self, weight: impl Fn(&T) -> usize) -> Taken<T> {
        let mut state = self.shared.state.lock();
        let first = !std::mem::replace(&mut state.wanted, true);
        let taken = match (state.pieces.pop_front(), state.over) {
            (Some(piece), _) => {
                state.weight = state.weight.saturating_sub(weight(&piece));
                Taken::Piece(piece)
            }
            (None, None) => Taken::NotYet,
            (None, Some(true)) => Taken::End,
            (None, Some(false)) => Taken::Broken,
        };
        drop(state);
        if first || matches!(taken, Taken::Piece(_)) {
            self.shared.changed.notify_all();
        }
        taken
    }

    /// Whether pieces have been asked for.
    pub(crate) fn is_begun(&self) -> bool {
        self.shared.state.lock().wanted
    }

    /// Whether [`Intake::take`] has something to tell.
    pub(crate) fn is_ready(&self) -> bool {
        let state = self.shared.state.lock();
        !state.pieces.is_empty() || state.over.is_some()
    }
}

impl<T> Drop for Intake<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.gone = true;
        let pieces = std::mem::take(&mut state.pieces);
        drop(state);
        drop(pieces);
        self.shared.changed.notify_all();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_then_the_end() {
        let (feeder, intake) = upload::<Vec<u8>>();
        assert!(!intake.is_begun() && !intake.is_ready());
        assert_eq!(intake.take(Vec::len), Taken::NotYet);
        assert!(intake.is_begun());
        feeder.push(vec![1; 10], 10);
        feeder.push(vec![2; 10], 10);
        feeder.finish();
        drop(feeder);
        assert_eq!(intake.take(Vec::len), Taken::Piece(vec![1; 10]));
        assert_eq!(intake.take(Vec::len), Taken::Piece(vec![2; 10]));
        assert_eq!(intake.take(Vec::len), Taken::End);
        assert_eq!(intake.take(Vec::len), Taken::End);
    }

    #[test]
    fn a_feeder_that_goes_away_early_breaks_it_off() {
        let (feeder, intake) = upload::<Vec<u8>>();
        feeder.push(vec![1], 1);
        drop(feeder);
        assert!(matches!(intake.take(Vec::len), Taken::Piece(_)));
        assert_eq!(intake.take(Vec::len), Taken::Broken);
    }

    #[test]
    fn a_feeder_waits_until_it_is_wanted_and_while_too_much_waits() {
        let (feeder, intake) = upload::<Vec<u8>>();
        let token = crate::connection::cancel::CancelToken::new();
        token.cancel();
        let cancelled = Until::default().with(Some(token));
        let wait = |until: &Until| feeder.wait_for_room(10, until);
        assert_eq!(wait(&cancelled), Err(Stopped::Cancelled));
        intake.take(Vec::len);
        assert_eq!(wait(&Until::default()), Ok(true));
        feeder.push(vec![1; 10], 10);
        assert_eq!(wait(&cancelled), Err(Stopped::Cancelled));
        intake.take(Vec::len);
        assert_eq!(wait(&Until::default()), Ok(true));
        drop(intake);
        assert_eq!(wait(&Until::default()), Ok(false));
    }
}

#[cfg(all(test, shuttle))]
mod model {
    use super::*;

    /// Neither side waits for ever, whenever the other one acts.
    #[test]
    fn model_an_upload_comes_to_its_end() {
        shuttle::check_random(
            || {
                let (feeder, intake) = upload::<u8>();
                let fed = shuttle::thread::spawn(move || {
                    for piece in 0..3 {
                        match feeder.wait_for_room(1, &Until::default()) {
                            Ok(true) => feeder.push(piece, 1),
                            _ => return false,
                        }
                    }
                    feeder.finish();
                    true
                });
                let leave_after = if shuttle::rand::Rng::r#gen(&mut shuttle::rand::thread_rng()) {
                    usize::MAX
                } else {
                    1
                };
                let mut taken = 0;
                while taken < leave_after {
                    match intake.take(|_| 1) {
                        Taken::Piece(_) => taken += 1,
                        Taken::NotYet => shuttle::thread::yield_now(),
                        _ => break,
                    }
                }
                drop(intake);
                let whole = fed.join().unwrap();
                assert!(leave_after == 1 || (whole && taken == 3));
            },
            2_000,
        );
    }
}
