//! Several iterables as the inputs of one map: side by side, or crossed.

/// Iterables side by side: see [`zip`].
pub trait Zip {
    type Item;

    fn zip(self) -> impl Iterator<Item = Self::Item>;
}

/// Iterables crossed: see [`grid`].
pub trait Grid {
    type Item;

    fn grid(self) -> impl ExactSizeIterator<Item = Self::Item>;
}

/// Tuples of one item of each iterable, until one of them ends: `zip((xs, ys, zs))`.
pub fn zip<Z: Zip>(iterables: Z) -> impl Iterator<Item = Z::Item> {
    iterables.zip()
}

/// All combinations of the iterables' items, the last one changing fastest: `grid((xs, ys))`.
pub fn grid<G: Grid>(iterables: G) -> impl ExactSizeIterator<Item = G::Item> {
    iterables.grid()
}

macro_rules! together {
    ($($kind:ident $name:ident),+) => {
        impl<$($kind: IntoIterator),+> Zip for ($($kind,)+) {
            type Item = ($($kind::Item,)+);

            fn zip(self) -> impl Iterator<Item = Self::Item> {
                let ($($name,)+) = self;
                Side(($($name.into_iter(),)+))
            }
        }

        impl<$($kind: Iterator),+> Iterator for Side<($($kind,)+)> {
            type Item = ($($kind::Item,)+);

            fn next(&mut self) -> Option<Self::Item> {
                let ($($name,)+) = &mut self.0;
                Some(($($name.next()?,)+))
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                let ($($name,)+) = &self.0;
                let mut hint = (usize::MAX, None::<usize>);
                $(
                    let (low, high) = $name.size_hint();
                    hint.0 = hint.0.min(low);
                    hint.1 = match (hint.1, high) {
                        (Some(one), Some(other)) => Some(one.min(other)),
                        (one, other) => one.or(other),
                    };
                )+
                hint
            }
        }

        impl<$($kind: IntoIterator<Item: Clone>),+> Grid for ($($kind,)+) {
            type Item = ($($kind::Item,)+);

            fn grid(self) -> impl ExactSizeIterator<Item = Self::Item> {
                let ($($name,)+) = self;
                $(let $name: Vec<$kind::Item> = $name.into_iter().collect();)+
                let lengths = [$($name.len()),+];
                let cells: usize = lengths.iter().product();
                (0..cells).map(move |cell| {
                    let mut after = cells;
                    $(
                        after /= $name.len();
                        let $name = $name[cell / after % $name.len()].clone();
                    )+
                    ($($name,)+)
                })
            }
        }
    };
}

/// Iterators that go side by side.
struct Side<T>(T);

together!(A a);
together!(A a, B b);
together!(A a, B b, C c);
together!(A a, B b, C c, D d);
together!(A a, B b, C c, D d, E e);
together!(A a, B b, C c, D d, E e, F f);
together!(A a, B b, C c, D d, E e, F f, G g);
together!(A a, B b, C c, D d, E e, F f, G g, H h);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_by_side_until_one_ends() {
        let zipped = zip((0..3, ["a", "b", "c", "d"], vec![1.5; 9]));
        assert_eq!(zipped.size_hint(), (3, Some(3)));
        assert_eq!(
            zipped.collect::<Vec<_>>(),
            [(0, "a", 1.5), (1, "b", 1.5), (2, "c", 1.5)]
        );
        assert_eq!(zip((0.., [7])).collect::<Vec<_>>(), [(0, 7)]);
        assert_eq!(zip((0u8..0, 1..)).count(), 0);
    }

    #[test]
    fn crossed_with_the_last_one_fastest() {
        let crossed = grid((0..2, ["x", "y"], 7..=8));
        assert_eq!(crossed.len(), 8);
        let cells: Vec<_> = crossed.collect();
        assert_eq!(cells[..3], [(0, "x", 7), (0, "x", 8), (0, "y", 7)]);
        assert_eq!(cells[7], (1, "y", 8));
        assert_eq!(grid((0..5, 0..0)).count(), 0);
        assert_eq!(grid((0..0, 0..5)).count(), 0);
    }
}
