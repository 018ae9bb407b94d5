//! A file ready to be sent: content and headers for every coding.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::encoding::Coding;
use super::names;
use crate::body::{Body, Part, Parts};
use crate::request_id::X_REQUEST_ID;
use crate::security_headers::{self, CONTENT_POLICY};

/// Content of one file in all its codings.
#[derive(Debug)]
pub(super) struct StaticFile {
    pub(super) identity: Representation,
    /// Set once the variant was tried; none within if it is not smaller.
    pub(super) gzip: OnceLock<Option<Representation>>,
    /// The same for brotli.
    pub(super) brotli: OnceLock<Option<Representation>>,
    /// Whole seconds.
    pub(super) modified: SystemTime,
    pub(super) last_modified: HeaderValue,
    pub(super) content_type: HeaderValue,
    pub(super) compressible: bool,
    cache_control: HeaderValue,
    /// Digest of the content, as in the entity tag.
    pub(super) digest: String,
}

/// What is sent for one coding.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) etag: HeaderValue,
    /// Of a 200.
    pub(super) headers: HeaderMap,
    /// Of a 304.
    pub(super) not_modified: HeaderMap,
    pub(super) length: u64,
    pub(super) content: Content,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Memory(Bytes),
    Disk(Arc<OnDisk>),
}

/// A file that is read when it is asked for, and what it looked like when it was loaded.
#[derive(Debug)]
pub(super) struct OnDisk {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

/// What changes when the content of a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) length: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            length: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// An entity tag for content too long to be digested at load.
    pub(super) fn digest(&self) -> String {
        format!(
            "{:x}-{:x}-{:x}",
            self.length, self.modified.0, self.modified.1
        )
    }
}

impl OnDisk {
    /// Opens the file if it still is the one that was loaded.
    pub(super) fn open(&self) -> io::Result<Arc<File>> {
        let file = File::open(&self.path)?;
        if Stamp::of(&file.metadata()?) != self.stamp {
            return Err(io::Error::other("it was changed since it was loaded"));
        }
        Ok(Arc::new(file))
    }
}

impl StaticFile {
    pub(super) fn new(path: &str, content: Content, digest: String, modified: SystemTime) -> Self {
        let content_type = names::content_type(path);
        let cache_control = HeaderValue::from_static(if names::is_fingerprinted(path) {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        });
        let last_modified = HeaderValue::try_from(httpdate::fmt_http_date(modified))
            .unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
        let compressible =
            matches!(content, Content::Memory(_)) && names::is_compressible(&content_type);
        let mut file = Self {
            identity: Representation {
                etag: HeaderValue::from_static(""),
                headers: HeaderMap::new(),
                not_modified: HeaderMap::new(),
                length: 0,
                content: content.clone(),
            },
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
            modified,
            last_modified,
            content_type,
            compressible,
            cache_control,
            digest,
        };
        file.identity = file.representation(content, Coding::Identity);
        file
    }

    /// Prepares everything that is sent for a coding.
    pub(super) fn representation(&self, content: Content, coding: Coding) -> Representation {
        let length = match &content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk(file) => file.stamp.length,
        };
        let suffix = match coding {
            Coding::Identity => "",
            Coding::Gzip => "-gzip",
            Coding::Brotli => "-br",
        };
        let etag = HeaderValue::try_from(format!("\"{}{suffix}\"", self.digest))
            .unwrap_or(HeaderValue::from_static("\"\""));
        let mut not_modified = HeaderMap::with_capacity(16);
        not_modified.insert(header::ETAG, etag.clone());
        not_modified.insert(header::LAST_MODIFIED, self.last_modified.clone());
        not_modified.insert(header::CACHE_CONTROL, self.cache_control.clone());
        if self.compressible {
            not_modified.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        // What every answer gets; where it has its place already, nothing grows.
        not_modified.insert(X_REQUEST_ID, HeaderValue::from_static("-"));
        not_modified.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONTENT_POLICY),
        );
        security_headers::add_fixed(&mut not_modified);
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        match coding {
            Coding::Identity => {}
            Coding::Gzip => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            Coding::Brotli => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
            }
        }
        headers.extend(
            not_modified
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Representation {
            etag,
            headers,
            not_modified,
            length,
            content,
        }
    }

    /// The representation for a coding, if there is one by now.
    pub(super) fn variant(&self, coding: Coding) -> Option<&Representation> {
        match coding {
            Coding::Identity => Some(&self.identity),
            Coding::Gzip => self.gzip.get()?.as_ref(),
            Coding::Brotli => self.brotli.get()?.as_ref(),
        }
    }
}

impl Representation {
    /// Everything, from memory or from the open file.
    pub(super) fn whole(&self, open: Option<&Arc<File>>) -> Body {
        match (&self.content, open) {
            (Content::Memory(bytes), _) => Body::from(bytes.clone()),
            (Content::Disk(_), _) => Body::Parts(Parts::new(VecDeque::from_iter(
                self.part(0..self.length, open),
            ))),
        }
    }

    /// A section, from memory or from the open file.
    pub(super) fn part(&self, range: Range<u64>, open: Option<&Arc<File>>) -> Option<Part> {
        match &self.content {
            Content::Memory(bytes) => {
                let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
                Some(Part::Memory(bytes.slice(range)))
            }
            Content::Disk(_) => Some(Part::Disk {
                file: Arc::clone(open?),
                offset: range.start,
                length: range.end - range.start,
            }),
        }
    }
}
