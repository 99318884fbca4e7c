//! Where the installed test bed lies, and the AWS environment that everything here runs in.

use std::path::{Path, PathBuf};

/// The region of all emulated worlds.
pub const REGION: &str = "us-east-1";
/// The account of all emulated worlds: both emulators use this one.
pub const ACCOUNT: &str = "123456789012";

pub(crate) const FAKECLOUD: &str = "fakecloud-0.51.0/bin/fakecloud";
pub(crate) const MOTO: &str = "venv/bin/moto_server";
pub(crate) const PYTHON: &str = "venv/bin/python";

/// The folder that `tests/testbed/install` fills.
pub fn folder() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("BELAY_TESTBED").unwrap_or_else(|| {
        let cache = set("XDG_CACHE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .expect("neither BELAY_TESTBED, XDG_CACHE_HOME nor HOME says where the test bed lies");
        cache.join("belay/testbed")
    })
}

/// Something that was installed there; panics with the remedy if it was not.
pub(crate) fn installed(part: &str) -> PathBuf {
    let path = folder().join(part);
    assert!(path.exists(), "{} is missing: run tests/testbed/install first", path.display());
    path
}

/// One of the scripts in `tests/testbed/`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed").join(name)
}

/// What makes an AWS client talk to `endpoint` only, with credentials that are good for nothing else.
pub fn aws_environment(endpoint: &str) -> Vec<(String, String)> {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Variables of the surrounding shell that would lead an AWS client elsewhere, or through somebody else's proxy, or that make
/// Belay stricter (`CI`).
pub(crate) const UNWANTED: [&str; 13] = [
    "CI",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];
