//! What a query shows of itself before a database is asked. Only what is certain is an error: the database has the last word.

use belay_plan::catalogue::Finding;
use serde_json::Value;

/// Statements that change something, by their first words. The session refuses them.
const WRITES: [&str; 11] =
    ["insert", "update", "delete", "merge", "replace", "truncate", "create", "alter", "drop", "grant", "revoke"];

/// Statements that yield what they read, and `show`, of which MariaDB tells the columns only when it runs.
const READS: [&str; 4] = ["select", "with", "table", "values"];
const SHOW: &str = "show";

/// Statements of MySQL and MariaDB that read and are none of those. Others yield rows, too, and change tables (reference manual, "Table
/// Maintenance Statements").
const ALSO_READS: [&str; 4] = ["checksum", "desc", "describe", "explain"];

/// What a file of the database's host is named by: no transaction holds that back.
const FILES: [&str; 2] = ["outfile", "dumpfile"];

/// What ends the list of what is selected.
const AFTER_LIST: [&str; 11] =
    ["from", "where", "group", "having", "order", "limit", "union", "intersect", "except", "into", "window"];

/// A piece of a query outside of parentheses, quotes and comments.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// In lower case.
    Word(String),
    Mark(char),
    Quoted,
}

/// What is wrong with `asked`, which stands under `key`: `{ query, column }`.
pub(super) fn check(asked: &Value, key: &str) -> Vec<Finding> {
    let Some(query) = asked["query"].as_str() else { return Vec::new() };
    let finding = |message: &str, help: &str| vec![Finding::new(format!("/{key}/query"), message).help(help)];
    let Some(pieces) = pieces(query) else { return Vec::new() };
    let Some(last) = pieces.iter().rposition(|piece| *piece != Piece::Mark(';')) else {
        return finding("this asks nothing", "write a query such as `select count(*) from orders`");
    };
    if pieces[..last].contains(&Piece::Mark(';')) {
        return finding("these are several statements", "a signal reads one value: write one statement");
    }
    if pieces.windows(2).any(|two| word(&two[0]) == Some("into") && word(&two[1]).is_some_and(is_file)) {
        let message = "this writes a file on the host of the database, which a read-only session does not prevent";
        return finding(message, "write a query that only reads");
    }
    if asked["column"].is_null() {
        if yields_several(&pieces) {
            let message = "this yields several columns, and one value is needed";
            return finding(message, "select one value, such as `count(*)`, or name the `column`");
        }
        let words: Vec<&str> = pieces.iter().filter_map(word).take(3).collect();
        if let ["show", "replica" | "slave", "status"] = words.as_slice() {
            let message = "this yields a row of many columns, and one value is needed";
            return finding(message, "add `column: Seconds_Behind_Source` (MariaDB: `Seconds_Behind_Master`)");
        }
    }
    Vec::new()
}

/// What is to be known of a query that is valid.
pub(super) fn remarks(asked: &Value, key: &str) -> Vec<Finding> {
    let pieces = asked["query"].as_str().and_then(pieces).unwrap_or_default();
    match pieces.iter().find_map(word) {
        Some(first) if WRITES.contains(&first) => {
            let message = format!("`{first}` writes, and the session is read-only: the signal will be unknown");
            vec![Finding::new(format!("/{key}/query"), message).help("write a query that only reads")]
        }
        _ => Vec::new(),
    }
}

fn is_file(word: &str) -> bool {
    FILES.contains(&word)
}

/// Whether a statement that shows no result beforehand may be sent: what writes is refused by the session, with the reason of
/// the database; anything else could do something that a transaction does not hold back (`copy ... to program`, `call`).
pub(super) fn may_be_sent(query: &str) -> bool {
    let first = first_word(query);
    first == SHOW || WRITES.iter().chain(&READS).any(|word| *word == first)
}

/// A statement that reads: where it shows no result beforehand, that goes elsewhere (`into outfile`).
pub(super) fn reads(query: &str) -> bool {
    READS.contains(&first_word(query).as_str())
}

/// A statement with a result that reads, or that the session refuses.
pub(super) fn is_known(query: &str) -> bool {
    may_be_sent(query) || ALSO_READS.contains(&first_word(query).as_str())
}

fn first_word(query: &str) -> String {
    let mut begin = query;
    loop {
        begin = begin.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        // What MySQL and MariaDB run stands in comments, too: `/*! analyze table a */`.
        let is_run = begin.starts_with("/*!") || begin.starts_with("/*M!");
        let end = match begin {
            comment if comment.starts_with("/*") && !is_run => "*/",
            comment if comment.starts_with("--") || comment.starts_with('#') => "\n",
            _ => break,
        };
        begin = begin.split_once(end).map_or("", |(_, rest)| rest);
    }
    begin.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_lowercase()
}

fn word(piece: &Piece) -> Option<&str> {
    match piece {
        Piece::Word(word) => Some(word),
        _ => None,
    }
}

/// `select a, b` and `select *`.
fn yields_several(pieces: &[Piece]) -> bool {
    let starts = matches!(pieces.first().and_then(word), Some("select" | "with"));
    let select = pieces.iter().position(|piece| word(piece) == Some("select"));
    let Some(select) = select.filter(|_| starts) else { return false };
    let list = pieces[select + 1..].iter();
    let list: Vec<&Piece> =
        list.take_while(|piece| !word(piece).is_some_and(|word| AFTER_LIST.contains(&word))).collect();
    let is_star = |at: usize| {
        // Elsewhere it multiplies.
        let before = at.checked_sub(1).map(|before| list[before]);
        *list[at] == Piece::Mark('*')
            && match before {
                None | Some(Piece::Mark(',' | '.')) => true,
                Some(piece) => matches!(word(piece), Some("distinct" | "all")),
            }
    };
    list.contains(&&Piece::Mark(',')) || (0..list.len()).any(is_star)
}

/// None: systems read it in different ways (backslashes in texts, `#`), or a quote is never closed.
fn pieces(query: &str) -> Option<Vec<Piece>> {
    if query.contains(['\\', '#', '$']) {
        return None;
    }
    let (mut pieces, mut depth, mut rest) = (Vec::new(), 0_usize, query);
    while let Some(next) = rest.chars().next() {
        let after = &rest[next.len_utf8()..];
        let mut push = |piece: Piece| {
            if depth == 0 {
                pieces.push(piece);
            }
        };
        rest = match next {
            '\'' | '"' | '`' => {
                push(Piece::Quoted);
                after.split_once(next)?.1
            }
            '-' if after.starts_with('-') => after.split_once('\n').map_or("", |(_, rest)| rest),
            // MySQL runs what stands in some of them.
            '/' if after.starts_with('*') => return None,
            '(' => {
                push(Piece::Mark('('));
                depth += 1;
                after
            }
            ')' => {
                depth = depth.checked_sub(1)?;
                after
            }
            letter if letter.is_alphanumeric() || letter == '_' => {
                let end = rest.find(|other: char| !other.is_alphanumeric() && other != '_').unwrap_or(rest.len());
                push(Piece::Word(rest[..end].to_lowercase()));
                &rest[end..]
            }
            space if space.is_whitespace() => after,
            mark => {
                push(Piece::Mark(mark));
                after
            }
        };
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(query: &str) -> Option<String> {
        check(&json!({ "query": query }), "sql").first().map(|finding| finding.message.clone())
    }

    #[test]
    fn one_value_is_fine() {
        for query in [
            "select count(*) from orders where customer is null",
            "select 2 * 3",
            "SELECT coalesce(max(a, b), 0) FROM t",
            "select (select count(*) from a) - (select count(*) from b);",
            "with a as (select x, y from t) select sum(x) from a order by 1, 2",
            "select 'a, b; c'",
            "select \"a,b\" from t -- one, two; three",
            "select price * amount from t limit 1",
            "show max_connections",
            "delete from orders where a = 1",
            "table t",
        ] {
            assert_eq!(found(query), None, "{query}");
        }
    }

    #[test]
    fn what_yields_no_single_value_is_found() {
        for (query, why) in [
            ("  ", "nothing"),
            (";", "nothing"),
            ("-- select 1", "nothing"),
            ("select 1; drop table orders", "several statements"),
            ("select a, b from t", "several columns"),
            ("select * from t", "several columns"),
            ("select distinct t.* from t", "several columns"),
            ("with a as (select 1) select * from a", "several columns"),
            ("select 1 into outfile '/tmp/x'", "writes a file"),
            ("select a from t limit 1 INTO DUMPFILE 'x';", "writes a file"),
            ("show replica status", "many columns"),
            ("SHOW SLAVE STATUS;", "many columns"),
        ] {
            assert!(found(query).is_some_and(|message| message.contains(why)), "{query}: {:?}", found(query));
        }
        assert_eq!(check(&json!({ "query": "show replica status", "column": "x" }), "sql"), []);
        assert_eq!(check(&json!({ "query": "select * from t", "column": "x" }), "sql"), []);
    }

    #[test]
    fn what_only_a_database_can_read_is_left_to_it() {
        for query in ["select 'it\\'s, a'", "select 1 /*! , 2 */", "select $$a, b$$", "select 'a", "select 1)"] {
            assert_eq!(found(query), None, "{query}");
        }
    }

    #[test]
    fn what_writes_is_remarked() {
        let remarked = |query: &str| !remarks(&json!({ "query": query }), "sql").is_empty();
        assert!(remarked("DELETE FROM orders") && remarked("insert into a values (1) returning 1"));
        assert!(!remarked("select count(*) from deletes"));
    }

    #[test]
    fn what_a_transaction_does_not_hold_back_is_not_sent() {
        for query in ["drop table a", " SHOW replica status", "(select 1)", "insert into a values ('\\')"] {
            assert!(may_be_sent(query), "{query}");
        }
        for query in
            ["copy a to program 'x'", "call p()", "do $$ $$", "load data infile 'x'", "", "/* select */ call p()"]
        {
            assert!(!may_be_sent(query), "{query}");
        }
        for query in ["/* the count */ select 1", "-- of orders\nselect 1", "# a\n(select 1)", "explain select 1"] {
            assert!(is_known(query), "{query}");
        }
        for query in [
            "analyze table a",
            "/* x */ analyze table a",
            "/*! analyze table a */",
            "optimize table a",
            "check table a",
        ] {
            assert!(!is_known(query), "{query}");
        }
        for query in ["select 1 into outfile 'x'", "(SELECT 1) into @a", "with a as (select 1) select * from a"] {
            assert!(reads(query), "{query}");
        }
        assert!(!reads("show slave status") && !reads("insert into a select 1"));
    }
}
