//! Our own binaries as images: put in as they were built, with the libraries that the base lacks.

use super::buildkit::Build;
use super::catalogue::hex;
use super::context::Context as BuildContext;
use super::stale::remove_stale;
use super::{Error, ImageReady, Images, Kind, Origin, upstream};
use aws_lc_rs::digest::{Context, SHA256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The image of the catalogue that they are put into.
const FRAME: &str = "own";
/// Label of such an image; its value is the name that was asked for.
const OWN_LABEL: &str = "firedrill.own";

impl Images<'_> {
    /// Makes the image `firedrill/<name>:<hash>` of one of our own binaries, unless it is there.
    /// Its entrypoint runs the binary, so that `command:` holds its arguments. `extra` are further
    /// libraries to go along.
    ///
    /// # Errors
    /// A binary or library that can't be read; one that wants a newer libc than the base has on a
    /// machine without `ldd`; what [`Images::ensure`] can fail with for the base.
    pub async fn ensure_own(
        &self,
        name: &str,
        binary: &Path,
        extra: &[PathBuf],
    ) -> Result<ImageReady, Error> {
        let began = Instant::now();
        let frame =
            self.catalogue.images().find(|i| i.name == FRAME && i.kind == Kind::Own).ok_or_else(
                || self.catalogue.unknown(FRAME, "own binaries need the folder compose/images/own"),
            )?;
        let wrong =
            |why: String, hint: &str| Error::Own { path: binary.into(), why, hint: hint.into() };
        let bytes = std::fs::read(binary)
            .map_err(|e| wrong(e.to_string(), "build it first: `cargo build` in the repository"))?;
        let file = binary
            .file_name()
            .and_then(|n| n.to_str())
            .ok_or_else(|| wrong("its path has no name".into(), "give the path of a file"))?;

        let mut libraries = extra.to_vec();
        let base = frame.own.as_ref().map_or("0", |o| o.libc.as_str());
        if let Some(newest) = newest_libc(&bytes).filter(|n| version(n) > version(base)) {
            let hint = format!(
                "it wants libc {newest} and the base has {base}: `ldd`, which names its libraries, must be on this machine"
            );
            libraries.extend(libraries_of(binary).await.map_err(|why| wrong(why, &hint))?);
        }

        let mut digest = Context::new(&SHA256);
        digest.update(frame.hash.as_bytes());
        digest.update(file.as_bytes());
        digest.update(&bytes);
        drop(bytes);
        let context = rootfs(&frame.folder, file, binary, &libraries, &mut digest)?;
        let hash = hex(digest.finish().as_ref());
        let reference = format!("firedrill/{name}:{}", &hash[..12]);
        let mut ready = ImageReady {
            wanted: name.into(),
            name: name.into(),
            reference: reference.clone(),
            origin: Origin::Own,
            built: false,
            seconds: 0.0,
            deviation: None,
        };
        if !upstream::present(self.docker, &reference)
            .await
            .map_err(Error::engine(format!("looking for image {reference}")))?
        {
            let parents: Vec<&str> = frame.needs.iter().map(String::as_str).collect();
            self.build(&parents, &|_| {}).await?;
            let mut arguments = super::ensure::arguments(self.catalogue, frame);
            arguments.insert("BINARY".into(), file.into());
            let labels = HashMap::from([(OWN_LABEL.to_owned(), name.to_owned())]);
            let build = Build {
                name,
                reference: &reference,
                context: context.finish()?,
                arguments,
                labels,
                logs: &self.logs,
            };
            build.run(self.docker).await?;
            remove_stale(self.docker, OWN_LABEL, name, &reference).await;
            ready.built = true;
        }
        ready.seconds = began.elapsed().as_secs_f64();
        Ok(ready)
    }
}

/// The frame's folder with the binary and its libraries in their places; the libraries are added to
/// `digest`.
fn rootfs(
    frame: &Path,
    file: &str,
    binary: &Path,
    libraries: &[PathBuf],
    digest: &mut Context,
) -> Result<BuildContext, Error> {
    let mut context = BuildContext::of(frame)?;
    context.add_folder("rootfs")?;
    context.add(&format!("rootfs/usr/local/bin/{file}"), binary, true)?;
    for library in libraries {
        let content = std::fs::read(library).map_err(|source| Error::File {
            what: "reading",
            path: library.clone(),
            source,
        })?;
        let file =
            library.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        digest.update(file.as_bytes());
        digest.update(&content);
        context.add(&format!("rootfs/opt/own/lib/{file}"), library, true)?;
    }
    Ok(context)
}

/// The newest version of the C library that a binary asks for (`GLIBC_2.34`), by the names that it
/// is linked with.
fn newest_libc(binary: &[u8]) -> Option<String> {
    linked_names(binary)?
        .split(|b| *b == 0)
        .filter_map(|name| std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_"))
        .filter(|found| version(found).first() == Some(&2))
        .max_by_key(|found| version(found))
        .map(str::to_owned)
}

/// The string table of dynamic linking of a 64-bit little-endian ELF file: the one that the
/// versions needed (section type `SHT_GNU_verneed`) refer to. None for any other file and for a
/// static binary.
fn linked_names(binary: &[u8]) -> Option<&[u8]> {
    const VERSIONS_NEEDED: usize = 0x6fff_fffe;
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = binary.get(at..at.checked_add(bytes)?)?;
        field.iter().rev().try_fold(0usize, |n, b| n.checked_mul(256)?.checked_add(usize::from(*b)))
    };
    if binary.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?);
    let section = |index: usize| table.checked_add(index.checked_mul(size)?);
    let needed =
        (0..count).filter_map(section).find(|at| number(at + 4, 4) == Some(VERSIONS_NEEDED))?;
    let names = section(number(needed + 40, 4)?)?;
    let (offset, length) = (number(names + 24, 8)?, number(names + 32, 8)?);
    binary.get(offset..offset.checked_add(length)?)
}

/// `2.36` as numbers, for comparison.
fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// All libraries of a binary with the loader, as `ldd` names them.
async fn libraries_of(binary: &Path) -> Result<Vec<PathBuf>, String> {
    let output = tokio::process::Command::new("ldd")
        .arg(binary)
        .output()
        .await
        .map_err(|e| format!("ldd: {e}"))?;
    if !output.status.success() {
        return Err(format!("ldd: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(paths(&String::from_utf8_lossy(&output.stdout)))
}

/// The paths in the output of `ldd`: `libc.so.6 => /lib/libc.so.6 (0x…)` and
/// `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn paths(output: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let place = line.split_once("=>").map_or(line, |(_, after)| after);
        let path = place.trim().split(" (").next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    output.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_other_files_have_none() {
        assert!(version("2.36") > version("2.9"));
        assert_eq!(newest_libc(b"no binary, GLIBC_2.34"), None);
        assert_eq!(newest_libc(b"\x7fELF\x02\x01 cut short"), None);
    }

    #[test]
    fn libraries_and_the_loader_are_read_from_ldd() {
        let output = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f)\n\
                      \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let names: Vec<String> = paths(output)
            .iter()
            .filter_map(|p| p.file_name())
            .map(|n| n.to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["libgcc_s.so.1", "libc.so.6", "ld-linux-x86-64.so.2"]);
    }

    #[tokio::test]
    async fn a_real_binary_names_its_libraries() {
        let this = std::env::current_exe().expect("path");
        let newest = newest_libc(&std::fs::read(&this).expect("binary")).expect("a version");
        assert!(version(&newest) >= version("2.17"), "{newest}");
        assert!(libraries_of(&this).await.expect("ldd").iter().any(|p| p.ends_with("libc.so.6")));
    }
}
