#!/usr/bin/env python3
"""Builds a blue/green world in an AWS emulator, changes it and reads it back; everything as JSON.

The endpoint is $AWS_ENDPOINT_URL. `seed` prints the world; `set-weights` reads that document from standard input. See
`world.py --help` for the commands. `session` runs any number of them in one process, which spares the start of each:
lines of { "command": [...], "input": ... } in, lines of { "ok": ... } or { "error": ... } out.
"""

import argparse
import collections
import functools
import json
import os
import random
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

# Nobody's own profile or credentials may find their way in here.
os.environ.update(AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")
os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
os.environ.setdefault("AWS_REGION", "us-east-1")
os.environ.setdefault("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])

import boto3
import botocore.model
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

import postgres

REGION = os.environ["AWS_REGION"]
WAIT_SECONDS = 60
POLL_SECONDS = 0.1
# One attempt by default: a fault that a test injects must be seen, not retried away.
CONFIG = Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=30)


@functools.cache
def client(service):
    return boto3.client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=REGION, config=CONFIG)


def wait_for(what, look):
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if look():
            return
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"waited {WAIT_SECONDS} s in vain for {what}")


# --- seed -------------------------------------------------------------------------------------------------------------


def seed(a):
    """The world. The random seed decides over all that a plan must not take for granted: names, TTL, thresholds."""
    chance = random.Random(a.seed)
    name = f"{a.prefix}-{chance.randrange(16**4):04x}"
    world = {
        "endpoint": os.environ["AWS_ENDPOINT_URL"],
        "region": REGION,
        "account": client("sts").get_caller_identity()["Account"],
        "name": name,
        "refused": {},
    }
    world["alb"] = seed_alb(a, name, chance)
    world["dns"] = seed_dns(a, name, chance, world["alb"])
    world["alarms"] = seed_alarms(a, name, chance, world)
    world["database"] = seed_database(a, name) if a.database else None
    return world


def seed_alb(a, name, chance):
    ec2, elb = client("ec2"), client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{i}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"]["SubnetId"]
        for i, zone in enumerate("ab")
    ]
    balancer = elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
    groups = {}
    for side, targets in (("blue", a.blue_target), ("green", a.green_target)):
        # The shortest times that AWS allows.
        group = elb.create_target_group(
            Name=f"{name}-{side}", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip",
            HealthCheckPath="/health", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2, UnhealthyThresholdCount=2,
        )["TargetGroups"][0]
        members = [{"Id": host, "Port": int(port)} for host, port in (target.split(":") for target in targets)]
        if members:
            elb.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=members)
        groups[side] = {"arn": group["TargetGroupArn"], "name": group["TargetGroupName"], "targets": targets}
    forward = forward_action(groups, {"blue": a.blue, "green": a.green}, a.stickiness)
    actions = [forward]
    if a.authenticate:
        actions = [authenticate_action(chance), {**forward, "Order": 2}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=actions
    )["Listeners"][0]
    rule = elb.create_rule(
        ListenerArn=listener["ListenerArn"], Priority=chance.randrange(1, 1000), Actions=actions,
        Conditions=[{"Field": "path-pattern", "Values": ["/api/*"]}],
    )["Rules"][0]
    return {
        "load_balancer": balancer["LoadBalancerArn"],
        # What CloudWatch calls it.
        "dimension": balancer["LoadBalancerArn"].split(":loadbalancer/")[1],
        "dns_name": balancer["DNSName"],
        "canonical_zone": balancer["CanonicalHostedZoneId"],
        "listener": listener["ListenerArn"],
        "rule": rule["RuleArn"],
        "target_groups": groups,
    }


def forward_action(groups, weights, stickiness):
    sticky = {"Enabled": bool(stickiness)}
    if stickiness:
        sticky["DurationSeconds"] = stickiness
    members = [{"TargetGroupArn": groups[side]["arn"], "Weight": weights[side]} for side in ("blue", "green")]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": members, "TargetGroupStickinessConfig": sticky}}


def authenticate_action(chance):
    return {
        "Type": "authenticate-oidc",
        "Order": 1,
        "AuthenticateOidcConfig": {
            "Issuer": "https://login.example.test",
            "AuthorizationEndpoint": "https://login.example.test/authorize",
            "TokenEndpoint": "https://login.example.test/token",
            "UserInfoEndpoint": "https://login.example.test/user",
            "ClientId": f"client-{chance.randrange(10**6)}",
            "ClientSecret": "not-a-secret",
            "SessionTimeout": chance.randrange(60, 604800),
            "OnUnauthenticatedRequest": "authenticate",
        },
    }


def seed_dns(a, name, chance, alb):
    dns = client("route53")
    zone_name = f"{name}.test."
    record = f"www.{zone_name}"
    zone = dns.create_hosted_zone(Name=zone_name, CallerReference=f"{name}-{time.time_ns()}")
    zone = zone["HostedZone"]["Id"].split("/")[-1]
    check = None
    if a.health_check:
        check = dns.create_health_check(
            CallerReference=f"{name}-{time.time_ns()}",
            HealthCheckConfig={"Type": "HTTP", "IPAddress": "192.0.2.1", "Port": 80, "ResourcePath": "/health"},
        )["HealthCheck"]["Id"]
    ttl = None if a.alias else chance.choice([5, 30, 60, 300])
    members = {"blue": a.blue_dns, "green": a.green_dns}
    members.update({f"extra{i}": chance.randrange(256) for i in range(a.extra_sets)})
    sets = {}
    for i, (side, weight) in enumerate(members.items(), 1):
        entry = {"Name": record, "Type": "A", "SetIdentifier": f"{name}-{side}", "Weight": weight}
        if a.alias:
            entry["AliasTarget"] = {
                "HostedZoneId": alb["canonical_zone"], "DNSName": alb["dns_name"], "EvaluateTargetHealth": True,
            }
        else:
            entry.update(TTL=ttl, ResourceRecords=[{"Value": f"192.0.2.{i}"}])
        if check:
            entry["HealthCheckId"] = check
        sets[side] = entry
    # A neighbour of the same name: no rollback may touch it.
    neighbour = {"Name": record, "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": '"keep me"'}]}
    upsert(dns, zone, [*sets.values(), neighbour])
    return {
        "zone": zone,
        "zone_name": zone_name,
        "record": record,
        "type": "A",
        "ttl": ttl,
        "health_check": check,
        "sets": {side: {"id": entry["SetIdentifier"], "weight": entry["Weight"]} for side, entry in sets.items()},
    }


def upsert(dns, zone, records):
    changes = [{"Action": "UPSERT", "ResourceRecordSet": record} for record in records]
    dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def seed_alarms(a, name, chance, world):
    watch = client("cloudwatch")
    names = {"errors": f"{name}-errors", "latency": f"{name}-latency", "database": f"{name}-database"}
    names.update({f"filler{i}": f"{name}-filler-{i:04d}" for i in range(a.fillers)})
    for kind, alarm in names.items():
        # fakecloud keeps a state that SetAlarmState set only where missing data is ignored.
        watch.put_metric_alarm(
            AlarmName=alarm, Namespace=f"Belay/{name}", MetricName=kind, Statistic="Sum", Period=60,
            EvaluationPeriods=1, Threshold=float(chance.randrange(1, 50)), ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
        )
        watch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="seeded")
    names["composite"] = f"{name}-composite"
    try:
        watch.put_composite_alarm(
            AlarmName=names["composite"], AlarmRule=f'ALARM("{names["errors"]}") OR ALARM("{names["latency"]}")'
        )
    except ClientError as error:
        # moto has no composite alarms.
        world["refused"]["composite"] = str(error)
        names["composite"] = None
    return names


def seed_database(a, name):
    rds = client("rds")
    instance, snapshot = f"{name}-db", f"{name}-db-before"
    rds.create_db_instance(
        DBInstanceIdentifier=instance, Engine="postgres", EngineVersion="16.4", DBInstanceClass="db.t3.micro",
        AllocatedStorage=20, MasterUsername="belay", MasterUserPassword="not-a-secret", DBName="shop",
        BackupRetentionPeriod=3, DeletionProtection=True, CopyTagsToSnapshot=True,
        Tags=[{"Key": "team", "Value": a.prefix}],
    )
    wait_for(f"{instance} to be available", lambda: instance_status(rds, instance) == "available")
    for value in a.row:
        write_row(instance, "orders", value)
    rds.create_db_snapshot(DBSnapshotIdentifier=snapshot, DBInstanceIdentifier=instance)
    wait_for(f"{snapshot} to be available", lambda: snapshot_status(rds, snapshot) == "available")
    return {"instance": instance, "snapshot": snapshot, "table": "orders", **address(rds, instance)}


def instance_status(rds, instance):
    return rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]["DBInstanceStatus"]


def snapshot_status(rds, snapshot):
    return rds.describe_db_snapshots(DBSnapshotIdentifier=snapshot)["DBSnapshots"][0]["Status"]


# --- change -----------------------------------------------------------------------------------------------------------


def set_weights(a):
    """Shifts the whole world, or a part of it, as a cutover would. Keeps all else as it is."""
    world = a.input or json.load(sys.stdin)
    parts = a.only or ["dns", "listener", "rule"]
    weights = {"blue": a.blue, "green": a.green}
    if "dns" in parts:
        dns, zone = client("route53"), world["dns"]["zone"]
        wanted = {world["dns"]["sets"][side]["id"]: weight for side, weight in weights.items()}
        now = [entry for entry in record_sets(dns, zone) if entry.get("SetIdentifier") in wanted]
        upsert(dns, zone, [{**entry, "Weight": wanted[entry["SetIdentifier"]]} for entry in now])
    elb = client("elbv2")
    arns = {world["alb"]["target_groups"][side]["arn"]: weight for side, weight in weights.items()}
    if "listener" in parts:
        listener = read_listener(world["alb"]["listener"])
        actions = [weighted(action, arns) for action in listener["DefaultActions"]]
        elb.modify_listener(ListenerArn=listener["ListenerArn"], DefaultActions=actions)
    if "rule" in parts:
        rule = read_rule(world["alb"]["rule"])
        elb.modify_rule(RuleArn=rule["RuleArn"], Actions=[weighted(action, arns) for action in rule["Actions"]])
    return {"blue": a.blue, "green": a.green, "parts": parts}


def weighted(action, weights):
    action = dict(action)
    # Given beside ForwardConfig, the lone ARN would have to name the only target group.
    action.pop("TargetGroupArn", None)
    if "ForwardConfig" in action:
        members = [
            {**member, "Weight": weights.get(member["TargetGroupArn"], member.get("Weight"))}
            for member in action["ForwardConfig"]["TargetGroups"]
        ]
        action["ForwardConfig"] = {**action["ForwardConfig"], "TargetGroups": members}
    return action


def alarm(a):
    client("cloudwatch").set_alarm_state(AlarmName=a.name, StateValue=a.state, StateReason=a.reason)
    return read_alarm(a.name)


def put_metric(a):
    when = datetime.now(timezone.utc) - timedelta(seconds=a.seconds_ago)
    dimensions = [{"Name": name, "Value": value} for name, value in (pair.split("=", 1) for pair in a.dimension)]
    data = [
        {"MetricName": a.name, "Value": value, "Timestamp": when, "Dimensions": dimensions} for value in a.value
    ]
    client("cloudwatch").put_metric_data(Namespace=a.namespace, MetricData=data)
    return {"namespace": a.namespace, "name": a.name, "values": a.value, "time": when}


def address(rds, instance):
    found = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]
    return {
        "host": found["Endpoint"]["Address"],
        "port": found["Endpoint"]["Port"],
        "user": found["MasterUsername"],
        "name": found["DBName"],
    }


def sql(instance, text, **variables):
    """Runs SQL on the instance over its own endpoint, and gives back what it prints."""
    server = address(client("rds"), instance)
    command = [os.path.join(postgres.programs(), "psql"), "-qtAX", "-v", "ON_ERROR_STOP=1"]
    command += ["-h", server["host"], "-p", str(server["port"]), "-U", server["user"], "-d", server["name"]]
    for name, value in variables.items():
        command += ["-v", f"{name}={value}"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{instance}: {done.stderr.strip()}")
    return done.stdout


def write_row(instance, table, value):
    sql(
        instance,
        'set client_min_messages = error; create table if not exists :"table" (id serial primary key, value text);'
        'insert into :"table" (value) values (:\'value\');',
        table=table, value=value,
    )


def write_rows(a):
    for value in a.value:
        write_row(a.instance, a.table, value)
    return rows(a)


# --- read -------------------------------------------------------------------------------------------------------------


def rows(a):
    found = sql(
        a.instance, 'select coalesce(json_agg(value order by id), \'[]\') from :"table";', table=a.table
    )
    return json.loads(found)


def record_sets(dns, zone):
    pages = dns.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
    return [entry for page in pages for entry in page["ResourceRecordSets"]]


def read_listener(arn):
    return client("elbv2").describe_listeners(ListenerArns=[arn])["Listeners"][0]


def read_rule(arn):
    return client("elbv2").describe_rules(RuleArns=[arn])["Rules"][0]


def read_alarm(name):
    kinds = ["MetricAlarm", "CompositeAlarm"]
    found = client("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=kinds)
    alarms = found.get("MetricAlarms", []) + found.get("CompositeAlarms", [])
    return alarms[0] if alarms else None


def target_groups(a):
    elb = client("elbv2")
    groups = elb.describe_target_groups()["TargetGroups"]
    for group in groups:
        health = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        group["Targets"] = [{**entry["Target"], **entry["TargetHealth"]} for entry in health]
    return groups


def databases(a):
    # moto lists a database while another thread changes it, and then answers with a page of its server instead of XML.
    for last in (False, False, True):
        try:
            pages = client("rds").get_paginator("describe_db_instances").paginate()
            return [found for page in pages for found in page["DBInstances"]]
        except ResponseParserError:
            if last:
                raise


def snapshots(a):
    return [found for page in client("rds").get_paginator("describe_db_snapshots").paginate() for found in page["DBSnapshots"]]


def traffic(a):
    """What the targets behind a load balancer answer, with how often. Only fakecloud carries traffic."""
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    with urllib.request.urlopen(f"{endpoint}/_fakecloud/elbv2/load-balancers") as answer:
        balancers = json.load(answer)["loadBalancers"]
    port = next(balancer["boundPort"] for balancer in balancers if balancer["arn"] == a.load_balancer)
    answers = collections.Counter()
    for _ in range(a.requests):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{a.path}") as answer:
                answers[answer.read().decode()] += 1
        except urllib.error.HTTPError as error:
            answers[str(error.code)] += 1
    return answers


# --- one raw call -----------------------------------------------------------------------------------------------------


@functools.cache
def cbor_client(service):
    """The Rust SDK speaks CBOR where a service can (CloudWatch): a call that stands for one of Belay's does so too.

    moto does not understand it, so `seed` and the others keep to boto3's own choice.
    """
    usual = botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS
    botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = tuple(sorted(usual, key=lambda name: "cbor" not in name))
    try:
        # Not the shared session of `client`: it would remember the protocol.
        session = boto3.session.Session(region_name=REGION)
        return session.client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=CONFIG)
    finally:
        botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = usual


def call(a):
    """Any call of any service: what the emulator says, or the error as boto3 sees it."""
    method = getattr(cbor_client(a.service), a.method)
    try:
        answer = method(**json.loads(a.arguments))
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return {"error": error.response["Error"]["Code"], "status": status, "message": str(error)}
    except Exception as error:
        return {"error": type(error).__name__, "status": None, "message": str(error)}
    answer.pop("ResponseMetadata", None)
    return answer


# --- command line -----------------------------------------------------------------------------------------------------


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name, act, help):
        new = commands.add_parser(name, help=help)
        new.set_defaults(act=act)
        return new

    new = command("seed", seed, "builds a world and prints it")
    new.add_argument("--prefix", default="shop", help="what every name begins with")
    new.add_argument("--seed", type=int, default=0, help="worlds with another seed have other names and numbers")
    new.add_argument("--blue", type=int, default=100, help="weight of blue at listener and rule")
    new.add_argument("--green", type=int, default=0)
    new.add_argument("--blue-dns", type=int, default=100, help="weight of blue in DNS")
    new.add_argument("--green-dns", type=int, default=0)
    new.add_argument("--extra-sets", type=int, default=0, help="further members of the weighted record")
    new.add_argument("--alias", action="store_true", help="the record is an alias of the load balancer")
    new.add_argument("--health-check", action="store_true", help="the record's members carry a health check")
    new.add_argument("--blue-target", action="append", default=[], metavar="HOST:PORT")
    new.add_argument("--green-target", action="append", default=[], metavar="HOST:PORT")
    new.add_argument("--authenticate", action="store_true", help="an authenticate action before the forward, with orders")
    new.add_argument("--stickiness", type=int, default=0, metavar="SECONDS")
    new.add_argument("--fillers", type=int, default=0, help="further alarms")
    new.add_argument("--database", action="store_true", help="an RDS instance and a snapshot of it")
    new.add_argument("--row", action="append", default=[], help="a row of the table orders, before the snapshot")

    new = command("set-weights", set_weights, "shifts a world (on standard input)")
    new.add_argument("blue", type=int)
    new.add_argument("green", type=int)
    new.add_argument("--only", action="append", choices=["dns", "listener", "rule"])

    new = command("alarm", alarm, "sets an alarm's state")
    new.add_argument("name")
    new.add_argument("state", choices=["OK", "ALARM", "INSUFFICIENT_DATA"])
    new.add_argument("--reason", default="set by a test")

    new = command("put-metric", put_metric, "puts data points")
    new.add_argument("namespace")
    new.add_argument("name")
    new.add_argument("value", type=float, nargs="+")
    new.add_argument("--dimension", action="append", default=[], metavar="NAME=VALUE")
    new.add_argument("--seconds-ago", type=float, default=0)

    new = command("write-rows", write_rows, "adds rows to a table, which it creates, and prints all")
    new.add_argument("instance")
    new.add_argument("table")
    new.add_argument("value", nargs="+")

    new = command("rows", rows, "the values of a table")
    new.add_argument("instance")
    new.add_argument("table")

    command("records", lambda a: record_sets(client("route53"), a.zone), "all records of a zone").add_argument("zone")
    command("listener", lambda a: read_listener(a.arn), "one listener").add_argument("arn")
    command("rule", lambda a: read_rule(a.arn), "one listener rule").add_argument("arn")
    command("read-alarm", lambda a: read_alarm(a.name), "one alarm, or null").add_argument("name")
    command("target-groups", target_groups, "all target groups with the health of their targets")
    command("databases", databases, "all RDS instances")
    command("snapshots", snapshots, "all RDS snapshots")

    new = command("traffic", traffic, "sends requests through a load balancer and counts the answers")
    new.add_argument("load_balancer")
    new.add_argument("requests", type=int)
    new.add_argument("path", nargs="?", default="/")

    new = command("call", call, "any call, as boto3 sees it: call route53 get_change '{\"Id\": \"C1\"}'")
    new.add_argument("service")
    new.add_argument("method")
    new.add_argument("arguments", nargs="?", default="{}")

    command("session", None, "runs commands from standard input")
    return parser


def session(parser):
    for line in sys.stdin:
        request = json.loads(line)
        try:
            chosen = parser.parse_args(request["command"])
            chosen.input = request["input"]
            answer = {"ok": chosen.act(chosen)}
        except SystemExit as error:
            answer = {"error": str(error)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer, default=str), flush=True)


def main():
    parser = command_line()
    chosen = parser.parse_args()
    chosen.input = None
    if chosen.act:
        print(json.dumps(chosen.act(chosen), indent=1, default=str))
    else:
        session(parser)


if __name__ == "__main__":
    main()
