//! Types of everything that crosses a process boundary.
