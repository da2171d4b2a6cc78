//! A delta that names only the references that it uses.

use super::error::Result;
use super::ops::{Op, OpWriter};
use super::recipe::Delta;
use super::segment::{Place, Segment};

impl Delta {
    /// The same delta for those of its references alone that it copies from or that stand in prefixes, in their order;
    /// with it their numbers as they were.
    pub fn keep_used_references(self) -> Result<(Self, Vec<usize>)> {
        let mut is_used = vec![false; self.references];
        for op in self.ops() {
            if let Op::Copy { reference, .. } = op?
                && let Some(used) = is_used.get_mut(reference)
            {
                *used = true;
            }
        }
        for place in self.segments.iter().flat_map(|segment| &segment.places) {
            is_used[place.reference] = true;
        }
        let used: Vec<usize> = (0..self.references).filter(|it| is_used[*it]).collect();
        // The number behind the last reference is the layer itself.
        let renumber = |before: usize| used.partition_point(|it| *it < before);
        let mut ops = OpWriter::new(used.len());
        for op in self.ops() {
            ops.push(match op? {
                Op::Copy {
                    reference,
                    offset,
                    length,
                } => Op::Copy {
                    reference: renumber(reference),
                    offset,
                    length,
                },
                literal @ Op::Literal { .. } => literal,
            });
        }
        let segments = self.segments.iter().map(|segment| Segment {
            places: segment
                .places
                .iter()
                .map(|place| Place {
                    reference: renumber(place.reference),
                    ..*place
                })
                .collect(),
            ..segment.clone()
        });
        let kept = Self {
            plain_bytes: self.plain_bytes,
            references: used.len(),
            segments: segments.collect(),
            ops: ops.finish(),
        };
        Ok((kept, used))
    }
}
