//! What many replies to one question say together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::spec::{Share, Wanted};
use crate::outcome::Outcome;

/// How many different answers evidence counts.
const COUNTED_MAX: usize = 5;

/// What one server said once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// At least one.
    Answers(Vec<String>),
    /// There are records of other types.
    NoSuchRecord,
    NoSuchName,
    /// An alias of a name in another zone, which a zone's own name servers do not follow.
    Alias(String),
    /// An answer that decides nothing: SERVFAIL, REFUSED.
    Failure(String),
    Silence(String),
}

/// What a reply means, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Good,
    Silent,
    Undecided,
    Bad,
}

/// A question as evidence names it, and what came back.
pub(super) struct Asked {
    /// `www.example.com A at 192.0.2.53`
    pub(super) question: String,
    pub(super) reply: Reply,
}

/// `replies`: at least one. `question`: without a server. `servers`: how many of the zone's own name servers were asked.
pub(super) fn judge(question: &str, wanted: Wanted<'_>, replies: &[Asked], servers: Option<usize>) -> Outcome {
    match wanted {
        Wanted::Shares(shares) => judge_shares(question, shares, replies),
        wanted => judge_each(wanted, replies, servers),
    }
}

/// Every reply has to be good. The worst is told.
fn judge_each(wanted: Wanted<'_>, replies: &[Asked], servers: Option<usize>) -> Outcome {
    let judged: Vec<(Verdict, &Asked)> = replies.iter().map(|asked| (verdict(wanted, &asked.reply), asked)).collect();
    // Of equal ones, the first.
    let (worst, asked) = judged.iter().rev().max_by_key(|(verdict, _)| *verdict).expect("at least one reply");
    let same = judged.iter().filter(|(verdict, _)| verdict == worst).count();
    let many = match (worst, servers) {
        _ if judged.len() == 1 => String::new(),
        (Verdict::Good, Some(servers)) => format!(" (all {servers} name servers, {} answers)", judged.len()),
        (Verdict::Good, None) => format!(" (all {} answers)", judged.len()),
        (_, Some(servers)) => {
            format!(" ({same} of {} answers of {servers} name servers)", judged.len())
        }
        (_, None) => format!(" ({same} of {} answers)", judged.len()),
    };
    let told = format!("{}{many}", told(wanted, asked));
    match worst {
        Verdict::Good => Outcome::Healthy(told),
        Verdict::Bad => Outcome::Unhealthy(told),
        Verdict::Undecided => Outcome::Undecided(told),
        Verdict::Silent => Outcome::Unreadable(told),
    }
}

fn verdict(wanted: Wanted<'_>, reply: &Reply) -> Verdict {
    let is_among = |answer: &String, answers: &[String]| answers.iter().any(|other| normal(other) == normal(answer));
    match (reply, wanted) {
        (Reply::Answers(answers), Wanted::Any(wanted)) if answers.iter().any(|answer| is_among(answer, wanted)) => {
            Verdict::Good
        }
        (Reply::Answers(answers), Wanted::All(wanted))
            if answers.iter().all(|answer| is_among(answer, wanted))
                && wanted.iter().all(|answer| is_among(answer, answers)) =>
        {
            Verdict::Good
        }
        (Reply::Answers(_) | Reply::NoSuchRecord | Reply::NoSuchName, _) => Verdict::Bad,
        (Reply::Alias(_) | Reply::Failure(_), _) => Verdict::Undecided,
        (Reply::Silence(_), _) => Verdict::Silent,
    }
}

fn told(wanted: Wanted<'_>, asked: &Asked) -> String {
    let Asked { question, reply } = asked;
    let wanted_text = match wanted {
        Wanted::Any(wanted) => format!("wanted any of {}", wanted.join(", ")),
        Wanted::All(wanted) => format!("wanted exactly {}", wanted.join(", ")),
        Wanted::Shares(_) => "wanted answers".to_owned(),
    };
    match reply {
        Reply::Answers(answers) if verdict(wanted, reply) == Verdict::Good => {
            format!("{question} is {}", answers.join(", "))
        }
        Reply::Answers(answers) => format!("{question} is {}, {wanted_text}", answers.join(", ")),
        Reply::NoSuchRecord => format!("{question} has no such record, {wanted_text}"),
        Reply::NoSuchName => format!("{question} does not exist (NXDOMAIN), {wanted_text}"),
        Reply::Alias(target) => format!(
            "{question} is an alias of {target}, which the zone's own name servers do not follow: ask for type CNAME"
        ),
        Reply::Failure(why) => format!("{question} was not answered: {why}"),
        Reply::Silence(why) => format!("{question} could not be asked for: {why}"),
    }
}

/// Shares of all replies. What was not answered could have been anything.
fn judge_shares(question: &str, shares: &BTreeMap<String, Share>, replies: &[Asked]) -> Outcome {
    let is_open = |reply: &Reply| matches!(reply, Reply::Alias(_) | Reply::Failure(_) | Reply::Silence(_));
    let open: Vec<&Asked> = replies.iter().filter(|asked| is_open(&asked.reply)).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for asked in replies {
        if let Reply::Answers(answers) = &asked.reply {
            for answer in answers {
                *counts.entry(normal(answer)).or_default() += 1;
            }
        }
    }
    if counts.is_empty() {
        // Nobody knows such a record, or nobody has answered.
        let told_of = open.first().copied().unwrap_or(&replies[0]);
        let told = told(Wanted::Shares(shares), told_of);
        return match &told_of.reply {
            Reply::Silence(_) => Outcome::Unreadable(told),
            Reply::Alias(_) | Reply::Failure(_) => Outcome::Undecided(told),
            _ => Outcome::Unhealthy(told),
        };
    }
    let mut parts = Vec::new();
    let (mut bad, mut undecided) = (false, false);
    for (answer, share) in shares {
        let count = counts.get(&normal(answer)).copied().unwrap_or_default();
        let (least, most) = (percent(count, replies.len()), percent(count + open.len(), replies.len()));
        bad |= !share.holds(least) && !share.holds(most);
        undecided |= share.holds(least) != share.holds(most);
        parts.push(format!("{answer} in {count} of {} answers ({least:.0}%, wanted {})", replies.len(), share.text));
    }
    let mut others: Vec<_> =
        counts.iter().filter(|(answer, _)| !shares.keys().any(|wanted| normal(wanted) == **answer)).collect();
    others.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    parts.extend(others.iter().take(COUNTED_MAX).map(|(answer, count)| format!("{answer} in {count}")));
    if let Some(asked) = open.first() {
        parts.push(format!("{} without an answer: {}", open.len(), told(Wanted::Shares(shares), asked)));
    }
    let told = format!("{question}: {}", parts.join(", "));
    match (bad, undecided) {
        (true, _) => Outcome::Unhealthy(told),
        (false, true) => Outcome::Undecided(told),
        (false, false) => Outcome::Healthy(told),
    }
}

#[allow(clippy::cast_precision_loss, reason = "there are a few hundred answers at most")]
fn percent(count: usize, of: usize) -> f64 {
    100.0 * count as f64 / of as f64
}

/// Addresses and names have several spellings.
fn normal(answer: &str) -> String {
    match answer.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => answer.trim_end_matches('.').to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::{super::spec::Spec, *};

    fn judged(wanted: Value, replies: &[Reply], servers: Option<usize>) -> Outcome {
        let mut spec = json!({"name": "www.test", "type": "A"});
        spec.as_object_mut().unwrap().extend(wanted.as_object().unwrap().clone());
        let spec = Spec::deserialize(spec).unwrap();
        let replies: Vec<Asked> = replies
            .iter()
            .enumerate()
            .map(|(number, reply)| Asked { question: format!("www.test A at ns{number}"), reply: reply.clone() })
            .collect();
        judge("www.test A", spec.wanted(), &replies, servers)
    }

    fn answers(answers: &[&str]) -> Reply {
        Reply::Answers(answers.iter().map(|answer| (*answer).to_owned()).collect())
    }

    #[test]
    fn exactly_these_answers_in_any_order() {
        let both = || json!({"answers_all": ["192.0.2.10", "2001:DB8:0::1"]});
        let one = |reply| judged(both(), &[reply], None);
        assert_eq!(
            one(answers(&["2001:db8::1", "192.0.2.10"])),
            Outcome::Healthy("www.test A at ns0 is 2001:db8::1, 192.0.2.10".to_owned())
        );
        let wanted = "wanted exactly 192.0.2.10, 2001:DB8:0::1";
        assert_eq!(
            one(answers(&["192.0.2.10"])),
            Outcome::Unhealthy(format!("www.test A at ns0 is 192.0.2.10, {wanted}"))
        );
        assert!(matches!(one(answers(&["192.0.2.10", "2001:db8::1", "192.0.2.20"])), Outcome::Unhealthy(_)));
    }

    #[test]
    fn all_name_servers_have_to_agree_and_the_one_that_does_not_is_named() {
        let any = || json!({"answers_any": ["192.0.2.10"]});
        let (old, new) = (answers(&["192.0.2.10"]), answers(&["192.0.2.20"]));
        assert_eq!(
            judged(any(), &[old.clone(), old.clone()], Some(2)),
            Outcome::Healthy("www.test A at ns0 is 192.0.2.10 (all 2 name servers, 2 answers)".to_owned())
        );
        let silent = Reply::Silence("timed out".to_owned());
        assert_eq!(
            judged(any(), &[old.clone(), silent.clone(), new], Some(3)),
            Outcome::Unhealthy(
                "www.test A at ns2 is 192.0.2.20, wanted any of 192.0.2.10 (1 of 3 answers of 3 name servers)"
                    .to_owned()
            )
        );
        assert_eq!(
            judged(any(), &[old.clone(), silent.clone()], Some(2)),
            Outcome::Unreadable(
                "www.test A at ns1 could not be asked for: timed out (1 of 2 answers of 2 name servers)".to_owned()
            )
        );
        let failure = Reply::Failure("Server Failure".to_owned());
        assert!(matches!(judged(any(), &[old, silent, failure], Some(3)), Outcome::Undecided(_)));
        assert!(matches!(judged(any(), &[Reply::Alias("cdn.test".to_owned())], Some(1)), Outcome::Undecided(_)));
    }

    #[test]
    fn weighted_answers_are_counted() {
        let mut replies = vec![answers(&["192.0.2.10"]); 9];
        replies.push(answers(&["192.0.2.20"]));
        let shares = |text: &str| json!({"answers": {"192.0.2.10": text}});
        assert_eq!(
            judged(shares(">= 90%"), &replies, Some(4)),
            Outcome::Healthy(
                "www.test A: 192.0.2.10 in 9 of 10 answers (90%, wanted >= 90%), 192.0.2.20 in 1".to_owned()
            )
        );
        assert!(matches!(judged(shares("> 90%"), &replies, None), Outcome::Unhealthy(_)));
        let drained = json!({"answers": {"192.0.2.10": ">= 80%", "192.0.2.20": "<= 5%"}});
        assert!(matches!(judged(drained, &replies, None), Outcome::Unhealthy(_)));
        // The two that were not answered decide.
        replies.extend(vec![Reply::Silence("timed out".to_owned()); 2]);
        let Outcome::Undecided(told) = judged(shares(">= 80%"), &replies, None) else { panic!("undecided") };
        assert!(told.contains("2 without an answer: www.test A at ns10 could not be asked for: timed out"), "{told}");
        assert!(matches!(judged(shares(">= 70%"), &replies, None), Outcome::Healthy(_)));
    }

    #[test]
    fn shares_of_nothing_are_never_healthy() {
        let few = || json!({"answers": {"192.0.2.20": "<= 5%"}});
        assert!(matches!(judged(few(), &[Reply::NoSuchName, Reply::NoSuchName], None), Outcome::Unhealthy(_)));
        let silence = Reply::Silence("timed out".to_owned());
        assert!(matches!(judged(few(), &[Reply::NoSuchName, silence], None), Outcome::Unreadable(_)));
        assert!(matches!(judged(few(), &[Reply::Failure("no".to_owned())], None), Outcome::Undecided(_)));
    }
}
