//! The scripts on machines that this one is not: real scripts, and stand-ins for all programs they might ask.

use anyhow::{Context, Result, ensure};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::{Finished, run_to_end, watchdog, workspace_root};
use tempfile::TempDir;

/// What every system has, as it is here.
const PLAIN: [&str; 23] = [
    "awk", "bash", "cat", "chmod", "cp", "cut", "dirname", "env", "find", "flock", "grep", "head", "id", "mkdir",
    "paste", "readlink", "realpath", "rm", "sed", "sort", "touch", "tr", "uname",
];

/// A machine with everything that `scripts/setup` looks for; tests take away.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// In a folder whose name has blanks and more than ASCII.
    fn new(os_release: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tympan test ü ").tempdir()?;
        let machine = Self { folder };
        for name in ["bin", "home", "project", "cache"] {
            std::fs::create_dir(machine.path(name))?;
        }
        let path = std::env::var_os("PATH").context("PATH")?;
        for name in PLAIN {
            let mut found = std::env::split_paths(&path).map(|dir| dir.join(name));
            symlink(found.find(|file| file.is_file()).context(name)?, machine.path("bin").join(name))?;
        }
        for name in ["cc", "c++", "make", "cmake", "python3", "cargo"] {
            machine.put(name, "exit 0")?;
        }
        // libasound, and no OpenBLAS.
        machine.put("pkg-config", "[ \"$*\" = '--exists alsa' ]")?;
        machine.put("rustc", "echo 'rustc 1.999.0 (0000000 2030-01-01)'")?;
        // Nobody may be root by chance, and no program of this machine may be asked for more.
        machine.put("id", "echo 1000")?;
        machine.put("apt-get", "echo \"apt-get $*\" >>\"$HOME/log\"")?;
        std::fs::write(machine.path("os-release"), os_release)?;
        let copied =
            Command::new("cp").arg("-R").arg(workspace_root().join("scripts")).arg(machine.path("project")).status()?;
        ensure!(copied.success(), "the scripts were not copied");
        std::fs::copy(workspace_root().join("Cargo.toml"), machine.path("project/Cargo.toml"))?;
        Ok(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program that does this.
    fn put(&self, name: &str, does: &str) -> Result<()> {
        let file = self.path("bin").join(name);
        if file.is_symlink() {
            std::fs::remove_file(&file)?; // it is the real one
        }
        std::fs::write(&file, format!("#!/usr/bin/env bash\n{does}\n"))?;
        Ok(std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755))?)
    }

    fn without(self, names: &[&str]) -> Result<Self> {
        for name in names {
            std::fs::remove_file(self.path("bin").join(name)).with_context(|| (*name).to_owned())?;
        }
        Ok(self)
    }

    /// `cmake` and libasound's headers are not there.
    fn lacking(os_release: &str) -> Result<Self> {
        let machine = Self::new(os_release)?.without(&["cmake"])?;
        machine.put("pkg-config", "exit 1")?;
        Ok(machine)
    }

    fn script(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("project/scripts").join(name));
        command.args(args).env_clear().current_dir(self.folder.path());
        command.env("PATH", self.path("bin")).env("HOME", self.path("home")).env("CARGO_HOME", self.path("home"));
        command.env("XDG_CACHE_HOME", self.path("cache")).env("OS_RELEASE", self.path("os-release"));
        command
    }

    fn setup(&self) -> Result<Finished> {
        run_to_end(&mut self.script("setup", &[]), watchdog(10.0))
    }

    /// What was called of what matters, a line each.
    fn log(&self) -> String {
        std::fs::read_to_string(self.path("home/log")).unwrap_or_default()
    }
}

/// It named cmake and libasound, with what they are for, then said exactly this one line of all that install something,
/// and ended.
fn expect_line(finished: &Finished, line: &str) -> Result<()> {
    finished.expect_refusal(&["missing on this system:", "  cmake   ", "  libasound  ", "Then run this again."])?;
    let installers = ["apt-get install", "dnf install", "pacman -S", "zypper install"];
    let lines: Vec<&str> =
        finished.stderr.lines().filter(|said| installers.iter().any(|installer| said.contains(installer))).collect();
    ensure!(lines == [format!("  {line}")], "{lines:?} instead of {line:?}");
    let place = |text: &str| finished.stderr.find(text).context("it was found above");
    ensure!(place("libasound")? < place(line)?, "the line came first: {}", finished.stderr);
    ensure!(!finished.stderr.contains("  compiler"), "what is there was named: {}", finished.stderr);
    Ok(())
}

#[test]
fn a_plain_user_on_debian_gets_the_line_to_run() -> Result<()> {
    let line = "apt-get install --no-install-recommends cmake libasound2-dev";
    for os_release in ["ID=debian\n", "NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"] {
        let machine = Machine::lacking(os_release)?;
        expect_line(&machine.setup()?, &format!("As root, run: {line}"))?;
        ensure!(machine.log().is_empty(), "{}", machine.log());
    }
    // With sudo that wants a password, and nobody to type it: told at once, not asked.
    let machine = Machine::lacking("ID=ubuntu\nID_LIKE=debian\n")?;
    machine.put("sudo", "[ \"$1\" != -n ] && read -r answer </dev/tty; exit 1")?;
    let finished = machine.setup()?;
    expect_line(&finished, &format!("Run: sudo {line}"))?;
    ensure!(finished.stderr.contains("password") && finished.stderr.contains("libopenblas-dev"), "{finished:?}");
    Ok(())
}

#[test]
fn on_debian_it_installs_after_it_has_named() -> Result<()> {
    let machine = Machine::lacking("ID=debian\n")?;
    machine.put("sudo", "shift; [ \"$1\" = true ] || { echo \"sudo\" >>\"$HOME/log\"; exec \"$@\"; }")?;
    // It knows all packages but OpenBLAS.
    let install = r#"echo "apt-get $*" >>"$HOME/log"
bin=${PATH%%:*}
case $* in
update*) ;;
*openblas*) exit 100 ;;
*) cp "$bin/cc" "$bin/cmake" && printf '#!/usr/bin/env bash\n[ "$*" = "--exists alsa" ]\n' >"$bin/pkg-config" ;;
esac"#;
    machine.put("apt-get", install)?;
    let finished = machine.setup()?;
    finished.expect_success()?;
    ensure!(finished.stderr.starts_with("missing on this system:\n  cmake "), "{finished:?}");
    let log = machine.log();
    let installs: Vec<&str> = log.lines().filter(|line| line.contains(" install ")).collect();
    ensure!(installs[0].ends_with(" cmake libasound2-dev") && installs[0].contains("--no-remove"), "{log}");
    // What is not needed comes apart, so that its failure stops nothing.
    ensure!(installs.len() == 2 && installs[1].ends_with(" libopenblas-dev"), "{log}");
    ensure!(log.matches("sudo").count() == 3, "{log}");

    // The second time it is silent and asks nobody.
    std::fs::remove_file(machine.path("home/log"))?;
    let finished = machine.setup()?;
    finished.expect_success()?;
    ensure!(finished.stderr.is_empty() && finished.stdout.is_empty() && machine.log().is_empty(), "{finished:?}");
    Ok(())
}

#[test]
fn other_systems_get_the_line_of_their_own() -> Result<()> {
    let families = [
        ("dnf install cmake alsa-lib-devel", ["ID=fedora\n", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"]),
        ("pacman -S --needed cmake alsa-lib", ["ID=arch\n", "ID=manjaro\nID_LIKE=arch\n"]),
        (
            "zypper install cmake alsa-devel",
            ["ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n", "ID=\"sles\"\nID_LIKE='suse'\n"],
        ),
    ];
    for (line, systems) in families {
        for os_release in systems {
            let machine = Machine::lacking(os_release)?.without(&["apt-get"])?;
            expect_line(&machine.setup()?, &format!("As root, run: {line}"))?;
        }
    }
    // A system that nobody here knows: all of them.
    let finished = Machine::lacking("ID=plan9\n")?.without(&["apt-get"])?.setup()?;
    let all = ["apt-get install --no-install-recommends cmake", "dnf install cmake", "pacman -S --needed cmake"];
    finished.expect_refusal(&all)?;
    finished.expect_refusal(&["zypper install cmake", "not known"])
}

#[test]
fn all_that_is_missing_is_named_at_once() -> Result<()> {
    let names = ["cargo", "rustc", "c++", "cmake", "pkg-config"];
    let machine = Machine::new("ID=fedora\n")?.without(&names)?;
    let finished = machine.setup()?;
    finished.expect_refusal(&["  cargo, rustc", "  compiler", "  cmake", "  pkg-config", "  libasound"])?;
    finished
        .expect_refusal(&["dnf install gcc-c++ make cmake pkgconf-pkg-config alsa-lib-devel curl\n", "sh.rustup.rs"])
}

#[test]
fn a_home_that_is_not_set_is_said() -> Result<()> {
    let machine = Machine::new("ID=debian\n")?;
    for script in ["run", "setup"] {
        let finished = run_to_end(machine.script(script, &[]).env_remove("HOME"), watchdog(10.0))?;
        finished.expect_refusal(&["HOME is not set", "export HOME="]).context(script)?;
    }
    Ok(())
}

#[test]
fn a_build_that_has_no_place_is_said() -> Result<()> {
    let machine = Machine::new("ID=debian\n")?;
    with_a_build(&machine)?;
    // Not even root can make a folder below a device.
    let mut command = machine.script("run", &[]);
    let finished = run_to_end(command.env("CARGO_TARGET_DIR", "/dev/null/tympan"), watchdog(10.0))?;
    finished.expect_refusal(&["cannot write /dev/null/tympan", "CARGO_TARGET_DIR="])?;
    ensure!(!machine.log().contains("cargo build"), "{}", machine.log());
    Ok(())
}

#[test]
fn a_toolchain_that_is_missing_old_or_broken_is_told_apart() -> Result<()> {
    let finished = Machine::new("ID=debian\n")?.without(&["cargo"])?.setup()?;
    finished.expect_refusal(&["cargo, rustc", "sh.rustup.rs"])?;

    let manifest = std::fs::read_to_string(workspace_root().join("Cargo.toml"))?;
    let wanted = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).context("rust-version")?;
    let wanted = wanted.trim_end_matches('"');
    let machine = Machine::new("ID=debian\n")?;
    machine.put("rustc", "echo 'rustc 1.63.0 (4b91a6ea7 2022-08-08)'")?;
    let finished = machine.setup()?;
    finished.expect_refusal(&[&format!("{wanted} or newer; here is 1.63.0"), "bin/rustc)", "sh.rustup.rs"])?;
    machine.put("rustup", "exit 0")?;
    let finished = machine.setup()?;
    finished.expect_refusal(&["Run: rustup update stable"])?;
    ensure!(!finished.stderr.contains("sh.rustup.rs"), "{finished:?}");

    machine.put("rustc", "echo 'no default is set' >&2; exit 1")?;
    machine.setup()?.expect_refusal(&["does not start", "rustup default stable"])
}

#[test]
fn on_another_system_than_linux_one_sentence_is_all() -> Result<()> {
    let machine = Machine::lacking("")?;
    machine.put("uname", "echo Darwin")?;
    for script in ["run", "setup", "test", "bench", "fetch-model", "setup-python"] {
        let finished = run_to_end(&mut machine.script(script, &[]), watchdog(10.0))?;
        finished.expect_refusal(&["Tympan is for Linux", "this is Darwin"]).context(script)?;
        ensure!(finished.stderr.lines().count() == 1, "{script}: {}", finished.stderr);
    }
    // Without the scripts it is the build that says so.
    let build_script = machine.path("build-script");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["--edition", "2024", "-o"])
        .arg(&build_script)
        .arg(workspace_root().join("shm-layout/build.rs"))
        .status()?;
    ensure!(built.success(), "shm-layout/build.rs");
    for (system, errors) in [("linux", 0), ("macos", 1), ("windows", 1)] {
        let finished = run_to_end(Command::new(&build_script).env("CARGO_CFG_TARGET_OS", system), watchdog(10.0))?;
        let told = finished.stdout.lines().filter(|line| line.starts_with("cargo::error=Tympan is for Linux")).count();
        ensure!(told == errors, "{system}: {finished:?}");
    }
    Ok(())
}

/// A machine whose cargo builds a `tympan` that writes down how it was called.
fn with_a_build(machine: &Machine) -> Result<()> {
    let cargo = r#"case $1 in
metadata) echo "{\"target_directory\":\"${CARGO_TARGET_DIR:-$PWD/target}\",\"version\":1}" ;;
build)
    echo "cargo $*" >>"$HOME/log"
    mkdir -p "$CARGO_TARGET_DIR/release"
    printf '#!/usr/bin/env bash\necho "tympan $*" >>"$HOME/log"\n[ "$1" != run ] || { pwd; printf "<%%s>" "$@"; }\n' >"$CARGO_TARGET_DIR/release/tympan"
    chmod 755 "$CARGO_TARGET_DIR/release/tympan"
    ;;
esac"#;
    machine.put("cargo", cargo)?;
    Ok(())
}

#[test]
fn run_builds_fetches_and_starts_in_the_folder_of_its_user() -> Result<()> {
    for locale in ["C", "C.UTF-8"] {
        let machine = Machine::new("ID=debian\n")?;
        with_a_build(&machine)?;
        let run = || {
            let mut command = machine.script("run", &["file:a b.wav", "--json"]);
            run_to_end(command.env("LC_ALL", locale).env("CARGO_TARGET_DIR", "built here ü"), watchdog(10.0))
        };
        let first = run()?;
        first.expect_success()?;
        ensure!(first.stderr.contains("building") && first.stderr.contains("without OpenBLAS"), "{first:?}");
        ensure!(
            first.stdout == format!("{}\n<run><file:a b.wav><--json>", machine.folder.path().display()),
            "{first:?}"
        );
        let told =
            ["cargo build --release --locked", "tympan model fetch --if-missing", "tympan run file:a b.wav --json"];
        ensure!(machine.log().lines().eq(told), "{}", machine.log());
        ensure!(machine.path("built here ü/release/tympan").is_file(), "it was built elsewhere");

        // All is there: silent.
        let second = run()?;
        second.expect_success()?;
        ensure!(second.stderr.is_empty() && second.stdout == first.stdout, "{second:?}");
        ensure!(machine.log().contains("cargo build --release --locked --quiet"), "{}", machine.log());

        // Something has changed: cargo shows what it does.
        std::fs::write(machine.path("project/new.rs"), "")?;
        let third = run()?;
        ensure!(third.stderr.contains("building"), "{third:?}");
    }
    Ok(())
}

#[test]
fn openblas_is_used_where_a_program_can_be_linked_to_it() -> Result<()> {
    let machine = Machine::new("ID=debian\n")?;
    with_a_build(&machine)?;
    machine.put("pkg-config", "[ \"$1\" = --exists ] || echo -I/usr/include/openblas")?;
    let build = |openblas: &str| -> Result<(String, String)> {
        let mut command = machine.script("run", &[]);
        command.env("OPENBLAS", openblas).env("CARGO_TARGET_DIR", machine.path("built"));
        let finished = run_to_end(&mut command, watchdog(10.0))?;
        finished.expect_success()?;
        Ok((
            machine.log().lines().rfind(|line| line.starts_with("cargo")).context("no build")?.to_owned(),
            finished.stderr,
        ))
    };
    let (with, said) = build("yes")?;
    ensure!(
        with.ends_with("--features transcriber-worker/openblas") && !said.contains("without OpenBLAS"),
        "{with} {said}"
    );
    // Asked to do without: another build, and no advice.
    let (without, said) = build("no")?;
    ensure!(without == "cargo build --release --locked" && said.contains("building"), "{without} {said}");
    ensure!(!said.contains("without OpenBLAS"), "{said}");
    // What pkg-config knows and the linker does not is no OpenBLAS.
    machine.put("cc", "case $* in *-lopenblas*) exit 1 ;; esac")?;
    ensure!(build("yes")?.0.starts_with("cargo build --release --locked --quiet"), "{}", machine.log());
    Ok(())
}

#[test]
fn an_unknown_argument_is_refused() -> Result<()> {
    let machine = Machine::new("ID=debian\n")?;
    for script in ["setup", "test", "bench"] {
        let finished = run_to_end(&mut machine.script(script, &["--dance"]), watchdog(10.0))?;
        finished.expect_refusal(&["--dance", &format!("usage: scripts/{script}")])?;
    }
    ensure!(!Path::new(&machine.path("home/log")).exists(), "{}", machine.log());
    Ok(())
}
