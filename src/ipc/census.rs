//! How many connections there are, and whose.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::core::User;

/// Counts connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Census(Rc<RefCell<HashMap<User, usize>>>);

/// A connection that is counted for as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    census: Census,
    owner: User,
}

impl Census {
    /// All connections.
    pub(super) fn total(&self) -> usize {
        self.0.borrow().values().sum()
    }

    /// Counts one more.
    ///
    /// # Errors
    /// Which limit is reached, in words.
    pub(super) fn enter(&self, owner: User, most: usize, per_user: usize) -> Result<Place, String> {
        if self.total() >= most {
            return Err(format!("there are {most} connections, the most there may be"));
        }
        let mut counts = self.0.borrow_mut();
        let count = counts.entry(owner).or_default();
        if *count >= per_user {
            return Err(format!("you have {per_user} connections, the most a user may have"));
        }
        *count += 1;
        Ok(Place { census: self.clone(), owner })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.census.0.borrow_mut();
        if let Some(count) = counts.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_left() {
        let census = Census::default();
        let one = census.enter(User(1), 3, 2).expect("room");
        let _two = census.enter(User(1), 3, 2).expect("room");
        assert!(census.enter(User(1), 3, 2).is_err());
        let _three = census.enter(User(2), 3, 2).expect("room");
        assert!(census.enter(User(3), 3, 2).is_err());
        drop(one);
        assert!(census.enter(User(3), 3, 2).is_ok());
    }
}
