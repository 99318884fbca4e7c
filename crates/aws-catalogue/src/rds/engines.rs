//! Which databases a restore replaces, by their engines.

/// Why no restore replaces a database of this engine, if so.
pub fn unfit(cluster: bool, name: &str, engine: &str) -> Option<String> {
    match cluster {
        true => engine_of_cluster(name, engine),
        false => engine_of_instance(name, engine),
    }
}

/// Engines of instances on their own. Oracle, SQL Server and Db2 have editions behind the hyphen.
const INSTANCES: [&str; 6] = ["mariadb", "mysql", "postgres", "oracle-", "sqlserver-", "db2-"];
/// Of Aurora, and of Multi-AZ DB clusters.
const CLUSTERS: [&str; 4] = ["aurora-mysql", "aurora-postgresql", "mysql", "postgres"];

/// Why an instance of this engine is not replaced, if so.
pub fn engine_of_instance(name: &str, engine: &str) -> Option<String> {
    let knows = |known: &&str| if known.ends_with('-') { engine.starts_with(*known) } else { engine == *known };
    (!INSTANCES.iter().any(knows)).then(|| {
        format!("{name} runs {engine}: {}", why(engine, "MariaDB, MySQL, PostgreSQL, Oracle, SQL Server and Db2"))
    })
}

/// The same of a cluster. `DescribeDBClusters` lists those of DocumentDB and Neptune, too.
pub fn engine_of_cluster(name: &str, engine: &str) -> Option<String> {
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
}
