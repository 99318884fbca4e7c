//! `deploy/container/Containerfile`, as far as it can be held against the repository without building it.

use std::process::Command;

use crate::{at, read};

/// What the base image brings: libc, libgcc and the loader. A library beyond these is missing in the container.
const LIBRARIES: [&str; 5] = ["linux-vdso.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux"];

/// The instructions: a name and the rest.
pub(crate) fn instructions() -> Vec<(String, String)> {
    let text = read("deploy/container/Containerfile");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.to_owned())).unwrap();
    lines.map(split).collect()
}

pub(crate) fn all(name: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == name).map(|(_, rest)| rest).collect()
}

#[test]
fn images_are_pinned_and_build_with_the_toolchain_of_the_workspace() {
    let images: Vec<String> = all("FROM").iter().map(|rest| rest.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(images.len(), 2, "{images:?}");
    for image in &images {
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
        assert!(tag != "latest" && !tag.contains('/'), "{image} is another one tomorrow");
    }
    let manifest = read("Cargo.toml");
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(images[0].contains(&format!("/rust:{rust}-")), "{} does not have Rust {rust}", images[0]);
    // One libc for both.
    let debian = |image: &str| ["12", "bookworm", "13", "trixie"].map(|name| image.contains(name));
    let (build, run) = (debian(&images[0]), debian(&images[1]));
    assert!((build[1] && run[0]) || (build[3] && run[2]), "{images:?} are of different releases of Debian");
}

#[test]
fn nobody_is_root_and_nothing_needs_a_shell() {
    let user = all("USER").pop().expect("without USER it runs as root");
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().expect("Kubernetes can only check numbers")).collect();
    assert!(ids.iter().all(|id| *id > 0), "{user}");
    for name in ["ENTRYPOINT", "CMD", "HEALTHCHECK"] {
        let rest = all(name).pop().unwrap();
        let words = &rest[rest.find('[').unwrap_or_else(|| panic!("{name} needs a shell: {rest}"))..];
        let words: Vec<String> = serde_json::from_str(words).unwrap();
        assert!(!words.is_empty());
    }
}

#[test]
fn what_is_copied_is_there() {
    let manifest = read("Cargo.toml");
    for copy in all("COPY").iter().filter(|copy| !copy.starts_with("--from")) {
        let mut sources: Vec<&str> = copy.split(' ').collect();
        sources.pop();
        for source in sources {
            assert!(at(source).exists(), "{source} is not in the repository");
        }
    }
    let built = all("RUN").join(" ");
    let profile = built.split("--profile ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(manifest.contains(&format!("[profile.{profile}]")), "there is no profile {profile}");
    assert!(all("COPY").iter().any(|copy| copy.contains(&format!("/belay/target/{profile}/belay /usr/bin/belay"))));
}

#[test]
fn the_health_check_needs_no_token() {
    let check = all("HEALTHCHECK").pop().unwrap();
    let words: Vec<String> = serde_json::from_str(&check[check.find('[').unwrap()..]).unwrap();
    let mut belay = belay_tests::Belay::at("http://127.0.0.1:9");
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    belay.write("belay.yaml", &format!("tokens: [{{ name: ops, roles: [operator], sha256: {sha256} }}]\n"));
    belay.env("BELAY_LISTEN", "127.0.0.1:0");
    let mut daemon = belay.spawn(&["serve", "--config", "belay.yaml"]);
    let line = daemon.wait_for_stderr("listening on http://");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    belay.env("BELAY_URL", &url);
    let ask = || belay.run(&words[1..].iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ask().code, 0, "{}", ask());
    daemon.kill();
    assert_eq!(ask().code, 6);
}

#[test]
fn the_state_is_on_a_volume_that_its_user_owns() {
    let state = all("ENV").into_iter().find_map(|set| Some(set.strip_prefix("BELAY_STATE=sqlite:")?.to_owned()));
    let state = state.expect("BELAY_STATE is set");
    let volume = all("VOLUME").pop().unwrap();
    assert!(state.starts_with(&format!("{volume}/")), "{state} is lost with the container");
    let user = all("USER").pop().unwrap();
    assert!(all("COPY").iter().any(|copy| copy.contains(&format!("--chown={user}")) && copy.ends_with(&volume)));
}

#[test]
fn the_base_image_has_every_library_that_the_binary_loads() {
    let output = Command::new("ldd").arg(belay_tests::binary()).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(listed.contains("libc.so.6"), "{listed}");
    for line in listed.lines() {
        assert!(LIBRARIES.iter().any(|library| line.contains(library)), "not in the base image: {line}");
    }
}
