use super::super::RuleSet;
use super::*;
use crate::model::Workspace;

fn told(text: &str, known: Option<&Known>) -> Vec<String> {
    let book = RuleBook::read(text, RuleSet::plain(2), &Workspace::default()).unwrap();
    let told = lint(&book, known);
    told.iter()
        .map(|warning| format!("{} ({}): {}", warning.rule.as_str(), warning.place, warning.message))
        .collect()
}

fn known() -> Known {
    Known {
        tags: BTreeSet::from(["hero".to_owned()]),
        cohorts: BTreeSet::from(["earbuds".to_owned()]),
        products: HashSet::from(["US:B000000001"
            .parse::<crate::model::ProductRef>()
            .unwrap()
            .key_or(Marketplace::Us)]),
        has_own_sellers: true,
        ..Known::default()
    }
}

#[test]
fn the_shipped_sets_can_find_and_be_silent() {
    for name in super::super::SHIPPED {
        let book: RuleBook = RuleSet::shipped(name, 2).unwrap().into();
        assert_eq!(lint(&book, Some(&known())), []);
    }
    assert_eq!(
        told("", Some(&Known::default())),
        [
            "buy_box_lost (): never: [own] seller_ids names no seller of yours",
            "undercut (): never: there is no cohort"
        ]
    );
}

#[test]
fn rules_that_never_or_always_fire_are_named() {
    let text = r#"
        [rules.price_drop]
        steps = [{ severity = "low", min_pct = 0 }, { severity = "critical", min_pct = 100 }]
        [rules.rating_rose]
        steps = [{ severity = "low", min_abs = 4 }]
        [rules.price_outlier]
        min_known_days = 15
        [rules.price_rise]
        clear_below = 20
        [rules.new_seller]
        enabled = false
        [[override]]
        rule = "new_seller"
        where = { tags = ["hero"], asins = ["DE:B000000001"] }
        set = { enabled = false }
        [[override]]
        rule = "back_in_stock"
        where = { cohorts = ["earbuds"], brands = ["Nobody"] }
        set = { severity = "high" }
    "#;
    assert_eq!(
        told(text, Some(&known())),
        [
            "price_drop (): never critical: nothing falls by more than 100 %",
            "price_drop (): always: every change, however small, is found",
            "price_rise (): it is over at 20 while it is found from 10 on: never for what lies between",
            "rating_rose (): never low: between 1 and 5 stars lie 4",
            "price_outlier (): never: it looks at no more than 14 known days",
            "back_in_stock (cohort earbuds, brand Nobody): never: no product has brand Nobody",
            "new_seller (asin DE:B000000001, tag hero): never: no product has ASIN DE:B000000001",
            "new_seller (asin DE:B000000001, tag hero): the rule is switched off for every product anyway",
        ]
    );
}
