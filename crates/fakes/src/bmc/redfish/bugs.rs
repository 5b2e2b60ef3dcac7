//! What can be wrong with a BMC.

use std::time::Duration;

/// Something that is wrong with a BMC for as long as it is switched on. What strikes single calls (slowness, lost replies, error
/// statuses) is in [`crate::faults`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bug {
    /// `BootSourceOverrideEnabled` always reads `Continuous`.
    NeverReadsBackOnce,
    /// `PowerState` always reads so.
    LiesAboutPower(&'static str),
    /// A change is made whatever its `If-Match` says.
    IgnoresIfMatch,
    /// A change with `If-Match` is refused with 412, whatever it says.
    RefusesEveryEtag,
    /// An `ETag` that is sent as weak is refused with 412.
    RefusesWeakEtags,
    /// A change without `If-Match` is refused with 428.
    WantsIfMatch,
    /// A reset that is not made is answered with 501 in place of 400.
    UnknownResetIs501,
    /// The values that a reset takes are not told.
    HidesResets,
    /// The values that a reset takes are told in its `ActionInfo` alone.
    HasActionInfo,
    /// A login is answered with 204 in place of 201.
    LoginAnswers204,
    /// There are no sessions: a login is answered with this status.
    NoSessions(u16),
    /// Everything but the service root is answered with 503, with this in `Retry-After`.
    Busy(Option<u64>),
    /// A reset becomes a task that takes this long.
    ResetIsTask(Duration),
    /// A reset becomes a task that fails.
    ResetTaskFails,
    /// A reset becomes a task that never ends.
    ResetTaskNeverEnds,
    /// Answers are as large as no memory.
    HugeBodies,
    /// Answers are compressed, though nobody asked for it.
    Compresses,
    /// What is below the service root is answered compressed, and refused with 406 to who does not ask for that.
    OnlyCompressed,
    /// Answers are compressed in a way that nobody reads.
    CompressesOddly,
    /// Answers are as deep as no stack.
    DeepJson,
    /// In answers nothing has the type that it should have.
    WrongTypes,
    /// Answers are no JSON.
    NotJson,
    /// Every session is forgotten after so many requests.
    ForgetsSessions(u32),
    /// Refusals quote what they were sent.
    QuotesRequests,
    /// All links lead to another host.
    LinksElsewhere,
    /// `Members` is null.
    NullMembers,
    /// Virtual media wants `TransferProtocolType`.
    WantsTransferProtocol,
    /// Virtual media has no actions, only PATCH.
    NoMediaActions,
    /// Boot overrides are written to the settings of the system.
    HasBootSettings,
    /// There is a second system.
    TwoSystems,
    /// Every request is redirected to another host.
    RedirectsElsewhere,
    /// Of the values that a reset may have only these are offered and taken.
    OffersResets(&'static [&'static str]),
    /// After a login nothing is answered before the password is changed (DSP0266, "Password change required").
    WantsNewPassword,
    /// A change of the password ends all sessions.
    PasswordEndsSessions,
    /// A change of the password is answered as done, and not made.
    KeepsPassword,
    /// A page of a collection has one member.
    PagesOfOne,
    /// The service root is for those alone who have logged in.
    RootWantsLogin,
    /// A reset is answered with 307 and the same place with a slash at its end.
    MovesResets,
    /// Values are written in capitals.
    Shouts,
    /// The service root is moved with 308 to the same place without the slash at its end.
    MovesRoot,
    /// A login is answered with 307 and the same place with a slash at its end.
    MovesLogins,
    /// The service root links to neither systems, managers nor chassis.
    RootWithoutLinks,
    /// There is no system yet.
    NoSystems,
    /// The last page of a collection leads back to the first one.
    PagesInCircles,
    /// Bytes that are no text, and control characters as they are, are in serial numbers, and a byte order mark is before it all.
    SpoiltTexts,
    /// Links have no slash at their beginning.
    LinksWithoutSlash,
    /// Members of collections have an `Id` and no link.
    MembersWithoutLinks,
    /// What is read of paths with this in them is answered with this status.
    Answers(&'static str, u16),
    /// A boot override becomes a task that waits for the next start.
    BootIsTaskThatWaits,
    /// A reset is accepted, and nothing tells where its task is.
    ResetTaskIsHidden,
}
