use super::*;

fn key(text: &str) -> ProductKey {
    text.parse::<crate::model::ProductRef>().unwrap().key_or(crate::model::Marketplace::Us)
}

fn main() -> Workspace {
    Workspace::default()
}

fn read(text: &str) -> RuleBook {
    RuleBook::read(text, RuleSet::plain(2), &main()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// What is wrong with a file: `place: message`.
fn refused(text: &str) -> Vec<String> {
    let problems = RuleBook::read(text, RuleSet::plain(2), &main()).unwrap_err();
    problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect()
}

fn steps(book: &RuleBook, rule: Rule) -> Vec<(Severity, i64)> {
    book.base().get(rule).unwrap().steps.iter().map(|step| (step.severity, step.above)).collect()
}

#[test]
fn an_empty_file_changes_nothing() {
    assert_eq!(*read("").base(), RuleSet::plain(2));
    assert!(!read("").is_special());
}

#[test]
fn a_rule_is_changed_key_by_key() {
    let book = read(
        r#"
        max_gap_days = 3
        [rules.price_drop]
        steps = [{ severity = "low", min_pct = 2.5 }, { severity = "critical", min_pct = "40", min_abs = 5 }]
        for = 2
        cooldown_days = 7
        reference = "median:14"
        clear_below = 1
        [rules.rating_fell]
        steps = [{ severity = "high", min_abs = 0.3 }]
        [rules.price_outlier]
        steps = [{ severity = "medium", min_sigmas = 3 }]
        min_abs = "0.50"
        [rules.back_in_stock]
        severity = "high"
        [rules.new_seller]
        enabled = false
        "#,
    );
    assert_eq!(book.base().max_gap_days, 3);
    assert_eq!(steps(&book, Rule::PriceDrop), [(Severity::Low, 250), (Severity::Critical, 4000)]);
    let drop = book.base().get(Rule::PriceDrop).unwrap();
    assert_eq!((drop.steps[0].min_abs, drop.steps[1].min_abs), (None, Some(Decimal::from(5))));
    assert_eq!((drop.confirmations, drop.cooldown_days, drop.reference), (2, 7, Reference::Median(14)));
    assert_eq!(drop.clear_below, Some(100));
    assert_eq!(steps(&book, Rule::RatingFell), [(Severity::High, 30)]);
    assert_eq!(steps(&book, Rule::PriceOutlier), [(Severity::Medium, 44_478)]);
    assert_eq!(book.base().get(Rule::PriceOutlier).unwrap().steps[0].min_abs, Some(Decimal::new(50, 2)));
    assert_eq!(steps(&book, Rule::BackInStock), [(Severity::High, 0)]);
    assert_eq!(book.base().get(Rule::NewSeller), None);
    assert_eq!(steps(&book, Rule::PriceRise).len(), 3, "the others are as they were");
}

#[test]
fn what_does_not_hold_is_told_with_its_place_and_all_at_once() {
    assert_eq!(
        refused(
            r#"
            [rules.price_dorp]
            enabled = false
            [rules.price_rise]
            steps = [{ severity = "high", min_pct = 30 }, { severity = "medium", min_pct = 40 }]
            for = 9
            reference = "all_time"
            message = "{{ asin "
            [rules.rating_rose]
            steps = [{ severity = "loud", min_abs = 1 }]
            [rules.out_of_stock]
            steps = [{ severity = "high", min_pct = 1 }]
            clear_below = 2
            [rules.product_gone]
            for = 2
            [rules.bsr_improved]
            steps = [{ severity = "low", min_abs = 5 }]
            severity = "low"
            [[override]]
            rule = "undercut"
            where = {}
            set = { min_abs = -1 }
            [[override]]
            rule = "undercut"
            where = { marketplaces = ["XX"] }
            set = { reference = "previous" }
            "#
        ),
        [
            "rules.bsr_improved.steps[0]: `min_pct` is missing",
            "rules.bsr_improved.severity: bsr_improved is about a size: say its severities under `steps`",
            "rules.out_of_stock.steps[0]: out_of_stock is about an event: say its one `severity` instead of steps",
            "rules.out_of_stock.clear_below: out_of_stock has no size that could be smaller",
            "rules.price_dorp: there is no rule `price_dorp`; did you mean `price_drop`?",
            "rules.price_rise.steps[1]: steps rise: each one is larger and graver than the one before",
            "rules.price_rise.reference: of price_drop only: no other extreme is kept",
            "rules.price_rise.for: `for` is 1 to 5 looks",
            "rules.price_rise.message: syntax error: unexpected end of input, expected end of variable block (in message:1)",
            "rules.product_gone.for: product_gone is judged by one look: `for` says nothing of it",
            "rules.rating_rose.steps[0]: `loud` is none of low, medium, high, critical",
            "override[0].where: it selects nothing: what is meant for every product stands under [rules]",
            "override[0].set.min_abs: `-1` is negative",
            "override[1].where: there is no marketplace `XX`",
            "override[1].set.reference: what undercut compares with cannot be chosen",
        ]
    );
    let unknown = refused("[rules.price_drop]\nminpct = 3\n");
    assert!(unknown[0].contains("unknown field `minpct`") && unknown[0].contains("line 2"), "{unknown:?}");
}

fn subject(tags: &[&str], cohorts: &[&str]) -> Subject {
    let set = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Subject { tags: set(tags), cohorts: set(cohorts), brand: Some("Ánker".to_owned()), ..Subject::default() }
}

#[test]
fn a_product_goes_before_a_cohort_before_any_other_choice_before_the_workspace_before_all() {
    let text = r#"
        [rules.all_time_low]
        cooldown_days = 1
        [[override]]
        rule = "all_time_low"
        where = { asins = ["US:B0FDKB341G"] }
        set = { cooldown_days = 5 }
        [[override]]
        rule = "all_time_low"
        where = { cohorts = ["earbuds"] }
        set = { cooldown_days = 4, for = 4 }
        [[override]]
        rule = "all_time_low"
        where = { tags = ["hero"], marketplaces = ["US"] }
        set = { cooldown_days = 3, for = 3, min_known_days = 3 }
        [[override]]
        rule = "all_time_low"
        where = { workspaces = ["eu"] }
        set = { cooldown_days = 2, for = 2, min_known_days = 2, enabled = false }
    "#;
    let eu: Workspace = "eu".parse().unwrap();
    let book = RuleBook::read(text, RuleSet::plain(2), &eu).unwrap();
    let spec_of = |product: &str, subject: Option<&Subject>| {
        let set = book.set_for(key(product), subject);
        let spec = set.rules.iter().find(|spec| spec.rule == Rule::AllTimeLow).unwrap().clone();
        (spec.cooldown_days, spec.confirmations, spec.min_known_days, spec.is_enabled)
    };
    let (hero, in_cohort) = (subject(&["hero"], &[]), subject(&["hero"], &["earbuds"]));
    assert_eq!(spec_of("B000000001", None), (2, 2, 2, false));
    assert_eq!(spec_of("B000000001", Some(&hero)), (3, 3, 3, false));
    assert_eq!(spec_of("DE:B000000001", Some(&hero)), (2, 2, 2, false));
    assert_eq!(spec_of("B000000001", Some(&in_cohort)), (4, 4, 3, false));
    assert_eq!(spec_of("B0FDKB341G", Some(&in_cohort)), (5, 4, 3, false));
    assert_eq!(read(text).set_for(key("B000000001"), None).get(Rule::AllTimeLow).unwrap().cooldown_days, 1);
    assert_eq!(book.look_back_days(), 3 * 7 + 5 + 1);
}

#[test]
fn brands_are_named_whatever_their_case() {
    let text =
        "[[override]]\nrule = \"price_rise\"\nwhere = { brands = [\"ÁNKER\"] }\nset = { enabled = false }\n";
    let book = read(text);
    assert_eq!(book.set_for(key("B000000001"), Some(&subject(&[], &[]))).get(Rule::PriceRise), None);
    assert!(book.set_for(key("B000000001"), None).get(Rule::PriceRise).is_some());
}

fn finding() -> Finding {
    Finding {
        rule: Rule::PriceDrop,
        severity: Severity::High,
        product: Some(key("DE:B000000001")),
        day: "2026-03-01".parse().unwrap(),
        object: String::new(),
        message: "price fell".to_owned(),
        evidence: serde_json::json!({ "price": { "amount": "9.99" } }),
    }
}

#[test]
fn a_message_may_be_in_ones_own_words() {
    let worded = |text: &str| {
        let book = read(&format!("[rules.price_drop]\nmessage = '''{text}'''\n"));
        book.worded(finding(), book.base()).message
    };
    assert_eq!(
        worded(
            "{{ severity }}: {{ marketplace }} {{ asin }} now {{ evidence.price.amount }}\n ({{ message }}, {{ day }})"
        ),
        "high: DE B000000001 now 9.99 (price fell, 2026-03-01)"
    );
    let failed = worded("{{ evidence.nothing.at_all }}");
    assert!(failed.starts_with("price fell (its template failed: undefined value"), "{failed}");
    let endless =
        worded("{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}");
    assert!(endless.contains("ran out of fuel"), "{endless}");
}
