//! `deploy/kubernetes/belay.yaml`: one pod that owns its journal, as closed as the container is.

use serde_json::{Value, json};

use crate::{container, read};

fn objects() -> Vec<Value> {
    let text = read("deploy/kubernetes/belay.yaml");
    text.split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect()
}

fn object(kind: &str) -> Value {
    objects().into_iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("there is no {kind}"))
}

#[test]
fn objects_refer_to_each_other() {
    for object in objects() {
        assert!(object["apiVersion"].is_string() && object["metadata"]["name"] == "belay", "{object:#}");
    }
    let (set, service) = (object("StatefulSet"), object("Service"));
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    let policy = object("NetworkPolicy");
    assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["priorityClassName"], object("PriorityClass")["metadata"]["name"]);
    assert_eq!(pod["serviceAccountName"], object("ServiceAccount")["metadata"]["name"]);
    let container = &pod["containers"][0];
    let names = |list: &Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|one| one.get("name").unwrap_or(&one["metadata"]["name"]).clone()).collect()
    };
    let volumes = [names(&pod["volumes"]), names(&set["spec"]["volumeClaimTemplates"])].concat();
    for mount in container["volumeMounts"].as_array().unwrap() {
        assert!(volumes.contains(&mount["name"]), "{mount}");
    }
    let ports = names(&container["ports"]);
    for port in [
        &policy["spec"]["ingress"][0]["ports"][0]["port"],
        &service["spec"]["ports"][0]["targetPort"],
        &container["livenessProbe"]["httpGet"]["port"],
    ] {
        assert!(ports.contains(port), "{port}");
    }
}

#[test]
fn one_pod_owns_the_journal_and_can_do_nothing_else() {
    let set = object("StatefulSet");
    assert_eq!(set["spec"]["replicas"], 1);
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"], json!(["ReadWriteOncePod"]));
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    let user = container::all("USER").pop().unwrap();
    let expected: u32 = user.split(':').next().unwrap().parse().unwrap();
    let security = &pod["securityContext"];
    assert_eq!((&security["runAsNonRoot"], &security["runAsUser"]), (&json!(true), &json!(expected)));
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0];
    let expected = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
    });
    assert_eq!(container["securityContext"], expected);
    assert!(!container["image"].as_str().unwrap().ends_with(":latest"));
    let state = container["volumeMounts"].as_array().unwrap().iter().find(|mount| mount["name"] == "state").unwrap();
    assert_eq!(Some(state["mountPath"].as_str().unwrap()), container::all("VOLUME").pop().as_deref());
}
