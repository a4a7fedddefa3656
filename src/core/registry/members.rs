//! Members of a party.

use lanrage_ipc::model::PeerId;

use super::Member;

/// Members of a party, by peer id.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Members(
    // A party moves pointers when a member enters, and has no room for absent members.
    #[expect(clippy::vec_box, reason = "see above")] Vec<Box<Member>>,
);

impl Members {
    fn position(&self, peer_id: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|member| member.peer_id().as_str().cmp(peer_id))
    }

    /// Returns a member.
    pub(super) fn get(&self, peer_id: &PeerId) -> Option<&Member> {
        let place = self.position(peer_id.as_str()).ok()?;
        self.0.get(place).map(|member| &**member)
    }

    pub(super) fn get_mut(&mut self, peer_id: &PeerId) -> Option<&mut Member> {
        let place = self.position(peer_id.as_str()).ok()?;
        self.0.get_mut(place).map(|member| &mut **member)
    }

    /// True if the peer is a member.
    pub(super) fn contains_key(&self, peer_id: &PeerId) -> bool {
        self.position(peer_id.as_str()).is_ok()
    }

    /// Inserts a member. Returns the previous one of its peer.
    pub(super) fn insert(&mut self, member: Box<Member>) -> Option<Box<Member>> {
        match self.position(member.peer_id().as_str()) {
            Ok(place) => self.0.get_mut(place).map(|before| std::mem::replace(before, member)),
            Err(place) => {
                self.0.insert(place, member);
                None
            }
        }
    }

    /// Removes a member.
    pub(super) fn remove(&mut self, peer_id: &PeerId) -> Option<Box<Member>> {
        let place = self.position(peer_id.as_str()).ok()?;
        Some(self.0.remove(place))
    }

    /// Number of members.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the members with their ids.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&PeerId, &Member)> + Clone {
        self.0.iter().map(|member| (member.peer_id(), &**member))
    }

    /// Returns the ids.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PeerId> {
        self.values().map(Member::peer_id)
    }

    /// Returns the members.
    pub(super) fn values(&self) -> impl Iterator<Item = &Member> + Clone {
        self.0.iter().map(|member| &**member)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.0.iter_mut().map(|member| &mut **member)
    }
}

impl Member {
    /// Returns the peer's id.
    pub(super) fn peer_id(&self) -> &PeerId {
        &self.record.info.peer_id
    }
}

#[cfg(test)]
impl std::ops::Index<&PeerId> for Members {
    type Output = Member;

    fn index(&self, id: &PeerId) -> &Member {
        self.get(id).unwrap_or_else(|| panic!("{id} is not there"))
    }
}
