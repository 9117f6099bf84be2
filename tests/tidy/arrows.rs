//! Which file imports which.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// `from` names something of `to`; both are paths below `src`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Arrow {
    pub from: String,
    pub to: String,
}

/// All arrows. A `mod.rs` that declares or passes on what its own files hold makes none by that.
pub fn all(sources: &[Source]) -> BTreeSet<Arrow> {
    let by_module: BTreeMap<&[String], &Source> =
        sources.iter().map(|source| (source.module.as_slice(), source)).collect();
    let arrows = sources.iter().flat_map(|source| {
        let of_use = source.uses.paths.iter();
        let targets = of_use.filter_map(|(inside, path)| {
            let start: Vec<String> = source.module.iter().chain(inside).cloned().collect();
            resolve(&by_module, source, &start, path)
        });
        let passed_on = source.uses.passed_on.iter().filter_map(|(_, path)| {
            let target = resolve(&by_module, source, &source.module, path)?;
            let is_own = target.module.starts_with(&source.module);
            (!is_own).then_some(target)
        });
        let targets: Vec<&Source> = targets.chain(passed_on).collect();
        targets
            .into_iter()
            .filter(|target| target.path != source.path)
            .map(|target| Arrow { from: source.path.clone(), to: target.path.clone() })
    });
    arrows.collect()
}

/// The file that a path leads to; `None` if that is another crate's, or is named by no file.
fn resolve<'a>(
    by_module: &BTreeMap<&[String], &'a Source>,
    source: &Source,
    inside: &[String],
    path: &[String],
) -> Option<&'a Source> {
    let mut absolute = inside.to_vec();
    let mut rest = path;
    match path.first().map(String::as_str)? {
        "crate" => {
            absolute.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while let Some((first, more)) = rest.split_first()
                && first == "super"
            {
                absolute.pop();
                rest = more;
            }
        }
        child if source.uses.declared.contains(child) => {}
        _ => return None,
    }
    absolute.extend(rest.iter().cloned());
    let (length, found) = (0..=absolute.len())
        .rev()
        .find_map(|n| by_module.get(&absolute[..n]).map(|found| (n, *found)))?;
    let next = absolute.get(length);
    let passed_on = found.uses.passed_on.iter().find(|(name, _)| Some(name) == next);
    match passed_on {
        Some((_, path)) if found.path != source.path => {
            resolve(by_module, found, &found.module, path).or(Some(found))
        }
        _ => Some(found),
    }
}

/// The files that reach each other and so themselves, a list for each circle.
pub fn circles(arrows: &BTreeSet<Arrow>) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for arrow in arrows.iter().filter(|arrow| !matches!(arrow.from.as_str(), "lib.rs" | "main.rs"))
    {
        next.entry(&arrow.from).or_default().push(&arrow.to);
    }
    let reached = |from: &str| {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
        while let Some(file) = waiting.pop() {
            for to in next.get(file).into_iter().flatten() {
                if seen.insert(*to) {
                    waiting.push(to);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|file| (*file, reached(file))).collect();
    let circles: BTreeSet<Vec<String>> = reach
        .iter()
        .filter(|(file, seen)| seen.contains(*file))
        .map(|(file, seen)| {
            let back = |other: &&&str| reach.get(**other).is_some_and(|seen| seen.contains(file));
            seen.iter().filter(back).map(|&other| other.to_owned()).collect()
        })
        .collect();
    circles.into_iter().collect()
}
