//! Answers as people read them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::finance::domain::fixture::{Statement, any_statement, half_a_year, statement, ten_rows};
use crate::finance::domain::{
    advice, affordability, analysis, anomaly, forecast, question, recurring,
};

fn ask(statement: &Statement, question: &str) -> Answer {
    let book = statement.book();
    let analysis = analysis::analyse(&book);
    let anomalies = anomaly::anomalies(&book);
    let recurring = recurring::recurring(&book);
    let intent = question::parse(question, &book);
    let judged = match &intent {
        Intent::Afford { amount_minor: Some(amount), monthly } => {
            Some(affordability::afford(&book, *amount, *monthly))
        }
        _ => None,
    };
    let legs = Legs {
        analysis: &analysis,
        forecast: Some(&forecast::forecast(&book)),
        recommendations: Some(&advice::recommend(&book, &anomalies, &recurring)),
        anomalies: Some(&anomalies),
        recurring: Some(&recurring),
        affordability: judged.as_ref(),
    };
    compose(&intent, &book, &legs)
}

#[track_caller]
fn check(statement: &Statement, question: &str, expected: &str) {
    assert_eq!(ask(statement, question).answer, expected, "{question}");
}

#[test]
fn the_ten_rows_are_answered_in_words() {
    let statement = ten_rows();
    let cases = [
        (
            "How much did I spend on food?",
            "You spent ₹2,800.00 on Food, in 3 payments; that is 8.5 % of all spending.",
        ),
        (
            "How much did I pay Uber in January?",
            "You spent ₹250.00 at Uber in January 2026, in 1 payment; that is 0.8 % of all \
             spending.",
        ),
        (
            "How much did I spend on food in March?",
            "No rows for Food in March 2025; the statement covers 2026-01-01 to 2026-01-22.",
        ),
        (
            "How much did I spend at Zomato?",
            "No rows for Zomato; the statement covers 2026-01-01 to 2026-01-22.",
        ),
        (
            "Is anything unusual?",
            "1 remark on 10 rows, first of all: ₹2,000.00 to Swiggy on 2026-01-12 \
             is 5.0 times the usual ₹400.00.",
        ),
        (
            "What is my savings rate?",
            "You kept ₹67,202.00 of ₹1,00,000.00 received: a savings rate of 67.2 %.",
        ),
        ("What is my income?", "You received ₹1,00,000.00, in 2 rows."),
        (
            "How can I save money?",
            "Spend 10 % less on food delivery (₹280.00 a month); 3 suggestions in all.",
        ),
    ];
    for (question, expected) in cases {
        check(&statement, question, expected);
    }
}

#[test]
fn a_question_about_overspending_without_an_earlier_month_says_so() {
    let answer = ask(&ten_rows(), "What did I overspend on vs last month?");
    assert!(answer.answer.starts_with("Overspending cannot be judged"), "{}", answer.answer);
    assert!(answer.answer.contains("largest does not mean overspent"), "{}", answer.answer);
    assert_eq!(answer.could_not.len(), 1);
    assert!(!answer.citations.is_empty());
}

#[test]
fn a_rise_is_answered_with_its_rows() {
    let statement = half_a_year();
    let answer = ask(&statement, "What did I overspend on?");
    assert!(
        answer.answer.starts_with("You overspent on Food delivery (+₹3,203.00)"),
        "{}",
        answer.answer
    );
    // The dearer Netflix of June is above the median of five earlier months as well.
    let cited: Vec<&str> = answer.citations.iter().map(|row| row.description.as_str()).collect();
    assert!(cited[..2].iter().all(|text| text.contains("Swiggy")), "{cited:?}");
    assert_eq!(cited[2..], ["NETFLIX.COM"]);
    check(
        &statement,
        "Which prices went up?",
        "Netflix rose from ₹649.00 to ₹799.00 per month on 2025-04-07 (+23.1 %), ₹1,800.00 more a \
         year.",
    );
    check(
        &statement,
        "Can I afford ₹15,000 a month?",
        "Yes, you can afford ₹15,000.00 a month: the median month would leave ₹32,272.50, and 0 of \
         6 full months would have ended below zero.",
    );
}

#[test]
fn the_answer_depends_on_the_question() {
    let statement = half_a_year();
    let answers: BTreeSet<String> =
        question::CAN_ASK.iter().map(|question| ask(&statement, question).answer).collect();
    assert_eq!(answers.len(), question::CAN_ASK.len());
}

#[test]
fn a_missing_analysis_is_named_and_the_rest_is_answered() {
    let statement = ten_rows();
    let book = statement.book();
    let analysis = analysis::analyse(&book);
    let legs = Legs {
        analysis: &analysis,
        forecast: None,
        anomalies: None,
        recommendations: None,
        recurring: None,
        affordability: None,
    };
    let answer = compose(&Intent::Forecast { months: 3 }, &book, &legs);
    assert_eq!(
        answer.could_not,
        ["The forecast did not arrive, so the coming months are not known."]
    );
    let answer = compose(&Intent::Summary { period: None }, &book, &legs);
    assert!(answer.answer.starts_with("₹1,00,000.00 came in and ₹32,798.00 went out"));
    assert_eq!(answer.could_not.len(), 4);
}

#[test]
fn what_is_not_understood_is_summarised_with_examples() {
    let answer = ask(&ten_rows(), "Write me a poem");
    assert!(answer.answer.contains("here is a summary"));
    assert_eq!(answer.can_ask.len(), question::CAN_ASK.len());
}

#[test]
fn rows_that_were_left_out_and_an_empty_statement_are_admitted() {
    let mut statement = statement([]);
    statement.ledger.rejected_count = 2;
    let answer = ask(&statement, "How much did I spend?");
    assert_eq!(answer.left_out.unwrap().rows, 2);
    assert!(answer.answer.contains("no usable rows"));
}

#[test]
fn citations_are_bounded_and_counted() {
    let lines = (0..60).map(|_| ("2026-01-05", "Swiggy", "", -10_000));
    let answer = ask(&statement(lines), "How much did I pay Swiggy?");
    assert_eq!((answer.citations.len(), answer.citations_total), (CITATIONS_MAX, 60));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_question_about_any_statement_is_answered(statement in any_statement()) {
        for question in question::CAN_ASK.iter().chain(&["balance", "refunds", "xyzzy"]) {
            let answer = ask(&statement, question);
            prop_assert!(!answer.answer.is_empty(), "{question}");
            prop_assert!(answer.citations.len() <= CITATIONS_MAX);
            prop_assert!(answer.citations_total as usize >= answer.citations.len());
            let json = serde_json::to_string(&answer).unwrap();
            prop_assert!(json.len() <= 32 * 1024, "{question}: {} bytes", json.len());
            prop_assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), answer);
        }
    }
}
