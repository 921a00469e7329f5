//! Reads a segment back, around whatever is damaged in it.

use std::ops::Range;

use super::frame::{Frame, FrameHead, SEGMENT_HEAD_BYTES, SegmentHead};

/// What was found in a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How many frames came back.
    pub(super) n_frames: u64,
    /// The last sequence read; without any, the one before the segment's first.
    pub(super) last_seq: u64,
    /// The damaged stretches that have an intact frame behind them.
    pub(super) damaged: Vec<Range<usize>>,
    /// Where the last intact frame ends; behind it there is none.
    pub(super) intact_bytes: usize,
}

/// Reads a segment's frames in order and hands each from the sequence `from` on to `take`; those
/// before are stepped over, their bodies unread. `note` hears of both, and where each begins. A head
/// that is damaged in both copies leaves nothing to read.
///
/// # Errors
/// The first of `take`'s.
pub(super) fn read_segment<E>(
    segment: &[u8],
    from: u64,
    mut note: impl FnMut(usize, &FrameHead),
    mut take: impl FnMut(Frame) -> Result<(), E>,
) -> Result<Found, E> {
    let mut found = Found::default();
    let Some(SegmentHead { salt, first_seq }) = SegmentHead::decode(segment) else {
        return Ok(found);
    };
    found.last_seq = first_seq.saturating_sub(1);
    found.intact_bytes = SEGMENT_HEAD_BYTES;
    // Where damage begins that has no intact frame behind it so far.
    let mut pending: Vec<usize> = Vec::new();
    let mut is_lost = false;
    let mut at = SEGMENT_HEAD_BYTES;
    while at < segment.len() {
        let head = FrameHead::decode(salt, segment, at)
            .filter(|head| head.seq > found.last_seq && head.end(at) <= segment.len());
        let Some(head) = head else {
            if !is_lost {
                pending.push(at);
                is_lost = true;
            }
            at += 1;
            continue;
        };
        is_lost = false;
        if head.seq < from {
            // What is damaged before it is not wanted either.
            pending.clear();
            found.last_seq = head.seq;
            found.intact_bytes = head.end(at);
            note(at, &head);
            at = head.end(at);
            continue;
        }
        if let Some(frame) = head.frame(salt, segment, at) {
            for (idx, &start) in pending.iter().enumerate() {
                found
                    .damaged
                    .push(start..pending.get(idx + 1).copied().unwrap_or(at));
            }
            pending.clear();
            found.last_seq = head.seq;
            found.intact_bytes = head.end(at);
            found.n_frames += 1;
            take(frame)?;
            note(at, &head);
        } else {
            // The head says where the next frame begins: only this one is lost.
            pending.push(at);
        }
        at = head.end(at);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use longpole_proto::UnixNanos;

    use super::super::frame;
    use super::*;

    const SALT: u32 = 0x5a17;

    /// A segment of frames with the given sequences, and where each begins.
    fn segment(seqs: &[u64]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        SegmentHead {
            salt: SALT,
            first_seq: 10,
        }
        .encode(&mut bytes);
        let starts = seqs
            .iter()
            .map(|&seq| {
                let start = bytes.len();
                frame::encode(
                    SALT,
                    seq,
                    UnixNanos(seq),
                    format!("body {seq}").as_bytes(),
                    &mut bytes,
                );
                start
            })
            .collect();
        (bytes, starts)
    }

    fn read(segment: &[u8]) -> (Vec<u64>, Found) {
        let mut seqs = Vec::new();
        let found = read_segment(
            segment,
            0,
            |_, _| {},
            |frame| {
                assert_eq!(frame.body, format!("body {}", frame.seq));
                seqs.push(frame.seq);
                Ok::<_, std::convert::Infallible>(())
            },
        )
        .expect("taking never fails");
        (seqs, found)
    }

    fn damage(found: &Found) -> Vec<(usize, usize)> {
        found
            .damaged
            .iter()
            .map(|range| (range.start, range.end))
            .collect()
    }

    #[test]
    fn a_segment_cut_anywhere_gives_the_frames_before_the_cut() {
        let (bytes, starts) = segment(&[10, 11, 12]);
        for len in SEGMENT_HEAD_BYTES..bytes.len() {
            let (seqs, found) = read(&bytes[..len]);
            let n_whole = starts[1..].iter().filter(|&&start| start <= len).count();
            assert_eq!(seqs, [10, 11, 12][..n_whole], "{len} bytes");
            assert_eq!(found.intact_bytes, starts[n_whole], "{len} bytes");
            assert_eq!(damage(&found), []);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_loses_one_frame_and_is_reported() {
        let (bytes, starts) = segment(&[10, 11, 12]);
        for at in starts[1]..starts[2] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let (seqs, found) = read(&damaged);
            assert_eq!(seqs, [10, 12], "byte {at}");
            assert_eq!(damage(&found), [(starts[1], starts[2])], "byte {at}");
            assert_eq!(found.intact_bytes, bytes.len());
        }
    }

    #[test]
    fn frames_damaged_one_after_another_are_reported_one_by_one() {
        let (mut bytes, starts) = segment(&[10, 11, 12, 13]);
        for at in [starts[1], starts[2]] {
            bytes[at + frame::FRAME_HEAD_BYTES] ^= 1;
        }
        let (seqs, found) = read(&bytes);
        assert_eq!(seqs, [10, 13]);
        assert_eq!(
            damage(&found),
            [(starts[1], starts[2]), (starts[2], starts[3])]
        );
    }

    #[test]
    fn a_frame_inside_a_damaged_ones_body_is_not_taken_for_one() {
        let (inner, _) = segment(&[50]);
        let mut bytes = Vec::new();
        SegmentHead {
            salt: SALT + 1,
            first_seq: 1,
        }
        .encode(&mut bytes);
        let start = bytes.len();
        frame::encode(SALT + 1, 1, UnixNanos(1), &inner, &mut bytes);
        bytes[start] ^= 1;
        let end = bytes.len();
        frame::encode(SALT + 1, 2, UnixNanos(2), b"body 2", &mut bytes);
        let (seqs, found) = read(&bytes);
        assert_eq!(seqs, [2]);
        assert_eq!(damage(&found), [(start, end)]);
    }

    #[test]
    fn frames_before_the_first_that_is_wanted_are_stepped_over() {
        let (mut bytes, starts) = segment(&[10, 11, 12, 13]);
        bytes[starts[1] + frame::FRAME_HEAD_BYTES] ^= 1;
        let (mut seqs, mut noted) = (Vec::new(), Vec::new());
        let note = |at, head: &FrameHead| noted.push((at, head.seq));
        let found = read_segment(&bytes, 12, note, |frame| {
            seqs.push(frame.seq);
            Ok::<_, std::convert::Infallible>(())
        })
        .expect("taking never fails");
        assert_eq!((seqs, found.damaged), (vec![12, 13], vec![]));
        let all: Vec<_> = starts.into_iter().zip(10..).collect();
        assert_eq!(noted, all);
        assert_eq!(found.intact_bytes, bytes.len());
    }

    #[test]
    fn sequences_that_do_not_grow_are_damage() {
        let (bytes, starts) = segment(&[10, 12, 11, 13]);
        let (seqs, found) = read(&bytes);
        assert_eq!(seqs, [10, 12, 13]);
        assert_eq!(damage(&found), [(starts[2], starts[3])]);
    }
}
