//! A Slurm of a test's own: see tests/slurm/private.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub struct Slurm {
    process: Child,
    pub folder: TempDir,
}

impl Slurm {
    pub fn start() -> Self {
        Self::of(1)
    }

    /// With so many nodes.
    pub fn of(nodes: usize) -> Self {
        for program in ["/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/bin/srun"] {
            assert!(
                Path::new(program).is_file(),
                "`{program}` is not installed: apt-get install -y --no-install-recommends slurm-wlm slurm-wlm-basic-plugins"
            );
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm/private");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new(script)
            .arg(folder.path())
            .arg(nodes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the script");
        let mut said = String::new();
        let mut out = BufReader::new(process.stdout.take().expect("its output"));
        out.read_line(&mut said).expect("text");
        if said != "ready\n" {
            out.read_to_string(&mut said).expect("text");
            panic!("Slurm (slurm-wlm) does not start: {said}");
        }
        Self { process, folder }
    }

    pub fn conf(&self) -> String {
        self.folder.path().join("slurm.conf").display().to_string()
    }

    /// A program that asks it.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.conf());
        command
    }

    /// What `squeue` lists with these options.
    pub fn lists(&self, options: &[&str]) -> String {
        let mut squeue = self.client("squeue");
        let said = squeue.arg("--noheader").args(options).output();
        let said = said.expect("squeue");
        String::from_utf8(said.stdout).expect("text")
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
