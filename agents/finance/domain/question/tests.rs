//! Questions and what they mean.

use proptest::prelude::*;

use super::*;
use crate::finance::domain::fixture::{any_statement, statement, ten_rows};

fn read(question: &str) -> Intent {
    let statement = ten_rows();
    parse(question, &statement.book())
}

/// The intent in short: its name, what it is about, its month, and its figures.
fn short(intent: &Intent) -> String {
    let when = |period: &Option<Period>| {
        period.as_ref().map_or(String::new(), |period| format!(" @{}", period.label))
    };
    let about = |target: &Target| match target {
        Target::All => "all".to_owned(),
        Target::Categories { name, .. } => name.clone(),
        Target::Merchant { name } => format!("={name}"),
        Target::Unmatched { text } => format!("?{text}"),
    };
    match intent {
        Intent::Overspending { against, period } => {
            format!("overspending {against:?}{}", when(period))
        }
        Intent::Spend { target, period } => format!("spend {}{}", about(target), when(period)),
        Intent::TopCategories { count, period } => format!("categories {count}{}", when(period)),
        Intent::TopMerchants { count, period } => format!("merchants {count}{}", when(period)),
        Intent::Largest { count, credits, target, period } => {
            let side = if *credits { "credits" } else { "debits" };
            format!("largest {count} {side} {}{}", about(target), when(period))
        }
        Intent::Unusual => "unusual".to_owned(),
        Intent::Recurring => "recurring".to_owned(),
        Intent::Subscriptions => "subscriptions".to_owned(),
        Intent::PriceRises => "price rises".to_owned(),
        Intent::Income { target, period } => format!("income {}{}", about(target), when(period)),
        Intent::SavingsRate { period } => format!("savings{}", when(period)),
        Intent::Forecast { months } => format!("forecast {months}"),
        Intent::Afford { amount_minor, monthly } => {
            let amount = amount_minor.map_or("?".to_owned(), |amount| amount.to_string());
            format!("afford {amount} {}", if *monthly { "monthly" } else { "once" })
        }
        Intent::Advice => "advice".to_owned(),
        Intent::Balance => "balance".to_owned(),
        Intent::Summary { period } => format!("summary{}", when(period)),
        Intent::Unknown => "unknown".to_owned(),
    }
}

// The statement ends on 22 January 2026.
const QUESTIONS: &[(&str, &str)] = &[
    ("What did I overspend on vs last month?", "overspending PreviousMonth"),
    ("where did i overspend", "overspending EarlierMonths"),
    ("Did I spend more than usual?", "overspending EarlierMonths"),
    ("Am I spending too much?", "overspending EarlierMonths"),
    ("overspending in December", "overspending EarlierMonths @December 2025"),
    ("did i spend more this month than last month", "overspending PreviousMonth @January 2026"),
    ("spending compared to last year", "overspending YearBefore"),
    ("what went up compared with last month", "overspending PreviousMonth"),
    ("How much did I spend on food?", "spend Food"),
    ("How much did I spend on food in March?", "spend Food @March 2025"),
    ("food last month", "spend Food @December 2025"),
    ("how much for eating out", "spend Eating out"),
    ("how much on groceries this year", "spend Groceries @2026"),
    ("cab spend", "spend Cabs and rides"),
    ("taxi expenses in Q4", "spend Cabs and rides @October 2025 to December 2025"),
    ("HOW MUCH DID I PAY SWIGGY", "spend =Swiggy"),
    ("swigy spend in january", "spend =Swiggy @January 2026"),
    ("swiggy", "spend =Swiggy"),
    ("how much at zomato", "spend =Zomato"),
    ("amazon orders between Jan and Mar 2025", "spend =Amazon @January 2025 to March 2025"),
    ("netflix cost", "spend =Netflix"),
    ("amazon prime cost", "spend =Amazon Prime"),
    ("how much rent did i pay", "spend Rent"),
    ("what was my electricity bill", "spend Electricity"),
    ("how much did i spend on income tax", "spend Taxes"),
    ("how much did I spend", "spend all"),
    ("total spending in 2025", "spend all @2025"),
    ("how much did i spend on unicorns", "spend ?unicorns"),
    ("how much was spent in the last 3 months", "spend all @November 2025 to January 2026"),
    ("Where does my money go?", "categories 5"),
    ("where did my money go in january", "categories 5 @January 2026"),
    ("top 3 categories", "categories 3"),
    ("spending by category", "categories 5"),
    ("what do I spend the most on", "categories 5"),
    ("Who did I pay most?", "merchants 5"),
    ("top 10 merchants in January", "merchants 10 @January 2026"),
    ("which shops got the most", "merchants 5"),
    ("What are my 5 largest payments?", "largest 5 debits all"),
    ("biggest expense", "largest 5 debits all"),
    ("top 3 transactions last month", "largest 3 debits all @December 2025"),
    ("largest swiggy order", "largest 5 debits =Swiggy"),
    ("biggest credits", "largest 5 credits all"),
    ("most expensive purchase in january", "largest 5 debits all @January 2026"),
    ("Is anything unusual?", "unusual"),
    ("any suspicious transactions", "unusual"),
    ("was I charged twice", "unusual"),
    ("any fraud on my account?", "unusual"),
    ("unusaul transactions", "unusual"),
    ("Which subscriptions do I have?", "subscriptions"),
    ("list my subsciptions", "subscriptions"),
    ("Which payments are recurring?", "recurring"),
    ("what are my fixed expenses", "recurring"),
    ("Which prices went up?", "price rises"),
    ("did any subscription increase in price", "price rises"),
    ("netflix price hike", "price rises"),
    ("How much did I earn last month?", "income all @December 2025"),
    ("what is my income", "income all"),
    ("was my salary paid in january", "income Salary @January 2026"),
    ("how much interest did i get", "income Interest and dividends"),
    ("any refunds?", "income Refunds"),
    ("What is my savings rate?", "savings"),
    ("how much did I save this month", "savings @January 2026"),
    ("What will be left over in the next 3 months?", "forecast 3"),
    ("forecast", "forecast 3"),
    ("forceast for next month", "forecast 1"),
    ("predict next quarter", "forecast 3"),
    ("cash flow over the next six months", "forecast 6"),
    ("Can I afford ₹15,000 a month?", "afford 1500000 monthly"),
    ("can i afford 15k monthly", "afford 1500000 monthly"),
    ("can I afford an emi of 25000", "afford 2500000 monthly"),
    ("can i afford a car for 8 lakh", "afford 80000000 once"),
    ("could I pay 2000 per week", "afford 866666 monthly"),
    ("can I afford it", "afford ? once"),
    ("How can I save money?", "advice"),
    ("what should i cut", "advice"),
    ("any recommendations to reduce spending", "advice"),
    ("what is my balance", "balance"),
    ("Give me a summary", "summary"),
    ("summary of 2025", "summary @2025"),
    ("how am I doing", "summary"),
    ("january 2026", "summary @January 2026"),
    ("what is the weather like", "unknown"),
    ("write me a poem", "unknown"),
    ("", "unknown"),
    ("???", "unknown"),
];

#[test]
fn questions_are_understood() {
    let wrong: Vec<String> = QUESTIONS
        .iter()
        .map(|(question, expected)| (question, short(&read(question)), expected))
        .filter(|(_, found, expected)| found != *expected)
        .map(|(question, found, expected)| format!("{question:?}: {found}, not {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(QUESTIONS.len() >= 60);
}

#[test]
fn every_example_is_recognised() {
    for example in CAN_ASK {
        assert_ne!(read(example), Intent::Unknown, "{example}");
    }
}

#[test]
fn names_in_the_statement_are_recognised() {
    let statement = statement([("2026-01-05", "UPI/412345678901/RAHUL SHARMA/r@ybl", "", -100)]);
    let read = |question| short(&parse(question, &statement.book()));
    assert_eq!(read("how much did I send to Rahul Sharma"), "spend =Rahul Sharma");
    assert_eq!(read("paid to rahul"), "spend =Rahul Sharma");
}

#[test]
fn an_intent_survives_json() {
    for (question, _) in QUESTIONS {
        let intent = read(question);
        let json = serde_json::to_string(&intent).unwrap();
        assert_eq!(serde_json::from_str::<Intent>(&json).unwrap(), intent);
    }
}

proptest! {
    #[test]
    fn any_question_about_any_statement_is_read(
        question in "\\PC{0,200}",
        statement in any_statement(),
    ) {
        let _ = parse(&question, &statement.book());
    }

    #[test]
    fn any_plain_words_are_read(question in "[a-z0-9 ?,.₹-]{0,80}") {
        let _ = read(&question);
    }
}
