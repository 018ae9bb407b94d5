//! Compressed variants, made once for each content.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::encoding::Coding;
use super::file::{Content, StaticFile};

/// Below this a variant saves no packet.
const SMALLEST: usize = 256;
/// Above this brotli's best quality takes seconds.
const BEST_QUALITY_BYTES: usize = 512 * 1024;

/// Makes the variants of a file that lack, as long as they fit into the memory left.
pub(super) fn compress(file: &StaticFile, memory_left: &AtomicU64) {
    let Content::Memory(content) = &file.identity.content else {
        return;
    };
    if !file.compressible {
        return;
    }
    for (cell, coding) in [(&file.gzip, Coding::Gzip), (&file.brotli, Coding::Brotli)] {
        cell.get_or_init(|| {
            if content.len() < SMALLEST {
                return None;
            }
            let compressed = match coding {
                Coding::Gzip => gzip(content)?,
                Coding::Brotli => brotli(content)?,
                Coding::Identity => return None,
            };
            let length = compressed.len() as u64;
            if compressed.len() >= content.len()
                || memory_left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        left.checked_sub(length)
                    })
                    .is_err()
            {
                return None;
            }
            Some(file.representation(Content::Memory(Bytes::from(compressed)), coding))
        });
    }
}

fn gzip(content: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(
        Vec::with_capacity(content.len() / 3),
        flate2::Compression::best(),
    );
    encoder.write_all(content).ok()?;
    let mut compressed = encoder.finish().ok()?;
    compressed.shrink_to_fit();
    Some(compressed)
}

fn brotli(content: &[u8]) -> Option<Vec<u8>> {
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: if content.len() > BEST_QUALITY_BYTES {
            9
        } else {
            11
        },
        lgwin: 22,
        size_hint: content.len(),
        ..Default::default()
    };
    let mut compressed = Vec::with_capacity(content.len() / 3);
    brotli::BrotliCompress(&mut &content[..], &mut compressed, &parameters).ok()?;
    compressed.shrink_to_fit();
    Some(compressed)
}
