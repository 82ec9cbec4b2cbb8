//! The account: who it is, its limits and what it used.

use serde_json::{Map, Value, json};

use super::super::call::Reply;
use super::super::{Sim, iso, lock};

pub(super) fn me() -> Value {
    let features: Map<String, Value> = [
        "ACTORS",
        "STORAGE",
        "SCHEDULER",
        "PROXY",
        "PROXY_EXTERNAL_ACCESS",
        "PROXY_RESIDENTIAL",
        "PROXY_SERPS",
        "WEBHOOKS",
        "ACTORS_PUBLIC_ALL",
        "ACTORS_PUBLIC_DEVELOPER",
    ]
    .into_iter()
    .map(|name| {
        let feature = json!({
            "isEnabled": true, "disabledReason": null, "disabledReasonType": null, "isTrial": false,
            "trialExpirationAt": null,
        });
        (name.to_owned(), feature)
    })
    .collect();
    json!({"data": {
        "id": "7sT5jcggjjA9fNcxF",
        "username": "simulated",
        "profile": {"name": "Simulated User", "bio": null, "pictureUrl": null},
        "email": "simulated@example.com",
        "plan": {"id": "STARTER", "isEnabled": true, "monthlyUsageCreditsUsd": 49, "availableProxyGroups": {}},
        "effectivePlatformFeatures": features,
        "createdAt": "2025-01-01T00:00:00.000Z",
        "isPaying": true,
    }})
}

/// The first instant of the month and of the next.
fn cycle(sim: &Sim) -> Value {
    use chrono::{Datelike, NaiveDate};
    let now = sim.now().date_naive();
    let start = now.with_day(1).unwrap_or(now);
    let end = start.checked_add_months(chrono::Months::new(1)).unwrap_or(start);
    let text = |day: NaiveDate| format!("{day}T00:00:00.000Z");
    json!({"startAt": text(start), "endAt": text(end)})
}

pub(super) fn limits(sim: &Sim) -> Reply {
    let cycle = cycle(sim);
    let state = lock(&sim.state);
    let active = state.apify.runs.iter().filter(|run| !run.status.is_final()).count();
    Reply::json(
        200,
        &json!({"data": {
            "monthlyUsageCycle": cycle,
            "limits": {
                "maxMonthlyUsageUsd": sim.config.apify_limit_usd, "maxMonthlyActorComputeUnits": 1_000,
                "maxMonthlyExternalDataTransferGbytes": 7, "maxMonthlyProxySerps": 50,
                "maxMonthlyResidentialProxyGbytes": 0.5, "maxActorMemoryGbytes": 16, "maxActorCount": 100,
                "maxActorTaskCount": 1_000, "maxConcurrentActorJobs": 256, "maxTeamAccountSeatCount": 9,
                "dataRetentionDays": 90,
            },
            "current": {
                "monthlyUsageUsd": state.apify.spent(sim.config.result_usd), "monthlyActorComputeUnits": 0,
                "monthlyExternalDataTransferGbytes": 0, "monthlyProxySerps": 0, "monthlyResidentialProxyGbytes": 0,
                "actorMemoryGbytes": active, "actorCount": 2, "actorTaskCount": 0, "activeActorJobCount": active,
                "teamAccountSeatCount": 1,
            },
        }}),
    )
}

pub(super) fn usage(sim: &Sim) -> Reply {
    let cycle = cycle(sim);
    let spent = lock(&sim.state).apify.spent(sim.config.result_usd);
    let service = json!({"PAID_ACTORS_PER_DATASET_ITEM": {"quantity": spent, "baseAmountUsd": spent}});
    Reply::json(
        200,
        &json!({"data": {
            "usageCycle": cycle,
            "monthlyServiceUsage": service,
            "dailyServiceUsages": [
                {"date": iso(sim.now()), "serviceUsage": service, "totalUsageCreditsUsd": spent},
            ],
            "totalUsageCreditsUsdBeforeVolumeDiscount": spent,
            "totalUsageCreditsUsdAfterVolumeDiscount": spent,
        }}),
    )
}
