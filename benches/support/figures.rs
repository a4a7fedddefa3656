//! Taking figures, and printing them.

use std::time::Instant;

use super::report;

/// Figures of one thing, smallest first.
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    /// The figure below which lies that share of them.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }

    /// The middle half of them, as shares of the median: how noisy the machine is.
    fn spread(&self) -> String {
        let median = self.quantile(0.5);
        let (low, high) = (self.quantile(0.25) / median, self.quantile(0.75) / median);
        format!("{low:.2}-{high:.2}")
    }
}

impl From<Vec<f64>> for Figures {
    fn from(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        Self(all)
    }
}

type Take<'a, T = f64> = &'a mut dyn FnMut() -> anyhow::Result<Vec<T>>;

/// Takes both figures in turn, so that whatever else the machine does meets both.
pub(crate) fn alternate(
    rounds: usize,
    ours: Take<'_>,
    limit: Take<'_>,
) -> anyhow::Result<[Figures; 2]> {
    Ok(in_turn(rounds, ours, limit)?.map(Figures::from))
}

/// As [`alternate`], for any value.
pub(crate) fn in_turn<T>(
    rounds: usize,
    ours: Take<'_, T>,
    limit: Take<'_, T>,
) -> anyhow::Result<[Vec<T>; 2]> {
    let mut taken = [Vec::new(), Vec::new()];
    // What was never done before takes longer: the first round counts for nothing.
    for round in 0..=rounds {
        let figures = [ours()?, limit()?];
        if round > 0 {
            taken.iter_mut().zip(figures).for_each(|(all, some)| all.extend(some));
        }
    }
    Ok(taken)
}

/// Measures the duration of each of that many rounds, in microseconds.
pub(crate) fn times(
    goes: usize,
    mut go: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let time = |_| {
        let begun = Instant::now();
        go()?;
        Ok(begun.elapsed().as_secs_f64() * 1e6)
    };
    (0..goes).map(time).collect()
}

/// Measures operations per second, for rounds of that many operations.
pub(crate) fn rate(
    count: usize,
    go: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let begun = Instant::now();
    go()?;
    Ok(vec![count as f64 / begun.elapsed().as_secs_f64()])
}

/// Prints times.
pub(crate) fn print_times(name: &str, figures: &[Figures; 2]) {
    for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
        let values = figures.each_ref().map(|figures| figures.quantile(share));
        report::row(name, quantile, values, "us", &spreads(figures));
    }
}

/// Prints one of a thing's quantiles, of which there is one in each round.
pub(crate) fn print_quantile(name: &str, quantile: &str, figures: &[Figures; 2]) {
    let values = figures.each_ref().map(|figures| figures.quantile(0.5));
    report::row(name, quantile, values, "us", &spreads(figures));
}

/// Prints rates.
pub(crate) fn print_rates(name: &str, figures: &[Figures; 2]) {
    let values = figures.each_ref().map(|figures| figures.quantile(0.5));
    report::row(name, "rate", values, "/s", &spreads(figures));
}

fn spreads(figures: &[Figures; 2]) -> String {
    figures.each_ref().map(Figures::spread).join(", ")
}

/// Prints spans of time of one thing, which were taken in milliseconds.
pub(crate) fn print_spans(name: &str, spans: Vec<f64>) {
    let (count, spans) = (spans.len(), Figures::from(spans));
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| spans.quantile(share));
    let told = format!("p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
    report::fact(name, &format!("of {count}"), &told);
}
