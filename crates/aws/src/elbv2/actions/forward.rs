//! The action that a shift of weights is about.

use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types;
use serde::{Deserialize, Serialize};

use crate::weights::Weights;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forward {
    /// In the order of the load balancer.
    pub(crate) groups: Vec<WeightedGroup>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stickiness: Option<Stickiness>,
    #[serde(default)]
    pub(crate) written: Written,
}

/// Where the load balancer names the groups. A single one may stand in `TargetGroupArn`, or in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Written {
    #[default]
    ForwardConfig,
    TargetGroupArn,
    Both,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WeightedGroup {
    pub(crate) arn: String,
    /// 0-999
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u32>,
}

/// Of a group for which none is said.
const WEIGHT_DEFAULT: u32 = 1;

impl WeightedGroup {
    pub(crate) fn weight(&self) -> u32 {
        self.weight.unwrap_or(WEIGHT_DEFAULT)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stickiness {
    pub(crate) enabled: Option<bool>,
    /// 1-604,800
    pub(crate) duration_s: Option<i32>,
}

impl Stickiness {
    /// How long clients stay with their group. None where it is not told: the model has it for application load balancers.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        self.duration_s.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
    }
}

impl Forward {
    pub(crate) fn weights(&self) -> Weights {
        self.groups.iter().map(|group| (group.arn.clone(), group.weight())).collect()
    }

    /// The same with other weights. `model`: what it was in the known-good state, whose order and way of writing are
    /// taken up again; then come its own groups, and new ones last.
    pub(crate) fn with_weights(&self, weights: &Weights, model: Option<&Self>) -> Self {
        let known: Vec<&WeightedGroup> = model.into_iter().chain([self]).flat_map(|forward| &forward.groups).collect();
        let new = weights.keys().filter(|arn| known.iter().all(|group| group.arn != **arn));
        let mut groups: Vec<WeightedGroup> = Vec::new();
        for arn in known.iter().map(|group| &group.arn).chain(new) {
            let Some(weight) = weights.get(arn).filter(|_| groups.iter().all(|group| group.arn != *arn)) else {
                continue;
            };
            let same = known.iter().find(|group| group.arn == *arn && group.weight() == *weight);
            let changed = || WeightedGroup { arn: arn.clone(), weight: Some(*weight) };
            groups.push(same.map_or_else(changed, |group| (*group).clone()));
        }
        let same = model.into_iter().chain([self]).find(|forward| forward.groups == groups);
        // What was written so before is taken again. A network load balancer refuses a new list in which some groups have a
        // weight and some have none.
        if same.is_none() && groups.iter().any(|group| group.weight.is_some()) {
            groups.iter_mut().for_each(|group| group.weight = Some(group.weight()));
        }
        let written = same.map_or(Written::ForwardConfig, |forward| forward.written);
        Self { groups, stickiness: self.stickiness.clone(), written }
    }

    /// The stickiness, where it is switched on.
    pub(crate) fn sticky(&self) -> Option<&Stickiness> {
        self.stickiness.as_ref().filter(|stickiness| stickiness.enabled == Some(true))
    }

    pub(super) fn from_aws(short: Option<String>, config: Option<types::ForwardActionConfig>) -> Option<Self> {
        let (groups, stickiness) =
            config.map_or((None, None), |config| (config.target_groups, config.target_group_stickiness_config));
        let groups = groups.unwrap_or_default().into_iter().filter_map(|group| {
            let weight = group.weight.map(u32::try_from).transpose().ok()?;
            Some(WeightedGroup { arn: group.target_group_arn?, weight })
        });
        let mut groups: Vec<WeightedGroup> = groups.collect();
        let written = match &short {
            Some(_) if groups.is_empty() => Written::TargetGroupArn,
            Some(_) if groups.len() == 1 => Written::Both,
            _ => Written::ForwardConfig,
        };
        if written == Written::TargetGroupArn {
            groups.extend(short.map(|arn| WeightedGroup { arn, weight: None }));
        }
        let stickiness =
            stickiness.map(|config| Stickiness { enabled: config.enabled, duration_s: config.duration_seconds });
        (!groups.is_empty()).then_some(Self { groups, stickiness, written })
    }

    /// `TargetGroupArn` and `ForwardConfig`.
    pub(super) fn into_aws(self) -> (Option<String>, Option<types::ForwardActionConfig>) {
        let short = match (self.written, self.groups.as_slice()) {
            (Written::TargetGroupArn | Written::Both, [group]) => Some(group.arn.clone()),
            _ => None,
        };
        let stickiness = self.stickiness.map(|stickiness| {
            types::TargetGroupStickinessConfig::builder()
                .set_enabled(stickiness.enabled)
                .set_duration_seconds(stickiness.duration_s)
                .build()
        });
        if self.written == Written::TargetGroupArn && short.is_some() {
            let config = stickiness.map(|stickiness| {
                types::ForwardActionConfig::builder().target_group_stickiness_config(stickiness).build()
            });
            return (short, config);
        }
        let groups = self.groups.into_iter().map(|group| {
            let weight = group.weight.map(|weight| i32::try_from(weight).unwrap_or(i32::MAX));
            types::TargetGroupTuple::builder().target_group_arn(group.arn).set_weight(weight).build()
        });
        let config = types::ForwardActionConfig::builder()
            .set_target_groups(Some(groups.collect()))
            .set_target_group_stickiness_config(stickiness)
            .build();
        (short, Some(config))
    }
}
