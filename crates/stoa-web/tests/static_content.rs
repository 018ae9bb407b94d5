//! Static content, request by request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri};
use http_body_util::BodyExt as _;
use stoa_web::static_content::Config;
use stoa_web::{Body, StaticContent};

struct Site {
    folder: tempfile::TempDir,
    content: StaticContent,
}

/// 1,600,000,000 seconds after 1970.
const MODIFIED: &str = "Sun, 13 Sep 2020 12:26:40 GMT";

fn write(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
}

fn long_text() -> String {
    "All work and no play makes Jack a dull boy. ".repeat(100)
}

fn site_with(config: Config) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web");
    write(&web, "index.html", b"<h1>Home</h1>");
    write(&web, "long.html", long_text().as_bytes());
    write(&web, "digits.bin", b"0123456789");
    write(&web, "empty.txt", b"");
    write(&web, "sub/index.html", b"<h1>Sub</h1>");
    write(&web, "sub/b c+d.txt", b"spaced");
    write(&web, "sub/\u{e4}.txt", b"umlaut");
    write(&web, "sub/50%25.txt", b"percent");
    write(&web, "bare/a.txt", b"a");
    write(&web, "app.3f9a2c1b.js", b"1");
    write(&web, ".hidden", b"hidden");
    write(&web, ".git/config", b"hidden");
    write(&web, ".well-known/security.txt", b"contact");
    write(folder.path(), "secret.txt", b"secret");
    write(folder.path(), "webby/secret.txt", b"secret");
    std::os::unix::fs::symlink(folder.path().join("secret.txt"), web.join("link.txt")).unwrap();
    std::os::unix::fs::symlink("../webby", web.join("outside")).unwrap();
    std::os::unix::fs::symlink("digits.bin", web.join("inside.bin")).unwrap();
    std::os::unix::fs::symlink(".hidden", web.join("shown.txt")).unwrap();
    std::os::unix::fs::symlink("..", web.join("sub/up")).unwrap();
    std::os::unix::fs::symlink("nowhere", web.join("dangling")).unwrap();
    let content = StaticContent::load(&web, config).unwrap();
    content.snapshot().compress();
    Site { folder, content }
}

fn site() -> Site {
    site_with(Config::default())
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Site {
    async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                name.parse::<HeaderName>().unwrap(),
                value.parse::<HeaderValue>().unwrap(),
            );
        }
        let uri: Uri = path.parse().unwrap();
        let response: Response<Body> = self.content.respond(&method, &uri, &map).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        if let Some(length) = parts.headers.get("content-length")
            && method != Method::HEAD
        {
            assert_eq!(length.to_str().unwrap(), body.len().to_string(), "{path}");
        }
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request(Method::GET, path, headers).await
    }
}

#[tokio::test]
async fn serves_files_and_folders() {
    let site = site();
    for (path, status, content_type, body) in [
        ("/", 200, "text/html; charset=utf-8", "<h1>Home</h1>"),
        ("/?x=1", 200, "text/html; charset=utf-8", "<h1>Home</h1>"),
        (
            "/index.html",
            200,
            "text/html; charset=utf-8",
            "<h1>Home</h1>",
        ),
        ("/sub/", 200, "text/html; charset=utf-8", "<h1>Sub</h1>"),
        (
            "/sub/b%20c+d.txt",
            200,
            "text/plain; charset=utf-8",
            "spaced",
        ),
        (
            "/sub/b%20c%2Bd.txt",
            200,
            "text/plain; charset=utf-8",
            "spaced",
        ),
        (
            "/sub/%C3%A4.txt",
            200,
            "text/plain; charset=utf-8",
            "umlaut",
        ),
        (
            "/sub/50%2525.txt",
            200,
            "text/plain; charset=utf-8",
            "percent",
        ),
        (
            "/%69ndex.html",
            200,
            "text/html; charset=utf-8",
            "<h1>Home</h1>",
        ),
        ("/inside.bin", 200, "application/octet-stream", "0123456789"),
        (
            "/.well-known/security.txt",
            200,
            "text/plain; charset=utf-8",
            "contact",
        ),
        ("/empty.txt", 200, "text/plain; charset=utf-8", ""),
        ("/bare/a.txt", 200, "text/plain; charset=utf-8", "a"),
    ] {
        let answer = site.get(path, &[]).await;
        assert_eq!(
            (answer.status, answer.header("content-type"), answer.text()),
            (status, content_type, body),
            "{path}"
        );
    }
}

#[tokio::test]
async fn nothing_escapes() {
    let site = site();
    for path in [
        "/../secret.txt",
        "/sub/../index.html",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%2Fsecret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..%5csecret.txt",
        "/..%255csecret.txt",
        "/index.html%00",
        "/index.html%00.png",
        "//index.html",
        "//etc/passwd",
        "/./index.html",
        "/sub//b%20c+d.txt",
        "/etc/passwd",
        "/%2fetc%2fpasswd",
        "/link.txt",
        "/outside",
        "/outside/",
        "/outside/secret.txt",
        "/shown.txt",
        "/sub/up/index.html",
        "/sub/up/",
        "/dangling",
        "/.hidden",
        "/%2ehidden",
        "/.git/config",
        "/bare/",
        "/bare",
        "/index.html/",
        "/INDEX.HTML",
        "/index.html%20",
        "/index.html::$DATA",
        "/%c0%ae%c0%ae/secret.txt",
        "/%ff",
        "/%",
        "/%2",
        "/%zz",
        "/sub%2findex.html",
        "/50%25.txt",
        "/app.3f9a2c1b",
    ] {
        let answer = site.get(path, &[]).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert_eq!(
            answer.text(),
            "There is nothing at this address.\n",
            "{path}"
        );
    }
    let mut skipped = site.content.snapshot().skipped().join("\n");
    skipped = skipped.replace(
        &*fs::canonicalize(site.folder.path())
            .unwrap()
            .to_string_lossy(),
        "",
    );
    insta::assert_snapshot!(skipped, @r"
    /web/dangling is not served: it leads nowhere
    /web/link.txt is not served: it is a link that leads out of the folder
    /web/outside is not served: it is a link that leads out of the folder
    /web/shown.txt is not served: it is a link to a hidden file
    /web/sub/up is not served: it is a link to a folder above itself
    ");
}

#[tokio::test]
async fn folders_get_their_slash() {
    let site = site();
    for (path, location) in [("/sub", "/sub/"), ("/sub?x=/%2F", "/sub/?x=/%2F")] {
        let answer = site.get(path, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (308, location));
    }
}

#[tokio::test]
async fn methods() {
    let site = site();
    for method in [
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::TRACE,
    ] {
        let answer = site.request(method.clone(), "/", &[]).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, "GET, HEAD, OPTIONS"),
            "{method}"
        );
    }
    let answer = site.request(Method::OPTIONS, "/", &[]).await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (204, "GET, HEAD, OPTIONS")
    );
    let answer = site.request(Method::HEAD, "/long.html", &[]).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), "4400");
    let answer = site
        .request(Method::HEAD, "/digits.bin", &[("range", "bytes=0-1")])
        .await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, "10")
    );
    let answer = site.request(Method::HEAD, "/nothing", &[]).await;
    assert_eq!((answer.status, answer.body.len()), (404, 0));
}

#[tokio::test]
async fn headers_of_a_file() {
    let site = site();
    let answer = site.get("/digits.bin", &[]).await;
    assert_eq!(
        answer.header("etag"),
        "\"84d89877f0d4041efb6bf91a16f0248f\""
    );
    assert_eq!(answer.header("last-modified"), MODIFIED);
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("vary"), "");
    let answer = site.get("/app.3f9a2c1b.js", &[]).await;
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    let answer = site.get("/index.html", &[]).await;
    assert_eq!(answer.header("vary"), "accept-encoding");
}

#[tokio::test]
async fn conditional_requests() {
    let site = site();
    let etag = site.get("/long.html", &[]).await.header("etag").to_owned();
    for (headers, status) in [
        (vec![("if-none-match", etag.as_str())], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-modified-since", MODIFIED)], 304),
        (
            vec![("if-modified-since", "Sun, 13 Sep 2020 12:26:39 GMT")],
            200,
        ),
        (vec![("if-match", "\"other\"")], 412),
        (vec![("if-match", etag.as_str())], 200),
        (
            vec![("if-unmodified-since", "Sun, 13 Sep 2020 12:26:39 GMT")],
            412,
        ),
        (
            vec![
                ("if-none-match", "\"other\""),
                ("if-modified-since", MODIFIED),
            ],
            200,
        ),
    ] {
        let answer = site.get("/long.html", &headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 304 {
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("etag"), etag);
            assert_eq!(answer.header("cache-control"), "no-cache");
            assert_eq!(answer.header("vary"), "accept-encoding");
            assert_eq!(answer.header("content-type"), "");
        }
    }
}

#[tokio::test]
async fn encodings() {
    let site = site();
    let identity = site.get("/long.html", &[]).await;
    let mut tags = vec![identity.header("etag").to_owned()];
    for (accept, encoding, decode) in [
        ("gzip", "gzip", gunzip as fn(&[u8]) -> Vec<u8>),
        ("gzip, deflate, br, zstd", "br", unbrotli),
    ] {
        let answer = site.get("/long.html", &[("accept-encoding", accept)]).await;
        assert_eq!(
            (answer.status, answer.header("content-encoding")),
            (200, encoding)
        );
        assert_eq!(answer.header("vary"), "accept-encoding");
        assert!(answer.body.len() < 200, "{}", answer.body.len());
        assert_eq!(decode(&answer.body), long_text().into_bytes());
        // Each coding has a tag of its own, and only that one is compared with.
        let tag = answer.header("etag").to_owned();
        assert!(!tags.contains(&tag), "{tag}");
        let headers = [("accept-encoding", accept), ("if-none-match", tag.as_str())];
        assert_eq!(site.get("/long.html", &headers).await.status, 304);
        assert_eq!(site.get("/long.html", &headers[1..]).await.status, 200);
        tags.push(tag);
    }
    // Too small to gain.
    let answer = site.get("/index.html", &[("accept-encoding", "br")]).await;
    assert_eq!(answer.header("content-encoding"), "");
    let answer = site
        .get("/index.html", &[("accept-encoding", "br, identity;q=0")])
        .await;
    assert_eq!(
        (answer.status, answer.header("vary")),
        (406, "accept-encoding")
    );
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut out).unwrap();
    out
}

fn unbrotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::BrotliDecompress(&mut &bytes[..], &mut out).unwrap();
    out
}

async fn check_ranges(site: &Site) {
    let etag = site.get("/digits.bin", &[]).await.header("etag").to_owned();
    for (range, status, content_range, body) in [
        ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=-99", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=5-2", 200, "", "0123456789"),
        ("letters=1-2", 200, "", "0123456789"),
        (
            "bytes=10-",
            416,
            "bytes */10",
            "The range lies outside the file.\n",
        ),
    ] {
        let answer = site.get("/digits.bin", &[("range", range)]).await;
        assert_eq!(
            (answer.status, answer.header("content-range"), answer.text()),
            (status, content_range, body),
            "{range}"
        );
    }
    let answer = site
        .get("/digits.bin", &[("range", "bytes=0-1,-1, 4-5")])
        .await;
    assert_eq!(answer.status, 206);
    let boundary = etag.trim_matches('"');
    assert_eq!(
        answer.header("content-type"),
        format!("multipart/byteranges; boundary=stoa-{boundary}")
    );
    let text = answer.text().replace(boundary, "B").replace('\r', "");
    insta::allow_duplicates! {
        insta::assert_snapshot!(text, @r"
        --stoa-B
        Content-Type: application/octet-stream
        Content-Range: bytes 0-1/10

        01
        --stoa-B
        Content-Type: application/octet-stream
        Content-Range: bytes 9-9/10

        9
        --stoa-B
        Content-Type: application/octet-stream
        Content-Range: bytes 4-5/10

        45
        --stoa-B--
        ");
    }
    for (condition, status) in [(etag.as_str(), 206), (MODIFIED, 206), ("\"other\"", 200)] {
        let headers = [("range", "bytes=0-1"), ("if-range", condition)];
        assert_eq!(
            site.get("/digits.bin", &headers).await.status,
            status,
            "{condition}"
        );
    }
}

#[tokio::test]
async fn ranges_from_memory() {
    check_ranges(&site()).await;
}

#[tokio::test]
async fn beyond_the_memory_budget_files_are_streamed() {
    let site = site_with(Config {
        memory_bytes: 0,
        ..Config::default()
    });
    let snapshot = site.content.snapshot();
    // The empty file fits.
    assert_eq!(
        (snapshot.memory_bytes(), snapshot.on_disk()),
        (0, snapshot.files() - 1)
    );
    check_ranges(&site).await;
    let answer = site.get("/long.html", &[("accept-encoding", "br")]).await;
    assert_eq!((answer.status, answer.text()), (200, long_text().as_str()));
    assert_eq!(
        answer.header("etag"),
        self::site().get("/long.html", &[]).await.header("etag")
    );

    // Content that is no longer what the tag says is not sent.
    write(&site.folder.path().join("web"), "digits.bin", b"abc");
    let answer = site.get("/digits.bin", &[]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    site.content.reload().unwrap();
    assert_eq!(site.get("/digits.bin", &[]).await.text(), "abc");
}

#[tokio::test]
async fn long_files_are_streamed_whole() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..1_000_003_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    write(folder.path(), "long.bin", &bytes);
    let config = Config {
        file_memory_bytes: 1000,
        ..Config::default()
    };
    let content = StaticContent::load(folder.path(), config).unwrap();
    let site = Site { folder, content };
    assert!(site.get("/long.bin", &[]).await.body == bytes);
    let answer = site.get("/long.bin", &[("range", "bytes=5-500005")]).await;
    assert!(answer.body == bytes[5..=500_005]);
}

#[tokio::test]
async fn own_error_page() {
    let site = site();
    write(
        &site.folder.path().join("web"),
        "404.html",
        long_text().as_bytes(),
    );
    site.content.reload().unwrap().compress();
    let answer = site
        .get(
            "/nothing",
            &[("accept-encoding", "gzip"), ("range", "bytes=0-1")],
        )
        .await;
    assert_eq!(
        (answer.status, answer.header("content-encoding")),
        (404, "gzip")
    );
    assert_eq!(
        (answer.header("etag"), answer.header("cache-control")),
        ("", "no-cache")
    );
    assert_eq!(site.get("/404.html", &[]).await.status, 200);
}

#[tokio::test]
async fn reload_swaps_everything_at_once() {
    let site = site();
    let web = site.folder.path().join("web");
    let before = site.content.snapshot();
    write(&web, "index.html", b"<h1>New</h1>");
    write(&web, "added.txt", b"added");
    fs::remove_file(web.join("digits.bin")).unwrap();
    assert_eq!(site.get("/", &[]).await.text(), "<h1>Home</h1>");
    assert_eq!(site.get("/digits.bin", &[]).await.status, 200);
    site.content.reload().unwrap();
    assert_eq!(site.get("/", &[]).await.text(), "<h1>New</h1>");
    assert_eq!(site.get("/added.txt", &[]).await.text(), "added");
    assert_eq!(site.get("/digits.bin", &[]).await.status, 404);
    // Unchanged content keeps its variants without being compressed again.
    let answer = site.get("/long.html", &[("accept-encoding", "br")]).await;
    assert_eq!(answer.header("content-encoding"), "br");
    assert!(before.has_below("/sub") && before.has_below("/index.html"));
    assert!(!before.has_below("/su") && !before.has_below("/odata"));
}

#[test]
fn what_cannot_be_loaded() {
    let error = StaticContent::load(Path::new("/nonexistent/web"), Config::default()).unwrap_err();
    insta::assert_snapshot!(error, @"cannot read /nonexistent/web: No such file or directory (os error 2)");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", b"");
    write(folder.path(), "b", b"");
    let config = Config {
        most_files: 1,
        ..Config::default()
    };
    let error = StaticContent::load(folder.path(), config)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("has more than 1 files or folders; serve fewer or raise the limit"),
        "{error}"
    );
}
