//! Notifications to the event hub and to the actor of the discovery file, without waiting for them.

use std::time::Duration;

use actix::prelude::*;
use lanrage_ipc::event::Event;
use lanrage_ipc::model::PartyId;

use super::LocalControlPlane;
use crate::events::{HubCommand, Publish};

/// Interval of the retries of lost notifications.
const RETRY: Duration = Duration::from_millis(50);

impl LocalControlPlane {
    /// Notes the parties of events for the discovery file.
    pub(super) fn note_announced(&self, events: &[Event]) {
        let Some(announcer) = &self.to.announcer else { return };
        changed(events).for_each(|party_id| announcer.changed.note(party_id.clone()));
    }

    /// Notes the parties of events for those who read all parties in parts.
    pub(super) fn note_watched(&mut self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        self.watches.retain(|watch| {
            let Some(watch) = watch.upgrade() else { return false };
            changed(events).for_each(|party_id| watch.note(party_id.clone()));
            true
        });
    }

    pub(super) fn publish(&mut self, mut hub_commands: Vec<HubCommand>, ctx: &mut Context<Self>) {
        let is_late = !self.unpublished.is_empty();
        hub_commands.splice(0..0, std::mem::take(&mut self.unpublished));
        if hub_commands.is_empty() {
            return;
        }
        if let Err(SendError::Full(Publish(hub_commands))) =
            self.to.hub.try_send(Publish(hub_commands))
        {
            self.unpublished = without_events(hub_commands);
            if !is_late {
                log::warn!("event hub overloaded: its subscribers get a reset");
            }
            ctx.run_later(RETRY, |this, ctx| this.publish(Vec::new(), ctx));
        }
    }
}

/// Returns the parties of events, and the previous ids of renamed ones.
fn changed(events: &[Event]) -> impl Iterator<Item = &PartyId> {
    events.iter().flat_map(|event| {
        let before = event.renamed().map(|(before, _)| before);
        event.party_id().into_iter().chain(before)
    })
}

/// Returns the commands to keep when the hub has no room: those of subscriptions, in order. In
/// place of the events, all subscribers fall behind, last of all.
fn without_events(hub_commands: Vec<HubCommand>) -> Vec<HubCommand> {
    let is_event =
        |hub_command: &HubCommand| matches!(hub_command, HubCommand::FanOut(_) | HubCommand::Lost);
    let had_events = hub_commands.iter().any(is_event);
    let mut kept: Vec<_> =
        hub_commands.into_iter().filter(|hub_command| !is_event(hub_command)).collect();
    kept.extend(had_events.then_some(HubCommand::Lost));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ConnectionId;
    use crate::events::SubscriptionKey;

    #[test]
    fn full_hub_keeps_subscription_commands_and_replaces_events_by_lost() {
        let key = |number| SubscriptionKey { connection: ConnectionId(1), number };
        let event = || {
            let relay_id = "r".parse().expect("an id");
            HubCommand::FanOut(Event::RelayRemoved { relay_id })
        };
        let hub_commands = vec![
            event(),
            HubCommand::Detach(key(1)),
            HubCommand::Lost,
            event(),
            HubCommand::Detach(key(2)),
        ];
        let kept = without_events(hub_commands);
        let [HubCommand::Detach(first), HubCommand::Detach(second), HubCommand::Lost] = &kept[..]
        else {
            panic!("{kept:?}")
        };
        assert_eq!((*first, *second), (key(1), key(2)));
        assert!(without_events(vec![HubCommand::Detach(key(1))]).len() == 1, "nothing was lost");
    }
}
