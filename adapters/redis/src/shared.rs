//! Paces that several processes share, and what becomes of requests while they cannot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use genie_core::async_trait;
use genie_core::clock::Clock;
use genie_core::pace::{Claim, Error, MemoryPaces, Missed, Outage, Paces, Standing};
use genie_core::tasks::Tasks;
use zeroize::Zeroizing;

use crate::link::{Link, StartError};

/// How requests are counted in Redis.
pub struct Options {
    /// The URL of the server, which may hold a password.
    pub url: Zeroizing<String>,
    /// What the keys of the server begin with; installations with the same one count together.
    pub prefix: String,
    /// Longest time that a request waits for the server.
    pub answer_max: Duration,
    /// What becomes of the requests of each rule while the server is away; those of a rule that is
    /// not listed are refused.
    pub outages: Vec<(&'static str, Outage)>,
    /// The time of day, for what this process counts itself.
    pub clock: Arc<dyn Clock>,
}

/// Paces in Redis.
pub struct SharedPaces {
    link: Arc<Link>,
    outages: Vec<(&'static str, Outage)>,
    local: MemoryPaces,
    missed: [AtomicU64; 3],
    tasks: Tasks,
}

impl SharedPaces {
    /// Connects. A server that is away costs a moment, and is looked for until it is there.
    ///
    /// # Errors
    /// [`StartError`]: no URL, or a server that refuses.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let tasks = Tasks::default();
        let how = (&*options.prefix, options.answer_max);
        let link = Link::start(&options.url, how, &tasks).await?;
        Ok(Self {
            link,
            outages: options.outages,
            local: MemoryPaces::by(options.clock),
            missed: Default::default(),
            tasks,
        })
    }

    /// Lets go of the server.
    pub async fn close(&self) {
        self.tasks.shut_down().await;
    }

    fn mode(&self, rule: &str) -> Outage {
        let listed = self.outages.iter().find(|(name, _)| *name == rule);
        listed.map_or(Outage::Closed, |(_, outage)| *outage)
    }

    fn miss(&self, outage: Outage) {
        self.missed[outage as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What becomes of a request that the server does not count. The strictest of its rules says.
    async fn without(&self, claims: &[Claim]) -> Result<Vec<Standing>, Error> {
        if claims.iter().any(|claim| self.mode(claim.rule) == Outage::Closed) {
            self.miss(Outage::Closed);
            return Err(Error("Redis does not answer".to_owned()));
        }
        let is_local = |claim: &&Claim| self.mode(claim.rule) == Outage::Local;
        let local: Vec<Claim> = claims.iter().filter(is_local).cloned().collect();
        if local.is_empty() {
            self.miss(Outage::Open);
            return Ok(Vec::new());
        }
        self.miss(Outage::Local);
        self.local.take(&local).await
    }
}

#[async_trait]
impl Paces for SharedPaces {
    async fn take(&self, claims: &[Claim]) -> Result<Vec<Standing>, Error> {
        match self.link.count(claims).await {
            Some(standings) => Ok(standings),
            None => self.without(claims).await,
        }
    }

    fn outage(&self, rule: &str) -> Option<Outage> {
        (!self.link.is_up()).then(|| self.mode(rule))
    }

    fn missed(&self) -> Missed {
        let of = |outage: Outage| self.missed[outage as usize].load(Ordering::Relaxed);
        Missed { closed: of(Outage::Closed), open: of(Outage::Open), local: of(Outage::Local) }
    }
}
