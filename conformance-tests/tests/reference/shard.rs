//! A shard: clock, marks, floor and entries, changed in one step each.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::clock::{from_unix_millis, unix_millis};
use cache_core::entry::{Content, Entry};
use cache_core::key::Key;
use cache_core::store::{Selection, Stamp};
use cache_core::tag::{Tag, Tags};

use super::Bug;

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) epoch: u64,
    pub(crate) clock: u64,
    pub(crate) entries: HashMap<Key, Held>,
    pub(crate) cut: bool,
    pub(crate) closed: bool,
    floor: u64,
    marks: HashMap<Tag, u64>,
    /// What was ever put under a tag since its last invalidation. Only mutants read it.
    index: HashMap<Tag, HashSet<Key>>,
}

/// An entry with its stamp, and those of its parts that mutants change.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) entry: Entry,
    pub(crate) stamp: Stamp,
    pub(crate) tags: Tags,
    pub(crate) keep_until: SystemTime,
    pub(crate) damaged: bool,
}

impl Held {
    pub(crate) fn new(entry: Entry, stamp: Stamp) -> Self {
        let (tags, keep_until) = (entry.tags().into(), entry.keep_until());
        Self { entry, stamp, tags, keep_until, damaged: false }
    }

    pub(crate) fn is_live(&self, now: SystemTime, bug: Option<Bug>) -> bool {
        match bug {
            Some(Bug::ExpiredReturned) => true,
            Some(Bug::ExpiryInSeconds) => {
                now < from_unix_millis(unix_millis(self.keep_until).next_multiple_of(1_000))
            }
            Some(Bug::FarTimesOverflow) => {
                let far = SystemTime::UNIX_EPOCH + Duration::from_secs(u32::MAX.into());
                now < self.keep_until && self.keep_until < far
            }
            Some(Bug::StaleHidden) => now < self.keep_until && self.is_fresh(now),
            _ => now < self.keep_until,
        }
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        match self.entry.content() {
            Content::Response(head) => now < head.life().stored_at + head.life().fresh_for,
            _ => true,
        }
    }

    fn tags_beyond(&self, what: &Selection) -> Tags {
        match what {
            Selection::Tags(tags) => {
                self.tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect()
            }
            _ => Tags::default(),
        }
    }

    fn is_selected(&self, what: &Selection) -> bool {
        match what {
            Selection::Tags(tags) => self.tags.iter().any(|tag| tags.contains(tag)),
            _ => true,
        }
    }
}

impl Shard {
    pub(crate) fn new() -> Self {
        Self {
            epoch: fresh_epoch(),
            clock: 0,
            entries: HashMap::new(),
            cut: false,
            closed: false,
            floor: 0,
            marks: HashMap::new(),
            index: HashMap::new(),
        }
    }

    pub(crate) fn lose_metadata(&mut self, bug: Option<Bug>) {
        if bug != Some(Bug::ConstantEpoch) {
            self.epoch = fresh_epoch();
        }
        self.clock = 0;
        self.floor = 0;
        self.marks.clear();
    }

    /// The rule.
    pub(crate) fn is_valid(&self, tags: &[Tag], stamp: Stamp, bug: Option<Bug>) -> bool {
        let counted = if bug == Some(Bug::FirstTagsOnly) { 8 } else { usize::MAX };
        stamp.epoch == self.epoch
            && stamp.clock >= self.floor
            && (stamp.clock == self.clock || bug != Some(Bug::MarksAreGlobal))
            && tags.iter().take(counted).all(|tag| match self.marks.get(&spelled(tag, bug)) {
                None => true,
                Some(mark) if bug == Some(Bug::MarkMustBeBelow) => *mark < stamp.clock,
                Some(mark) => *mark <= stamp.clock,
            })
    }

    /// [`mark`](Self::mark), and what the index says at that instant.
    pub(crate) fn mark_listed(&mut self, what: &Selection) -> Vec<Key> {
        self.mark(what, None);
        self.listed(what)
    }

    /// Advances the clock and records it.
    pub(crate) fn mark(&mut self, what: &Selection, bug: Option<Bug>) {
        if bug != Some(Bug::MarkWithoutAdvance) {
            self.clock += 1;
        }
        match what {
            Selection::Tags(tags) => {
                for tag in tags.iter() {
                    self.marks.insert(spelled(tag, bug), self.clock);
                }
            }
            _ if bug == Some(Bug::ClearWithoutFloor) => {}
            _ => self.floor = self.clock,
        }
        if bug == Some(Bug::TrimWithoutFloor) {
            self.trim();
        }
    }

    /// Removes what is selected and older than the clock; returns how many of them were live.
    pub(crate) fn reclaim(&mut self, what: &Selection, now: SystemTime, bug: Option<Bug>) -> u64 {
        let older = |held: &Held| held.stamp.clock < self.clock || held.stamp.epoch != self.epoch;
        let gone: Vec<Key> = self
            .entries
            .iter()
            .filter(|(_, held)| held.is_selected(what) && older(held))
            .map(|(key, _)| *key)
            .collect();
        let removed: Vec<Held> = gone.iter().filter_map(|key| self.remove(key)).collect();
        if bug == Some(Bug::MarkDroppedWithLastEntry) {
            for held in &removed {
                self.drop_unused_marks(&held.tags_beyond(what));
            }
        }
        removed.iter().filter(|held| held.is_live(now, bug)).count() as u64
    }

    /// The same for these keys only.
    pub(crate) fn reclaim_names(
        &mut self,
        names: &[Key],
        what: &Selection,
        now: SystemTime,
    ) -> u64 {
        let clock = self.clock;
        let wanted = |held: &Held| held.is_selected(what) && held.stamp.clock < clock;
        let gone: Vec<Key> =
            names.iter().filter(|key| self.entries.get(key).is_some_and(wanted)).copied().collect();
        self.remove_names(&gone, now)
    }

    /// Removes these keys, whatever they hold.
    pub(crate) fn remove_names(&mut self, names: &[Key], now: SystemTime) -> u64 {
        let removed = names.iter().filter_map(|key| self.remove(key));
        removed.filter(|held| held.is_live(now, None)).count() as u64
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Held> {
        self.entries.remove(key)
    }

    pub(crate) fn remove_if_stamped(&mut self, key: &Key, stamp: Stamp) {
        if self.entries.get(key).is_some_and(|held| held.stamp == stamp) {
            self.remove(key);
        }
    }

    pub(crate) fn insert(&mut self, key: Key, held: Held) {
        for tag in held.tags.iter() {
            self.index.entry(tag.clone()).or_default().insert(key);
        }
        self.entries.insert(key, held);
    }

    /// The new body with all else of the old entry.
    pub(crate) fn replace_body(&mut self, new: &Entry) {
        if let Some(held) = self.entries.get_mut(&new.key()) {
            let (old, body): (_, Bytes) = (&held.entry, new.body().clone());
            let (tags, content) = (old.tags().into(), old.content().clone());
            held.entry = Entry::new(new.key(), tags, old.keep_until(), content, body);
        }
    }

    /// What the index says.
    pub(crate) fn listed(&self, what: &Selection) -> Vec<Key> {
        match what {
            Selection::Tags(tags) => {
                let names: HashSet<Key> =
                    tags.iter().filter_map(|tag| self.index.get(tag)).flatten().copied().collect();
                names.into_iter().collect()
            }
            _ => self.entries.keys().copied().collect(),
        }
    }

    pub(crate) fn unlist(&mut self, what: &Selection) {
        match what {
            Selection::Tags(tags) => tags.iter().for_each(|tag| drop(self.index.remove(tag))),
            _ => self.index.clear(),
        }
    }

    pub(crate) fn drop_unused_marks(&mut self, tags: &Tags) {
        for tag in tags.iter() {
            if !self.entries.values().any(|held| held.tags.contains(tag)) {
                self.marks.remove(tag);
            }
        }
    }

    fn trim(&mut self) {
        while self.marks.len() > 1_000 {
            let oldest = self.marks.iter().min_by_key(|(_, mark)| **mark);
            let oldest = oldest.map(|(tag, _)| tag.clone()).unwrap();
            self.marks.remove(&oldest);
        }
    }
}

/// A tag as it is written into the marks.
fn spelled(tag: &Tag, bug: Option<Bug>) -> Tag {
    let text = tag.as_str();
    if bug == Some(Bug::TagKindsMixed) {
        let name = text.get(2..).unwrap();
        let name = name.get(2..).filter(|_| name.starts_with("n:")).unwrap_or(name);
        return Tag::from_encoded(&format!("t:{name}")).unwrap_or_else(|| tag.clone());
    }
    tag.clone()
}

fn fresh_epoch() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
