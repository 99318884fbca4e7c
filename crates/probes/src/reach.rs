//! What a probe sends where, and whom it asks: known from the plan, and held against what is permitted before each read.

use std::{net::IpAddr, sync::Arc, time::Duration};

use belay_core::reading::{Health, Reading};
use belay_local::{
    permit::{Gate, Reach, What},
    secrets::Reference,
};
use belay_ports::{Clock, Endpoint, Fut, Permission, Query, Sensor, SignalReadiness};
use reqwest::Url;
use serde_json::Value;

use crate::{dns, http, prometheus, sql, tcp};

/// Of one signal: `spec` is its whole entry.
pub(crate) fn of(signal: &str, kind: &str, spec: &Value) -> Vec<Reach> {
    let of_kind = &spec[kind];
    let text = |key: &str| of_kind[key].as_str();
    let host = |address: &str| match address.parse::<IpAddr>() {
        Ok(_) => address.to_owned(),
        Err(_) => address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned(),
    };
    let (hosts, secrets): (Vec<String>, Vec<Reference>) = match kind {
        http::KEY | prometheus::KEY => {
            let url = text("url").and_then(|url| Url::parse(url).ok());
            let own = url.and_then(|url| url.host_str().map(ToOwned::to_owned));
            let hosts = own.into_iter().chain(text("connect_to").map(host)).collect();
            let headers = of_kind["headers"].as_object().into_iter().flatten();
            (hosts, headers.filter_map(|(_, value)| Reference::parse(value.as_str()?)).collect())
        }
        tcp::KEY => (text("address").map(host).into_iter().collect(), Vec::new()),
        dns::KEY => {
            (text("server").filter(|server| *server != "authoritative").map(host).into_iter().collect(), Vec::new())
        }
        sql::KEY | sql::DIFFERENCE_KEY => return sql::reaches(signal, kind, of_kind),
        _ => return Vec::new(),
    };
    let redirects = of_kind["redirect_hosts"].as_array().into_iter().flatten();
    let redirects = redirects.filter_map(|host| host.as_str().map(ToOwned::to_owned));
    let asks = hosts.iter().cloned().chain(redirects).map(|host| What::Asks { host });
    let sends = secrets
        .iter()
        .flat_map(|secret| hosts.iter().map(|host| What::Sends { secret: secret.clone(), host: host.clone() }));
    asks.chain(sends).map(|what| Reach { by: format!("signal {signal}"), what }).collect()
}

/// A sensor that reads only what is permitted; the rest is unknown.
pub(crate) struct Gated {
    pub(crate) sensor: Arc<dyn Sensor>,
    pub(crate) kind: String,
    pub(crate) gate: Gate,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Gated {
    fn refusal(&self, query: &Query) -> Option<String> {
        of(&query.signal, &self.kind, &query.spec).iter().find_map(|reach| self.gate.judge(reach).err())
    }
}

impl Sensor for Gated {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async move {
            let refusals: Vec<Option<String>> = queries.iter().map(|query| self.refusal(query)).collect();
            let permitted = queries.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
            let permitted: Vec<Query> = permitted.map(|(query, _)| query.clone()).collect();
            let mut readings = self.sensor.read(&permitted).await.into_iter();
            let taken = self.clock.now();
            let unread = |query: &Query, why: String| Reading {
                signal: query.signal.clone(),
                taken,
                health: Health::Unknown,
                evidence: format!("not read: {why}"),
                source: "the daemon's configuration".to_owned(),
                unreadable: true,
                permanent: true,
                measured: None,
            };
            let all = queries.iter().zip(refusals).map(|(query, refusal)| match refusal {
                Some(why) => unread(query, why),
                None => readings.next().unwrap_or_else(|| unread(query, "the probe gave no reading".to_owned())),
            });
            all.collect()
        })
    }

    fn time_max(&self, queries: &[Query]) -> Duration {
        self.sensor.time_max(queries)
    }

    fn pace(&self, query: &Query) -> Duration {
        self.sensor.pace(query)
    }

    fn readiness<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<SignalReadiness>> {
        self.sensor.readiness(queries)
    }

    fn redirected(&self, query: &Query, to: &Endpoint) -> Result<Query, String> {
        self.sensor.redirected(query, to)
    }

    fn permissions(&self, query: &Query) -> Vec<Permission> {
        self.sensor.permissions(query)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(kind: &str, spec: Value) -> Vec<String> {
        of("blue", kind, &json!({ kind: spec })).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_probe_tells_what_it_sends_where() {
        let http = json!({
            "url": "https://shop.test:8443/health", "connect_to": "10.0.0.7:443", "redirect_hosts": ["www.shop.test"],
            "headers": { "X-Token": "env:SHOP_TOKEN", "Accept": "text/html" },
        });
        assert_eq!(
            told("http", http),
            [
                "signal blue asks shop.test",
                "signal blue asks 10.0.0.7",
                "signal blue asks www.shop.test",
                "signal blue sends env:SHOP_TOKEN to shop.test",
                "signal blue sends env:SHOP_TOKEN to 10.0.0.7",
            ]
        );
        assert_eq!(told("tcp", json!({ "address": "[2001:db8::1]:443" })), ["signal blue asks [2001:db8::1]"]);
        assert_eq!(told("dns", json!({ "name": "shop.test", "server": "10.0.0.2:53" })), ["signal blue asks 10.0.0.2"]);
        assert_eq!(told("dns", json!({ "name": "shop.test", "server": "authoritative" })), [""; 0]);
        let sides = json!({ "left": "env:OLD", "right": { "url": "mysql://u@new.test/d", "password": "env:NEW" } });
        assert_eq!(
            told("sql_difference", sides),
            [
                "signal blue opens the database of env:OLD",
                "signal blue asks new.test",
                "signal blue sends env:NEW to new.test",
            ]
        );
        let prometheus = json!({ "url": "http://prom.test:9090", "headers": { "Authorization": "file:/run/prom" } });
        assert_eq!(
            told("prometheus", prometheus),
            ["signal blue asks prom.test", "signal blue sends file:/run/prom to prom.test"]
        );
    }
}
