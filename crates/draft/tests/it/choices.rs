//! Which of what was found a plan is about.

use belay_draft::{
    choice::{Choice, Kind, Question, Trouble, Wanted, balancers_in_question, choose},
    inventory::{Database, Inventory},
};

use crate::worlds::{alarm, balancer, cluster, database, empty, listener, mall, record, rule, shop};

fn flags(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

/// With nobody who could be asked.
fn alone(inventory: &Inventory, wanted: &Wanted) -> Result<Choice, Vec<Trouble>> {
    choose(inventory, wanted, &mut |_| None)
}

fn labels(question: &Question) -> Vec<&str> {
    question.candidates.iter().map(|candidate| candidate.label.as_str()).collect()
}

#[test]
fn what_is_the_only_one_of_its_kind_is_taken_but_no_database() {
    let inventory = Inventory { databases: vec![database("orders")], ..shop() };
    let choice = alone(&inventory, &Wanted::default()).unwrap();
    assert_eq!((choice.records, choice.forwarders, choice.alarms), (vec![0], vec![0], vec![0]));
    assert_eq!(choice.databases, [0; 0]);
    assert!(choice.left_out[0].contains("since a restore loses data: orders"), "{:?}", choice.left_out);
}

#[test]
fn where_several_fit_all_open_choices_are_told_at_once() {
    let troubles = alone(&mall(), &Wanted::default()).unwrap_err();
    let [Trouble::Open(listeners), Trouble::Open(alarms)] = troubles.as_slice() else { panic!("{troubles:?}") };
    // The types of a record go together, so there is one record.
    assert_eq!((listeners.kind, labels(listeners)), (Kind::Listener, vec!["shop:443", "shop:443/10"]));
    assert_eq!(listeners.candidates[1].detail, "forwards to api-blue 1, api-green 0");
    assert_eq!((alarms.kind, labels(alarms)), (Kind::Alarm, vec!["shop-5xx", "shop-hurt"]));
}

#[test]
fn a_person_is_asked_only_where_flags_leave_a_choice() {
    let mut asked = Vec::new();
    let wanted = Wanted { listeners: flags(&["shop:443/10"]), alarms: flags(&["none"]), ..Wanted::default() };
    let choice = choose(&mall(), &wanted, &mut |question| {
        asked.push(question.clone());
        Some(vec![0])
    });
    let choice = choice.unwrap();
    assert_eq!((choice.records, choice.forwarders, choice.databases), (vec![0, 1], vec![1], vec![0]));
    assert!(choice.alarms.is_empty());
    let [question] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(question.to_string(), "there is a database; is it part of the migration?");
}

#[test]
fn flags_name_things_in_the_ways_in_which_people_do() {
    let mall = mall();
    let of = |listener: &str| {
        let wanted = Wanted { listeners: flags(&[listener]), alarms: flags(&["none"]), ..Wanted::default() };
        alone(&mall, &wanted).map(|choice| choice.forwarders)
    };
    assert_eq!(of("shop:443"), Ok(vec![0]));
    assert_eq!(of(&mall.forwarders[1].arn), Ok(vec![1]));
    assert!(
        matches!(of("shop").unwrap_err().as_slice(), [Trouble::Open(question)] if labels(question).len() == 2 && question.typed.as_deref() == Some("shop"))
    );
    for name in ["WWW.Example.com.", "www.example.com", "Z0123456789ABC/www.example.com"] {
        let wanted = Wanted {
            records: flags(&[name]),
            listeners: flags(&["none"]),
            alarms: flags(&["none"]),
            ..Wanted::default()
        };
        assert_eq!(alone(&mall, &wanted).unwrap().records, [0, 1], "{name}");
    }
    let arn = mall.alarms[0].arn.clone();
    let wanted = Wanted { listeners: flags(&["shop:443"]), alarms: vec![arn], ..Wanted::default() };
    assert_eq!(alone(&mall, &wanted).unwrap().alarms, [0]);
    let wildcard =
        Inventory { records: vec![record("*.example.com", "A", &[("a", 1, None), ("b", 0, None)])], ..empty() };
    for name in ["*.example.com", "\\052.example.com"] {
        let wanted = Wanted { records: flags(&[name]), ..Wanted::default() };
        assert_eq!(alone(&wildcard, &wanted).unwrap().records, [0], "{name}");
    }
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let wanted = Wanted { records: flags(&["ww.example.com"]), databases: flags(&["order"]), ..Wanted::default() };
    let troubles = alone(&Inventory { databases: vec![database("orders")], ..shop() }, &wanted).unwrap_err();
    let told: Vec<String> = troubles.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["there is no weighted record ww.example.com", "there is no database order"]);
    let Trouble::NoSuch { candidates, .. } = &troubles[0] else { panic!("{troubles:?}") };
    assert_eq!(candidates[0].label, "www.example.com");
    assert_eq!(candidates[0].detail, "in zone example.com: A (blue 100, green 0)");
}

#[test]
fn zones_of_one_name_are_told_apart() {
    let mut inventory = shop();
    let private =
        belay_draft::inventory::Record { zone: "Z2".to_owned(), private: true, ..inventory.records[0].clone() };
    inventory.records.push(private);
    let troubles =
        alone(&inventory, &Wanted { records: flags(&["www.example.com"]), ..Wanted::default() }).unwrap_err();
    let [Trouble::Open(question), ..] = troubles.as_slice() else { panic!("{troubles:?}") };
    assert_eq!(labels(question), ["Z0123456789ABC/www.example.com", "Z2/www.example.com"]);
    let wanted = Wanted { records: flags(&["Z2/www.example.com"]), ..Wanted::default() };
    assert_eq!(alone(&inventory, &wanted).unwrap().records, [1]);
}

/// Another shop in the same account is not part of the plan, once one of the two is named.
#[test]
fn only_what_belongs_to_what_is_named_is_taken() {
    let mut inventory = shop();
    let other = balancer("other");
    inventory.records.push(record("other.example.com", "A", &[("a", 1, Some(&other.dns_name)), ("b", 0, None)]));
    inventory.balancers.push(other);
    inventory.forwarders.push(listener("other", &[("other-a", 1), ("other-b", 0)]));
    inventory.alarms.push(alarm("other-5xx", &[("LoadBalancer", "app/other/50dc6c495c0c9188")]));
    for wanted in [
        Wanted { records: flags(&["other.example.com"]), ..Wanted::default() },
        Wanted { listeners: flags(&["other:443"]), ..Wanted::default() },
    ] {
        let choice = alone(&inventory, &wanted).unwrap();
        assert_eq!((choice.records, choice.forwarders, choice.alarms), (vec![1], vec![1], vec![1]));
        let left = choice.left_out.join("; ");
        assert!(left.contains("www.example.com") && left.contains("shop:443"), "{left}");
    }
    let wanted = Wanted { records: flags(&["other.example.com"]), ..Wanted::default() };
    assert_eq!(balancers_in_question(&inventory, &wanted).len(), 2, "behind all records that were found");
    inventory.records.remove(0);
    let [arn] = balancers_in_question(&inventory, &wanted)[..] else { panic!("one is behind the record") };
    assert!(arn.contains("/other/"), "{arn}");
    let wanted = Wanted { listeners: flags(&["shop:443"]), records: flags(&["none"]), ..Wanted::default() };
    inventory.records.clear();
    assert_eq!(balancers_in_question(&inventory, &wanted).len(), 1);
    let unknown = Wanted { listeners: flags(&["shp:443"]), ..Wanted::default() };
    assert_eq!(balancers_in_question(&inventory, &unknown).len(), 2, "to say what there is");
    assert_eq!(balancers_in_question(&inventory, &Wanted::default()).len(), 2);
}

/// The only record of the account, of which nothing shows that it belongs to something else.
#[test]
fn the_only_record_is_taken_beside_a_named_listener_unless_it_leads_elsewhere() {
    let mut inventory = shop();
    inventory.records = vec![record("www.example.com", "CNAME", &[("blue", 1, None), ("green", 0, None)])];
    inventory.forwarders.push(listener("other", &[("other-a", 1), ("other-b", 0)]));
    let wanted = Wanted { listeners: flags(&["shop:443"]), ..Wanted::default() };
    let choice = alone(&inventory, &wanted).unwrap();
    assert_eq!((choice.records, choice.forwarders), (vec![0], vec![0]));
    let other = balancer("other");
    inventory.records = vec![record("www.example.com", "A", &[("a", 1, Some(&other.dns_name)), ("b", 0, None)])];
    inventory.balancers.push(other);
    assert_eq!(alone(&inventory, &wanted).unwrap().records, [0; 0]);
}

#[test]
fn a_listener_of_one_group_is_taken_only_by_name() {
    let mut inventory = shop();
    inventory.forwarders = vec![listener("shop", &[("shop-blue", 1)]), rule("shop", &[("api", 1)])];
    assert!(alone(&inventory, &Wanted::default()).unwrap().forwarders.is_empty());
    let wanted = Wanted { listeners: flags(&["shop:443"]), ..Wanted::default() };
    assert_eq!(alone(&inventory, &wanted).unwrap().forwarders, [0]);
}

#[test]
fn databases_that_no_restore_replaces_are_refused_with_the_reason() {
    let members = vec!["stock-1".to_owned()];
    let unfit = Some("the cluster docs runs docdb".to_owned());
    let docs = Database { name: "docs".to_owned(), cluster: true, unfit, ..Database::default() };
    let inventory = Inventory { databases: vec![Database { members, ..cluster() }, docs], ..empty() };
    for (name, why) in [("stock-1", "a member of the cluster stock"), ("docs", "runs docdb")] {
        let troubles = alone(&inventory, &Wanted { databases: flags(&[name]), ..Wanted::default() }).unwrap_err();
        assert!(troubles[0].to_string().contains(why), "{troubles:?}");
    }
    let wanted = Wanted { databases: flags(&["STOCK"]), ..Wanted::default() };
    assert_eq!(alone(&inventory, &wanted).unwrap().databases, [0]);
}

#[test]
fn nothing_to_put_back_is_no_plan() {
    assert_eq!(alone(&empty(), &Wanted::default()), Err(vec![Trouble::Nothing]));
    let out = Wanted { records: flags(&["none"]), listeners: flags(&["none"]), ..Wanted::default() };
    assert_eq!(alone(&shop(), &out), Err(vec![Trouble::Nothing]));
    let both = Wanted { records: flags(&["none", "www.example.com"]), ..Wanted::default() };
    assert!(matches!(alone(&shop(), &both).unwrap_err().as_slice(), [Trouble::Unfit { .. }]));
}

/// An account of a whole company: what is asked is bounded, and one name still suffices.
#[test]
fn ten_thousand_weighted_records_are_one_question() {
    let name = |n: usize| format!("n{n:05}.example.com");
    let records = (0..10_000).map(|n| record(&name(n), "A", &[("a", 1, None), ("b", 0, None)])).collect();
    let inventory = Inventory { records, ..empty() };
    let troubles = alone(&inventory, &Wanted::default()).unwrap_err();
    let [Trouble::Open(question)] = troubles.as_slice() else { panic!("one question") };
    assert_eq!(question.candidates.len(), 10_000);
    let choice = alone(&inventory, &Wanted { records: vec![name(9_999)], ..Wanted::default() }).unwrap();
    assert_eq!((choice.records, choice.left_out.len()), (vec![9_999], 1));
    assert!(
        choice.left_out[0].ends_with("n00004.example.com and 9994 more. `--record NAME` adds one"),
        "{:?}",
        choice.left_out
    );
}

#[test]
fn alarms_on_nothing_of_the_plan_are_told_and_not_taken() {
    let inventory = Inventory { alarms: vec![alarm("elsewhere", &[("LoadBalancer", "app/elsewhere/1")])], ..shop() };
    let choice = alone(&inventory, &Wanted::default()).unwrap();
    assert!(choice.alarms.is_empty());
    assert!(choice.left_out.iter().any(|left| left.contains("there are elsewhere")), "{:?}", choice.left_out);
}
