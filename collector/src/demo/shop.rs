//! The shop: turns random numbers and points in time into requests. It sends nothing.

use fastrand::Rng;
use longpole_proto::UnixNanos;

use super::everyday::Everyday;
use super::fleet::Fleet;
use super::recorder::{Recorded, Recorder};
use super::stories::Story;

/// Every so many requests one tells a story; the others are everyday ones.
const STORY_EVERY: usize = 12;

/// Makes requests, one after another.
pub(super) struct Shop {
    fleet: Fleet,
    rng: Rng,
    n_requests: usize,
}

impl Shop {
    /// A shop of which everything follows from `rng`.
    pub(super) fn new(mut rng: Rng) -> Self {
        Self {
            fleet: Fleet::new(&mut rng),
            rng,
            n_requests: 0,
        }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(super) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// The next request, which begins at `start`.
    pub(super) fn next(&mut self, start: UnixNanos) -> Vec<Recorded> {
        let n = self.n_requests;
        self.n_requests += 1;
        if n % STORY_EVERY == STORY_EVERY - 1 {
            let story = Story::ALL[n / STORY_EVERY % Story::ALL.len()];
            return self.tell(story, start);
        }
        let everyday = Everyday::any(&mut self.rng);
        let mut recorder = Recorder::new(&self.fleet, &mut self.rng, start);
        everyday.record(&mut recorder);
        recorder.finish()
    }

    /// A request that tells a story.
    pub(super) fn tell(&mut self, story: Story, start: UnixNanos) -> Vec<Recorded> {
        let mut recorder = Recorder::new(&self.fleet, &mut self.rng, start);
        story.record(&mut recorder);
        recorder.finish()
    }
}
