//! The life of one account: which payments happen when, and which of them are worth finding.
//!
//! Owns dates, amounts and labels. How a payment is written into a file is for the writer.

use time::{Date, Duration, Month, Weekday};

use super::dice::Dice;
use super::shops::{self, HABITS, Habit, RAISED_MINOR, STRANGERS, SUBSCRIPTIONS};
use super::{LabelKind, Spec};

/// One payment before it has a line.
pub(super) struct Payment {
    pub(super) date: Date,
    pub(super) amount_minor: i64,
    pub(super) description: String,
    /// What the bank's own category column says; empty if nothing.
    pub(super) category: &'static str,
    pub(super) reference: u64,
    pub(super) label: Option<(LabelKind, &'static str)>,
}

/// Every payment of the period, in order of date.
pub(super) fn payments(spec: &Spec) -> Vec<Payment> {
    let mut dice = Dice::new(spec.seed);
    let salary_minor = i64::from(dice.between((192, 280))) * 50_000;
    let mut life = Life { dice, spec, salary_minor, payments: Vec::new() };
    for index in 0..spec.months {
        let month = MonthOf::nth(spec.start, index);
        life.standing_orders(index, month);
        life.subscriptions(index, month);
        life.everyday(index, month);
        life.incidents(index, month);
    }
    life.payments.retain(|payment| payment.date >= spec.start);
    life.pad();
    life.payments.sort_by_key(|payment| payment.date);
    life.payments
}

/// A calendar month by its first day.
#[derive(Clone, Copy)]
struct MonthOf(Date);

impl MonthOf {
    fn nth(start: Date, index: u32) -> Self {
        let months = u32::from(u8::from(start.month())) - 1 + index;
        let year = start.year().saturating_add((months / 12).cast_signed());
        let month =
            u8::try_from(months % 12 + 1).ok().and_then(|month| Month::try_from(month).ok());
        let first = month.and_then(|month| Date::from_calendar_date(year, month, 1).ok());
        Self(first.unwrap_or(start))
    }

    fn len(self) -> u8 {
        self.0.month().length(self.0.year())
    }

    /// The day of the month, or its last one if the month is shorter.
    fn day(self, day: u8) -> Date {
        self.0.replace_day(day.clamp(1, self.len())).unwrap_or(self.0)
    }

    /// The last day that is neither a Saturday nor a Sunday.
    fn last_working_day(self) -> Date {
        let last = self.day(self.len());
        let back = match last.weekday() {
            Weekday::Saturday => 1,
            Weekday::Sunday => 2,
            Weekday::Monday
            | Weekday::Tuesday
            | Weekday::Wednesday
            | Weekday::Thursday
            | Weekday::Friday => 0,
        };
        last.saturating_sub(Duration::days(back))
    }

    fn name(self) -> String {
        let name: String = self.0.month().to_string().chars().take(3).collect();
        format!("{} {}", name.to_uppercase(), self.0.year())
    }
}

/// The account holder.
struct Life<'s> {
    dice: Dice,
    spec: &'s Spec,
    salary_minor: i64,
    payments: Vec<Payment>,
}

impl Life<'_> {
    fn pay(&mut self, date: Date, amount_minor: i64, description: String, category: &'static str) {
        let reference = self.dice.reference();
        let label = None;
        self.payments.push(Payment { date, amount_minor, description, category, reference, label });
    }

    /// Labels the payment made last.
    fn label(&mut self, kind: LabelKind, note: &'static str) {
        if let Some(payment) = self.payments.last_mut() {
            payment.label = Some((kind, note));
        }
    }

    /// A share of the salary, rounded down to 500 rupees.
    fn share_of_salary(&self, percent: i64) -> i64 {
        self.salary_minor * percent / 100 / 50_000 * 50_000
    }

    fn standing_orders(&mut self, index: u32, month: MonthOf) {
        let name = month.name();
        let salary = format!("NEFT CR-HDFC0000240-ACME TECHNOLOGIES PVT LTD-SALARY {name}");
        self.pay(month.last_working_day(), self.salary_minor, salary, "Income");
        self.label(LabelKind::Salary, "monthly salary");
        let rent = format!("NEFT DR-ICIC0001234-RAMESH KUMAR-HOUSE RENT {name}");
        self.pay(month.day(5), -self.share_of_salary(24), rent, "Housing");
        self.label(LabelKind::Rent, "monthly rent");
        let emi = "ACH D-HDFC BANK LTD-CAR LOAN EMI 48213".to_owned();
        self.pay(month.day(7), -self.share_of_salary(11), emi, "Loan");
        self.label(LabelKind::Emi, "monthly instalment of a loan");
        let sip = "ACH D-INDIAN CLEARING CORP-SIP PARAG PARIKH FLEXI CAP".to_owned();
        self.pay(month.day(10), -1_000_000, sip, "Investment");
        self.label(LabelKind::Investment, "monthly investment plan");
        let units = i64::from(self.dice.between((1_500, 3_200)));
        let bill = format!("BIL/ONL/{:09}/BESCOM/Electricity bill", self.dice.below(1_000_000_000));
        let day = u8::try_from(self.dice.between((8, 12))).unwrap_or(8);
        self.pay(month.day(day), -units * 100, bill, "Utilities");
        self.label(LabelKind::Utility, "electricity");
        let bill = "BIL/ONL/ACT FIBERNET/Broadband".to_owned();
        self.pay(month.day(11), -94_300, bill, "Utilities");
        self.label(LabelKind::Utility, "broadband");
        let reference = self.dice.reference();
        let help = shops::upi(reference, "Lakshmi Devi", "lakshmi.devi@oksbi", "House help");
        self.pay(month.day(2), -350_000, help, "");
        let insurance = self.spec.month_of_incident(6);
        if index >= insurance && (index - insurance).is_multiple_of(12) {
            let premium = "ACH D-LIC OF INDIA-PREMIUM 882104417".to_owned();
            self.pay(month.day(20), -1_845_000, premium, "Insurance");
            self.label(LabelKind::Insurance, "yearly premium");
        }
    }

    fn subscriptions(&mut self, index: u32, month: MonthOf) {
        let rises_at = self.spec.month_of_incident(8).max(1);
        for (position, subscription) in SUBSCRIPTIONS.iter().enumerate() {
            let raised = position == 0 && index >= rises_at;
            let minor = if raised { RAISED_MINOR } else { subscription.minor };
            let date = month.day(subscription.day);
            self.pay(date, -minor, subscription.narration.to_owned(), subscription.category);
            if raised && index == rises_at {
                self.label(LabelKind::PriceRise, "costs more than the month before");
            } else {
                self.label(LabelKind::Subscription, "monthly subscription");
            }
        }
    }

    fn everyday(&mut self, index: u32, month: MonthOf) {
        let last = index + 1 == self.spec.months && self.spec.months > 1;
        for habit in HABITS {
            let spree = habit.spree.as_ref().filter(|_| last);
            let (per_month, rupees) = spree
                .map_or((habit.per_month, habit.rupees), |spree| (spree.per_month, spree.rupees));
            for _ in 0..self.dice.between(per_month) {
                let date = self.some_day(month);
                self.purchase(habit, date, rupees);
                if spree.is_some() {
                    self.label(LabelKind::Overspend, "more than in the month before");
                }
            }
        }
        for _ in 0..self.dice.between((1, 2)) {
            let date = self.some_day(month);
            let cash = i64::from(self.dice.between((2, 4))) * 50_000;
            self.pay(date, -cash, "ATW-4312XXXXXXXX1234-MG ROAD BENGALURU".to_owned(), "Cash");
        }
    }

    fn some_day(&mut self, month: MonthOf) -> Date {
        let day = self.dice.between((1, u32::from(month.len())));
        month.day(u8::try_from(day).unwrap_or(1))
    }

    fn purchase(&mut self, habit: &Habit, date: Date, rupees: (u32, u32)) {
        let Some(shop) = self.dice.pick(habit.shops) else {
            return;
        };
        let whole = i64::from(self.dice.between(rupees)) * 100;
        // Two purchases in three are of whole rupees.
        let paise = if self.dice.below(3) == 0 { i64::from(self.dice.below(100)) } else { 0 };
        let reference = self.dice.reference();
        self.pay(date, -(whole + paise), shops::purchase(shop, reference), habit.category);
    }

    fn incidents(&mut self, index: u32, month: MonthOf) {
        if index == self.spec.month_of_incident(3) {
            let interest = i64::from(self.dice.between((40_000, 90_000)));
            let last = month.day(month.len());
            let text = "CREDIT INTEREST CAPITALISED-SAVINGS ACCOUNT".to_owned();
            self.pay(last, interest, text, "Interest");
            self.label(LabelKind::Interest, "interest of the savings account");
        }
        if index == self.spec.month_of_incident(5) {
            for _ in 0..2 {
                let reference = self.dice.reference();
                let text = shops::upi(reference, "BigBasket", "bigbasket@ybl", "Payment");
                self.pay(month.day(16), -234_900, text, "Groceries");
            }
            self.label(LabelKind::DuplicateCharge, "charged a second time on the same day");
        }
        if index == self.spec.month_of_incident(7) {
            let minor = i64::from(self.dice.between((1_400, 1_900))) * 10_000;
            let text = "POS 4312XXXXXXXX1234 TANISHQ JEWELLERY".to_owned();
            self.pay(month.day(22), -minor, text, "Shopping");
            self.label(LabelKind::Outlier, "far above any other purchase");
        }
        if index == self.spec.month_of_incident(9) {
            self.mule_burst(month.day(12));
        }
        if index == self.spec.month_of_incident(10) {
            let minor = i64::from(self.dice.between((1_200, 2_400))) * 100;
            let reference = self.dice.reference();
            let text = shops::upi(reference, "Myntra", "myntra@ybl", "Payment");
            self.pay(month.day(9), -minor, text, "Shopping");
            let reference = self.dice.reference();
            let text = shops::upi(reference, "Myntra", "myntra@ybl", "Refund");
            self.pay(month.day(15), minor, text, "Shopping");
            self.label(LabelKind::Refund, "gives back a purchase of six days before");
        }
    }

    /// Money from several strangers that leaves to others within a day.
    fn mule_burst(&mut self, date: Date) {
        let (senders, receivers) = STRANGERS.split_at(STRANGERS.len() / 2);
        let mut received = 0;
        for sender in senders {
            let minor = i64::from(self.dice.between((180, 390))) * 5_000;
            received += minor;
            self.transfer(date, minor, sender);
            self.label(LabelKind::MuleBurst, "one of several credits from strangers");
        }
        let next = date.next_day().unwrap_or(date);
        for receiver in receivers.iter().take(3) {
            // Together 96 % of what came in.
            self.transfer(next, -(received * 32 / 100), receiver);
            self.label(LabelKind::MuleBurst, "passes on what strangers sent the day before");
        }
    }

    fn transfer(&mut self, date: Date, amount_minor: i64, stranger: &str) {
        let (reference, number) = (self.dice.reference(), self.dice.between((10_000, 99_999)));
        let initials = stranger.chars().filter(char::is_ascii_uppercase);
        let initials: String = initials.map(|letter| letter.to_ascii_lowercase()).collect();
        let address = format!("{initials}{number}@ybl");
        self.pay(date, amount_minor, shops::upi(reference, stranger, &address, "Transfer"), "");
    }

    /// Everyday spending on any day until there are as many rows as asked for.
    fn pad(&mut self) {
        let wanted = self.spec.rows.map_or(0, |rows| usize::try_from(rows).unwrap_or(usize::MAX));
        let last = MonthOf::nth(self.spec.start, self.spec.months.saturating_sub(1));
        let days = (last.day(last.len()) - self.spec.start).whole_days();
        let days = u32::try_from(days).unwrap_or_default();
        self.payments.reserve(wanted.saturating_sub(self.payments.len()));
        while self.payments.len() < wanted {
            let Some(habit) = self.dice.pick(HABITS) else {
                return;
            };
            let offset = Duration::days(i64::from(self.dice.between((0, days))));
            self.purchase(habit, self.spec.start.saturating_add(offset), (20, 400));
        }
    }
}
