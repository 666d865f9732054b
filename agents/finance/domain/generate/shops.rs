//! Who everyday money goes to, how often and how much.
//!
//! Owns the tables and the form of narrations. When a payment happens is for the scenario.

/// One merchant.
pub(super) struct Shop {
    pub(super) name: &'static str,
    /// UPI address, or empty if the merchant is paid by card.
    pub(super) address: &'static str,
}

/// A kind of everyday spending.
pub(super) struct Habit {
    pub(super) category: &'static str,
    pub(super) shops: &'static [Shop],
    /// Payments in one month, both ends included.
    pub(super) per_month: (u32, u32),
    /// Whole rupees of one payment, both ends included.
    pub(super) rupees: (u32, u32),
    /// The same two in the last month, where the person spends more than before.
    pub(super) spree: Option<Spree>,
}

/// How a habit grows in the last month. Its least total is above the usual greatest one.
pub(super) struct Spree {
    pub(super) per_month: (u32, u32),
    pub(super) rupees: (u32, u32),
}

/// A payment that comes every month.
pub(super) struct Standing {
    pub(super) narration: &'static str,
    pub(super) category: &'static str,
    pub(super) day: u8,
    pub(super) minor: i64,
}

const fn shop(name: &'static str, address: &'static str) -> Shop {
    Shop { name, address }
}

pub(super) const HABITS: &[Habit] = &[
    Habit {
        category: "Food",
        shops: &[shop("Swiggy", "swiggy@ybl"), shop("Zomato", "zomato@hdfcbank")],
        per_month: (6, 8),
        rupees: (200, 599),
        spree: Some(Spree { per_month: (14, 18), rupees: (400, 999) }),
    },
    Habit {
        category: "Shopping",
        shops: &[
            shop("Amazon", "amazon@apl"),
            shop("Flipkart", "flipkart@axisbank"),
            shop("Myntra", "myntra@ybl"),
        ],
        per_month: (2, 3),
        rupees: (600, 2_499),
        spree: Some(Spree { per_month: (5, 7), rupees: (1_600, 4_499) }),
    },
    Habit {
        category: "Groceries",
        shops: &[
            shop("BigBasket", "bigbasket@ybl"),
            shop("Blinkit", "blinkit@icici"),
            shop("DMart, Koramangala", ""),
        ],
        per_month: (6, 8),
        rupees: (350, 1_499),
        spree: None,
    },
    Habit {
        category: "Transport",
        shops: &[
            shop("Uber", "uber@axisbank"),
            shop("Ola", "olacabs@icici"),
            shop("Rapido", "rapido@ybl"),
        ],
        per_month: (6, 10),
        rupees: (80, 449),
        spree: None,
    },
    Habit {
        category: "Fuel",
        shops: &[shop("Indian Oil", ""), shop("HP Petrol Pump", "hppay@hdfcbank")],
        per_month: (2, 2),
        rupees: (900, 1_999),
        spree: None,
    },
    Habit {
        category: "Health",
        shops: &[shop("Apollo Pharmacy", ""), shop("PharmEasy", "pharmeasy@ybl")],
        per_month: (1, 2),
        rupees: (180, 899),
        spree: None,
    },
    Habit {
        category: "Entertainment",
        shops: &[shop("BookMyShow", "bookmyshow@icici"), shop("PVR Cinemas", "")],
        per_month: (1, 2),
        rupees: (300, 799),
        spree: None,
    },
];

/// Bills and services that cost the same every month, but for one price rise.
pub(super) const SUBSCRIPTIONS: &[Standing] = &[
    Standing {
        narration: "POS 4312XXXXXXXX1234 NETFLIX.COM",
        category: "Entertainment",
        day: 14,
        minor: 64_900,
    },
    Standing {
        narration: "POS 4312XXXXXXXX1234 SPOTIFY INDIA",
        category: "Entertainment",
        day: 18,
        minor: 11_900,
    },
    Standing {
        narration: "ACH D-CULT FIT HEALTHCARE-GYM MEMBERSHIP",
        category: "Health",
        day: 3,
        minor: 150_000,
    },
];

/// What the first subscription costs after its price rise.
pub(super) const RAISED_MINOR: i64 = 79_900;

/// People whom the account holder does not know.
pub(super) const STRANGERS: &[&str] = &[
    "Rakesh Yadav",
    "Pooja Verma",
    "Imran Shaikh",
    "Sunita Devi",
    "Manoj Das",
    "Kavita Nair",
    "Deepak Sahu",
    "Rehana Bano",
    "Arjun Pillai",
    "Geeta Kumari",
    "Vikas Jha",
    "Farhan Ali",
];

/// The narration of a payment by UPI, as most Indian banks print it.
pub(super) fn upi(reference: u64, name: &str, address: &str, purpose: &str) -> String {
    format!("UPI/{reference}/{name}/{address}/{purpose}")
}

/// The narration of a payment to a shop.
pub(super) fn purchase(shop: &Shop, reference: u64) -> String {
    if shop.address.is_empty() {
        return format!("POS 4312XXXXXXXX1234 {}", shop.name.to_uppercase());
    }
    upi(reference, shop.name, shop.address, "Payment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spree_costs_more_than_any_usual_month() {
        let sprees = HABITS.iter().filter_map(|habit| Some((habit, habit.spree.as_ref()?)));
        let mut seen = 0;
        for (habit, spree) in sprees {
            // Whole rupees are below the next rupee, so the greatest payment is one more.
            let usual_most = habit.per_month.1 * (habit.rupees.1 + 1);
            assert!(spree.per_month.0 * spree.rupees.0 > usual_most, "{}", habit.category);
            seen += 1;
        }
        assert_eq!(seen, 2);
    }
}
