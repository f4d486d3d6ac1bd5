//! A small vector inside the state, so that copying a state costs no memory of its own.

use std::hash::{Hash, Hasher};

/// A small vector without memory of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Few<T, const N: usize> {
    len: u8,
    all: [T; N],
}

impl<T: Hash, const N: usize> Hash for Few<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.all[..self.len as usize].hash(state);
    }
}

impl<T: Copy + Default, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self {
            len: 0,
            all: [T::default(); N],
        }
    }
}

impl<T: Copy + Default, const N: usize> Few<T, N> {
    pub(super) fn push(&mut self, item: T) {
        self.all[self.len as usize] = item;
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let first = *self.iter().next()?;
        self.all.rotate_left(1);
        self.len -= 1;
        self.all[self.len as usize] = T::default();
        Some(first)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.all[..self.len as usize].iter()
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn keep(&mut self, is_kept: impl Fn(&T) -> bool) {
        let old = std::mem::take(self);
        old.iter()
            .filter(|item| is_kept(item))
            .for_each(|item| self.push(*item));
    }
}
