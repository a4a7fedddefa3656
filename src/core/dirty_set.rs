//! Parties with changes that an actor has not taken yet.

use std::collections::BTreeSet;

use lanrage_ipc::model::PartyId;

/// Upper bound of the parties listed by id; beyond it the set is [`DirtySet::Any`].
pub(crate) const MOST_DIRTY: usize = 1024;

/// Dirty parties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DirtySet {
    /// Only these parties.
    Some(BTreeSet<PartyId>),
    /// Any party may be dirty.
    Any,
}

impl DirtySet {
    /// Adds the parties of another set.
    pub(crate) fn extend(&mut self, other: Self) {
        match other {
            Self::Some(parties) => parties.into_iter().for_each(|party_id| self.add(party_id)),
            Self::Any => *self = Self::Any,
        }
    }

    /// True if a party may be in the set.
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
