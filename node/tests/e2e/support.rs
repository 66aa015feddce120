//! Running the binary and talking to it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use descent_genesis::ChainSpec;
use jsonrpsee::core::client::ClientT;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use jsonrpsee::rpc_params;
use serde_json::Value;
use tempfile::TempDir;

/// Far above what anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A development chain of the smallest model whose blocks take a tenth of a second.
pub(crate) fn quick_spec(chain: &str) -> ChainSpec {
    let mut spec = ChainSpec::builtin(chain, None, Some("tiny")).unwrap();
    spec.params.initial_difficulty = spec.params.minimum_difficulty;
    spec
}

/// A folder with a specification and room for its data.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// A quick development chain.
    pub(crate) fn new() -> Self {
        Self::with(&quick_spec("dev"))
    }

    pub(crate) fn with(spec: &ChainSpec) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(place.path("spec.json"), spec.to_json()).unwrap();
        place
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The database of a chain with the id `dev`.
    pub(crate) fn database(&self) -> PathBuf {
        self.path("data/chains/dev/db")
    }

    /// The arguments that choose this chain and folder, behind others.
    pub(crate) fn args(&self, first: &[&str]) -> Vec<String> {
        self.args_in("data", first)
    }

    /// The same for data that are elsewhere in the folder.
    pub(crate) fn args_in(&self, data: &str, first: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = first.iter().map(|arg| (*arg).to_owned()).collect();
        for (name, file) in [("--chain", "spec.json"), ("--base-path", data)] {
            args.extend([name.to_owned(), self.path(file).display().to_string()]);
        }
        args
    }

    /// Starts a node that mines.
    pub(crate) fn node(&self) -> Node {
        Node::start(self.args(&["--mine", "--rpc-port", "0"]))
    }

    /// Mines blocks on top of what is there.
    pub(crate) fn mine(&self, blocks: u32) {
        run(self.args(&["--mine", "--rpc-port", "0", "--stop-after", &blocks.to_string()])).succeeded();
    }

    /// Verifies all blocks; the JSON answer.
    pub(crate) fn verify(&self) -> Value {
        run(self.args(&["verify", "--json"])).json()
    }
}

/// The binary with arguments, apart from the user's own data.
pub(crate) fn descent<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_descent"));
    command.args(args).env_remove("RUST_LOG").env("HOME", "/nonexistent").env_remove("XDG_DATA_HOME");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a finished program said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.status.success(), "{self:#?}");
        assert!(!self.stderr.contains("WARN") && !self.stderr.contains("ERROR"), "{self:#?}");
        self
    }

    /// Of a successful run, the only line.
    pub(crate) fn json(self) -> Value {
        let output = self.succeeded();
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:#?}"))
    }

    /// The one line that a failed run says, log lines aside.
    pub(crate) fn error(self) -> String {
        assert_eq!(self.status.code(), Some(1), "{self:#?}");
        // The database's own lines may end with an empty one.
        let is_log = |line: &str| line.is_empty() || [" INFO ", " WARN ", "ERROR "].iter().any(|l| line.contains(l));
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !is_log(line)).collect();
        let [line] = lines[..] else { panic!("expected one line: {self:#?}") };
        line.strip_prefix("error: ").unwrap_or_else(|| panic!("{self:#?}")).to_owned()
    }
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> Output {
    let mut child = command.spawn().unwrap();
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.expect("piped").read_to_end(&mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        })
    };
    let stdout = read(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = read(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = wait(&mut child, PATIENCE);
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Runs the binary to its end.
pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    finish(descent(args))
}

/// The error of a run that fails.
pub(crate) fn error_of<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    run(args).error()
}

fn wait(child: &mut Child, patience: Duration) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > patience {
            child.kill().unwrap();
            panic!("still running after {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running node; killed where a test ends without stopping it.
pub(crate) struct Node {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    address: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    /// Starts a node and waits until it serves.
    pub(crate) fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::start_command(descent(args))
    }

    pub(crate) fn start_command(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, lines) = (child.stderr.take().expect("piped"), log.clone());
        // Ends with the node.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                lines.lock().unwrap().push(line.unwrap());
            }
        });
        let mut node = Self { child, log, address: String::new() };
        node.address = node.wait_for(|node| {
            let line = node.log().into_iter().find(|line| line.contains("node started"))?;
            Some(line.rsplit_once("rpc=").expect("named").1.to_owned())
        });
        node
    }

    /// Waits until a question has an answer; the node must live until then.
    pub(crate) fn wait_for<T>(&mut self, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("node ended with {status}: {:#?}", self.log());
            }
            assert!(start.elapsed() < PATIENCE, "no answer within {PATIENCE:?}: {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Address of its RPC with a scheme, like `ws`.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn http(&self) -> HttpClient {
        HttpClientBuilder::default().build(self.url("http")).unwrap()
    }

    /// Number of the best block.
    pub(crate) fn height(&self) -> u32 {
        let header: Value = block_on(self.http().request("chain_getHeader", rpc_params![])).unwrap();
        number(&header["number"])
    }

    pub(crate) fn wait_for_height(&mut self, height: u32) -> u32 {
        self.wait_for(|node| Some(node.height()).filter(|h| *h >= height))
    }

    /// Kills it as a power cut would.
    pub(crate) fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal, like `TERM`, and waits for a clean end.
    pub(crate) fn end(mut self, signal: &str) -> Vec<String> {
        let kill = format!("kill -{signal} {}", self.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let status = wait(&mut self.child, Duration::from_secs(20));
        assert_eq!(status.code(), Some(0), "{:#?}", self.log());
        self.log()
    }
}

/// A block number as Substrate writes it in JSON.
pub(crate) fn number(value: &Value) -> u32 {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    u32::from_str_radix(digits.unwrap_or_else(|| panic!("{value}")), 16).unwrap()
}

/// Waits for a future outside of async code.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below a folder, with its bytes, by name.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}
