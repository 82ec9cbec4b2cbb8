//! Data sets that are loaded later: orders, traffic, brand analytics. Their records are recognised by their keys and
//! columns and kept raw; they are never mistaken for products, and never for damage.

use super::record::Record;
use super::sp_api::Probe;
use super::table::Row;
use super::{Parsed, RecordContext, RejectReason};

/// The kind of their receipts.
pub(super) const KIND: &str = "report";

/// The name of the data set that a JSON record belongs to.
pub(super) fn data_set(probe: &Probe<'_>) -> Option<String> {
    if let Some(report) = probe.report_specification.0.first() {
        let named = report.report_type.text();
        return Some(named.map_or_else(|| "a report".to_owned(), |kind| format!("the report {kind}")));
    }
    if probe.sales_and_traffic_by_asin.0 || probe.sales_and_traffic_by_date.0 {
        return Some("the report GET_SALES_AND_TRAFFIC_REPORT".to_owned());
    }
    let is_order = |probe: &Probe<'_>| {
        let v0 = probe.orders_v0.0 || probe.amazon_order_id.0 || probe.order_items.0 || probe.order_item_id.0;
        v0 || probe.order_id.0
    };
    let is_metric = |probe: &Probe<'_>| probe.average_unit_price.0;
    let parts = || probe.payload.0.iter().chain([probe]);
    let is_estimate = |probe: &Probe<'_>| probe.featured_offer_expected_price_results.0;
    let bodies =
        || probe.responses.0.iter().flat_map(|answer| &answer.body.0).chain(&probe.body.0).chain([probe]);
    if parts().chain(&probe.orders.0).chain(&probe.order.0).any(is_order) {
        Some("orders".to_owned())
    } else if parts().chain(probe.day_granularity.0.iter().flat_map(|day| &day.metrics.0)).any(is_metric) {
        Some("order metrics".to_owned())
    } else if bodies().any(is_estimate) {
        Some("featured offer expected prices".to_owned())
    } else {
        None
    }
}

/// The name of the data set that a table's row belongs to, by its folded column names.
pub(super) fn table(names: &[String]) -> Option<&'static str> {
    let has = |name: &str| names.iter().any(|other| other == name);
    let begins = |start: &str| names.iter().any(|name| name.starts_with(start));
    if has("amazon-order-id") && (has("purchase-date") || has("order-status")) {
        return Some("the report of all orders");
    }
    let counts_visits = || begins("sessions") || begins("page views") || begins("units ordered");
    if (has("(child) asin") || has("(parent) asin")) && counts_visits() {
        return Some("the business report by ASIN");
    }
    if has("date") && has("ordered product sales") {
        return Some("the business report by date");
    }
    if has("seller-sku") && has("asin1") {
        return Some("the report of merchant listings");
    }
    if has("search term") && begins("search frequency rank") {
        return Some("the report of search terms");
    }
    None
}

pub(super) fn parse_json(context: &RecordContext, text: &str) -> serde_json::Result<Parsed> {
    let probe: Probe<'_> = serde_json::from_str(text)?;
    Ok(refused(context, data_set(&probe).as_deref()))
}

pub(super) fn parse_table(context: &RecordContext, row: &Row) -> Parsed {
    let names: Vec<String> = row.names().collect();
    refused(context, table(&names))
}

fn refused(context: &RecordContext, name: Option<&str>) -> Parsed {
    let mut record = Record::new(context, 0);
    match name {
        Some(name) => {
            let detail = format!("{name}: a data set that is loaded later; the raw record is kept");
            record.reject(RejectReason::LaterDataSet, "", detail);
        }
        None => record.reject(RejectReason::UnknownShape, "", "no data set has records like this one"),
    }
    record.rejected()
}
