//! Rust source without its comments and literals, so that a rule about code is not fooled by what is said about it.
//!
//! No parser: it knows comments, strings, raw strings and characters, blanks them, and keeps every line where it was.

/// The source with comments and the insides of literals blanked.
pub(crate) fn only(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(len) = raw_string(rest).filter(|_| !ends_in_word(&out)) {
            len
        } else if first == '"' {
            string(rest)
        } else if first == '\'' {
            character(rest)
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        // A blank in its place keeps the words on both sides apart.
        out.push(' ');
        out.extend(rest[..len].chars().filter(|&c| c == '\n'));
        rest = &rest[len..];
    }
    out
}

/// Where the file's unit tests begin, as a line counted from 0; the number of lines where it has none.
pub(crate) fn tests_begin(source: &str) -> usize {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let inline = |at: usize| {
        let module = lines[at + 1..].iter().find(|line| !line.starts_with("#["));
        lines[at] == "#[cfg(test)]" && module.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    (0..lines.len()).find(|&at| inline(at)).unwrap_or(lines.len())
}

fn ends_in_word(out: &str) -> bool {
    out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// The length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        let step = if text[at..].starts_with("/*") {
            depth += 1;
            2
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            2
        } else {
            text[at..].chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of `r"…"`, `r#"…"#`, `br"…"`, if the text begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| text.starts_with(prefix))?;
    let hashes = text[prefix.len()..].bytes().take_while(|&byte| byte == b'#').count();
    let open = prefix.len() + hashes;
    if !text[open..].starts_with('"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text[open + 1..].find(&close).map_or(text.len(), |at| open + 1 + at + close.len()))
}

/// The length of a `"…"`.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a `'c'`, or of the quote alone where it begins a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text.char_indices().skip(1);
    match inside.next() {
        Some((_, '\\')) => {
            // The escaped character itself may be a quote.
            inside.next();
            inside.find(|&(_, c)| c == '\'').map_or(1, |(at, _)| at + 1)
        }
        Some(_) => inside.next().filter(|&(_, c)| c == '\'').map_or(1, |(at, _)| at + 1),
        None => 1,
    }
}

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let source =
        "a // one\n/* two /* three */\n */ b \"four \\\" // five\" c r#\"six \" \nseven\"# d b'e' '\\'' f<'g> 'h' i\n";
    let code = only(source);
    assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), "a b c d b f< g> i");
    assert_eq!(code.lines().count(), source.lines().count());
}

#[test]
fn a_name_that_ends_in_r_before_a_string_macro_is_no_raw_string() {
    assert_eq!(only("for\"x\" y").split_whitespace().collect::<Vec<_>>(), ["for", "y"]);
}

#[test]
fn unit_tests_begin_at_their_module_and_not_at_a_single_item() {
    assert_eq!(tests_begin("a\n#[cfg(test)]\nfn b() {}\n#[cfg(test)]\n#[path = \"c\"]\nmod tests {\n"), 3);
    assert_eq!(tests_begin("a\n#[cfg(test)]\nmod tests;\nb\n"), 4, "those are in another file");
}
