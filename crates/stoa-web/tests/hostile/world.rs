//! A server, and clients that write bytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use stoa_web::Body;
use stoa_web::body::TimedBody;
use stoa_web::forwarded::Client;
use stoa_web::server::{self, Asked, Config, Drained, Listener, Traffic, Unobserved};
use stoa_web::tls::{CertificateFiles, Tls};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Time that anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of `/large`.
pub(crate) const LARGE: usize = 16 << 20;

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: JoinHandle<Drained>,
}

/// Says what arrived.
async fn answer(request: Request<Incoming>, client: Client, pause: Duration) -> Response<Body> {
    if request.uri().path() == "/large" {
        return Response::new(Bytes::from(vec![b'x'; LARGE]).into());
    }
    if request.headers().contains_key(header::UPGRADE) {
        return upgrade(request);
    }
    if request.uri().path() == "/never" {
        return std::future::pending().await;
    }
    let (parts, body) = request.into_parts();
    let mut text = format!("{} {}", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        text += &format!("|{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    text += &format!("|client {} {}", client.address, client.scheme.as_str());
    match TimedBody::new(body, pause).collect().await {
        Ok(body) => text += &format!("|body {}", String::from_utf8_lossy(&body.to_bytes())),
        Err(error) => {
            let mut response = Response::new(Body::from(format!("{error}\n")));
            *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            return response;
        }
    }
    Response::new(Body::from(text + "."))
}

/// Gives back what comes, for ever.
fn upgrade(request: Request<Incoming>) -> Response<Body> {
    tokio::spawn(async move {
        let stream = hyper::upgrade::on(request).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(stream));
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo")
        .body(Body::Empty)
        .unwrap()
}

pub(crate) fn serve(listener: impl FnOnce(Listener) -> Listener, config: Config) -> World {
    let socket = server::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let traffic = Arc::new(Traffic::default());
    let shutdown = CancellationToken::new();
    let pause = config.stall_timeout;
    let handler = move |request, asked: Asked| answer(request, asked.client, pause);
    let server = tokio::spawn(server::serve(
        listener(socket.into()),
        config,
        Arc::new(handler),
        Arc::new(Unobserved),
        Arc::clone(&traffic),
        shutdown.clone(),
    ));
    World {
        address,
        traffic,
        shutdown,
        server,
    }
}

/// Without TLS.
pub(crate) fn plain(config: Config) -> World {
    serve(|listener| listener, config)
}

/// With TLS, for `a.example`.
pub(crate) fn secure(config: Config) -> World {
    serve(|listener| listener.with_tls(tls()), config)
}

fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = rcgen::CertificateParams::new(vec!["a.example".to_owned()])
                .unwrap()
                .self_signed(&key)
                .unwrap();
            std::fs::write(folder.path().join("a.pem"), certificate.pem()).unwrap();
            std::fs::write(folder.path().join("a.key"), key.serialize_pem()).unwrap();
            folder
        })
        .path()
}

pub(crate) fn tls() -> Arc<Tls> {
    let files = CertificateFiles {
        chain: folder().join("a.pem"),
        key: folder().join("a.key"),
    };
    Arc::new(Tls::load(vec![files], BTreeMap::new()).unwrap())
}

pub(crate) type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// TLS over a connection, as browsers do it.
pub(crate) async fn tls_over(stream: TcpStream, protocol: &str) -> TlsStream {
    tls();
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(folder().join("a.pem")).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = ServerName::try_from("a.example").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

impl World {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn connect_tls(&self, protocol: &str) -> TlsStream {
        tls_over(self.connect().await, protocol).await
    }

    /// Everything that comes back for these bytes, until the server closes.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read everything.
        let _ = stream.write_all(bytes.as_ref()).await;
        read_all(&mut stream).await
    }

    /// The server still serves.
    pub(crate) async fn is_well(&self) {
        let answer = self
            .exchange("GET /well HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Traffic) -> bool) {
        let waiting = async {
            while !done(&self.traffic) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{what}: {:?}", self.traffic);
    }

    pub(crate) async fn until_open(&self, count: u64) {
        self.until("connections", |traffic| {
            traffic.connections_open.load(Ordering::Relaxed) == count
        })
        .await;
    }
}

/// Reads until the server closes, orderly or not.
pub(crate) async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .unwrap_or_else(|_| panic!("still open: {}", String::from_utf8_lossy(&bytes)));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until what came ends in `end`.
pub(crate) async fn read_to(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8())
            .await
            .expect("an answer in time");
        match byte {
            Ok(byte) => bytes.push(byte),
            Err(error) => panic!("{error} after {}", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).await.unwrap();
    stream.flush().await.unwrap();
}
