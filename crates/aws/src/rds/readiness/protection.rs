//! Whether somebody's clean-up could delete the database that a restore goes by: its automated backups go with it. Pure.

use belay_ports::Check;

use crate::rds::Observed;

const ID: &str = "deletion_protection";

/// None: there is no such database, or RDS does not show it.
pub(super) fn check(now: &Observed) -> Option<Check> {
    let (kind, name, protected) = match now {
        Observed::Instance(state) => {
            let instance = state.instance.as_ref()?;
            ("instance", &instance.name, instance.settings.deletion_protection?)
        }
        Observed::Cluster(state) => {
            let cluster = state.cluster.as_ref()?;
            ("cluster", &cluster.name, cluster.settings.deletion_protection?)
        }
    };
    Some(match protected {
        true => Check::go(ID, name, "deletion protection is on"),
        false => {
            let found =
                "deletion protection is off: a clean-up could delete it, and by default its automated backups with it";
            Check::warn(ID, name, found)
                .wanted("on until a rollback is ruled out")
                .cure(format!("aws rds modify-db-{kind} --db-{kind}-identifier {name} --deletion-protection"))
        }
    })
}

#[cfg(test)]
mod tests {
    use belay_ports::CheckVerdict;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    fn found(protected: &Value) -> Option<Check> {
        let mut instance = crate::rds::readiness::tests::instance();
        instance["instance"]["settings"]["deletion_protection"] = protected.clone();
        check(&Observed::deserialize(instance).unwrap())
    }

    #[test]
    fn a_database_that_anybody_can_delete_is_a_warning_with_its_cure() {
        let off = found(&json!(false)).unwrap();
        assert_eq!((off.verdict, off.subject.as_str()), (CheckVerdict::Warn, "orders"));
        assert_eq!(off.cure, "aws rds modify-db-instance --db-instance-identifier orders --deletion-protection");
        assert_eq!(found(&json!(true)).unwrap().verdict, CheckVerdict::Go);
        assert_eq!(found(&Value::Null), None);
    }
}
