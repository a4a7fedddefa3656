//! Parties with intents that the control server has not been told.

use std::collections::BTreeSet;

use lanrage_ipc::model::PartyId;

/// Parties that are named; of more it is only known that there are some.
pub(crate) const MOST_DIRTY: usize = 1024;

/// Parties of which something was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DirtySet {
    /// These.
    Some(BTreeSet<PartyId>),
    /// Any may be among them.
    Any,
}

impl DirtySet {
    /// Adds those of another set.
    pub(crate) fn extend(&mut self, other: Self) {
        match other {
            Self::Some(parties) => parties.into_iter().for_each(|party_id| self.add(party_id)),
            Self::Any => *self = Self::Any,
        }
    }

    /// Whether a party may be among them.
    pub(crate) fn has(&self, party_id: &PartyId) -> bool {
        match self {
            Self::Some(parties) => parties.contains(party_id),
            Self::Any => true,
        }
    }

    /// Adds a party.
    pub(crate) fn add(&mut self, party_id: PartyId) {
        let Self::Some(parties) = self else { return };
        parties.insert(party_id);
        if parties.len() > MOST_DIRTY {
            *self = Self::Any;
        }
    }
}

impl Default for DirtySet {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}
