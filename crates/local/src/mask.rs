//! Texts of services that may repeat the secrets that they got.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const MASK: &str = "[masked]";
/// So many characters of a secret are known again where the rest was cut off.
const BEGIN_CHARS: usize = 8;
/// What is shorter is a word of any text.
const VALUE_BYTES_MIN: usize = 8;
const PART_BYTES_MIN: usize = 4;

/// The text without these secrets, in whichever form it has them.
pub fn masked(text: &str, secrets: &[String]) -> String {
    all_forms(secrets).into_iter().fold(text.to_owned(), |text, form| text.replace(&form, MASK))
}

/// The same for a text that was put together of parts that were cut off: of a secret, its beginning may be left.
pub fn masked_parts(text: &str, secrets: &[String]) -> String {
    let forms = all_forms(secrets);
    let text = masked(text, secrets);
    let (mut done, mut rest) = (String::new(), text.as_str());
    while let Some(letter) = rest.chars().next() {
        match forms.iter().filter_map(|form| beginning(rest, form)).max() {
            Some(bytes) => {
                done += MASK;
                rest = &rest[bytes..];
            }
            None => {
                done.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    done
}

/// So many bytes of the text are the beginning of a secret.
fn beginning(text: &str, form: &str) -> Option<usize> {
    let same = text.chars().zip(form.chars()).take_while(|(one, other)| one == other);
    let (letters, bytes) = same.fold((0, 0), |(letters, bytes), (letter, _)| (letters + 1, bytes + letter.len_utf8()));
    (letters >= BEGIN_CHARS).then_some(bytes)
}

/// The value of a header with the parts of it that are secrets themselves: of `Basic dXNlcjpwYXNz` the credentials, decoded, too.
pub fn of_header(value: &str) -> Vec<String> {
    let credentials = value.split_once(' ').map(|(_, credentials)| credentials.trim());
    let login = credentials.and_then(|credentials| STANDARD.decode(credentials).ok());
    let login = login.and_then(|login| String::from_utf8(login).ok()).filter(|login| login.contains(':'));
    let password = login.as_ref().and_then(|login| login.split_once(':')).map(|(_, password)| password.to_owned());
    let parts = [credentials.map(ToOwned::to_owned), login, password];
    let parts = parts.into_iter().flatten().filter(|part| part.len() >= PART_BYTES_MIN);
    Some(value.to_owned()).filter(|value| value.len() >= VALUE_BYTES_MIN).into_iter().chain(parts).collect()
}

/// A secret that contains another comes first.
fn all_forms(secrets: &[String]) -> Vec<String> {
    let mut forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    forms.retain(|form| !form.is_empty());
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms
}

/// A secret as it is, decoded, and encoded for a URL, for JSON, and in base64.
fn forms(secret: &str) -> Vec<String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let plain = [secret.to_owned(), decoded(secret), decoded(&secret.replace('+', " "))];
    let mut forms = plain.to_vec();
    for text in &plain {
        let escaped = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        // `-`, `.`, `_` and `~` are left as they are by most.
        let usual = escaped.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_").replace("%7E", "~");
        let path = usual.replace("%2F", "/");
        forms.extend([escaped, usual, path].into_iter().flat_map(|text| [in_small_letters(&text), text]));
        let json = serde_json::Value::from(text.as_str()).to_string();
        let json = json.trim_matches('"').to_owned();
        forms.extend([json.replace('/', "\\/"), json]);
        // Some leave the padding away. Base64 contains `+` and `/`, which URLs and some writers of JSON escape.
        for encoded in [STANDARD.encode(text), URL_SAFE.encode(text)] {
            let encoded = encoded.trim_end_matches('=');
            let in_url = encoded.replace('+', "%2B").replace('/', "%2F");
            forms.extend([encoded.to_owned(), encoded.replace('/', "\\/"), in_small_letters(&in_url), in_url]);
        }
    }
    forms
}

/// `%2B` as `%2b`; the rest stays.
fn in_small_letters(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |done, part| match part.split_at_checked(2) {
        Some((escape, rest)) => format!("{done}%{}{rest}", escape.to_ascii_lowercase()),
        None => format!("{done}%{part}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_is_shown() {
        let secrets = ["SIG/x%2BabcDEF-123".to_owned()];
        for form in [
            "SIG/x%2BabcDEF-123",
            "SIG/x+abcDEF-123",
            "SIG%2Fx%2BabcDEF-123",
            "SIG%2fx%2babcDEF-123",
            "SIG\\/x+abcDEF-123",
            "U0lHL3grYWJjREVGLTEyMw",
        ] {
            assert_eq!(masked(&format!("bad signature ({form})"), &secrets), "bad signature ([masked])", "{form}");
        }
    }

    #[test]
    fn a_header_is_masked_with_its_parts_and_where_it_was_cut_off() {
        let secrets = of_header("Basic dXM6U0VDUkVUcHc=");
        for (text, wanted) in [
            ("its header X is `Basic dXM6U0VDUkVUcHc=`", "its header X is `[masked]`"),
            ("dXM6U0VDUkVUcHc", "[masked]"),
            ("us:SECRETpw is not known, SECRETpw neither", "[masked] is not known, [masked] neither"),
            ("nobody is called us", "nobody is called us"),
        ] {
            assert_eq!(masked_parts(text, &secrets), wanted);
        }
        let secrets = of_header("Bearer eyJhbGciOi.JIUzI1NiJ9");
        assert_eq!(masked_parts("wrong: eyJhbGciOi.JIU... and eyJhbG", &secrets), "wrong: [masked]... and eyJhbG");
        assert_eq!(masked_parts("Bearer eyJhbGciO...", &secrets), "[masked]...");
        // A stage, a language.
        assert_eq!(of_header("staging"), [""; 0]);
    }
}
