//! Files that people name: a plan, a secret. Only regular ones are read, and of each a bounded part, so that a pipe, a
//! device or a huge file costs nothing but an error.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::Path,
};

use rustix::fs::{CWD, Mode, OFlags, openat};

/// A text file as it was read.
#[derive(Debug)]
pub struct TextFile {
    pub text: String,
    /// Of the file that was read, whatever its name leads to by now.
    pub metadata: Metadata,
}

/// Reads a regular file of at most so many bytes. Blocks on the disk; a pipe without a writer does not hold it up.
///
/// # Errors
/// It cannot be opened or read, it is no regular file, it is larger, it is not UTF-8, or the kernel makes it up (`/proc`).
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<TextFile> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(openat(CWD, path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    if is_made_up(&file)? {
        let why = "it is not on a disk: the kernel makes it up, and it can show this process's own secrets";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {bytes_max} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(TextFile { text, metadata })
}

/// A text that a plan names is not larger.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// Reads a text that a plan names by a path from its own folder, and nothing outside of it: texts are sent away. Blocks on the
/// disk.
///
/// # Errors
/// Why it cannot be read.
pub fn read_beside(plan: &Path, path: &str) -> Result<String, String> {
    let folder = plan.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text = |error: io::Error| error.to_string();
    let folder = folder.canonicalize().map_err(text)?;
    let file = folder.join(path).canonicalize().map_err(text)?;
    if !file.starts_with(&folder) {
        return Err(format!("it is not in the plan's folder, {}", folder.display()));
    }
    read_text(&file, TEXT_BYTES_MAX).map(|file| file.text).map_err(text)
}

/// Whether a file belongs to `/proc` or `/sys`, by whatever name it was reached.
#[cfg(target_os = "linux")]
#[expect(clippy::useless_conversion, reason = "how wide the type of a file system is depends on the platform")]
fn is_made_up(file: &File) -> io::Result<bool> {
    const PROC: i64 = 0x9fa0;
    const SYS: i64 = 0x6265_6572;
    Ok([PROC, SYS].contains(&i64::from(rustix::fs::fstatfs(file)?.f_type)))
}

#[cfg(not(target_os = "linux"))]
fn is_made_up(_file: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn refused(path: &Path) -> String {
        read_text(path, 8).unwrap_err().to_string()
    }

    #[test]
    fn what_is_beside_a_plan_does_not_lead_out_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let plan = folder.path().join("plans/plan.yaml");
        fs::create_dir_all(folder.path().join("plans/texts")).unwrap();
        fs::write(folder.path().join("plans/texts/a.md"), "told").unwrap();
        fs::write(folder.path().join("secret"), "not told").unwrap();
        std::os::unix::fs::symlink("../../secret", folder.path().join("plans/texts/link")).unwrap();
        assert_eq!(read_beside(&plan, "texts/a.md").unwrap(), "told");
        let absolute = folder.path().join("secret").display().to_string();
        for out in ["../secret", "texts/link", &absolute] {
            let why = read_beside(&plan, out).unwrap_err();
            assert!(why.contains("not in the plan's folder"), "{out}: {why}");
        }
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("good"), "12345678").unwrap();
        assert_eq!(read_text(&at("good"), 8).unwrap().text, "12345678");
        fs::write(at("large"), "123456789").unwrap();
        assert_eq!(refused(&at("large")), "it is larger than 8 bytes");
        fs::write(at("binary"), [0xff, 0xfe]).unwrap();
        assert_eq!(refused(&at("binary")), "it is not UTF-8");
        let mkfifo = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(mkfifo.success());
        for name in [at("pipe"), folder.path().to_owned(), "/dev/zero".into()] {
            assert_eq!(refused(&name), "it is not a regular file", "{}", name.display());
        }
        assert!(refused(&at("missing")).contains("No such file"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_kernel_makes_up_is_not_read_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("token");
        std::os::unix::fs::symlink("/proc/self/environ", &link).unwrap();
        for name in [&link, Path::new("/proc/self/environ"), Path::new("/sys/kernel/mm/transparent_hugepage/enabled")] {
            if name.exists() {
                assert!(refused(name).starts_with("it is not on a disk"), "{}", name.display());
            }
        }
    }
}
