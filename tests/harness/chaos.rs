//! Faults in a reproducible order, from a seed.

use std::time::Duration;

use super::{Direction, Proxy, Random};

/// Fault of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Cut,
    Refuse,
    AcceptAndDrop,
    Accept,
    Freeze,
    Thaw,
    HalfClose(Direction),
    BlackHole(Direction),
    Delay(Duration),
    CutAfter(Direction, usize),
    Heal,
}

/// Injector of faults.
pub(crate) struct Chaos<'a> {
    random: Random,
    proxy: &'a Proxy,
}

impl<'a> Chaos<'a> {
    pub(crate) fn seeded(seed: u64, proxy: &'a Proxy) -> Self {
        Self { random: Random(seed), proxy }
    }

    /// Injects a fault or ends some, and returns which.
    pub(crate) fn step(&mut self) -> Fault {
        let fault = self.choose();
        match fault {
            Fault::Cut => self.proxy.cut(),
            Fault::Refuse => self.proxy.refuse(),
            Fault::AcceptAndDrop => self.proxy.accept_and_drop(),
            Fault::Accept => self.proxy.accept(),
            Fault::Freeze => self.proxy.freeze(),
            Fault::Thaw => self.proxy.thaw(),
            Fault::HalfClose(direction) => self.proxy.half_close(direction),
            Fault::BlackHole(direction) => self.proxy.black_hole(direction),
            Fault::Delay(delay) => self.proxy.delay(delay),
            Fault::CutAfter(direction, bytes) => self.proxy.cut_after(direction, bytes),
            Fault::Heal => self.proxy.heal(),
        }
        fault
    }

    fn choose(&mut self) -> Fault {
        let direction = *self.random.of(&[Direction::ToServer, Direction::ToClient]);
        // As many ends as beginnings, so that most of the time something works.
        match self.random.below(16) {
            0 | 1 => Fault::Cut,
            2 => Fault::Refuse,
            3 => Fault::AcceptAndDrop,
            4 => Fault::Freeze,
            5 => Fault::HalfClose(direction),
            6 => Fault::BlackHole(direction),
            7 => Fault::Delay(Duration::from_millis(self.random.below(20) as u64)),
            // In the midst of a head, a handshake or a frame.
            8 | 9 => Fault::CutAfter(direction, self.random.below(2000)),
            10 | 11 => Fault::Accept,
            12 | 13 => Fault::Thaw,
            _ => Fault::Heal,
        }
    }
}
