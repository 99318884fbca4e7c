//! One look at a cluster, with all that it is judged by.

use belay_aws_catalogue::rds::cluster_settings::OF_MEMBERS;
use belay_ports::Scope;

use super::{
    autoscaled,
    settings::ClusterSettings,
    state::{Cluster, ClusterState, Member},
};
use crate::rds::{
    Settings,
    assess::family,
    cname::Pointing,
    fields,
    names::Names,
    owner::{self, Owner},
    sent::Sent,
    spec::{Cname, Source, With},
    state::Instance,
};

pub(super) struct View<'a> {
    pub(super) scope: &'a Scope,
    pub(super) with: &'a With,
    pub(super) now: &'a ClusterState,
    /// As it was before the cutover.
    pub(super) known_good: Option<&'a ClusterState>,
    pub(super) sent: Sent<'a>,
    pub(super) names: Names,
}

/// A member as it is to be made anew.
pub(super) struct MemberModel<'a> {
    /// As clients know it.
    pub(super) name: String,
    pub(super) writer: bool,
    /// What it is made after.
    pub(super) instance: &'a Instance,
    /// The one whose place it takes, if that is still there.
    pub(super) old: Option<&'a Instance>,
}

impl<'a> View<'a> {
    /// The cluster whose settings are wanted; `old` stands in where there is no baseline.
    pub(super) fn model<'b>(&self, old: &'b Cluster) -> &'b Cluster
    where
        'a: 'b,
    {
        self.known_good.and_then(|baseline| baseline.cluster.as_ref()).unwrap_or(old)
    }

    /// The settings to carry over.
    pub(super) fn wanted(&self, old: &Cluster) -> ClusterSettings {
        let settings = fields::wanted(self.with, &self.model(old).settings.clone().worth_carrying());
        match self.other_version(old) {
            Some(_) => ClusterSettings { cluster_parameter_group: None, ..settings },
            None => settings,
        }
    }

    /// The snapshot's engine and version, if parameter groups of now do not fit it.
    pub(super) fn other_version(&self, old: &Cluster) -> Option<String> {
        let (snapshot, model) = (self.now.snapshot.as_ref()?, self.model(old));
        let version = |version| family(&model.engine, version);
        let same = version(&snapshot.engine_version) == version(&model.engine_version);
        (!same).then(|| format!("{} {}", snapshot.engine, snapshot.engine_version))
    }

    /// As the plan names it, or the newest by its own name.
    pub(super) fn snapshot_name(&self) -> String {
        match (&self.with.from, &self.now.snapshot) {
            (Source::Snapshot(name), _) => name.clone(),
            (_, found) => found.as_ref().map(|found| found.name.clone()).unwrap_or_default(),
        }
    }

    /// Where the plan's record points, beside where it should.
    pub(super) fn pointing(&self, endpoint: Option<&str>) -> Option<(&Cname, Pointing)> {
        let cname = self.with.cname.as_ref()?;
        let found = self.now.cname.as_ref()?;
        Some((cname, found.against(cname, endpoint)))
    }

    /// The members to make, the writer first: those of the baseline, else those of the cluster that is replaced. Those
    /// of a Multi-AZ DB cluster come by themselves.
    pub(super) fn models<'b>(&'b self, old: &'b Cluster) -> Vec<MemberModel<'b>> {
        if !old.is_aurora() {
            return Vec::new();
        }
        let known = self.known_good.map(|baseline| (&baseline.members, baseline.cluster.as_ref()));
        let (members, cluster) = known.unwrap_or((&self.now.members, Some(old)));
        let writer = |member: &Member| {
            let names = Names::new(&member.name, self.scope.run.as_ref());
            let is = |name: &str| name == names.own || name == names.failed;
            cluster.is_some_and(|cluster| cluster.members.iter().any(|listed| listed.writer && is(&listed.name)))
        };
        let old_of = |member: &'b Member| {
            let own = member.instance.as_ref().filter(|found| !self.has_taken_place(member, found));
            own.or(member.failed.as_ref())
        };
        let now_of = |name: &str| self.now.members.iter().find(|member| member.name == name);
        let mut models: Vec<MemberModel<'b>> = members
            .iter()
            .filter_map(|member| {
                let old = now_of(&member.name).and_then(old_of);
                let instance = if self.known_good.is_some() { member.instance.as_ref() } else { old };
                Some(MemberModel { name: member.name.clone(), writer: writer(member), instance: instance?, old })
            })
            .collect();
        // Those of the restored cluster as well: they come as soon as it has its name.
        let autoscaled = members.iter().filter(|member| !writer(member) && autoscaled::is_one(member));
        let autoscaled: Vec<&str> = autoscaled.map(|member| member.name.as_str()).collect();
        if models.iter().any(|model| !autoscaled.contains(&model.name.as_str())) {
            models.retain(|model| !autoscaled.contains(&model.name.as_str()));
        }
        models.sort_by_key(|model| !model.writer);
        if self.with.test.is_some() {
            models.truncate(1); // to answer, and no more than that is paid
        }
        models
    }

    /// The readers that Application Auto Scaling has made, of the cluster whose members are made anew.
    pub(super) fn left_out<'b>(&'b self, old: &'b Cluster) -> Vec<&'b str> {
        let known = self.known_good.and_then(|baseline| Some((&baseline.members, baseline.cluster.as_ref()?)));
        let (members, cluster) = known.unwrap_or((&self.now.members, old));
        autoscaled::readers(cluster, members)
    }

    /// The cluster whose members are made anew.
    fn cluster_of_models(&self) -> Option<&'a Cluster> {
        let known = self.known_good.and_then(|baseline| baseline.cluster.as_ref());
        let replaced = self.now.cluster.as_ref().filter(|found| owner::of(self.scope, &found.tags) != Owner::Ours);
        known.or(self.now.failed.as_ref()).or(replaced)
    }

    /// What a member is to have of its own.
    pub(super) fn member_settings(&self, model: &MemberModel<'_>) -> Settings {
        // "conflicts with cluster level parameter": what the cluster has for all of them, none is told.
        let cluster = self.cluster_of_models().map(|cluster| cluster.settings.clone().worth_carrying());
        let of_cluster = |name: &str| {
            let has = |has: fn(&ClusterSettings) -> bool| cluster.as_ref().is_some_and(has);
            (name.starts_with("monitoring_") && has(|cluster| cluster.monitoring_interval_s.is_some()))
                || (name.starts_with("performance_") && has(|cluster| cluster.performance_insights.is_some()))
        };
        let own = fields::only(&fields::wanted(self.with, &model.instance.settings.clone().to_carry()), |name| {
            OF_MEMBERS.contains(&name) && !of_cluster(name)
        });
        let version = self.now.snapshot.as_ref().map(|snapshot| snapshot.engine_version.as_str());
        let engine = &model.instance.engine;
        match version.is_some_and(|version| family(engine, version) != family(engine, &model.instance.engine_version)) {
            true => own.without_groups(),
            false => own,
        }
    }

    /// Whether the instance under the name that clients know is the restored one.
    pub(super) fn has_taken_place(&self, member: &Member, found: &Instance) -> bool {
        match owner::of(self.scope, &found.tags) {
            Owner::Ours => true,
            // What keeps no tags cannot tell; the other was moved away, so this is the one.
            Owner::Untagged => member.restored.is_none() && member.failed.is_some(),
            Owner::Another { .. } | Owner::Unmarked => false,
        }
    }

    pub(super) fn has_its_place(&self, name: &str) -> bool {
        let member = self.now.members.iter().find(|member| member.name == name);
        member.is_some_and(|member| member.instance.as_ref().is_some_and(|found| self.has_taken_place(member, found)))
    }

    /// Whether the restored member exists, under whichever name.
    pub(super) fn is_made(&self, name: &str) -> bool {
        let member = self.now.members.iter().find(|member| member.name == name);
        member.is_some_and(|member| member.restored.is_some()) || self.has_its_place(name)
    }
}
