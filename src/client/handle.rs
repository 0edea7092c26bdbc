//! What the clients of all protocols have in common.

use std::sync::Arc;
use std::time::Duration;

use super::call::{Patience, pool_error};
use super::scope::ConnectionScope;
use crate::connection::cancel::{CancelToken, Until};
use crate::connection::clock;
use crate::error::{Certainty, Error, ErrorKind, ProtocolFailure, Result};
use crate::pool::pool::Pool;
use crate::protocol::machine::Protocol;

/// What the clones of a client share.
pub(super) struct Inner<P: Protocol> {
    pub(super) pool: Arc<Pool<P>>,
    pub(super) shutdown_timeout: Duration,
}

impl<P: Protocol> Drop for Inner<P> {
    fn drop(&mut self) {
        let deadline = clock::after(self.shutdown_timeout);
        if let Err(holders) = self.pool.shutdown(deadline) {
            let protocol = self.pool.protocol();
            log::warn!("{protocol}: {} connections were left open", holders.len());
        }
    }
}

/// Binds a connection to the calling thread.
pub(super) fn connection<P>(
    pool: &Arc<Pool<P>>,
    patience: &Patience,
    wait: bool,
    until: &Until,
) -> Result<ConnectionScope>
where
    P: Protocol<Failure: ProtocolFailure>,
{
    let started = clock::now();
    match pool.create_scope(wait, until, None) {
        Ok(guard) => Ok(ConnectionScope::new(guard, patience.clone())),
        Err(error) => {
            let waited = wait.then(|| clock::now() - started);
            Err(pool_error(pool, error, waited))
        }
    }
}

/// A connection if there is one to be had at once; else the main one has to do.
pub(super) fn for_helper<P>(pool: &Arc<Pool<P>>, patience: &Patience) -> Option<ConnectionScope>
where
    P: Protocol<Failure: ProtocolFailure>,
{
    let guard = pool.create_scope(false, &patience.begin(), None);
    Some(ConnectionScope::new(guard.ok()?, patience.clone()))
}

/// A connection for the thread of a task, which waits for it as long as it takes.
pub(super) fn for_task<P>(pool: &Arc<Pool<P>>, patience: &Patience) -> Result<ConnectionScope>
where
    P: Protocol<Failure: ProtocolFailure>,
{
    let until = patience.begin_standing();
    match pool.create_scope(true, &until, Some(&|| patience.begin())) {
        Ok(guard) => Ok(ConnectionScope::new(guard, patience.clone())),
        Err(error) => Err(pool_error(pool, error, None)),
    }
}

/// The patience of a view that ends with `token`, too.
pub(super) fn with_token(patience: &Patience, token: &CancelToken) -> Patience {
    let mut patience = patience.clone();
    patience.cancel = Some(match &patience.cancel {
        Some(other) => CancelToken::linked([other, token]),
        None => token.clone(),
    });
    patience
}

/// Ends a client.
pub(super) fn shut_down<P: Protocol>(pool: &Pool<P>, timeout: Duration) -> Result<()> {
    pool.shutdown(clock::after(timeout)).map_err(|holders| {
        Error::new(
            ErrorKind::ShutdownTimeout { holders },
            Certainty::MaybeExecuted,
        )
    })
}

/// The methods that every client has: views, connections, tasks, figures, the end. The client
/// has the fields `inner`, `patience` and those in braces, which begin with their defaults; the
/// example is a call of it.
macro_rules! common_methods {
    (
        $client:ident { $($field:ident),* },
        $machine:ty,
        goodbye = $goodbye:literal,
        example = $example:literal
    ) => {
        impl $client {
            pub(in crate::client) fn new(
                pool: std::sync::Arc<crate::pool::pool::Pool<$machine>>,
                shutdown_timeout: std::time::Duration,
                patience: crate::client::call::Patience,
            ) -> Self {
                Self {
                    inner: std::sync::Arc::new(crate::client::handle::Inner {
                        pool,
                        shutdown_timeout,
                    }),
                    patience,
                    $($field: Default::default(),)*
                }
            }

            pub(in crate::client) fn pool(
                &self,
            ) -> &std::sync::Arc<crate::pool::pool::Pool<$machine>> {
                &self.inner.pool
            }

            /// The same client, whose calls may each take `timeout`. Where messages are streamed,
            /// each wait for more may take that long.
            #[must_use = "the client itself keeps its timeout"]
            pub fn with_timeout(&self, timeout: std::time::Duration) -> Self {
                let mut view = self.clone();
                view.patience.timeout = Some(timeout);
                view
            }

            /// The same client, whose calls all end by `deadline`, streams included.
            #[must_use = "the client itself keeps its timeout"]
            pub fn with_deadline(&self, deadline: std::time::Instant) -> Self {
                let mut view = self.clone();
                view.patience.deadline = Some(deadline);
                view
            }

            /// The same client, whose calls all end when `token` is cancelled, those that wait
            /// already included: for a permit, the resolver, connecting, TLS, the login, the
            /// command queue, a reply or the next part of a stream.
            ///
            /// A command that has not been written is withdrawn
            /// ([`Certainty::NotSent`](crate::Certainty::NotSent)); of one that has been, the
            /// reply is passed over when it comes
            /// ([`Certainty::MaybeExecuted`](crate::Certainty::MaybeExecuted)), and the
            /// connection stays in use.
            ///
            /// A view of a view ends with either token.
            #[must_use = "the client itself goes on"]
            pub fn with_cancel(&self, token: &crate::CancelToken) -> Self {
                let mut view = self.clone();
                view.patience = crate::client::handle::with_token(&self.patience, token);
                view
            }

            /// Opens a connection for the calling thread, or takes a parked one, and makes it the
            /// thread's route until the guard is dropped.
            ///
            /// Blocks while the quota is used up; threads are served in the order in which they
            /// came. On a thread that has a connection already it shares that one and takes no
            /// second permit.
            ///
            /// With fork and join, take the connection in the innermost job: a thread that holds
            /// one while it waits for a job on another thread, which waits for a connection, waits
            /// in vain. With rayon that can happen where the pool has more threads than the quota
            /// leaves.
            ///
            /// # Errors
            /// - [`ErrorKind::CreatingThread`](crate::ErrorKind::CreatingThread) on the thread that
            ///   called `connect`;
            /// - [`ErrorKind::SingleConnection`](crate::ErrorKind::SingleConnection) with a quota
            ///   of 1;
            /// - [`ErrorKind::NoPermit`](crate::ErrorKind::NoPermit) if no connection became free
            ///   in time; it names the holders;
            /// - whatever can go wrong with connecting and logging in. The permit is given back.
            ///
            /// # Examples
            /// ```no_run
            #[doc = concat!("# fn example(client: mailpool::", stringify!($client), ") -> mailpool::Result<()> {")]
            /// std::thread::scope(|threads| {
            ///     threads.spawn(|| -> mailpool::Result<()> {
            ///         let _connection = client.create_connection()?;
            #[doc = concat!("        ", $example, "?;")]
            ///         Ok(())
            ///     });
            /// });
            /// # Ok(())
            /// # }
            /// ```
            pub fn create_connection(&self) -> crate::Result<crate::ConnectionScope> {
                let until = self.patience.begin();
                crate::client::handle::connection(self.pool(), &self.patience, true, &until)
            }

            /// As [`create_connection`](Self::create_connection), without waiting for a permit.
            ///
            /// # Errors
            /// The same; [`ErrorKind::NoPermit`](crate::ErrorKind::NoPermit) at once where the
            /// quota is used up or others wait.
            pub fn try_create_connection(&self) -> crate::Result<crate::ConnectionScope> {
                let until = self.patience.begin();
                crate::client::handle::connection(self.pool(), &self.patience, false, &until)
            }

            /// As [`create_connection`](Self::create_connection), within `timeout` for the permit,
            /// connecting and the login together.
            ///
            /// # Errors
            /// The same.
            pub fn create_connection_timeout(
                &self,
                timeout: std::time::Duration,
            ) -> crate::Result<crate::ConnectionScope> {
                self.with_timeout(timeout).create_connection()
            }

            /// Begins a job in the background: it waits in line for a connection, first come,
            /// first served, together with the callers of
            /// [`create_connection`](Self::create_connection), and runs on a thread of its own
            /// with that connection as its route. More tasks than connections may be begun; they
            /// start in the order in which they were begun.
            ///
            /// The job is given this view of the client, which also ends with
            /// [`Task::cancel`](crate::Task::cancel); all of its thread's calls do, also those of
            /// other handles. The time for a single call does not count while the task waits in
            /// line; a [deadline](Self::with_deadline) does. With a quota of 1 the jobs run one
            /// after the other over the main connection.
            ///
            /// A task keeps the client alive until it has ended; [`shutdown`](Self::shutdown)
            /// cancels those that wait.
            ///
            /// # Examples
            /// ```no_run
            #[doc = concat!("# fn example(client: mailpool::", stringify!($client), ") -> mailpool::Result<()> {")]
            #[doc = concat!("let task = client.spawn(|client| ", $example, ");")]
            /// // ... something else ...
            /// task.join()?;
            /// # Ok(())
            /// # }
            /// ```
            pub fn spawn<T>(
                &self,
                job: impl FnOnce(&Self) -> crate::Result<T> + Send + 'static,
            ) -> crate::Task<T>
            where
                T: Send + 'static,
            {
                let view = |token| {
                    let mut view = self.clone();
                    view.patience.cancel = Some(token);
                    view
                };
                let error_of = crate::client::call::pool_error_of;
                crate::client::task::spawn(self.pool(), &self.patience, error_of, view, job)
            }

            /// Runs `body` with a scope for tasks that may borrow, and waits until they have
            /// ended, as [`std::thread::scope`] does for threads.
            ///
            /// On a thread that holds a connection itself the tasks do not wait for others: they
            /// take what is free, or else run over the main connection. So a thread that waits for
            /// its own scope cannot be what its tasks wait for.
            ///
            /// # Errors
            /// [`ErrorKind::TaskPanicked`](crate::ErrorKind::TaskPanicked) if a task panicked that
            /// nobody joined.
            ///
            /// # Examples
            /// ```no_run
            #[doc = concat!("# fn example(client: mailpool::", stringify!($client), ") -> mailpool::Result<()> {")]
            /// let names = ["one".to_owned(), "two".to_owned()];
            /// client.scope(|scope| {
            ///     for name in &names {
            ///         scope
            ///             .spawn(move |client| {
            #[doc = concat!("                let result = ", $example, "?;")]
            ///                 println!("{name}: {result:?}");
            ///                 Ok(())
            ///             })
            ///             .detach();
            ///     }
            /// })?;
            /// # Ok(())
            /// # }
            /// ```
            pub fn scope<'env, R>(
                &self,
                body: impl for<'scope> FnOnce(&crate::TaskScope<'scope, 'env, Self>) -> R,
            ) -> crate::Result<R> {
                use crate::client::{handle, task_scope};
                let bind: task_scope::Bind<Self> = if self.pool().quota_limit() <= 1 {
                    |_| Ok(Box::new(()))
                } else if self.pool().has_scope() {
                    |client| Ok(Box::new(handle::for_helper(client.pool(), &client.patience)))
                } else {
                    |client| Ok(Box::new(handle::for_task(client.pool(), &client.patience)?))
                };
                task_scope::scope(
                    match crate::connection::cancel::ambient() {
                        Some(task) => self.with_cancel(&task),
                        None => self.clone(),
                    },
                    Self::with_cancel,
                    bind,
                    self.pool().quota_limit().saturating_sub(1),
                    concat!(stringify!($client), " task"),
                    body,
                )
            }

            /// What happens to connections that are lost: the main one, which is opened anew by
            /// itself, and others as long as commands wait for them. Each subscriber gets every
            /// event.
            pub fn connection_events(&self) -> crate::ConnectionEvents {
                crate::ConnectionEvents::new(self.pool(), self.patience.clone())
            }

            /// Figures of the client: its connections and who holds them.
            pub fn stats(&self) -> crate::Stats {
                self.pool().snapshot().into()
            }

            #[doc = concat!(
                "Ends the client: commands under way may finish, those that are queued fail, \
                 every connection says ", $goodbye, " and its thread is joined. Later calls fail \
                 with [`ErrorKind::ShutDown`](crate::ErrorKind::ShutDown)."
            )]
            ///
            /// # Errors
            /// [`ErrorKind::ShutdownTimeout`](crate::ErrorKind::ShutdownTimeout) names what was
            /// still open after `timeout`. It is closed without a goodbye.
            pub fn shutdown(&self, timeout: std::time::Duration) -> crate::Result<()> {
                crate::client::handle::shut_down(self.pool(), timeout)
            }
        }

        impl std::fmt::Debug for $client {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let stats = self.stats();
                f.debug_struct(stringify!($client))
                    .field("quota", &stats.quota)
                    .field("open", &stats.open)
                    .field("parked", &stats.parked)
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(super) use common_methods;
