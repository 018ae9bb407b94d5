//! Static content through the binary, over a raw socket.

use std::fs;
use std::net::SocketAddr;

use stoa_testing::client::raw;
use stoa_testing::process::Launch;

use super::new_application;

async fn status(address: SocketAddr, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = raw(address, request.as_bytes()).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(!answer.contains("root:"), "{target}: {answer}");
    assert!(!answer.contains("secret"), "{target}: {answer}");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn requests() {
    let (parent, folder) = new_application();
    fs::write(parent.path().join("secret.txt"), "secret").unwrap();
    fs::write(folder.join("web/.secret"), "secret").unwrap();
    fs::create_dir(folder.join("web/sub")).unwrap();
    fs::write(folder.join("web/sub/index.html"), "sub").unwrap();
    std::os::unix::fs::symlink("../../secret.txt", folder.join("web/link.txt")).unwrap();
    let server = Launch::new(&folder).start().await.unwrap();
    for (target, expected) in [
        ("/", "200"),
        ("/index.html", "200"),
        ("/%69ndex.html", "200"),
        ("http://localhost/index.html", "200"),
        ("/sub", "308"),
        ("/sub/", "200"),
        ("/nothing", "404"),
        ("/../app.toml", "404"),
        ("/../../secret.txt", "404"),
        ("/sub/../../app.toml", "404"),
        ("/%2e%2e/app.toml", "404"),
        ("/..%2fapp.toml", "404"),
        ("/%252e%252e%252fapp.toml", "404"),
        ("/..%5capp.toml", "404"),
        ("/..\\app.toml", "404"),
        ("/index.html%00", "404"),
        ("//etc/passwd", "404"),
        ("/%2fetc%2fpasswd", "404"),
        ("/etc/passwd", "404"),
        ("/link.txt", "404"),
        ("/.secret", "404"),
        ("/.stoa/data.sqlite", "404"),
        ("/odatax", "404"),
        ("index.html", "400"),
        ("/\0", "400"),
    ] {
        assert_eq!(
            status(server.address(), target).await,
            expected,
            "{target:?}"
        );
    }
}

#[tokio::test]
async fn variants_are_made_beside_the_serving() {
    let (_parent, folder) = new_application();
    let server = Launch::new(&folder).start().await.unwrap();
    let address = server.address();
    stoa_testing::eventually(
        "brotli is there",
        std::time::Duration::from_secs(20),
        || async move {
            let request =
                b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: br\r\nConnection: close\r\n\r\n";
            let answer = raw(address, request).await.unwrap();
            String::from_utf8_lossy(&answer)
                .contains("content-encoding: br\r\n")
                .then_some(())
        },
    )
    .await
    .unwrap();
}
