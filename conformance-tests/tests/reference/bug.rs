//! What can be wrong with a store.

/// One way to break the reference store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    // Stamps and marks.
    /// The entry carries the clock as it is at the put.
    StampTakenAtPut,
    /// The verdict goes by the ticket, but the entry is stored with a stamp read afterwards.
    StampRereadAfterVerdict,
    /// An invalidation records the clock without advancing it.
    MarkWithoutAdvance,
    /// `mark < stamp` where `mark <= stamp` is meant.
    MarkMustBeBelow,
    /// Only hinted tags are checked.
    UnhintedTagsSkipped,
    /// Only the first tags of an entry are checked.
    FirstTagsOnly,
    /// User tags are not told from reserved ones.
    TagKindsMixed,
    /// A clear removes what is there, and no more.
    ClearWithoutFloor,
    /// After the loss of its metadata the store counts on from nothing in the same epoch.
    ConstantEpoch,
    /// Old marks are dropped without raising the floor.
    TrimWithoutFloor,
    /// The mark of a tag goes with the last entry under it, whatever tickets are out.
    MarkDroppedWithLastEntry,
    /// Any invalidation makes everything older invalid.
    MarksAreGlobal,
    /// `begin` does not read the clock.
    BeginWithoutClock,

    // The index.
    /// There are no marks; what the index lists is removed.
    IndexIsTruth,
    /// The index is read, then dropped; what a put adds in between is in no index.
    OrphanedByInvalidation,
    /// What reclaims behind the return takes whatever has the name by then.
    ReclaimByName,
    /// `removed` counts the names in the index.
    RemovedCountsNames,

    // Acknowledgement.
    /// The work is queued, and acknowledged.
    AcknowledgedBeforeDone,
    /// The failure of a shard is not reported.
    OkThoughShardFailed,
    /// One failing shard keeps the others from being tried.
    StopsAtFailedShard,
    /// The second handle keeps copies and learns by push.
    CopiesFedByPush,
    /// The call waits between its tags, and stops there if it is dropped.
    InvalidateNotDetached,
    /// An empty selection is everything.
    EmptySelectionIsAll,

    // Puts.
    /// The entry is written, then checked; a lookup trusts what is written.
    CheckedAfterWriting,
    /// Parts of an entry are written one after another.
    WrittenInParts,
    /// An overwriting entry is filed under the old tags too.
    OverwriteKeepsTags,
    /// An overwriting entry lives as long as the first.
    OverwriteKeepsLife,
    /// A put to a key that has an entry does nothing.
    FirstPutWins,
    /// An entry that is already expired is not put.
    ExpiredPutIgnored,
    /// Whatever is put is forgotten: safe by never caching.
    NothingKept,
    /// A ticket fills any key.
    KeyMismatchAccepted,
    /// A ticket never grows too old.
    OverdueAccepted,

    // Lookups.
    /// Entries do not expire.
    ExpiredReturned,
    /// Expiry is counted in whole seconds.
    ExpiryInSeconds,
    /// There is room for one entry, found under any key.
    KeyIgnored,
    /// The variant is not part of the key.
    VariantIgnored,
    /// The synchronous lookup does not check.
    TryLookupUnchecked,
    /// The synchronous put does not check.
    TryPutUnchecked,
    /// What is past its freshness is not returned.
    StaleHidden,
    /// The first lookup after a put uses the entry up.
    FoundOnce,
    /// A miss brings a ticket for some other key.
    TicketForAnotherKey,
    /// What is damaged is returned.
    DamageReturned,

    // Payload.
    /// Of several fields of a name one is kept.
    FieldsMerged,
    /// Bodies are text.
    BodyIsText,
    /// Bodies are cut at 64 KiB.
    BodyCut,
    /// An empty body is nothing.
    EmptyBodyIsNothing,
    /// All content is a response.
    OnlyResponses,
    /// Times are kept in seconds.
    LifeInSeconds,

    // The rest.
    /// The handles promise different things.
    GuaranteeDiffers,
    /// A usable store says it is not.
    NeverReady,
    /// A closed store accepts anything.
    CloseOpensUp,
    /// Far times overflow.
    FarTimesOverflow,
    /// A panic in the middle of a put with many tags.
    PanicsOnManyTags,
}

impl Bug {
    /// Whether it only shows in a store that leaves reclaiming for later.
    pub(crate) const fn needs_lazy(self) -> bool {
        matches!(
            self,
            Self::UnhintedTagsSkipped
                | Self::FirstTagsOnly
                | Self::TryLookupUnchecked
                | Self::OverwriteKeepsTags
                | Self::ConstantEpoch
        )
    }
}
