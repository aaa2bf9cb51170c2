//! The crates that cells link to, built beforehand: this binary carries them as its own build has made them (see
//! `build/carried.rs`), for the first start with the same toolchain. What does not fit there, cargo builds anew.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::template;

const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/carried"));
/// In bytes, unpacked.
const LENGTH: &str = include_str!(concat!(env!("OUT_DIR"), "/carried.length"));
/// What the rustc says of itself that they were built with; nothing when nothing is carried.
const RUSTC: &str = include_str!(concat!(env!("OUT_DIR"), "/carried.rustc"));

/// Whether they are for this toolchain.
pub fn fits(sysroot: &Path) -> bool {
    let said = || Command::new(sysroot.join("bin/rustc")).arg("-vV").output();
    !RUSTC.is_empty() && said().is_ok_and(|said| said.stdout == RUSTC.as_bytes())
}

/// Puts them into a session's build folder, unless they do not fit there.
pub fn lay(sysroot: &Path, build: &Path) -> io::Result<()> {
    if !fits(sysroot) {
        return Ok(());
    }
    let unpacked = unpacked(PACKED, LENGTH.parse().unwrap_or(0))?;
    template::whole(build, || write(&unpacked, build))
}

fn unpacked(packed: &[u8], length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::<DecompressorOxide>::default();
    let (status, _, written) = decompress(&mut state, packed, &mut bytes, 0, flags);
    if status == TINFLStatus::Done && written == length {
        Ok(bytes)
    } else {
        Err(io::Error::from(io::ErrorKind::InvalidData))
    }
}

/// Writes all files, with their times, by which cargo tells what is fresh. A folder whose path has another length
/// than that in which they were built is left empty.
fn write(mut unpacked: &[u8], build: &Path) -> io::Result<()> {
    let rest = &mut unpacked;
    let (old, new) = (part(rest)?, build.as_os_str().as_bytes());
    if old.len() != new.len() {
        return Ok(());
    }
    let all = part(rest)?;
    while !rest.is_empty() {
        let path = build.join(OsStr::from_bytes(part(rest)?));
        let seconds = u64::from_le_bytes(array(rest)?);
        let nanoseconds = u32::from_le_bytes(array(rest)?);
        let mode = u32::from_le_bytes(array(rest)?);
        let bytes = within(all, array(rest)?, array(rest)?)?;
        fs::create_dir_all(path.parent().unwrap_or(build))?;
        match template::replaced_in(&path, bytes, old, new) {
            Some(replaced) => fs::write(&path, replaced)?,
            None => fs::write(&path, bytes)?,
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        let file = fs::File::options().write(true).open(&path)?;
        file.set_modified(UNIX_EPOCH + Duration::new(seconds, nanoseconds))?;
    }
    Ok(())
}

/// As many bytes as are said, from where they are said to begin.
fn within(all: &[u8], at: [u8; 4], length: [u8; 4]) -> io::Result<&[u8]> {
    let cut = || {
        let [at, length] = [at, length].map(u32::from_le_bytes);
        let begun = all.get(usize::try_from(at).ok()?..)?;
        begun.get(..usize::try_from(length).ok()?)
    };
    cut().ok_or(io::ErrorKind::UnexpectedEof.into())
}

/// The next bytes behind their length.
fn part<'a>(rest: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let cut = || {
        let (length, behind) = rest.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        behind.split_at_checked(usize::try_from(length).ok()?)
    };
    let (part, behind) = cut().ok_or(io::ErrorKind::UnexpectedEof)?;
    *rest = behind;
    Ok(part)
}

fn array<const N: usize>(rest: &mut &[u8]) -> io::Result<[u8; N]> {
    let part = part(rest)?.try_into();
    part.map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(packed: &mut Vec<u8>, bytes: &[u8]) {
        packed.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        packed.extend(bytes);
    }

    #[test]
    fn files_name_their_own_folder_and_keep_their_times() {
        let shelf = tempfile::tempdir().unwrap();
        let build = shelf.path().join("build");
        let old = vec![b'o'; build.as_os_str().len()];
        let mut packed = Vec::new();
        let text = [&old[..], b"/target"].concat();
        put(&mut packed, &old);
        put(&mut packed, &[b"before", &text[..]].concat());
        put(&mut packed, b"target/debug/root-output");
        put(&mut packed, &7_u64.to_le_bytes());
        put(&mut packed, &9_u32.to_le_bytes());
        put(&mut packed, &0o755_u32.to_le_bytes());
        put(&mut packed, &6_u32.to_le_bytes());
        put(
            &mut packed,
            &u32::try_from(text.len()).unwrap().to_le_bytes(),
        );
        write(&packed, &build).unwrap();
        let file = build.join("target/debug/root-output");
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            build.join("target").display().to_string()
        );
        let about = fs::metadata(&file).unwrap();
        assert_eq!(about.modified().unwrap(), UNIX_EPOCH + Duration::new(7, 9));
        assert_eq!(about.permissions().mode() & 0o777, 0o755);

        // Torn off anywhere, it is an error and no panic.
        let files = 4 + old.len() + 4 + 6 + text.len();
        for end in (0..packed.len()).filter(|end| *end != files) {
            assert!(write(&packed[..end], &build).is_err(), "{end}");
        }
        let more = u32::try_from(text.len() + 1).unwrap().to_le_bytes();
        packed.splice(packed.len() - 4.., more);
        assert!(write(&packed, &build).is_err(), "more than there is");
        // In a folder of another length, nothing is written.
        let longer = shelf.path().join("longer");
        write(&packed, &longer).unwrap();
        assert!(!longer.exists());
    }

    #[test]
    fn what_is_carried_is_whole() {
        let length = LENGTH.parse().unwrap_or(0);
        assert_eq!(length == 0, RUSTC.is_empty());
        if length > 0 {
            let names = unpacked(PACKED, length).unwrap();
            let names = String::from_utf8_lossy(&names);
            assert!(names.contains("libserde_core-") && names.contains("libregatta_cell-"));
        }
        assert!(unpacked(&PACKED[..PACKED.len() / 2], length.max(1)).is_err());
    }
}
