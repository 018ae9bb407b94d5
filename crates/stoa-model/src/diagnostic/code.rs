//! Stable names of faults.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The rule that is broken. The text form is stable: tools may rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The application's folder or a file cannot be read.
    Unreadable = "unreadable",
    /// A file is larger than the limit.
    FileTooLarge = "file-too-large",
    /// The text is not TOML.
    Syntax = "syntax",
    /// A key that does not exist here.
    UnknownKey = "unknown-key",
    /// A key that must be given is not.
    MissingKey = "missing-key",
    /// A value of another TOML type than the key takes.
    WrongType = "wrong-type",
    /// A number outside its legal range.
    OutOfRange = "out-of-range",
    /// A word that is none of those allowed.
    UnknownChoice = "unknown-choice",
    /// A name that is no identifier, or too long.
    InvalidName = "invalid-name",
    /// A name that Stoa, OData or a database keeps for itself.
    ReservedName = "reserved-name",
    /// A name that is already taken.
    DuplicateName = "duplicate-name",
    /// Two names of tables, columns, indexes or constraints that a database cannot tell apart.
    DatabaseNameClash = "database-name-clash",
    /// An attribute type that is neither built in nor an enumeration.
    UnknownType = "unknown-type",
    /// An entity that the model does not have.
    UnknownEntity = "unknown-entity",
    /// A user role that the model does not have.
    UnknownRole = "unknown-role",
    /// An attribute or association that the entity does not have.
    UnknownMember = "unknown-member",
    /// Entities that extend each other.
    ExtendsCycle = "extends-cycle",
    /// Something that only the base of a hierarchy may say.
    BaseOnly = "base-only",
    /// A key that cannot be one.
    InvalidKey = "invalid-key",
    /// A setting that does not go with the attribute's type.
    NotApplicable = "not-applicable",
    /// Settings that contradict each other.
    Contradiction = "contradiction",
    /// A literal that is no value of its type, or breaks the attribute's own rules.
    InvalidValue = "invalid-value",
    /// A regular expression that cannot be used.
    InvalidPattern = "invalid-pattern",
    /// An attribute or association that cannot be indexed or made unique.
    NotIndexable = "not-indexable",
    /// A constraint or index given twice.
    Repeated = "repeated",
    /// An association whose columns do not fit the key that they refer to.
    ForeignKeyMismatch = "foreign-key-mismatch",
    /// An entity that is contained in more than one way, or in itself.
    InvalidContainment = "invalid-containment",
    /// Required references in a circle: no first row could ever be inserted.
    RequiredCycle = "required-cycle",
    /// A rule about external tables.
    External = "external",
    /// A former name that is still in use or given twice.
    InvalidRename = "invalid-rename",
    /// An expression of an access rule that cannot be understood.
    InvalidExpression = "invalid-expression",
    /// The model has no entities.
    EmptyModel = "empty-model",
    /// A template or text of the application's own pages that cannot be used.
    InvalidPage = "invalid-page",
    /// More than the model may have of something.
    TooMany = "too-many",
    /// An address or port in a site's file that cannot be used.
    InvalidAddress = "invalid-address",
    /// A host name of an environment that is none.
    InvalidHost = "invalid-host",
    /// A certificate or key of a site that cannot be used, or does not fit.
    Certificate = "certificate",
    /// An environment that the site does not have.
    UnknownEnvironment = "unknown-environment",
    /// A server that the site does not have.
    UnknownServer = "unknown-server",
    /// Something that only other servers of the site may know.
    NotForThisServer = "not-for-this-server",
}

impl Code {
    /// Whether the rule is about a site's file, not about an application.
    #[must_use]
    pub fn is_of_site(self) -> bool {
        matches!(
            self,
            Self::InvalidAddress
                | Self::InvalidHost
                | Self::Certificate
                | Self::UnknownEnvironment
                | Self::UnknownServer
                | Self::NotForThisServer
        )
    }

    /// Whether the fault may only be the echo of a file that could not be read.
    pub(crate) fn is_unknown_reference(self) -> bool {
        matches!(
            self,
            Self::UnknownType | Self::UnknownEntity | Self::UnknownRole | Self::UnknownMember
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
