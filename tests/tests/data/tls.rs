//! TLS, as the URL has it.

use super::*;

fn check(server: &DataServer, scheme: &str, database: &str) {
    let watcher = Watcher::new();
    let read = |host: &str, parameters: &str| {
        let url = format!("{scheme}://belay:s3cret@{host}:{}/{database}{parameters}", server.port());
        watcher.read(sql(&Secret::new(&url), "select 1", "== 1"))
    };
    let ca = server.ca();
    assert_reads(&read("localhost", &format!("?sslmode=verify-full&sslrootcert={ca}")), Health::Healthy, "is 1");
    assert_reads(&read("127.0.0.1", "?sslmode=require"), Health::Healthy, "is 1");
    // The certificate is for another name.
    let reading = read("127.0.0.1", &format!("?sslmode=verify-full&sslrootcert={ca}"));
    assert_reads(&reading, Health::Unknown, "no TLS connection: its certificate is for localhost, not for 127.0.0.1");
    // This host does not know the CA.
    let reading = read("localhost", "?sslmode=verify-full");
    assert_reads(&reading, Health::Unknown, "does not trust the issuer");
    assert!(reading.evidence.contains("`sslrootcert` in the URL"), "{}", reading.evidence);
    assert!(reading.unreadable);
    let reading = read("localhost", "?sslmode=verify-full&sslrootcert=/nowhere.pem");
    assert_reads(&reading, Health::Unknown, "/nowhere.pem cannot be read");
}

#[test]
fn mariadb_is_reached_with_tls() {
    let Some(server) = DataServer::start(&["mariadb", "--tls"]) else { return };
    server.sql("alter user belay@'%' require ssl");
    check(&server, "mysql", "shop");
    let url = Secret::new(&format!("mysql://belay:s3cret@localhost:{}/shop?sslmode=disable", server.port()));
    let reading = Watcher::new().read(sql(&url, "select 1", "== 1"));
    assert_reads(&reading, Health::Unknown, "Access denied");
}

#[test]
fn postgres_is_reached_with_tls() {
    let Some(server) = DataServer::start(&["postgres", "--tls"]) else { return };
    check(&server, "postgres", "postgres");
    let url = Secret::new(&format!("postgres://belay:s3cret@localhost:{}/postgres", server.port()));
    let reading = Watcher::new().read(sql(&url, "select 1", "== 1"));
    assert_reads(&reading, Health::Unknown, "no encryption");
}

#[test]
fn a_server_without_tls_gets_no_password() {
    let server = DataServer::start(&["postgres"]).unwrap();
    let url = Secret::new(&format!("postgres://belay:s3cret@localhost:{}/postgres?sslmode=require", server.port()));
    let reading = Watcher::new().read(sql(&url, "select 1", "== 1"));
    assert_reads(&reading, Health::Unknown, "server does not support TLS");
}
