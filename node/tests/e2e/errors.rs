//! Arguments and files that are wrong: one line that says what, and what was expected.

use std::net::TcpListener;

use crate::support::{Place, contents, descent, error_of, finish, run};

/// What a failed start with these arguments says. Nothing may have been made in the folder.
fn refused(place: &Place, args: &[&str]) -> String {
    let error = error_of(place.args(args));
    assert!(!place.path("data").exists(), "{args:?} left {:?}", contents(&place.path("data")));
    error
}

#[test]
fn options_are_checked_before_anything_is_made() {
    let place = Place::new();
    assert_eq!(refused(&place, &["--threads", "0"]), "--threads is 0, expected at least 1");
    assert!(refused(&place, &["-l", "descent_node=loudly"]).starts_with("log filter \"descent_node=loudly\": "));
    let fixed = "--preset chooses the model of a built-in chain; ";
    assert!(refused(&place, &["--preset", "nano"]).starts_with(fixed));

    let base = place.path("data").display().to_string();
    let dev = |args: &[&str]| error_of([&["--base-path", &base], args].concat());
    assert_eq!(dev(&["--dev", "--preset", "huge"]), "unknown preset \"huge\", expected one of tiny, nano, small");
    let unknown = dev(&["--chain", "mainnet"]);
    let expected = "no such file, and no built-in chain either, expected one of dev, local or a specification";
    assert_eq!(unknown, format!("mainnet: {expected}"));
    assert!(!place.path("data").exists());
}

#[test]
fn usage_errors_have_a_code_of_their_own() {
    let usage: [&[&str]; 8] = [
        &["--mein"],
        &["mine"],
        &["--dev", "--chain", "local"],
        &["--tmp", "--base-path", "x"],
        &["--pruning", "3"],
        &["--pruning", "some"],
        &["--rpc-port", "65536"],
        &["--threads", "-1"],
    ];
    for args in usage {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:#?}");
        assert!(output.stderr.starts_with("error: ") && output.stdout.is_empty(), "{args:?}: {output:#?}");
    }
}

#[test]
fn specifications_are_checked() {
    let place = Place::new();
    let file = place.path("spec.json");
    let spec = std::fs::read_to_string(&file).unwrap();
    let name = file.display().to_string();
    let with = |text: &[u8]| {
        std::fs::write(&file, text).unwrap();
        let error = refused(&place, &["--mine"]);
        error.strip_prefix(&format!("{name}: ")).unwrap_or_else(|| panic!("{error}")).to_owned()
    };
    assert!(with(b"").starts_with("malformed JSON at line 1, column 0"));
    assert!(with(&spec.as_bytes()[..spec.len() / 2]).starts_with("malformed JSON at line "));
    assert!(with(b"\xff\xfe{}").starts_with("not UTF-8"));
    assert!(with(spec.replace("\"blockTimeMs\"", "\"blockTime\"").as_bytes()).contains("unknown field `blockTime`"));
    assert!(with(spec.replace("\"version\": 1", "\"version\": 2").as_bytes()).ends_with("version 2, expected 1"));
    assert!(with(spec.replace("\"id\": \"dev\"", "\"id\": \"../dev\"").as_bytes()).starts_with("id is \"../dev\""));
    let huge = vec![b' '; descent_genesis::MAX_SPEC_BYTES + 1];
    assert_eq!(with(&huge), format!("has {} bytes, expected at most {}", huge.len(), huge.len() - 1));

    std::fs::remove_file(&file).unwrap();
    assert!(refused(&place, &["--mine"]).starts_with(&format!("{name}: no such file")));
    std::fs::create_dir(&file).unwrap();
    assert_eq!(refused(&place, &["--mine"]), format!("{name}: is a folder, expected a file"));
}

#[test]
fn key_files_are_checked() {
    let place = Place::new();
    let file = place.path("key");
    let name = file.display().to_string();
    let mine = || {
        let error = error_of(place.args(&["--mine", "--rpc-port", "0", "--key-file", &name]));
        error.strip_prefix(&format!("{name}: ")).unwrap_or_else(|| panic!("{error}")).to_owned()
    };
    assert!(mine().starts_with("No such file or directory"));
    let secret = "correct horse battery staple";
    for text in [secret, "0x1234", "", "\n", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", "a\nb", "\u{7f}"] {
        std::fs::write(&file, text).unwrap();
        let error = mine();
        assert!(error.starts_with("not a secret: expected "), "{text:?}: {error}");
        assert!(!error.contains("horse"), "the secret is shown: {error}");
    }
    std::fs::write(&file, b"\xff").unwrap();
    assert!(mine().contains("valid UTF-8"));
    std::fs::write(&file, vec![b'a'; 4097]).unwrap();
    assert_eq!(mine(), "has 4097 bytes, expected a secret of at most 4096");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(mine().contains("irectory"));
}

#[test]
fn nonsense_is_no_key() {
    for text in [
        "",
        "garbage",
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQX",
        "0x12",
        "12bzRJfh7arnnfPPUZHeJUaE62QLEwhK48QnH9LXeK2m1iZU",
    ] {
        assert_eq!(error_of(["key", "inspect", text]), "not an address of this network, a public key or a secret");
    }
    // From standard input, here empty.
    assert_eq!(error_of(["key", "inspect", "-"]), "not an address of this network, a public key or a secret");
    let mut binary = descent(["key", "inspect", "-"]);
    binary.stdin(std::fs::File::open("/bin/sh").unwrap());
    assert!(finish(binary).error().starts_with("standard input: "));
}

#[test]
fn a_busy_port_is_named() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let error = error_of(place.args(&["--mine", "--rpc-port", &port]));
    assert!(error.starts_with(&format!("cannot listen for rpc on 127.0.0.1:{port}: ")), "{error}");
}

#[test]
fn folders_that_cannot_be_used_are_named() {
    let place = Place::new();
    let spec = place.path("spec.json").display().to_string();
    // A file where the folder should be.
    let error = error_of(["--chain", &spec, "--base-path", &spec]);
    assert!(error.starts_with(&spec) && error.contains("Not a directory"), "{error}");
    // Nobody's home.
    let mut command = descent(["--chain", &spec]);
    command.env_remove("HOME");
    assert_eq!(finish(command).error(), "neither XDG_DATA_HOME nor HOME is set: give --base-path");
    // What only reads makes nothing.
    let verify = refused(&place, &["verify"]);
    assert!(verify.starts_with(&place.database().display().to_string()), "{verify}");
    let export = place.path("export").display().to_string();
    assert_eq!(refused(&place, &["export-checkpoint", &export]), verify);
    assert!(!place.path("export").exists());
    // Somebody else's folder.
    std::fs::create_dir_all(place.database()).unwrap();
    std::fs::write(place.database().join("thesis.txt"), "two years of work").unwrap();
    let before = contents(&place.path("data"));
    let error = error_of(place.args(&["--mine", "--rpc-port", "0"]));
    assert_eq!(error, format!("{}: not a descent database: it holds thesis.txt", place.database().display()));
    assert_eq!(contents(&place.path("data")), before);
}
