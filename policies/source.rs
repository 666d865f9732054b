//! Where rules and cases come from: compiled in, or a directory that an installation keeps.
//!
//! The one place in this crate that reads files. A directory replaces the rules that are compiled
//! in; the built-in checks are always in force.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use genie_core::policy::{Policy, PolicySet};

use crate::rules::{Problem, RuleFile};

/// Largest file that is read, in bytes; a rule takes about 300.
const FILE_BYTES_MAX: u64 = 1_048_576;

/// Most files of one directory.
const FILES_MAX: usize = 256;

/// The rules that are compiled in, as name and text.
const RULES: &[(&str, &str)] = &[
    ("policies/rules/effects.toml", include_str!("rules/effects.toml")),
    ("policies/rules/questions.toml", include_str!("rules/questions.toml")),
];

/// The cases that are compiled in, as name and text.
const CASES: &[(&str, &str)] = &[
    ("policies/cases/checks.toml", include_str!("cases/checks.toml")),
    ("policies/cases/effects.toml", include_str!("cases/effects.toml")),
    ("policies/cases/questions.toml", include_str!("cases/questions.toml")),
];

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory or file cannot be read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file, or the number of files, is beyond the limit.
    #[error("`{path}` is too large: {limit}")]
    TooLarge {
        /// The directory or file.
        path: PathBuf,
        /// The limit that it exceeds.
        limit: String,
    },
    /// There is no rule file.
    #[error("`{0}` holds no `.toml` file with rules; put them there or into its folder `rules`")]
    NoRules(PathBuf),
    /// The rules are not sound.
    #[error("{}", lines(.0))]
    Unsound(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The text of one file.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path, as messages name it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// The texts of rules and of the cases that test them.
#[derive(Debug, Clone)]
pub struct Source {
    /// Files of rules, in order.
    pub rules: Vec<File>,
    /// Files of cases, in order.
    pub cases: Vec<File>,
}

impl Source {
    /// What is compiled in.
    pub fn embedded() -> Self {
        let files = |files: &[(&str, &str)]| {
            files
                .iter()
                .map(|(name, text)| File { name: (*name).to_owned(), text: (*text).to_owned() })
                .collect()
        };
        Self { rules: files(RULES), cases: files(CASES) }
    }

    /// Reads a directory: rules from `dir/rules/*.toml` and cases from `dir/cases/*.toml`; without
    /// a folder `rules`, rules from `dir/*.toml` and no cases.
    ///
    /// # Errors
    /// If anything cannot be read or no rule file is there. Whether the rules are sound is not
    /// looked at yet.
    pub fn load_dir(dir: &Path) -> Result<Self, Error> {
        let (rules, cases) = (dir.join("rules"), dir.join("cases"));
        let source = if rules.is_dir() {
            let cases = if cases.is_dir() { read_dir(&cases)? } else { Vec::new() };
            Self { rules: read_dir(&rules)?, cases }
        } else {
            Self { rules: read_dir(dir)?, cases: Vec::new() }
        };
        if source.rules.is_empty() {
            return Err(Error::NoRules(dir.to_owned()));
        }
        Ok(source)
    }

    /// The checked rules.
    ///
    /// # Errors
    /// Every problem of every file; an id that two files use is one.
    pub fn rule_files(&self) -> Result<Vec<RuleFile>, Vec<Problem>> {
        let (mut loaded, mut problems): (Vec<RuleFile>, Vec<Problem>) = (Vec::new(), Vec::new());
        for file in &self.rules {
            match RuleFile::parse(&file.name, &file.text) {
                Ok(parsed) => {
                    problems.extend(clashes(&loaded, &parsed));
                    loaded.push(parsed);
                }
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(loaded) } else { Err(problems) }
    }

    /// The checked rules, each as a policy of its own.
    ///
    /// # Errors
    /// [`Error::Unsound`] if a rule is not sound; then there is none.
    pub fn rule_policies(&self) -> Result<Vec<Arc<dyn Policy>>, Error> {
        let files = self.rule_files().map_err(Error::Unsound)?;
        let rules = files.iter().flat_map(RuleFile::rules);
        Ok(rules.map(|rule| rule.clone() as Arc<dyn Policy>).collect())
    }

    /// The whole chain: the built-in checks, then the rules.
    ///
    /// # Errors
    /// [`Error::Unsound`] if a rule is not sound; then none is in force.
    pub fn policy_set(&self) -> Result<PolicySet, Error> {
        let mut policies = crate::baseline();
        policies.extend(self.rule_policies()?);
        // The baseline is never empty, so neither is the set.
        PolicySet::new(policies).map_err(|_| Error::Unsound(Vec::new()))
    }
}

/// A problem for each rule of `file` whose id an earlier file uses.
fn clashes(loaded: &[RuleFile], file: &RuleFile) -> Vec<Problem> {
    let clash = |rule: &Arc<crate::rules::Rule>| {
        let has = |other: &&RuleFile| other.rules().iter().any(|one| one.name() == rule.name());
        loaded.iter().find(has).map(|other| Problem {
            file: file.name().to_owned(),
            line: rule.line(),
            message: format!("the id `{}` is taken in {}", rule.name(), other.name()),
            hint: None,
        })
    };
    file.rules().iter().filter_map(clash).collect()
}

/// The `.toml` files directly in `dir`, in order of their names.
fn read_dir(dir: &Path) -> Result<Vec<File>, Error> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Unreadable { path, source }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable(dir))? {
        let path = entry.map_err(unreadable(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            let limit = format!("it has more than {FILES_MAX} files");
            return Err(Error::TooLarge { path: dir.to_owned(), limit });
        }
    }
    paths.sort();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        if fs::metadata(&path).map_err(unreadable(&path))?.len() > FILE_BYTES_MAX {
            let limit = format!("it has more than {FILE_BYTES_MAX} bytes");
            return Err(Error::TooLarge { path, limit });
        }
        let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
        files.push(File { name: path.display().to_string(), text });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "[[rule]]\nid = \"r\"\ndescription = \"D.\"\nkinds = [\"k\"]\n\
                        when = \"true\"\ndecision = \"deny\"\nreason = \"because\"\n";

    fn source(files: &[(&str, &str)]) -> Source {
        let file = |(name, text): &(&str, &str)| File {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        };
        Source { rules: files.iter().map(file).collect(), cases: Vec::new() }
    }

    #[test]
    fn what_is_compiled_in_is_sound() {
        let source = Source::embedded();
        let files = source.rule_files().unwrap();
        let rules: usize = files.iter().map(|file| file.rules().len()).sum();
        assert!(rules >= files.len(), "a file without rules");
        let set = source.policy_set().unwrap();
        assert_eq!(set.list().count(), crate::baseline().len() + rules);
    }

    #[test]
    fn an_id_in_two_files_is_refused() {
        let problems = source(&[("a.toml", RULE), ("b.toml", RULE)]).rule_files().unwrap_err();
        assert_eq!(problems[0].to_string(), "b.toml:1: the id `r` is taken in a.toml");
    }

    #[test]
    fn one_unsound_file_keeps_every_rule_out() {
        let broken = RULE.replace("true", "message.x");
        let error = source(&[("a.toml", RULE), ("b.toml", &broken)]).policy_set().unwrap_err();
        assert!(error.to_string().starts_with("b.toml:5: "), "{error}");
    }

    #[test]
    fn the_set_version_changes_with_a_rule() {
        let version =
            |text: &str| source(&[("a.toml", text)]).policy_set().unwrap().version().to_owned();
        assert_eq!(version(RULE), version(RULE));
        assert_ne!(version(RULE), version(&RULE.replace("true", "false")));
    }

    #[test]
    fn a_directory_is_read_in_order_and_an_empty_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Source::load_dir(dir.path()), Err(Error::NoRules(_))));
        fs::write(dir.path().join("b.toml"), RULE.replace("\"r\"", "\"b\"")).unwrap();
        fs::write(dir.path().join("a.toml"), RULE).unwrap();
        fs::write(dir.path().join("notes.md"), "no rule").unwrap();
        let flat = Source::load_dir(dir.path()).unwrap();
        assert_eq!(flat.rules.len(), 2);
        assert!(flat.rules[0].name.ends_with("a.toml"));
        fs::create_dir(dir.path().join("rules")).unwrap();
        assert!(matches!(Source::load_dir(dir.path()), Err(Error::NoRules(_))));
        assert!(matches!(
            Source::load_dir(&dir.path().join("absent")),
            Err(Error::Unreadable { .. })
        ));
    }
}
