//! Certificates of the links: who may be what to whom.
