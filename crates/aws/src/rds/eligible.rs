//! Databases that cannot be replaced by a restore, known before one is begun. Pure.

use super::{
    spec::KeepEndpoint,
    status::{Phase, phase},
};

/// Engines of instances on their own. Oracle, SQL Server and Db2 have editions behind the hyphen.
const INSTANCES: [&str; 6] = ["mariadb", "mysql", "postgres", "oracle-", "sqlserver-", "db2-"];
/// Of Aurora, and of Multi-AZ DB clusters.
const CLUSTERS: [&str; 4] = ["aurora-mysql", "aurora-postgresql", "mysql", "postgres"];

/// Why an instance of this engine is not replaced, if so.
pub(super) fn engine_of_instance(name: &str, engine: &str) -> Option<String> {
    let knows = |known: &&str| if known.ends_with('-') { engine.starts_with(*known) } else { engine == *known };
    (!INSTANCES.iter().any(knows)).then(|| {
        format!("{name} runs {engine}: {}", why(engine, "MariaDB, MySQL, PostgreSQL, Oracle, SQL Server and Db2"))
    })
}

/// The same of a cluster. `DescribeDBClusters` lists those of DocumentDB and Neptune, too.
pub(super) fn engine_of_cluster(name: &str, engine: &str) -> Option<String> {
    (!CLUSTERS.contains(&engine)).then(|| {
        format!(
            "the cluster {name} runs {engine}: {}",
            why(engine, "Aurora MySQL, Aurora PostgreSQL, MySQL and PostgreSQL")
        )
    })
}

fn why(engine: &str, known: &str) -> String {
    let otherwise = match engine {
        "docdb" => "a restored DocumentDB cluster has no instances; restore it by its own console or API (`aws docdb`)",
        "neptune" => {
            "a restored Neptune cluster has no instances; restore it by its own console or API (`aws neptune`)"
        }
        custom if custom.starts_with("custom-") => {
            "RDS Custom renames no instance; restore it beside the other by hand"
        }
        _ => "Belay does not know how it is restored; do it by hand, in a `manual` step",
    };
    format!("`rds.restore` replaces {known} only. {}", capitalized(otherwise))
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| format!("{}{}", first.to_ascii_uppercase(), chars.as_str())).unwrap_or_default()
}

/// Why RDS would refuse to rename the replaced database as it is, if so, with the cure. One that is being deleted gives its
/// name free by itself.
pub(super) fn held(word: &str, name: &str, status: &str, keep: KeepEndpoint) -> Option<String> {
    if keep != KeepEndpoint::Rename || is_going(status) {
        return None;
    }
    let Phase::Stuck { .. } = phase(status) else { return None };
    let cure = match status {
        "stopped" => "start it, and wait until it is available",
        "storage-full" => "give it more storage, and wait until it is available",
        "incompatible-parameters" => "repair its parameter group and reboot it",
        "incompatible-option-group" => "repair its option group",
        "incompatible-network" => "free addresses in its subnets, or repair its subnet group",
        "incompatible-credentials" => "set its master password again",
        "insufficient-capacity" => "give it another instance class",
        "inaccessible-encryption-credentials-recoverable" => "make its KMS key usable again, and start it",
        "inaccessible-encryption-credentials" | "failed" | "restore-error" => {
            return Some(format!("the {word} {name} is {status}, and never again what RDS would rename: {BESIDE}"));
        }
        _ => "see its events, and bring it back to available",
    };
    Some(format!(
        "the {word} {name} is {status}: RDS renames only what is available, so the restored one could not get its name. {}, then \
         retry; or {BESIDE}",
        capitalized(cure)
    ))
}

const BESIDE: &str = "let clients find the restored one by a record of yours, with `keep_endpoint: cname` in the plan, or delete this one";

pub(super) fn is_going(status: &str) -> bool {
    matches!(status, "deleting" | "delete-precheck")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_engines_that_are_known_are_replaced() {
        for engine in ["postgres", "mysql", "mariadb", "oracle-ee-cdb", "sqlserver-web", "db2-se"] {
            assert_eq!(engine_of_instance("shop", engine), None, "{engine}");
        }
        for engine in ["aurora-mysql", "aurora-postgresql", "mysql", "postgres"] {
            assert_eq!(engine_of_cluster("shop", engine), None, "{engine}");
        }
        assert!(engine_of_cluster("stock", "docdb").unwrap().contains("the cluster stock runs docdb"));
        assert!(engine_of_cluster("stock", "neptune").unwrap().contains("has no instances"));
        assert!(engine_of_instance("shop", "custom-oracle-ee").unwrap().contains("RDS Custom renames no instance"));
        for engine in ["docdb", "brand-new", "postgres-next"] {
            assert!(engine_of_instance("shop", engine).is_some(), "{engine}");
        }
    }

    #[test]
    fn what_rds_does_not_rename_has_a_cure_each() {
        let told = |status| held("instance", "shop", status, KeepEndpoint::Rename);
        for (status, cure) in [
            ("stopped", "Start it"),
            ("storage-full", "Give it more storage"),
            ("inaccessible-encryption-credentials", "keep_endpoint: cname"),
            ("incompatible-parameters", "Repair its parameter group"),
            ("modify-failed", "See its events"),
        ] {
            let why = told(status).unwrap();
            assert!(why.contains(cure) && why.contains(status), "{why}");
        }
        for status in ["available", "backing-up", "stopping", "storage-optimization", "deleting"] {
            assert_eq!(told(status), None, "{status}");
        }
        assert_eq!(held("instance", "shop", "stopped", KeepEndpoint::Cname), None);
    }
}
