//! What rules found, in Traditional Chinese, from the values they looked at. A rule that is not known here,
//! or evidence of another form, is told in the words that the finding came with.

use serde_json::Value;

use super::money;
use crate::model::Day;
use crate::render::format::{integer, one_decimal};

/// A sentence with the values; null where they are not what the rule is known to look at.
pub(super) fn sentence(rule: &str, evidence: &Value, day: Option<Day>) -> Option<String> {
    let of = |name: &str| amount(&evidence[name]);
    let number = |name: &str| evidence[name].as_i64();
    let word = |name: &str| evidence[name].as_str();
    let span = |from: &str| Some(format!("（{} → {}）", word(from)?, day?));
    Some(match rule {
        "price_drop" | "price_rise" => {
            let verb = if rule == "price_drop" { "下跌" } else { "上漲" };
            let percent = percent(&evidence["price_pct"])?;
            let (before, now) = (of("price_prev")?, of("price")?);
            format!("價格{verb} {percent}：從 {before} 變為 {now}{}", span("price_prev_day")?)
        }
        "bsr_worsened" | "bsr_improved" => {
            let verb = if rule == "bsr_worsened" { "下滑" } else { "上升" };
            let within = word("category").map_or(String::new(), |category| format!("在 {category} "));
            let percent = percent(&evidence["rank_pct"])?;
            let (before, now) = (integer(number("rank_prev")?), integer(number("rank")?));
            format!("{within}排名{verb} {percent}：從 {before} 變為 {now}{}", span("rank_prev_day")?)
        }
        "rating_fell" | "rating_rose" => {
            let verb = if rule == "rating_fell" { "下降" } else { "上升" };
            let (before, now) = (stars(number("rating_centi_prev")?), stars(number("rating_centi")?));
            let size = stars(number("rating_centi_delta")?.saturating_abs());
            format!("評分{verb} {size} 顆星：從 {before} 變為 {now}{}", span("rating_prev_day")?)
        }
        "ratings_spike" => {
            let (new, days) = (integer(number("ratings_count_delta")?), integer(number("days")?));
            let (before, now) = (integer(number("ratings_count_prev")?), integer(number("ratings_count")?));
            format!("{days} 天內新增 {new} 則評分：從 {before} 變為 {now}{}", span("ratings_count_prev_day")?)
        }
        "price_outlier" => {
            let (price, known) = (of("price")?, integer(number("known_days")?));
            format!("價格 {price} 明顯偏離前 {known} 個已知日的中位數（{}）", day?)
        }
        "out_of_stock" | "back_in_stock" => {
            let verb = if rule == "out_of_stock" { "缺貨" } else { "恢復供貨" };
            let (before, now) = (stock(word("availability_prev")?)?, stock(word("availability")?)?);
            format!("{verb}：{before} → {now}{}", span("availability_prev_day")?)
        }
        "buy_box_lost" | "buy_box_seller_changed" => {
            let verb = if rule == "buy_box_lost" { "失去購買按鈕" } else { "購買按鈕賣家變更" };
            let now = word("seller_id").unwrap_or("無人");
            format!("{verb}：{} → {now}{}", word("seller_prev")?, span("seller_prev_day")?)
        }
        "new_seller" => {
            let known = integer(number("seller_known_days")?);
            format!("賣家 {} 首次取得購買按鈕（{}；先前有 {known} 天已知賣家）", word("seller_id")?, day?)
        }
        "all_time_low" => {
            let (price, low) = (of("price")?, of("price_low_all_prev")?);
            let known = integer(number("price_known_days")?);
            format!("歷史新低：{price}，先前 {known} 個已知日的最低價為 {low}（{}）", day?)
        }
        "listing_changed" => {
            let mut fields: Vec<&str> = Vec::new();
            for change in evidence["changes"].as_array()? {
                let field = match change["field"].as_str()? {
                    "title" => "標題",
                    "brand" => "品牌",
                    "bullets" => "重點說明",
                    "images" => "圖片",
                    other => other,
                };
                if !fields.contains(&field) {
                    fields.push(field);
                }
            }
            format!("商品頁面變更：{}（{}）", fields.join("、"), day?)
        }
        "undercut" => {
            let (rival, ours) = (of("competitor_price")?, of("main_price")?);
            format!("{} 現售 {rival}，低於本商品的 {ours}{}", word("competitor")?, span("prev_day")?)
        }
        "product_stale" => {
            let slots = integer(number("stale_slots")?);
            match word("observed_at").and_then(|at| at.split('T').next()) {
                Some(seen) => format!("自 {seen} 起沒有觀察資料：至少錯過 {slots} 次"),
                None => format!("從未取得觀察資料：至少錯過 {slots} 次"),
            }
        }
        "product_gone" => {
            let days: Vec<&str> =
                evidence["not_found"].as_array()?.iter().filter_map(Value::as_str).collect();
            let last = word("last_found")
                .map_or("從未找到過".to_owned(), |day| format!("最後一次找到是 {day}"));
            format!("在 {} 都找不到商品；{last}", days.join("、"))
        }
        "source_incident" => format!("來源 {}：{}", word("source")?, word("detail")?),
        _ => return None,
    })
}

fn amount(value: &Value) -> Option<String> {
    Some(money(value["amount"].as_str()?, value["currency"].as_str()?))
}

/// The size of a change, without its sign.
fn percent(value: &Value) -> Option<String> {
    Some(format!("{} %", one_decimal(value.as_f64()?.abs())))
}

fn stars(centi: i64) -> String {
    crate::render::format::stars(centi)
}

fn stock(word: &str) -> Option<&'static str> {
    Some(match word {
        "in_stock" => "有貨",
        "low_stock" => "庫存不足",
        "ships_later" => "延後出貨",
        "back_order" => "補貨中",
        "pre_order" => "預購",
        "no_featured_offer" => "無主要優惠",
        "used_only" => "僅有二手商品",
        "price_hidden" => "未顯示價格",
        "select_variant" => "需選擇款式",
        "not_deliverable_to_location" => "無法送達",
        "out_of_stock" => "缺貨",
        "unavailable" => "無法購買",
        _ => return None,
    })
}
