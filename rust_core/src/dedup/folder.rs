//! The index's directory: files appear whole and durable, or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const PART: &str = "part";
/// Unsynced bytes at most: a long write must not make the log's next sync wait for all of it.
const SYNC_EVERY_BYTES: usize = 8 * 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;

pub struct Folder {
    path: PathBuf,
    /// Operations until one fails, to test what a crash or a full disk leaves.
    #[cfg(test)]
    pub steps_left: std::sync::atomic::AtomicU32,
}

impl Folder {
    /// The directory, made if it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self {
            path: path.to_owned(),
            #[cfg(test)]
            steps_left: u32::MAX.into(),
        })
    }

    #[cfg(not(test))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // Fails in tests.
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        match self.steps_left.load(Relaxed) {
            u32::MAX => Ok(()),
            0 => Err(io::Error::from(io::ErrorKind::StorageFull)),
            left => {
                self.steps_left.store(left - 1, Relaxed);
                Ok(())
            }
        }
    }

    pub fn names(&self) -> io::Result<Vec<OsString>> {
        fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    pub fn open_file(&self, name: &str) -> io::Result<File> {
        File::open(self.path.join(name))
    }

    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    /// Nothing waits for the removal to be durable: what should not be there is removed again at the next opening.
    pub fn remove(&self, name: impl AsRef<Path>) -> io::Result<()> {
        self.step()?;
        fs::remove_file(self.path.join(name))
    }

    /// Removes what is left of a file that could not be finished.
    pub fn discard(&self, name: &str) {
        let _ = self.remove(Path::new(name).with_extension(PART)); // If it stays, the next opening removes it.
    }

    /// Begins a file; it gets its name when it is published.
    pub fn create(&self, name: &str) -> io::Result<Part<'_>> {
        self.step()?;
        let path = self.path.join(name);
        let out = BufWriter::with_capacity(BUFFER_BYTES, File::create(path.with_extension(PART))?);
        Ok(Part {
            folder: self,
            path,
            out,
            unsynced: 0,
        })
    }

    /// Makes renames durable.
    fn sync(&self) -> io::Result<()> {
        self.step()?;
        File::open(&self.path)?.sync_all()
    }
}

/// A file that is being written.
pub struct Part<'a> {
    folder: &'a Folder,
    path: PathBuf,
    out: BufWriter<File>,
    unsynced: usize,
}

impl Part<'_> {
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.unsynced += bytes.len();
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.unsynced = 0;
            self.out.flush()?;
            self.out.get_ref().sync_data()?;
        }
        Ok(())
    }

    /// Durable, then under its name, durably.
    pub fn publish(mut self) -> io::Result<()> {
        self.folder.step()?;
        self.out.flush()?;
        self.folder.step()?;
        self.out.get_ref().sync_all()?;
        self.folder.step()?;
        fs::rename(self.path.with_extension(PART), &self.path)?;
        self.folder.sync()
    }
}
