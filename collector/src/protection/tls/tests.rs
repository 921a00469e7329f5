use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// A certificate and its key, in PEM.
fn pair() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

fn files(dir: &TempDir, cert: &str, key: &str, client_ca: Option<&str>) -> ServerFiles {
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    ServerFiles {
        cert: write("cert.pem", cert),
        key: write("key.pem", key),
        client_ca: client_ca.map(|text| write("ca.pem", text)),
    }
}

#[test]
fn good_files_make_tls_with_http_1_and_2() {
    let dir = TempDir::new().expect("a directory");
    let (cert, key) = pair();
    for client_ca in [None, Some(cert.as_str())] {
        // A chain, and both in one file, as some tools write them.
        let chain = format!("{key}{cert}{cert}");
        let config = files(&dir, &chain, &key, client_ca).load();
        let config = config.expect("good files");
        assert_eq!(config.alpn_protocols, [&b"h2"[..], b"http/1.1"]);
    }
}

#[test]
fn bad_files_are_refused_by_name_and_not_quoted() {
    let dir = TempDir::new().expect("a directory");
    let (cert, key) = pair();
    let (other_cert, other_key) = pair();
    let torn = &key[..key.len() / 2];
    let cases = [
        (
            "",
            &*key,
            None,
            "cert.pem is of no use: it has no certificate",
        ),
        (
            &*key,
            &*key,
            None,
            "cert.pem is of no use: it has no certificate",
        ),
        (
            &*cert,
            "",
            None,
            "key.pem is of no use: it has no private key",
        ),
        (
            &*cert,
            torn,
            None,
            "key.pem is of no use: it has no private key",
        ),
        (
            &*cert,
            &*cert,
            None,
            "key.pem is of no use: it has no private key",
        ),
        (
            &*cert,
            &*other_key,
            None,
            "it is not the key of the certificate",
        ),
        (
            &*other_cert,
            &*key,
            None,
            "it is not the key of the certificate",
        ),
        (
            &*cert,
            &*key,
            Some("x"),
            "ca.pem is of no use: it has no certificate",
        ),
    ];
    for (cert, key, client_ca, says) in cases {
        let error = files(&dir, cert, key, client_ca).load().expect_err(says);
        let text = format!("{error} {error:?}");
        assert!(text.contains(says), "{text}");
        for secret in key.lines().filter(|line| line.len() > 40) {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let error = trusting(&Uri::from_static("https://x"), Some(&dir.path().join("no")));
    let error = error.expect_err("it is not there").to_string();
    assert!(error.starts_with("cannot read --tls-ca"), "{error}");
}

#[test]
fn one_file_without_the_other_is_refused() {
    let cases = [
        ([true, false, false], "--tls-cert needs --tls-key"),
        ([false, true, false], "--tls-key needs --tls-cert"),
        ([false, false, true], "--tls-client-ca needs --tls-cert"),
    ];
    for (named, says) in cases {
        let [tls_cert, tls_key, tls_client_ca] =
            named.map(|is_named| is_named.then(|| PathBuf::from("x.pem")));
        let config = Config {
            tls_cert,
            tls_key,
            tls_client_ca,
            ..Config::with_data_dir("unused")
        };
        let error = crate::protection::check(&config).expect_err(says);
        assert_eq!(error.to_string(), says);
    }
}
