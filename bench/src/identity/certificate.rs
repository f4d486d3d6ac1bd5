//! A certificate for this machine, made by `openssl`, and the client that accepts it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::spawn;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::issuer::openssl;
use super::trusting::Trusting;
use crate::Outcome;
use crate::load::answer_length;
use crate::process::Server;
use crate::session::{DESTINATION, Dialogue, connect};
use crate::wire;

/// A certificate. Its files are removed with it.
pub struct Certificate {
    folder: PathBuf,
    cert_file: String,
    key_file: String,
    /// A client that takes it, and no other.
    pub client: Arc<ClientConfig>,
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Certificate {
    /// One on P-256 for 127.0.0.1.
    pub fn new() -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("herald-bench-{}-tls", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let out = ["-keyout", "ca.key", "-out", "ca.crt"];
        let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=authority"];
        openssl(&folder, &[&authority[..], &key, &out].concat())?;
        let out = ["-keyout", "tls.key", "-out", "tls.csr"];
        openssl(
            &folder,
            &[&["req", "-subj", "/CN=localhost"][..], &key, &out].concat(),
        )?;
        std::fs::write(folder.join("san.txt"), "subjectAltName=IP:127.0.0.1\n")?;
        let sign = [
            "x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
        ];
        let rest = [
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "san.txt",
            "-out",
            "tls.crt",
        ];
        openssl(&folder, &[&sign[..], &rest].concat())?;
        let certificate = CertificateDer::from_pem_file(folder.join("tls.crt"));
        let certificate = certificate.map_err(|error| error.to_string())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting(certificate)))
            .with_no_client_auth();
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        Ok(Self {
            cert_file: path("tls.crt"),
            key_file: path("tls.key"),
            client: Arc::new(client),
            folder,
        })
    }

    /// The settings by which Herald speaks TLS.
    pub fn settings(&self) -> [(&str, &str); 2] {
        [
            ("HERALD_HTTP__TLS__CERT_FILE", &self.cert_file),
            ("HERALD_HTTP__TLS__KEY_FILE", &self.key_file),
        ]
    }

    /// Connects to a Herald with these settings.
    pub fn connect(
        &self,
        herald: &Server,
        number: usize,
    ) -> Outcome<StreamOwned<ClientConnection, TcpStream>> {
        let socket = connect(herald.address, number)?;
        Ok(StreamOwned::new(wire::client(&self.client)?, socket))
    }

    /// Logs in as one of the demo users and subscribes to `destinations`. Returns the socket alone: what comes from here on is
    /// counted, and not decrypted.
    pub fn open(&self, herald: &Server, number: usize, destinations: &[&str]) -> Outcome<TcpStream> {
        let mut dialogue = Dialogue::new(self.connect(herald, number)?);
        dialogue.upgrade(herald.address)?;
        dialogue.log_in(1 + number % 10, "0,0")?;
        for (id, destination) in destinations.iter().enumerate() {
            dialogue.subscribe(&id.to_string(), destination)?;
        }
        Ok(dialogue.stream.sock)
    }

    /// A connection to publish over, as plain HTTP: a thread here encrypts it, one request after the other.
    pub fn publisher(&self, herald: &Server) -> Outcome<TcpStream> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, config, to) = (listener.local_addr()?, Arc::clone(&self.client), herald.address);
        // It ends with the program; what goes wrong shows as an answer that does not come.
        spawn(move || {
            for plain in listener.incoming().map_while(Result::ok) {
                let pass = || -> Outcome<()> {
                    let tls = StreamOwned::new(wire::client(&config)?, connect(to, 0)?);
                    forward(plain, tls)
                };
                if let Err(error) = pass() {
                    eprintln!("the publisher's connection: {error}");
                }
            }
        });
        connect(address, 0)
    }

    /// The same, to the destination that every session listens to.
    pub fn open_one(&self, herald: &Server, number: usize) -> Outcome<TcpStream> {
        self.open(herald, number, &[DESTINATION])
    }
}

/// Passes requests on, each with its answer, until the client leaves.
fn forward(mut plain: TcpStream, mut tls: StreamOwned<ClientConnection, TcpStream>) -> Outcome<()> {
    plain.set_nodelay(true)?;
    let mut chunk = [0; 16 * 1024];
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    loop {
        let length = plain.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        request.extend_from_slice(chunk.get(..length).unwrap_or_default());
        if message_length(&request).is_none_or(|length| request.len() < length) {
            continue;
        }
        tls.write_all(&request)?;
        request.clear();
        while answer_length(&answer)?.is_none() {
            let length = tls.read(&mut chunk)?;
            answer.extend_from_slice(chunk.get(..length).unwrap_or_default());
            if length == 0 {
                return Err("Herald closed it".into());
            }
        }
        plain.write_all(&answer)?;
        answer.clear();
    }
}

/// The length of the HTTP message that `bytes` begin with, once its head is whole.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let lines = std::str::from_utf8(bytes.get(..head)?).ok()?.lines();
    let body = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse::<usize>().ok());
    Some(head + body?)
}
