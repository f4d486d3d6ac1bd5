//! One Rust source file as the rules see it: every path with its root resolved, every identifier, every string
//! literal, and where test code begins. Works on tokens, so that it sees what is inside a macro and ignores comments
//! and strings.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Something found in a file, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// A path such as `crate::bus::Bus`, an identifier, or the value of a string literal.
    pub text: String,
    /// Line, from 1.
    pub line: usize,
    /// In a `#[cfg(test)]` item or a test file.
    pub in_test: bool,
}

/// One file, read.
#[derive(Debug)]
pub struct Source {
    /// Path from the package's root, with `/`.
    pub file: String,
    /// Every path of two or more segments and every import; roots resolved to `crate::…` or an external crate's name.
    pub paths: Vec<Seen>,
    /// Every identifier except those after a dot (methods of other people).
    pub identifiers: Vec<Seen>,
    /// Every plain string literal.
    pub strings: Vec<Seen>,
}

impl Source {
    /// Reads `text` as the content of `file`. Fails if it is not Rust.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let tokens = TokenStream::from_str(text).map_err(|error| format!("{file}: {error}"))?;
        let mut walk = Walk {
            module: module_of(file),
            in_test: is_test_file(file),
            ..Walk::default()
        };
        walk.tokens(tokens);
        let aliases = walk.aliases;
        let mut paths: Vec<Seen> = walk.paths;
        for seen in &mut paths {
            seen.text = resolve(&seen.text, &aliases, root_of(file));
        }
        Ok(Self {
            file: file.to_owned(),
            paths,
            identifiers: walk.identifiers,
            strings: walk.strings,
        })
    }

    /// Names that come from other crates: they are not ours to choose.
    pub fn external_names(&self) -> HashSet<&str> {
        self.paths
            .iter()
            .filter(|path| !OWN_ROOTS.contains(&split(&path.text).0))
            .flat_map(|path| path.text.split("::"))
            .collect()
    }
}

/// Whether a whole file is test code.
pub fn is_test_file(file: &str) -> bool {
    file.starts_with("tests/") || file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// What `crate` may mean.
const OWN_ROOTS: [&str; 3] = ["crate", "herald_bench", "herald_check"];

/// What `crate` means in `file`: the load program and the checker are crates of their own.
fn root_of(file: &str) -> &'static str {
    if file.starts_with("bench/check/") {
        "herald_check"
    } else if file.starts_with("bench/") {
        "herald_bench"
    } else {
        "crate"
    }
}

/// `src/bus/nats.rs` → `crate::bus::nats`; binaries and tests are crates of their own.
fn module_of(file: &str) -> Vec<String> {
    let inner = file
        .strip_prefix("src/")
        .or_else(|| file.strip_prefix("bench/src/"))
        .or_else(|| file.strip_prefix("bench/check/src/"))
        .and_then(|path| path.strip_suffix(".rs"))
        .unwrap_or("main");
    let mut module = vec![root_of(file).to_owned()];
    if inner != "lib" && inner != "main" {
        module.extend(inner.split('/').map(str::to_owned));
    }
    module
}

/// An alias replaced by what it stands for, then the root by the crate's name.
fn resolve(path: &str, aliases: &HashMap<String, String>, own_root: &str) -> String {
    let (first, rest) = split(path);
    let known = aliases
        .get(first)
        .filter(|_| !matches!(first, "herald" | "crate"));
    let (first, inner) = known.map_or((first, ""), |known| split(known));
    let root = match first {
        "herald" => "crate",
        "crate" => own_root,
        _ => first,
    };
    let parts = [root, inner, rest];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("::")
}

fn split(path: &str) -> (&str, &str) {
    path.split_once("::").unwrap_or((path, ""))
}

#[derive(Default)]
struct Walk {
    module: Vec<String>,
    in_test: bool,
    paths: Vec<Seen>,
    identifiers: Vec<Seen>,
    strings: Vec<Seen>,
    /// What a name means in this file: imports and child modules.
    aliases: HashMap<String, String>,
}

impl Walk {
    fn tokens(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = self.step(&tokens, at);
        }
    }

    /// Handles what begins at `at`. Returns where the next item begins.
    fn step(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        if is_cfg_test(tokens, at) {
            let end = item_end(tokens, at + 2);
            let before = std::mem::replace(&mut self.in_test, true);
            let mut inner = at + 2;
            while inner < end {
                inner = self.step(tokens, inner);
            }
            self.in_test = before;
            return end;
        }
        match &tokens[at] {
            TokenTree::Group(group) => {
                self.tokens(group.stream());
                at + 1
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if let Some(value) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                    let seen = self.seen(value, &tokens[at]);
                    self.strings.push(seen);
                }
                at + 1
            }
            TokenTree::Punct(_) => at + 1,
            TokenTree::Ident(ident) => match ident.to_string().as_str() {
                // Not the `use<'a>` of a captured lifetime.
                "use" if !tokens.get(at + 1).is_some_and(|next| is_punct(next, '<')) => {
                    self.import(tokens, at + 1)
                }
                "mod" => self.module(tokens, at),
                _ => self.chain(tokens, at),
            },
        }
    }

    fn seen(&self, text: &str, at: &TokenTree) -> Seen {
        Seen {
            text: text.to_owned(),
            line: at.span().start().line,
            in_test: self.in_test,
        }
    }

    /// `mod name;` or `mod name { … }`: a name in this file, and a module of its own for its contents.
    fn module(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else {
            return at + 1;
        };
        let name = name.to_string();
        let seen = self.seen(&name, &tokens[at + 1]);
        self.identifiers.push(seen);
        let full = format!("{}::{name}", self.module.join("::"));
        self.aliases.insert(name.clone(), full);
        if let Some(TokenTree::Group(body)) = tokens.get(at + 2) {
            self.module.push(name);
            self.tokens(body.stream());
            self.module.pop();
            return at + 3;
        }
        at + 2
    }

    /// A run of `a::b::c`, or a lone identifier.
    fn chain(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let after_dot = at > 0 && is_punct(&tokens[at - 1], '.');
        let mut segments = Vec::new();
        let mut here = at;
        while let Some(TokenTree::Ident(ident)) = tokens.get(here) {
            let name = ident.to_string();
            if !after_dot {
                let seen = self.seen(&name, &tokens[here]);
                self.identifiers.push(seen);
            }
            segments.push(name);
            here += 1;
            if !is_colons(tokens, here) || !matches!(tokens.get(here + 2), Some(TokenTree::Ident(_))) {
                break;
            }
            here += 2;
        }
        if segments.len() > 1 && !after_dot {
            let text = self.absolute(&segments);
            let seen = self.seen(&text, &tokens[at]);
            self.paths.push(seen);
        }
        here.max(at + 1)
    }

    /// The tree of one `use`, up to its `;`.
    fn import(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let mut end = at;
        while end < tokens.len() && !is_punct(&tokens[end], ';') {
            end += 1;
        }
        self.tree(&tokens[at..end], &[]);
        end + 1
    }

    fn tree(&mut self, tokens: &[TokenTree], prefix: &[String]) {
        for branch in tokens.split(|token| is_punct(token, ',')) {
            let mut path = prefix.to_vec();
            let mut name: Option<String> = None;
            let mut rest = branch.iter();
            while let Some(token) = rest.next() {
                match token {
                    TokenTree::Ident(ident) if ident == "as" => name = rest.next().map(ToString::to_string),
                    TokenTree::Ident(ident) if ident == "self" && !path.is_empty() => {}
                    TokenTree::Ident(ident) => path.push(ident.to_string()),
                    TokenTree::Punct(punct) if punct.as_char() == '*' => path.push("*".into()),
                    TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.tree(&inner, &path);
                        path.clear();
                    }
                    _ => {}
                }
            }
            let (Some(first), Some(last)) = (branch.first(), path.last().cloned()) else {
                continue;
            };
            let name = name.unwrap_or(last);
            let ident = self.seen(&name, first);
            let text = self.absolute(&path);
            let seen = self.seen(&text, first);
            self.aliases.insert(name, text);
            self.identifiers.push(ident);
            self.paths.push(seen);
        }
    }

    /// `self` and `super` replaced by the module they refer to.
    fn absolute(&self, segments: &[String]) -> String {
        let mut base = self.module.clone();
        let mut rest = segments;
        let mut relative = false;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "self" => {}
                "super" => {
                    base.pop();
                }
                _ => break,
            }
            relative = true;
            rest = &rest[1..];
        }
        if !relative {
            return segments.join("::");
        }
        base.extend(rest.iter().cloned());
        base.join("::")
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
        && tokens.get(at + 1).is_some_and(|token| is_punct(token, ':'))
}

fn is_cfg_test(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(&tokens[at], '#')
        && matches!(tokens.get(at + 1), Some(TokenTree::Group(group))
            if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// The end of the item that begins at `at`: its `;` or its brace group, whichever comes first.
fn item_end(tokens: &[TokenTree], at: usize) -> usize {
    for (offset, token) in tokens[at..].iter().enumerate() {
        let ends = match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            other => is_punct(other, ';'),
        };
        if ends {
            return at + offset + 1;
        }
    }
    tokens.len()
}
