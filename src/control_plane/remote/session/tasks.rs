//! What is under way for a session and nobody waits for.

use std::cell::RefCell;

use tokio::task::JoinSet;

/// Tasks that hold their session, and end with it; `None` from then on.
#[derive(Debug)]
pub(super) struct Tasks(RefCell<Option<JoinSet<()>>>);

impl Tasks {
    pub(super) fn new() -> Self {
        Self(RefCell::new(Some(JoinSet::new())))
    }

    /// Begins another one, unless the session has ended.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if let Some(tasks) = &mut *self.0.borrow_mut() {
            // Nothing is kept of those that are done.
            while tasks.try_join_next().is_some() {}
            tasks.spawn_local(task);
        }
    }

    /// Ends all of them.
    pub(super) fn end(&self) {
        self.0.take();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[actix::test]
    async fn what_is_under_way_ends_with_its_session() {
        let (tasks, session) = (Tasks::new(), Rc::new(()));
        let (told, hears) = tokio::sync::oneshot::channel();
        tasks.spawn(async move { told.send(()).expect("somebody hears") });
        hears.await.expect("a task that runs");
        let holds = |session: &Rc<()>| {
            let session = session.clone();
            async move {
                std::future::pending::<()>().await;
                drop(session);
            }
        };
        tasks.spawn(holds(&session));
        tokio::task::yield_now().await;
        assert_eq!(Rc::strong_count(&session), 2);
        tasks.end();
        tokio::task::yield_now().await;
        assert_eq!(Rc::strong_count(&session), 1);
        tasks.spawn(holds(&session));
        assert_eq!(Rc::strong_count(&session), 1);
    }
}
