//! What a command is going to write, decided as a whole before anything is touched.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Files to create and to change in one checkout.
#[derive(Debug)]
pub(super) struct Plan {
    root: PathBuf,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    /// Relative to the checkout.
    path: String,
    text: String,
    /// What was there, if anything.
    before: Option<String>,
    /// The lines that a change adds, for the report.
    added: String,
}

impl Plan {
    /// Nothing yet, in the checkout at `root`.
    ///
    /// # Errors
    /// If there is no `landmark` under `root`, so that it is no checkout.
    pub(super) fn in_checkout(root: &Path, landmark: &str) -> anyhow::Result<Self> {
        if !root.join(landmark).is_file() {
            bail!(
                "`{}` holds no {landmark}; run this in a checkout of Genie, or name it with --dir",
                root.display()
            );
        }
        Ok(Self { root: root.to_owned(), steps: Vec::new() })
    }

    /// The text of a file of the checkout, as the plan so far leaves it.
    pub(super) fn read(&self, path: &str) -> anyhow::Result<String> {
        if let Some(step) = self.steps.iter().find(|step| step.path == path) {
            return Ok(step.text.clone());
        }
        fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read `{path}`"))
    }

    /// Whether the checkout has a file or folder of this name.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Plans a new file.
    ///
    /// # Errors
    /// If it is there already.
    pub(super) fn create(&mut self, path: String, text: String) -> anyhow::Result<()> {
        if self.has(&path) {
            bail!("`{path}` exists; choose another name, or remove it first");
        }
        self.steps.push(Step { path, text, before: None, added: String::new() });
        Ok(())
    }

    /// Plans a change of a file; `added` names what is new in it.
    pub(super) fn change(&mut self, path: &str, text: String, added: &str) -> anyhow::Result<()> {
        let before = self.read(path)?;
        let (path, added) = (path.to_owned(), added.to_owned());
        self.steps.push(Step { path, text, before: Some(before), added });
        Ok(())
    }

    /// Writes everything, or nothing: what was written before a failure is taken back.
    ///
    /// Returns a line for each file.
    pub(super) fn carry_out(self) -> anyhow::Result<Vec<String>> {
        let mut done = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            if let Err(error) = self.write(step) {
                for earlier in self.steps[..index].iter().rev() {
                    self.take_back(earlier);
                }
                return Err(error).with_context(|| format!("cannot write `{}`", step.path));
            }
            done.push(match &step.before {
                None => format!("created {}", step.path),
                Some(_) => format!("changed {}: added {}", step.path, step.added),
            });
        }
        Ok(done)
    }

    fn write(&self, step: &Step) -> anyhow::Result<()> {
        let path = self.root.join(&step.path);
        if step.before.is_some() {
            return Ok(fs::write(path, &step.text)?);
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::File::create_new(&path)?;
        if let Err(error) = file.write_all(step.text.as_bytes()) {
            self.take_back(step);
            return Err(error.into());
        }
        Ok(())
    }

    /// Puts back what was there; a failure to do so is said, since the user has to know.
    fn take_back(&self, step: &Step) {
        let path = self.root.join(&step.path);
        let taken = match &step.before {
            Some(before) => fs::write(&path, before),
            None => fs::remove_file(&path),
        };
        if let Err(error) = taken {
            anstream::eprintln!("cannot take back `{}`: {error}", step.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_takes_back_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("list"), "old").unwrap();
        let mut plan = Plan::in_checkout(dir.path(), "list").unwrap();
        plan.create("new".to_owned(), "text".to_owned()).unwrap();
        plan.change("list", "longer".to_owned(), "a line").unwrap();
        plan.create("list/impossible".to_owned(), "text".to_owned()).unwrap();
        let error = plan.carry_out().unwrap_err().to_string();
        assert_eq!(error, "cannot write `list/impossible`");
        assert_eq!(fs::read_to_string(dir.path().join("list")).unwrap(), "old");
        assert!(!dir.path().join("new").exists());
    }

    #[test]
    fn a_folder_that_is_no_checkout_and_a_file_that_exists_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Plan::in_checkout(dir.path(), "agents/lib.rs").unwrap_err().to_string();
        assert!(error.contains("holds no agents/lib.rs"), "{error}");
        fs::write(dir.path().join("list"), "old").unwrap();
        let mut plan = Plan::in_checkout(dir.path(), "list").unwrap();
        assert!(plan.create("list".to_owned(), String::new()).is_err());
    }
}
