//! Which connection a thread's operations go to.
//!
//! Every thread has a stack of what it holds: connection scopes and exclusive sessions. The
//! topmost one that belongs to a client is its route; without one, operations go to the main
//! connection. The stack is a thread-local, so what is still on it when the thread ends (a
//! guard that was leaked) is given back then.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// Names one pool. Never used twice in a process.
pub(crate) type PoolId = u64;

/// Something that a thread holds of a pool.
pub(crate) trait Held: Any {
    /// Gives it back; does nothing the second time.
    fn give_back(&self);
}

struct Entry {
    pool: PoolId,
    held: Rc<dyn Held>,
    /// How many guards of this thread share it.
    guards: usize,
}

#[derive(Default)]
struct Stack(Vec<Entry>);

impl Drop for Stack {
    fn drop(&mut self) {
        while let Some(entry) = self.0.pop() {
            entry.held.give_back();
        }
    }
}

thread_local! {
    static STACK: RefCell<Stack> = RefCell::default();
}

/// Puts something on this thread's stack, with one guard. `false`: the thread is ending and its
/// stack is gone.
pub(crate) fn push(pool: PoolId, held: Rc<dyn Held>) -> bool {
    STACK
        .try_with(|stack| {
            stack.borrow_mut().0.push(Entry {
                pool,
                held,
                guards: 1,
            });
        })
        .is_ok()
}

/// The topmost thing of type `T` that this thread holds of `pool`, shared by one guard more.
pub(crate) fn share<T: Held>(pool: PoolId) -> Option<Rc<T>> {
    let shared = STACK.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        let entries = stack.0.iter_mut().rev();
        entries
            .filter(|entry| entry.pool == pool)
            .find_map(|entry| {
                let held = downcast::<T>(&entry.held)?;
                entry.guards += 1;
                Some(held)
            })
    });
    shared.ok().flatten()
}

/// Whether this thread holds anything of type `T` of `pool`.
pub(crate) fn holds<T: Held>(pool: PoolId) -> bool {
    let holds = STACK.try_with(|stack| {
        let stack = stack.borrow();
        let mut entries = stack.0.iter().filter(|entry| entry.pool == pool);
        entries.any(|entry| downcast::<T>(&entry.held).is_some())
    });
    holds.unwrap_or(false)
}

/// What is topmost on this thread's stack of `pool`.
pub(crate) fn top(pool: PoolId) -> Option<Rc<dyn Held>> {
    STACK
        .try_with(|stack| {
            let stack = stack.borrow();
            let mut entries = stack.0.iter().rev();
            let entry = entries.find(|entry| entry.pool == pool)?;
            Some(Rc::clone(&entry.held))
        })
        .ok()
        .flatten()
}

/// Takes one guard of `held` away. Returns whether it was the last one: then the caller gives
/// it back, outside this module's borrow.
pub(crate) fn pop(held: &Rc<dyn Held>) -> bool {
    let last = STACK.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        let index = stack
            .0
            .iter()
            .rposition(|entry| Rc::ptr_eq(&entry.held, held))?;
        let entry = stack.0.get_mut(index)?;
        entry.guards -= 1;
        (entry.guards == 0).then(|| stack.0.remove(index))
    });
    match last {
        Ok(removed) => removed.is_some(),
        // The thread is ending and its stack is gone already.
        Err(_) => true,
    }
}

pub(crate) fn downcast<T: Held>(held: &Rc<dyn Held>) -> Option<Rc<T>> {
    let any: Rc<dyn Any> = Rc::clone(held) as Rc<dyn Any>;
    any.downcast::<T>().ok()
}
