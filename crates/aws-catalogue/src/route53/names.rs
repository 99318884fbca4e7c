//! What zones and records are called, and the one form of it.

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    Id(String),
    /// In its normal form.
    Name(String),
}

impl Zone {
    /// An id has capitals and digits alone, and a name at least one dot.
    pub fn of(written: &str) -> Self {
        match zone_id(written) {
            id if id.contains('.') => Self::Name(normal_name(id)),
            id => Self::Id(id.to_owned()),
        }
    }
}

/// `Z123` of `/hostedzone/Z123`, as Route 53 answers.
pub fn zone_id(written: &str) -> &str {
    written.strip_prefix("/hostedzone/").unwrap_or(written)
}

/// The one way to write a name: Route 53 answers with a trailing dot, in lower case, and with `*` and all else that is
/// not a letter, a digit, `-`, `_` or `.` as an octal escape (`\052`).
pub fn normal_name(name: &str) -> String {
    let mut normal = String::new();
    let mut rest = name;
    while let Some(next) = rest.chars().next() {
        let octal = rest.get(1..4).filter(|digits| next == '\\' && digits.bytes().all(|digit| digit.is_ascii_digit()));
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if byte.is_ascii() => {
                normal.push(char::from(byte).to_ascii_lowercase());
                rest = &rest[4..];
            }
            _ => {
                normal.push(next.to_ascii_lowercase());
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    normal.trim_end_matches('.').to_owned()
}

/// The normal name as Route 53 and IAM write it: with escapes.
pub fn escaped(name: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.' | '\\');
    let each = normal_name(name)
        .chars()
        .map(|one| if plain(one) { one.to_string() } else { format!("\\{:03o}", u32::from(one)) })
        .collect::<Vec<_>>();
    each.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let cases = [
            ("WWW.Example.com.", "www.example.com"),
            ("\\052.example.com.", "*.example.com"),
            ("*.example.com", "*.example.com"),
            ("a\\137b.example.com", "a_b.example.com"),
            ("a\\9.example.com", "a\\9.example.com"),
            ("\\303\\244.example.com", "\\303\\244.example.com"),
            ("ä\\05", "ä\\05"),
        ];
        for (name, normal) in cases {
            assert_eq!(normal_name(name), normal, "{name}");
        }
    }

    #[test]
    fn names_are_escaped_as_route_53_does() {
        let cases = [
            ("WWW.Example.com.", "www.example.com"),
            ("*.example.com", "\\052.example.com"),
            ("a\\100b.example.com", "a\\100b.example.com"),
            ("\\303\\244.example.com", "\\303\\244.example.com"),
        ];
        for (name, expected) in cases {
            assert_eq!(escaped(name), expected);
        }
    }

    #[test]
    fn an_id_is_told_from_a_name() {
        assert_eq!(Zone::of("Z0123ABC"), Zone::Id("Z0123ABC".to_owned()));
        assert_eq!(Zone::of("/hostedzone/Z0123ABC"), Zone::Id("Z0123ABC".to_owned()));
        assert_eq!(Zone::of("Example.com."), Zone::Name("example.com".to_owned()));
        assert_eq!(Zone::of("internal."), Zone::Name("internal".to_owned()));
    }
}
