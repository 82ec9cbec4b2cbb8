//! The rank categories of one product as the kernels take them: a code for each distinct (id, name).
//!
//! Pairs are not put into classes of the same category: a bare name is the same as each of two ids that go by it,
//! so a class could break up with a later day and change rows that were built before it.

use crate::rollup::NO_CODE;

/// The distinct (id, name) pairs of one product, both as codes of words, names canonical; a pair's code is its
/// place in both.
#[derive(Default)]
pub(super) struct Categories {
    pub(super) ids: Vec<i32>,
    pub(super) names: Vec<i32>,
    last: usize,
}

impl Categories {
    /// The code of a pair; [`NO_CODE`] for one that names no category.
    pub(super) fn code(&mut self, id: i32, name: i32) -> i32 {
        if (id, name) == (NO_CODE, NO_CODE) {
            return NO_CODE;
        }
        // Neighbouring days nearly always name the same category.
        if self.pair(self.last) != Some((id, name)) {
            self.last = (0..self.ids.len())
                .find(|place| self.pair(*place) == Some((id, name)))
                .unwrap_or_else(|| {
                    self.ids.push(id);
                    self.names.push(name);
                    self.ids.len() - 1
                });
        }
        self.last as i32
    }

    fn pair(&self, place: usize) -> Option<(i32, i32)> {
        self.ids.get(place).copied().zip(self.names.get(place).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_of_id_and_name_has_one_code() {
        let mut categories = Categories::default();
        let pairs = [(7, 1), (7, 1), (NO_CODE, 1), (7, 2), (NO_CODE, NO_CODE), (NO_CODE, 1), (7, 1)];
        let codes = pairs.map(|(id, name)| categories.code(id, name));
        assert_eq!(codes, [0, 0, 1, 2, NO_CODE, 1, 0]);
        assert_eq!((categories.ids, categories.names), (vec![7, NO_CODE, 7], vec![1, 1, 2]));
    }
}
