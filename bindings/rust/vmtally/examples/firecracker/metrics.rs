// SPDX-License-Identifier: MIT
//! What Firecracker has in vmm/logger/metrics.rs: METRICS, a static that is there from the start, and how it is written
//! to the metrics file. Structs, fields, types and calls are Firecracker's; the rest of its groups would look the same.

use std::fmt;
use std::io::Write;
use std::sync::Mutex;
use vmtally::export::FirecrackerLines;
use vmtally::kinds::{SharedIncMetric, SharedStoreMetric};
use vmtally::schemas::Vm;
use vmtally::units::Microseconds;
use vmtally::{Error, Global, Reader, Segment, Snapshot, Source};

vmtally::schema! {
    /// Metrics related to the internal API server.
    pub struct ApiServerMetrics("api_server", provider = "firecracker", target = "vm") {
        /// Measures the process's startup time in microseconds.
        pub process_startup_time_us: SharedStoreMetric<Microseconds>,
        /// Measures the cpu's startup time in microseconds.
        pub process_startup_time_cpu_us: SharedStoreMetric<Microseconds>,
    }
}

vmtally::schema! {
    /// Metrics specific to GET API Requests for counting user triggered actions and/or failures.
    pub struct GetRequestsMetrics("get_api_requests", provider = "firecracker", target = "get_api_requests") {
        /// Number of GETs for getting information on the instance.
        pub instance_info_count: SharedIncMetric,
        /// Number of GETs for getting machine configuration.
        pub machine_cfg_count: SharedIncMetric,
    }
}

vmtally::schema! {
    /// Metrics for the logging subsystem.
    pub struct LoggerSystemMetrics("logger", provider = "firecracker", target = "logger") {
        /// Number of misses on flushing metrics.
        pub missed_metrics_count: SharedIncMetric,
        /// Number of errors during metrics handling.
        pub metrics_fails: SharedIncMetric,
    }
}

vmtally::schema! {
    /// Metrics related to signals.
    pub struct SignalMetrics("signals", provider = "firecracker", target = "vm") {
        /// Number of times that SIGPIPE was handled.
        pub sigpipe: SharedIncMetric,
        /// Number of times that SIGHUP was handled.
        pub sighup: SharedStoreMetric,
    }
}

/// Static instance used for handling metrics.
pub static METRICS: FirecrackerMetrics = FirecrackerMetrics::new();

/// All metrics that belong to no device or vCPU, and where they are written.
pub struct FirecrackerMetrics {
    pub api_server: Global<ApiServerMetrics>,
    pub get_api_requests: Global<GetRequestsMetrics>,
    pub logger: Global<LoggerSystemMetrics>,
    pub signals: Global<SignalMetrics>,
    metrics_buf: Mutex<Option<Writing>>,
}

struct Writing {
    reader: Reader,
    snapshot: Snapshot,
    lines: FirecrackerLines,
    destination: Box<dyn Write + Send>,
    /// The sources of METRICS, which are there as long as the VM.
    _sources: Sources,
}

struct Sources {
    _api_server: Source<ApiServerMetrics>,
    _get_api_requests: Source<GetRequestsMetrics>,
    _logger: Source<LoggerSystemMetrics>,
    _signals: Source<SignalMetrics>,
}

/// Describes the errors which may occur while handling metrics scenarios.
#[derive(Debug)]
pub enum MetricsError {
    AlreadyInitialized,
    Metrics(Error),
    Write(std::io::Error),
}

impl fmt::Display for MetricsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetricsError::AlreadyInitialized => f.write_str("Reinitialization of metrics not allowed."),
            MetricsError::Metrics(error) => error.fmt(f),
            MetricsError::Write(error) => write!(f, "Failed to write metrics: {error}"),
        }
    }
}

impl From<Error> for MetricsError {
    fn from(error: Error) -> Self {
        MetricsError::Metrics(error)
    }
}

impl FirecrackerMetrics {
    const fn new() -> Self {
        FirecrackerMetrics {
            api_server: Global::new(),
            get_api_requests: Global::new(),
            logger: Global::new(),
            signals: Global::new(),
            metrics_buf: Mutex::new(None),
        }
    }

    /// Initialize metrics system (once and only once). New here is the segment: kvmtop and others see all of it from
    /// now on, without anything being written.
    pub fn init(
        &self,
        segment: &Segment,
        vm: &Source<Vm>,
        destination: Box<dyn Write + Send>,
    ) -> Result<(), MetricsError> {
        let mut metrics_buf = self.metrics_buf.lock().expect("poisoned lock");
        if metrics_buf.is_some() {
            return Err(MetricsError::AlreadyInitialized);
        }
        let sources = Sources {
            _api_server: vm.add("api_server")?,
            _get_api_requests: vm.add("get_api_requests")?,
            _logger: vm.add("logger")?,
            _signals: vm.add("signals")?,
        };
        self.api_server.attach(&sources._api_server)?;
        self.get_api_requests.attach(&sources._get_api_requests)?;
        self.logger.attach(&sources._logger)?;
        self.signals.attach(&sources._signals)?;
        *metrics_buf = Some(Writing {
            reader: Reader::of(segment)?,
            snapshot: Snapshot::new()?,
            lines: FirecrackerLines::new()?,
            destination,
            _sources: sources,
        });
        Ok(())
    }

    /// Writes metrics to the destination provided as argument upon initialization of the metrics: Firecracker's line.
    /// Whether it was initialized. What one line could not tell, because writing it failed, the next one does.
    pub fn write(&self) -> Result<bool, MetricsError> {
        let mut metrics_buf = self.metrics_buf.lock().expect("poisoned lock");
        let Writing {
            reader,
            snapshot,
            lines,
            destination,
            ..
        } = match metrics_buf.as_mut() {
            Some(writing) => writing,
            None => return Ok(false),
        };
        snapshot.take(reader)?;
        let line = lines.encode(snapshot, None)?;
        destination.write_all(line.text().as_bytes()).map_err(|error| {
            self.logger.metrics_fails.inc();
            MetricsError::Write(error)
        })?;
        line.keep();
        Ok(true)
    }
}
