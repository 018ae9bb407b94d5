//! What the name of a file says: media type, whether it compresses, whether it is fingerprinted.

use http::HeaderValue;

/// Media type of a file, with the character set where the type has one. Text is UTF-8.
pub(super) fn content_type(name: &str) -> HeaderValue {
    let extension = extension(name).to_ascii_lowercase();
    let known = match extension.as_str() {
        // What is common, and what the registry of extensions does not know or calls by an old name.
        "js" | "mjs" | "cjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json; charset=utf-8",
        "svg" => "image/svg+xml; charset=utf-8",
        "xml" => "application/xml; charset=utf-8",
        "ico" => "image/x-icon",
        "wasm" => "application/wasm",
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "md" => "text/markdown; charset=utf-8",
        "toml" | "log" => "text/plain; charset=utf-8",
        "" => "application/octet-stream",
        _ => {
            let guess = mime_guess::from_ext(&extension).first_or_octet_stream();
            let text = guess.essence_str();
            let text = if text.starts_with("text/") {
                format!("{text}; charset=utf-8")
            } else {
                text.to_owned()
            };
            return HeaderValue::try_from(text)
                .unwrap_or(HeaderValue::from_static("application/octet-stream"));
        }
    };
    HeaderValue::from_static(known)
}

/// Whether compression is worth trying. Images, sound, video, archives and fonts already are compressed.
pub(crate) fn is_compressible(content_type: &HeaderValue) -> bool {
    let essence = content_type
        .as_bytes()
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    let Ok(essence) = std::str::from_utf8(essence) else {
        return false;
    };
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/json"
                | "application/xml"
                | "application/wasm"
                | "application/rtf"
                | "application/vnd.ms-fontobject"
                | "application/x-sh"
                | "application/x-tex"
                | "font/ttf"
                | "font/otf"
                | "application/x-font-ttf"
                | "application/font-sfnt"
                | "image/x-icon"
                | "image/bmp"
        )
}

/// Whether a build tool put a digest of the content into the name, so that the name never gets other
/// content. When in doubt it did not: a wrong yes pins stale content in browsers for a year, a wrong no costs a
/// conditional request.
pub(super) fn is_fingerprinted(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return false;
    };
    if matches!(extension, "html" | "htm") {
        return false;
    }
    let stem = match extension {
        "map" | "gz" | "br" => stem.rsplit_once('.').map_or(stem, |(stem, _)| stem),
        _ => stem,
    };
    // `app.3f9a2c1b.js`, `app-3f9a2c1b.js`, `app_3f9a2c1b4d….css`, `3f9a2c1b4d5e6f70.js`
    let digest = stem.rsplit(['.', '-', '_']).next().unwrap_or_default();
    if is_hexadecimal_digest(digest) && (digest.len() < stem.len() || digest.len() >= 16) {
        return true;
    }
    // `index-BZ1x9Kab.js`: eight characters of base64url, which may contain a dash themselves.
    let of_a_bundle = matches!(extension, "js" | "mjs" | "css" | "map" | "wasm" | "woff2")
        || folders.split('/').any(|folder| {
            matches!(
                folder,
                "assets" | "immutable" | "chunks" | "_next" | "_nuxt"
            )
        });
    of_a_bundle
        && stem.len() > 9
        && stem.is_char_boundary(stem.len() - 9)
        && matches!(stem.as_bytes()[stem.len() - 9], b'-' | b'.')
        && is_base64_digest(&stem.as_bytes()[stem.len() - 8..])
}

fn is_hexadecimal_digest(text: &str) -> bool {
    (8..=64).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        // A date (20240131) and a word (defaced…) are no digests.
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Upper case, lower case and digits in a disorder that words and version numbers do not have.
fn is_base64_digest(text: &[u8]) -> bool {
    let class = |byte: u8| match byte {
        b'A'..=b'Z' => Some(0),
        b'a'..=b'z' => Some(1),
        b'0'..=b'9' => Some(2),
        b'-' | b'_' => Some(3),
        _ => None,
    };
    let mut changes = 0;
    let mut seen = [false; 4];
    let mut previous = None;
    for byte in text {
        let Some(class) = class(*byte) else {
            return false;
        };
        seen[class] = true;
        if previous.is_some_and(|previous| previous != class) {
            changes += 1;
        }
        previous = Some(class);
    }
    changes >= 4 && seen[0] && seen[1] && seen[2]
}

fn extension(name: &str) -> &str {
    name.rsplit('/')
        .next()
        .unwrap_or_default()
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let check = |name: &str, expected: &str| assert_eq!(content_type(name), expected, "{name}");
        check("/index.html", "text/html; charset=utf-8");
        check("/a.CSS", "text/css; charset=utf-8");
        check("/a.mjs", "text/javascript; charset=utf-8");
        check("/a.json", "application/json; charset=utf-8");
        check("/a.svg", "image/svg+xml; charset=utf-8");
        check("/a.png", "image/png");
        check("/a.woff2", "font/woff2");
        check("/a.wasm", "application/wasm");
        check("/a.pdf", "application/pdf");
        check("/a.webmanifest", "application/manifest+json; charset=utf-8");
        check("/LICENCE", "application/octet-stream");
        check("/a.unheardof", "application/octet-stream");
        check("/v1.2/file", "application/octet-stream");
    }

    #[test]
    fn compressible_types() {
        for name in [
            "a.html", "a.js", "a.json", "a.svg", "a.wasm", "a.txt", "a.csv", "a.xml", "a.ttf",
        ] {
            assert!(is_compressible(&content_type(name)), "{name}");
        }
        for name in ["a.png", "a.jpg", "a.woff2", "a.zip", "a.mp4", "a.pdf", "a"] {
            assert!(!is_compressible(&content_type(name)), "{name}");
        }
    }

    #[test]
    fn fingerprints() {
        for path in [
            "/app.3f9a2c1b.js",
            "/assets/index-BZ1x9Kab.js",
            "/index-BZ1x9Kab.js",
            "/index-BZ1x9Kab.js.map",
            "/assets/logo-D4-x9_aB.svg",
            "/main-3f9a2c1b4d5e.css",
            "/css/site_0123456789abcdef.css",
            "/0123456789abcdef0123456789abcdef.png",
        ] {
            assert!(is_fingerprinted(path), "{path}");
        }
        for path in [
            "/index.html",
            "/index-BZ1x9Kab.html",
            "/app.js",
            "/jquery-3.7.1.min.js",
            "/report-20240131.pdf",
            "/my-document.js",
            "/team-Version2.js",
            "/photos/IMG-iPhone4S.jpg",
            "/deadbeef.js",
            "/a.defacedd.js",
            "/assets/readme",
            "/ä-ääääääää.js",
            "/x-ééBZ1x9K.js",
        ] {
            assert!(!is_fingerprinted(path), "{path}");
        }
    }
}
