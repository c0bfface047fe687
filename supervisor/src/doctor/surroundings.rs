//! Where this runs: which distribution, as whom, in a container or not. The commands that mend depend on it.

use super::outside::variable;
use std::path::Path;

/// Who installs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Installer {
    Apt,
    Dnf,
    Pacman,
    Zypper,
    Unknown,
}

/// The names of a package with Debian, Fedora, Arch and openSUSE.
#[derive(Debug, Clone, Copy)]
pub(super) struct Package(pub &'static str, pub &'static str, pub &'static str, pub &'static str);

/// Where this runs.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub installer: Installer,
    pub uid: u32,
    /// The user who asked `sudo` for this, if that was so.
    pub sudo_uid: Option<u32>,
    /// A container: devices and memory are what it was given.
    pub container: bool,
    /// A shell over ssh.
    pub ssh: bool,
}

impl Surroundings {
    /// Looks around.
    pub(super) fn look() -> Self {
        let release =
            ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| std::fs::read_to_string(path).ok());
        let marks = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"];
        let cgroup = std::fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
        let told = ["docker", "kubepods", "lxc", "libpod"].iter().any(|word| cgroup.contains(word));
        Self {
            installer: installer(&release.unwrap_or_default()),
            uid: rustix::process::geteuid().as_raw(),
            sudo_uid: variable("SUDO_UID").and_then(|uid| uid.parse().ok()),
            container: told || variable("container").is_some() || marks.iter().any(|path| Path::new(path).exists()),
            ssh: variable("SSH_CONNECTION").is_some(),
        }
    }

    /// What stands before a command that only root may give.
    pub(super) const fn sudo(&self) -> &'static str {
        if self.uid == 0 { "" } else { "sudo " }
    }

    /// The command that installs a package.
    pub(super) fn install(&self, package: Package) -> String {
        let sudo = self.sudo();
        let Package(debian, fedora, arch, suse) = package;
        match self.installer {
            Installer::Apt => format!("{sudo}apt-get install {debian}"),
            Installer::Dnf => format!("{sudo}dnf install {fedora}"),
            Installer::Pacman => format!("{sudo}pacman -S {arch}"),
            Installer::Zypper => format!("{sudo}zypper install {suse}"),
            Installer::Unknown => format!("# install the package that Debian calls {debian}"),
        }
    }
}

/// Who installs packages, by the text of os-release.
fn installer(release: &str) -> Installer {
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let (id, like) = (value("ID"), value("ID_LIKE"));
    for family in std::iter::once(id.as_str()).chain(like.split(' ')) {
        match family {
            "debian" | "ubuntu" => return Installer::Apt,
            "fedora" | "rhel" | "centos" => return Installer::Dnf,
            "arch" => return Installer::Pacman,
            "suse" | "opensuse" | "opensuse-tumbleweed" | "opensuse-leap" => return Installer::Zypper,
            _ => {}
        }
    }
    Installer::Unknown
}

#[cfg(test)]
impl Surroundings {
    /// A desktop of a plain user.
    pub(super) const fn desktop(installer: Installer) -> Self {
        Self { installer, uid: 1_000, sudo_uid: None, container: false, ssh: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_installer() {
        for (release, wanted) in [
            ("NAME=x\nID=debian\n", Installer::Apt),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", Installer::Apt),
            ("ID=fedora", Installer::Dnf),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"", Installer::Dnf),
            ("ID=manjaro\nID_LIKE=arch", Installer::Pacman),
            ("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"", Installer::Zypper),
            ("ID=nixos", Installer::Unknown),
            ("", Installer::Unknown),
        ] {
            assert_eq!(installer(release), wanted, "{release}");
        }
    }

    #[test]
    fn root_needs_no_sudo() {
        let package = Package("pipewire-alsa", "b", "c", "d");
        let mut here = Surroundings::desktop(Installer::Apt);
        assert_eq!(here.install(package), "sudo apt-get install pipewire-alsa");
        here.uid = 0;
        assert_eq!(here.install(package), "apt-get install pipewire-alsa");
        here.installer = Installer::Unknown;
        assert!(here.install(package).starts_with('#'));
    }
}
