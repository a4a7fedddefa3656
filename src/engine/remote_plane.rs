//! Remote control plane in front of the daemon's engine.

use actix::prelude::*;
use anyhow::Context as _;
use lanrage_ipc::model::Connection;
use tokio::sync::watch;

use super::Engine;
use crate::clock::Clock;
use crate::control_plane::ControlPlane;
use crate::core::upstream::{Keys, Memory};
use crate::core::{Caller, ServerKey};
use crate::health::Vitals;
use crate::remote::{
    CurrentSession, Link, LinkRecipients, RemoteControlPlane, RemoteSettings, SessionContext,
    SetSettings, Start, Stop,
};

/// Running remote control plane.
pub(crate) struct RemotePlane {
    /// Control plane that answers calls.
    pub(crate) calls: ControlPlane,
    /// State of the connection to the server, without the time of the next attempt.
    pub(crate) connection: watch::Receiver<Option<Connection>>,
    plane: Addr<RemoteControlPlane>,
}

impl RemotePlane {
    /// Starts it in front of an engine, with the stored or else the configured server.
    ///
    /// # Errors
    /// The system gives no random numbers, or the stored choice can't be written.
    pub(crate) async fn start(
        engine: &Engine,
        vitals: &mut Vitals,
        clock: Clock,
        settings: RemoteSettings,
        configured: Option<ServerKey>,
        itself: Caller,
    ) -> anyhow::Result<Self> {
        let run = crate::token::random_text::<9>();
        let keys = Keys::new(&run.context("the system gives no random numbers")?);
        let (local, dirty) = (engine.calls.clone(), engine.dirty.clone());
        // Enough time for every daemon to look twice, and to announce its parties.
        let forgiveness = settings.link.probe * 2 + settings.link.connect_timeout;
        let memory = Memory::default();
        let context = SessionContext { local, itself, clock, dirty, forgiveness, keys, memory };
        let current = CurrentSession::default();
        let (published, connection) = watch::channel(None);
        let link = Link::new(settings, context.clone(), current.clone(), published);
        let link = Supervisor::start(move |_| link);
        vitals.add("link", link.clone().recipient());
        let recipients = LinkRecipients {
            set_server: link.clone().recipient(),
            retry: link.clone().recipient(),
            update_settings: link.clone().recipient(),
            shutdown: link.clone().recipient(),
        };
        let plane = RemoteControlPlane::new(context, current, recipients, configured).start();
        vitals.add("remote", plane.clone().recipient());
        plane.send(Start).await.context("the control plane ended")??;
        Ok(Self { calls: ControlPlane::new(plane.clone().recipient()), connection, plane })
    }

    /// Applies changed settings.
    pub(crate) async fn tune(&self, settings: RemoteSettings) {
        if let Err(error) = self.plane.send(SetSettings(settings)).await {
            log::error!("link settings not updated: {error}");
        }
    }

    /// Ends the connection to the server.
    pub(crate) async fn stop(&self) {
        if let Err(error) = self.plane.send(Stop).await {
            log::error!("the link did not stop: {error}");
        }
    }
}
